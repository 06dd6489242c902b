"""Compile: a Module becomes one kernel a distinct group of operators, a plan of memory, and the code that drives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.ir.shapes import Dim, DimExpr, dims_of
from halo.jit.driver import Driver, Step
from halo.jit.extents import Condition, Extents
from halo.nn import Op
from halo.nn.shapes import assumptions
from halo.progress import Progress

from . import kernels
from .aliases import Aliases
from .ir import Call, Constant, Expr, Function, Module, walk
from .memory import ALIGNMENT, Lifetime, plan, share
from .net import Group, Net, Place
from .symbolic import fixed
from .text import constant_names

if TYPE_CHECKING:
    from halo.jit.kernel import Kernel

__all__ = ["compile", "link", "relink"]

SHOWN = 2.0  # seconds after which a compilation says how far it is
USUAL = 64  # what symbolic extents are taken for where memory is fitted together


def compile(m: Module, *, shapes: Mapping[str, Any] | None = None, schedules: Mapping[str, Any] | None = None,
            progress: Callable[[str], None] | None = None) -> Net:  # fmt: skip
    """The program as machine code. It takes every extent of a symbolic axis, and is not compiled again for another one.

    `shapes`: those of inputs, by name, with integers in place of symbolic extents: code for these is faster.
    `schedules`: for groups by name (see `Net.groups`), a halo Schedule or a function that schedules the group's Func anew.
    `progress`: called with a line of text as passes and kernels are done; without it, what takes seconds shows a bar.
    Raises ArgumentError for a program with extents
    that no input has, for shapes that do not fit, and for a schedule of a group that there is not.
    """
    with Progress("compiling", after=SHOWN) as bar:
        return _compiled(m, shapes, schedules or {}, progress or (lambda line: bar.advance(note=line)))


def _compiled(
    m: Module, shapes: Mapping[str, Any] | None, schedules: Mapping[str, Any], say: Callable[[str], None]
) -> Net:
    if shapes:
        m = fixed(m, shapes)
    _check_dims(m)
    m = m.run_passes(lambda name, _: say(name))
    primitive = {name: f for name, f in m.functions.items() if f.primitive}
    unknown = set(schedules) - set(primitive)
    if unknown:
        raise ArgumentError(f"there is no group {sorted(unknown)[0]!r}", loc=here(), legal=tuple(primitive))
    made = kernels.compiled(_needed(m, primitive), schedules, say)
    say(f"{len(made)} kernels")
    return link(m, made, schedules)


def _needed(m: Module, primitive: Mapping[str, Function]) -> dict[str, Function]:
    """The primitive functions that some call computes."""
    free = Aliases(m, primitive).free
    names = {e.op.name for e in walk(m.main.body) if isinstance(e, Call) and id(e) not in free}
    return {name: f for name, f in primitive.items() if name in names}


def relink(m: Module, made: Mapping[str, Kernel] | None = None) -> Net:
    """The net of a program after all passes, from its kernels by name (None: they are compiled)."""
    primitive = {name: f for name, f in m.functions.items() if f.primitive}
    return link(m, kernels.compiled(_needed(m, primitive), {}) if made is None else made, {})


def link(m: Module, made: Mapping[str, Kernel], schedules: Mapping[str, Any]) -> Net:
    """The net of a program after all passes: a plan of memory, and the code that drives its kernels."""
    return _Linker(m, made, schedules).net()


def _check_dims(m: Module) -> None:
    """Each Dim of the program is an extent of an input."""
    given = {n for p in m.main.params for n in p.type.shape if isinstance(n, Dim)}
    values = (*m.main.params, *(e for e in walk(m.main.body) if not isinstance(e.type, tuple)))
    used = [n for e in values for n in e.type.shape]
    for name in (name for n in used for name in dims_of(n)):
        if Dim(name) not in given:
            raise ArgumentError(f"no input has an axis of the extent {name}", loc=here(), legal=tuple(map(str, given)))


class _Linker:
    """Gives every value its place, and every kernel its slots."""

    def __init__(self, m: Module, made: Mapping[str, Kernel], schedules: Mapping[str, Any]) -> None:
        self.m, self.made, self.schedules = m, made, schedules
        self.primitive = {name: f for name, f in m.functions.items() if f.primitive}
        self.aliases = Aliases(m, self.primitive)
        self.calls = [e for e in walk(m.main.body) if isinstance(e, Call) and id(e) not in self.aliases.free]
        self.outputs = m.main.outputs
        self.constants: dict[str, np.ndarray[Any, Any]] = {}

    def net(self) -> Net:
        places, lives = self._places()
        steps, outside, inside, groups, cells, first = [], [], [], [], [], 0
        for e in self.calls:
            kernel = self.made[e.op.name]
            layout = kernel.binder.layout
            function = self.primitive[e.op.name]
            values: dict[str, Expr] = {p.name: a for p, a in zip(function.params, e.args, strict=True) if a is not None}
            slots: list[Any] = []
            for port in layout.ports:
                value = e if port.is_output else values[port.name]
                owner, offset = self.aliases.owner(value)
                place = places[id(owner)]
                at = first + len(slots)
                if place.kind == "outside":
                    outside.append((at, place.index))
                elif place.kind == "arena":
                    inside.append((at, place.index, offset))
                shape = value.type.shape
                address = place.index if place.kind == "constant" else 0
                slots += [address, *shape, *_strides(shape), *((0,) * len(shape) if port.is_output else ())]
            slots += [Dim(p.name) for p in layout.params]
            cells += [(first + k, n) for k, n in enumerate(slots) if not isinstance(n, int)]
            steps.append(Step(kernel, first, tuple(n if isinstance(n, int) else 0 for n in slots)))
            groups.append(Group(e.op.name, e.name, function, kernel, self.schedules.get(e.op.name)))
            first += len(slots)
        dims = tuple(dict.fromkeys(name for p in self.m.main.params for n in p.type.shape for name in dims_of(n)))
        extents, arena, at_start = None, 0, []
        if dims:
            guess = dict.fromkeys(dims, USUAL)
            own = share(lives, [n.bytes.evaluate(guess) if isinstance(n.bytes, DimExpr) else n.bytes for n in lives])
            storages = tuple(
                tuple({str(v.bytes): v.bytes for v, s in zip(lives, own, strict=True) if s == k}.values())
                for k in range(max(own, default=-1) + 1)
            )
            placed = tuple((at, own[k], offset) for at, k, offset in inside)
            extents = Extents(dims, tuple(cells), storages, placed, self._conditions())
        else:
            offsets, arena = plan(lives)
            at_start = [(at, offsets[k] + offset) for at, k, offset in inside]
        return Net(self.m, Driver(steps, outside, extents), tuple(groups), at_start, arena, self.constants, extents)

    def _conditions(self) -> tuple[Condition, ...]:
        """What the rules of the operators took for granted of extents that only a call knows."""
        found: dict[tuple[str, str, str], Condition] = {}
        for e in self.calls:
            for c in walk(self.primitive[e.op.name].body):
                if not (isinstance(c, Call) and isinstance(c.op, Op)):
                    continue
                with assumptions() as assumed:
                    c.op.infer(tuple(None if a is None else a.type for a in c.args), c.attrs)
                for relation, a, b in assumed:
                    says = f"{e.name or e.op.name} ({c.op.name})"
                    found.setdefault((relation, str(a), str(b)), Condition(relation, a, b, says))
        return tuple(found.values())

    def _places(self) -> tuple[dict[int, Place], list[Lifetime]]:
        """Where the value of each expression is, "arena" by number; and the lifetimes of those in the arena."""
        places: dict[int, Place] = {}
        params = self.m.main.params
        for k, p in enumerate(params):
            places[id(p)] = Place("outside", k)
        for k, e in enumerate(self.outputs):
            places.setdefault(id(e), Place("outside", len(params) + k))
        names = constant_names(self.m)
        lives: dict[int, Lifetime] = {}  # of what is in the arena, by the id of its owner
        for step, e in enumerate(self.calls):
            for a in (*e.children, e):
                owner, _ = self.aliases.owner(a)
                if isinstance(owner, Constant) and id(owner) not in places:
                    self.constants[names[id(owner)]] = array = _aligned(owner.data)
                    places[id(owner)] = Place("constant", array.ctypes.data)
                elif id(owner) not in places:
                    first = lives[id(owner)].first if id(owner) in lives else step
                    lives[id(owner)] = Lifetime(owner.type.bytes, first, step)
        places |= {key: Place("arena", k) for k, key in enumerate(lives)}
        return places, list(lives.values())


def _strides(shape: tuple[Any, ...]) -> list[Any]:
    strides: list[Any] = [1]
    for n in reversed(shape[1:]):
        strides.append(strides[-1] * n)
    return strides[::-1][: len(shape)] if shape else []


def _aligned(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`a`, packed and on a boundary of `ALIGNMENT` bytes; copied only if it is not."""
    if a.flags.c_contiguous and a.ctypes.data % ALIGNMENT == 0 and a.dtype.isnative:
        return a
    memory = np.empty(a.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    found: np.ndarray[Any, Any] = memory[start : start + a.nbytes].view(a.dtype.newbyteorder("=")).reshape(a.shape)
    found[...] = a
    return found

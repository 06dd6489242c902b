"""Link: where everything is in memory, and the code that drives the kernels of a program, as a `Plan`.

Every value has a home: memory of the caller, a constant, or a lifetime in the arena. What goes into a body keeps the home
that it has outside; what a branch gives is made in the home of the If. What a loop carries has one home for all
iterations, where what an iteration makes is copied to at its end; what it stacks is copied to its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from halo import nn
from halo.ir.shapes import Dim, DimExpr, dims_of, greatest_of
from halo.jit.driver import Branch, Copy, Instruction, Repeat, Step, machine_code
from halo.jit.extents import Condition, Extents
from halo.jit.ports import Shapes
from halo.nn import TensorType
from halo.types import bool_, i64

from .aliases import Aliases
from .ir import Call, Constant, Expr, Function, If, Key, Loop, every, key_of, walk
from .memory import Lifetime, laid_out
from .module import Module
from .plan import Place, Plan
from .symbolic import substituted

if TYPE_CHECKING:
    from halo.jit.kernel import Kernel

__all__ = ["driven", "link", "needed"]


@dataclass(frozen=True)
class Home:
    """Where a value is: number `index` of what is "outside" or in the "arena", or the "constant" of that name; so many bytes
    further on."""

    kind: str
    index: Any
    offset: Any = 0


def link(m: Module, f: Function, outputs: Sequence[str], made: Mapping[str, Kernel], names: Mapping[int, str]) -> Plan:
    """The plan of `f`, a function of the program `m` after all passes, whose results are called `outputs`. `made` are the
    kernels by name, `names` those of the constants by id."""
    return _Linker(m, f, made, names).plan(outputs)


def driven(m: Module) -> dict[str, Function]:
    """The functions that are machine code in one piece: `main`, or those that it was cut into."""
    found = {name: f for name, f in m.functions.items() if not f.primitive}
    if len(found) > 1:
        del found["main"]
    return found


def needed(m: Module) -> dict[str, Function]:
    """The primitive functions that some call computes."""
    primitive = {name: f for name, f in m.functions.items() if f.primitive}
    names: set[str] = set()

    def visit(f: Function) -> None:
        free = Aliases(f, primitive).free
        for e in walk(f.body):
            if isinstance(e, Call) and id(e) not in free:
                names.add(e.op.name)
            for body in e.bodies:
                visit(body)

    for f in driven(m).values():
        visit(f)
    return {name: f for name, f in primitive.items() if name in names}


def _results(e: Expr) -> tuple[tuple[Key, TensorType], ...]:
    types = e.type if isinstance(e.type, tuple) else (e.type,)
    return tuple(((id(e), k), t) for k, t in enumerate(types))


class _Linker:
    """`time` counts what is written down, one after the other; a life spans the whole of a loop that it goes into."""

    def __init__(self, m: Module, f: Function, made: Mapping[str, Kernel], names: Mapping[int, str]) -> None:
        self.m, self.f, self.made, self.names = m, f, made, names
        self.primitive = {name: f for name, f in m.functions.items() if f.primitive}
        self.lives: list[Lifetime] = []
        self.time = 0
        self.slots: list[Any] = []  # extents where a call decides
        self.constants: list[tuple[int, str]] = []
        self.outside: list[tuple[int, int, Any]] = []
        self.inside: list[tuple[int, int, Any]] = []
        self.places: list[Place] = []

    def plan(self, outputs: Sequence[str]) -> Plan:
        main = self.f
        homes = {key_of(p): Home("outside", k) for k, p in enumerate(main.params)}
        results = tuple(Home("outside", len(main.params) + k) for k in range(len(main.outputs)))
        program = self.block(main, homes, results)
        outside = [(slot, k, None if offset == 0 else self.number(offset)) for slot, k, offset in self.outside]
        cells = tuple((k, n) for k, n in enumerate(self.slots) if not isinstance(n, int))
        dims = tuple(dict.fromkeys(name for p in main.params for n in p.type.shape for name in dims_of(n)))
        storages, places, arena = laid_out(self.lives, greatest_of((b.extent, b.most) for b in self.m.bounds))
        inside = tuple((at, places[k][0], places[k][1] + offset) for at, k, offset in self.inside)
        extents = None
        if dims:
            extents = Extents(dims, cells, storages, inside, (*self.bounds(dims), *self.conditions()))
        shapes = Shapes(tuple(p.type.shape for p in main.params), tuple(e.type.shape for e in main.outputs), dims)
        frame = np.array([n if isinstance(n, int) else 0 for n in self.slots] or [0], np.int64)
        return Plan(
            inputs={p.name: p.type for p in main.params},
            outputs=dict(zip(outputs, (e.type for e in main.outputs), strict=True)),
            program=program, code=machine_code(program, outside, extents, shapes), slots=frame,
            constants=tuple(self.constants), inside=() if dims else tuple((at, offset) for at, _, offset in inside),
            arena=arena, extents=extents, places=tuple(self.places),
        )  # fmt: skip

    # Programs --------------------------------------------------------------------------------------------------------

    def block(self, f: Function, homes: dict[Key, Home], results: Sequence[Home]) -> tuple[Instruction, ...]:
        """The body of `f`, whose params are at home, into the homes of its results."""
        aliases = Aliases(f, self.primitive)
        homes |= {key_of(e): home for e, home in zip(f.outputs, results, strict=True)}

        def home(e: Expr) -> Home:
            if isinstance(e, Constant):
                return Home("constant", self.names[id(e)])
            owner, offset = aliases.owner(e)
            if key_of(owner) not in homes:
                homes[key_of(owner)] = self.alive(owner.type.bytes)
            found = homes[key_of(owner)]
            return replace(found, offset=found.offset + offset) if offset != 0 else found

        program: list[Instruction] = []
        for e in walk(f.body):
            if isinstance(e, Call) and id(e) not in aliases.free:
                program.append(self.step(e, [None if a is None else home(a) for a in e.args], home(e)))
            elif isinstance(e, (If, Loop)):
                for key, t in _results(e):
                    if key not in homes:
                        homes[key] = self.alive(t.bytes)
                into = [homes[key] for key, _ in _results(e)]
                program += self.branch(e, home, into) if isinstance(e, If) else self.loop(e, home, into)
        return tuple(program)

    def step(self, e: Call, args: Sequence[Home | None], result: Home) -> Step:
        kernel, function = self.made[e.op.name], self.primitive[e.op.name]
        params = [p for p, a in zip(function.params, e.args, strict=True) if a is not None]
        values = dict(zip((p.name for p in params), zip(e.children, filter(None, args), strict=True), strict=True))
        first, entries = len(self.slots), list[int]()
        for port in kernel.binder.layout.ports:
            value, home = (e, result) if port.is_output else values[port.name]
            self.address(home)
            shape = value.type.shape
            if port.is_output:
                entries += [len(self.slots) + d for d, n in enumerate(shape) if isinstance(n, DimExpr)]
            self.slots += [*shape, *_strides(shape), *((0,) * len(shape) if port.is_output else ())]
        self.slots += [e.attrs.get(p.name, Dim(p.name)) for p in kernel.binder.layout.params]
        self.use(*filter(None, args), result)
        self.time += 1
        self.places.append(Place(e.op.name, e.name, e.sources or (e.name,) * bool(e.name), e.attributes))
        return Step(e.op.name, first, tuple(entries))

    def branch(self, e: If, home: Any, into: list[Home]) -> list[Instruction]:
        args = [home(a) for a in e.args]
        condition = self.address(home(e.condition))
        around = [*args, *into, home(e.condition)]
        self.use(*around)
        self.time += 1
        bodies = [self.block(f, dict(zip(map(key_of, f.params), args, strict=True)), into) for f in e.bodies]
        self.use(*around)
        self.time += 1
        return [Branch(condition, *bodies)]

    def loop(self, e: Loop, home: Any, into: list[Home]) -> list[Instruction]:
        count = len(e.carried)
        own, rows, args = into[:count], into[count:], [home(a) for a in e.args]
        outputs = e.body.outputs
        number = self.alive(i64.bytes)
        test = None if e.condition is None else self.alive(bool_.bytes)
        made = [self.alive(t.type.bytes) for t in outputs[len(outputs) - len(into) :]]
        around = [*into, *args, number, *made, *filter(None, (test,))]
        before: list[Instruction] = [self.copy(home(c), to, c.type) for c, to in zip(e.carried, own, strict=True)]
        self.use(*around, *(home(c) for c in e.children))
        if test is not None and e.condition is not None:
            before.append(self.copy(home(e.condition), test, e.condition.type))
        trip = None if e.trip is None else self.address(home(e.trip))
        again, where = None if test is None else self.address(test), self.address(number)
        self.time += 1
        homes = dict(zip(map(key_of, e.body.params), (number, *own, *args), strict=True))
        body = [*self.block(e.body, homes, (*filter(None, (test,)), *made))]
        for k, value in enumerate(outputs[len(outputs) - len(into) :]):
            target = own[k] if k < count else rows[k - count]
            body.append(self.copy(made[k], target, value.type, row=k >= count))
        self.use(*around)
        self.time += 1
        return [*before, Repeat(trip, again, where, tuple(body))]

    # Slots and homes -------------------------------------------------------------------------------------------------

    def address(self, home: Home) -> int:
        """A slot for the address of `home`."""
        at = len(self.slots)
        self.slots.append(0)
        if home.kind == "constant":
            self.constants.append((at, home.index))
        elif home.kind == "outside":
            self.outside.append((at, home.index, home.offset))
        elif home.kind == "arena":
            self.inside.append((at, home.index, home.offset))
        return at

    def number(self, n: Any) -> int:
        """A slot for a number."""
        self.slots.append(n)
        return len(self.slots) - 1

    def copy(self, source: Home, target: Home, t: TensorType, row: bool = False) -> Copy:
        self.slots.append(t.bytes)
        return Copy(self.address(source), self.address(target), len(self.slots) - 3, row)

    def alive(self, size: Any) -> Home:
        """A home in the arena, from now on."""
        self.lives.append(Lifetime(size, self.time, self.time))
        return Home("arena", len(self.lives) - 1)

    def use(self, *homes: Home) -> None:
        for h in homes:
            if h.kind == "arena":
                self.lives[h.index] = replace(self.lives[h.index], last=self.time)

    def bounds(self, dims: Sequence[str]) -> tuple[Condition, ...]:
        """Those of extents that inputs have."""
        where = {n: f"axis {d} of {p.name}" for p in self.f.params[::-1] for d, n in enumerate(p.type.shape)}
        found = []
        for b in (b for b in self.m.bounds if {*dims_of(b.extent)} <= {*dims}):
            says = where.get(b.extent, "the program")
            found += [Condition(">=", b.extent, b.least, says), Condition(">=", b.most, b.extent, says)]
        return tuple(found)

    def conditions(self) -> tuple[Condition, ...]:
        """What the rules of the operators took for granted of extents that only a call knows."""
        found: dict[tuple[str, str, str], Condition] = {}
        for e in (e for e in every(self.f) if isinstance(e, Call)):
            for c in walk(self.primitive[e.op.name].body):
                if not (isinstance(c, Call) and isinstance(c.op, nn.Op)):
                    continue
                for own in c.op.assumed(c.types, c.attrs, f"{e.name or e.op.name} ({c.op.name})"):
                    a, b = substituted((own.a, own.b), e.attrs)
                    found.setdefault((own.relation, str(a), str(b)), replace(own, a=a, b=b))
        return tuple(found.values())


def _strides(shape: tuple[Any, ...]) -> list[Any]:
    strides: list[Any] = [1]
    for n in reversed(shape[1:]):
        strides.append(strides[-1] * n)
    return strides[::-1][: len(shape)] if shape else []

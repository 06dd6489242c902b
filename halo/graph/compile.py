"""Compile: a Module becomes one kernel a distinct group of operators, a plan of memory, and the code that drives them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.ir.shapes import dims_of, told
from halo.progress import Progress

from . import kernels
from .arguments import by_name
from .control import is_open
from .ir import Call, Constant, Expr, Function, Global, Var, every, rewrite, walk, with_bodies
from .link import driven, link, needed
from .memory import aligned
from .module import Module
from .net import Net, Source
from .passes.fold_constants import fold_constants
from .pieces import Pieces, cut
from .repeats import Repeats
from .sharing import Shared
from .symbolic import fixed, substituted
from .text import constant_names

if TYPE_CHECKING:
    from halo.jit.kernel import Kernel

    from .plan import Plan

__all__ = ["assembled", "compile", "relink"]

Array = np.ndarray[Any, Any]

SHOWN = 2.0  # seconds after which a compilation says how far it is


def compile(m: Module, *, shapes: Mapping[str, Any] | None = None, schedules: Mapping[str, Any] | None = None,
            progress: Callable[[str], None] | None = None) -> Net:  # fmt: skip
    """The program as machine code. It takes every extent of a symbolic axis, and is not compiled again for another one.

    Axes of different names that meet where arrays broadcast are taken to be equal. For calls in which one of them is 1, and
    repeated, the program is compiled once more, when the first such call comes; for that its constants are kept.

    Where only running tells an extent, a Loop that stacks rows until its condition fails, say, it is cut into several
    functions there, with Python in between: `Pieces`, which is used as any Net.

    `shapes`: those of inputs, by name, with integers in place of symbolic extents, or with arithmetic over other ones:
    `"32*h"` are the multiples of 32, `"64 + w"` is 64 at least; `range(32, 513, 32)` is 32, 64 and so on to 512. Code for these
    is faster, and takes no others; where all open extents have a greatest value, a call allocates nothing but its results.
    `schedules`: for groups by name (see `Net.groups`), a halo Schedule or a function that schedules the group's Func anew.
    `progress`: called with a line of text as passes and kernels are done; without it, what takes seconds shows a bar.
    Raises ArgumentError for a program with extents
    that no input has, for shapes that do not fit, and for a schedule of a group that there is not.
    """
    with Progress("compiling", after=SHOWN) as bar:
        net = _compiled(
            m,
            by_name("shapes", shapes),
            by_name("schedules", schedules),
            progress or (lambda line: bar.advance(note=line)),
        )
    net.remember(m, shapes)
    return net


def _compiled(m: Module, shapes: Mapping[str, Any], schedules: Mapping[str, Any], say: Callable[[str], None]) -> Net:
    _check_closed(m.main)
    if shapes:
        m = fixed(m, shapes)
    repeats = Repeats(m, compile)
    net = _dense(repeats.dense, schedules, say)
    if repeats.dense is not m:
        net.repeat(repeats, m)
    return net


def _dense(m: Module, schedules: Mapping[str, Any], say: Callable[[str], None]) -> Net:
    if any(map(is_open, walk(m.main.body))):
        m = _after_passes(cut(fold_constants(m)), say)
    else:
        _check_dims(m.main)
        m = m.run_passes(lambda name, _: say(name))
    primitive = {name: f for name, f in m.functions.items() if f.primitive}
    unknown = set(schedules) - set(primitive)
    if unknown:
        raise ArgumentError(f"there is no group {sorted(unknown)[0]!r}", loc=here(), legal=tuple(primitive))
    made = kernels.compiled(needed(m), schedules, say)
    say(f"{len(made)} kernels")
    return _linked(_aligned(m), made, schedules)


def relink(m: Module, made: Mapping[str, Kernel] | None = None) -> Net:
    """The net of a program after all passes, from its kernels by name (None: they are compiled)."""
    return _linked(m, kernels.compiled(needed(m), {}) if made is None else made, {})


def assembled(plans: Mapping[str, Plan], outputs: tuple[str, ...], made: Mapping[str, Kernel],
              constants: Mapping[str, Array], source: Source) -> Net:  # fmt: skip
    """The net of a program from the plans of its functions, by name, its kernels and its constants."""
    if "main" in plans:
        return Net(plans["main"], made, constants, source)
    return Pieces(plans, outputs, made, constants, source)


def _linked(m: Module, made: Mapping[str, Kernel], schedules: Mapping[str, Any]) -> Net:
    names = constant_names(m)
    outputs = _output_names(m)
    plans = {
        name: link(m, f, outputs if name == "main" else tuple(f"output{k}" for k in range(len(f.outputs))), made, names)
        for name, f in driven(m).items()
    }
    arrays = {names[id(e)]: e.data for f in m.functions.values() for e in every(f) if isinstance(e, Constant)}
    return assembled(plans, outputs, made, arrays, Source(lambda: m, schedules=schedules))


def _output_names(m: Module) -> tuple[str, ...]:
    """A name of its own for each result of `main`: that which the program gives it, or its number."""
    many = len(m.main.outputs)
    found = list(m.outputs[:many])
    free = (name for k in itertools.count(len(found)) if (name := f"output{k}") not in m.outputs)
    return (*found, *itertools.islice(free, many - len(found)))


def _after_passes(m: Module, say: Callable[[str], None]) -> Module:
    """The program in pieces, with the passes run over each of them; equal groups are one function."""
    shared = Shared()
    pieces = {}
    for name, f in m.functions.items():
        if name == "main":
            continue
        _check_dims(f)
        done = Module({"main": f}).run_passes(lambda step, _: say(step))
        called = {own: shared.add(own, g) for own, g in done.functions.items() if g.primitive}
        pieces[name] = _renamed(done.main, called)
    return replace(m, functions={**shared.functions, **pieces, "main": m.main})


def _changed(f: Function, change: Callable[[Expr], Expr]) -> Function:
    """`f` with `change(e)` in place of every expression, those of bodies inside of it too."""

    def step(e: Expr, _: Expr) -> Expr:
        return change(with_bodies(e, tuple(_changed(body, change) for body in e.bodies)) if e.bodies else e)

    return replace(f, body=rewrite(f.body, step))


def _renamed(f: Function, called: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Function:
    """`f`, which calls functions by other names, with other names for their extents."""

    def change(e: Expr) -> Expr:
        if isinstance(e, Call) and isinstance(e.op, Global):
            name, extents = called[e.op.name]
            given = e.attrs
            own = {n: substituted(v, given) for n, v in extents.items()}
            kept = {n: v for n, v in given.items() if n not in own}
            return replace(e, op=replace(e.op, name=name), attributes=tuple((kept | own).items()))
        return e

    return _changed(f, change)


def _aligned(m: Module) -> Module:
    """The program with its constants packed, and on boundaries of `ALIGNMENT` bytes: copied only where they are not."""
    made: dict[int, Constant] = {}

    def change(e: Expr) -> Expr:
        if not isinstance(e, Constant):
            return e
        if id(e) not in made:
            data = aligned(e.data)
            made[id(e)] = e if data is e.data else replace(e, data=data)
        return made[id(e)]

    return replace(m, functions={n: f if f.primitive else _changed(f, change) for n, f in m.functions.items()})


def _check_closed(f: Function) -> None:
    """`f` reads nothing but its params, and so do the bodies in it."""
    own = set(map(id, f.params))
    for e in walk(f.body):
        if isinstance(e, Var) and id(e) not in own:
            raise ArgumentError(f"the program reads {e.name}, {e.type}, which is none of its inputs", loc=here(),
                                legal=tuple(p.name for p in f.params),
                                hint="what the body of an If or a Loop computes leaves it as one of its results")  # fmt: skip
        for body in e.bodies:
            _check_closed(body)


def _check_dims(f: Function) -> None:
    """Each Dim of `f` is told by an extent of an input."""
    given = told(p.type.shape for p in f.params)
    values = (*f.params, *(e for e in every(f) if not isinstance(e.type, tuple)))
    used = [n for e in values for n in e.type.shape]
    for name in (name for n in used for name in dims_of(n)):
        if name not in given:
            raise ArgumentError(f"no input has an axis of the extent {name}", loc=here(), legal=tuple(given))

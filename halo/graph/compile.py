"""Compile: a Module becomes one kernel a distinct group of operators, a plan of memory, and the code that drives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from halo.errors import ArgumentError, here
from halo.ir.shapes import Dim, dims_of
from halo.progress import Progress

from . import kernels
from .control import is_open
from .ir import Module, every, walk
from .link import link, needed
from .net import Net
from .passes.fold_constants import fold_constants
from .pieces import Pieces
from .symbolic import fixed

if TYPE_CHECKING:
    from halo.jit.kernel import Kernel

__all__ = ["compile", "relink"]

SHOWN = 2.0  # seconds after which a compilation says how far it is


def compile(m: Module, *, shapes: Mapping[str, Any] | None = None, schedules: Mapping[str, Any] | None = None,
            progress: Callable[[str], None] | None = None) -> Net | Pieces:  # fmt: skip
    """The program as machine code. It takes every extent of a symbolic axis, and is not compiled again for another one.

    Where only running tells an extent, a Loop that stacks rows until its condition fails, say, it is cut into several nets
    there: `Pieces`.

    `shapes`: those of inputs, by name, with integers in place of symbolic extents: code for these is faster.
    `schedules`: for groups by name (see `Net.groups`), a halo Schedule or a function that schedules the group's Func anew.
    `progress`: called with a line of text as passes and kernels are done; without it, what takes seconds shows a bar.
    Raises ArgumentError for a program with extents
    that no input has, for shapes that do not fit, and for a schedule of a group that there is not.
    """
    with Progress("compiling", after=SHOWN) as bar:
        net = _compiled(m, shapes, schedules or {}, progress or (lambda line: bar.advance(note=line)))
    net.remember(m, shapes)
    return net


def _compiled(
    m: Module, shapes: Mapping[str, Any] | None, schedules: Mapping[str, Any], say: Callable[[str], None]
) -> Net | Pieces:
    if shapes:
        m = fixed(m, shapes)
    if any(map(is_open, walk(m.main.body))):
        m = fold_constants(m)
        if schedules:
            raise ArgumentError("the groups of a program in pieces are not scheduled anew", loc=here())
        return Pieces(m, lambda piece: _compiled(piece, None, {}, say))
    _check_dims(m)
    m = m.run_passes(lambda name, _: say(name))
    primitive = {name: f for name, f in m.functions.items() if f.primitive}
    unknown = set(schedules) - set(primitive)
    if unknown:
        raise ArgumentError(f"there is no group {sorted(unknown)[0]!r}", loc=here(), legal=tuple(primitive))
    made = kernels.compiled(needed(m), schedules, say)
    say(f"{len(made)} kernels")
    return link(m, made, schedules)


def relink(m: Module, made: Mapping[str, Kernel] | None = None) -> Net:
    """The net of a program after all passes, from its kernels by name (None: they are compiled)."""
    return link(m, kernels.compiled(needed(m), {}) if made is None else made, {})


def _check_dims(m: Module) -> None:
    """Each Dim of the program is an extent of an input."""
    given = {n for p in m.main.params for n in p.type.shape if isinstance(n, Dim)}
    values = (*m.main.params, *(e for e in every(m.main) if not isinstance(e.type, tuple)))
    used = [n for e in values for n in e.type.shape]
    for name in (name for n in used for name in dims_of(n)):
        if Dim(name) not in given:
            raise ArgumentError(f"no input has an axis of the extent {name}", loc=here(), legal=tuple(map(str, given)))

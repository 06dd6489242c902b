"""Kernels: a primitive function of the graph as one halo pipeline, scheduled by the strategy of its anchor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import halo
from halo import config, nn
from halo.errors import CompileError, HaloError, here
from halo.jit import cache
from halo.jit.kernel import restored
from halo.jit.target import Target
from halo.nn.op import Kind
from halo.nn.op import scheduled as by_anchor
from halo.nn.schedule import points

from .ir import Call, Function, walk
from .text import function_text

if TYPE_CHECKING:
    from halo.jit.kernel import Kernel

__all__ = ["compiled", "pipeline", "scheduled"]

THREADS = 2  # of Python, which lowers one kernel while LLVM compiles another


def pipeline(f: Function) -> nn.Tensor:
    """The primitive function `f` as a Tensor over Inputs that are named as its parameters are."""
    target = Target.host()
    made: dict[int, Any] = {}
    anchor: Call | None = None
    moves: list[Call] = []
    for p in f.params:
        made[id(p)] = nn.tensor(halo.Input(p.name, p.type.dtype, shape=p.type.shape))
    for e in walk(f.body):
        if isinstance(e, Call):
            assert isinstance(e.op, nn.Op)
            made[id(e)] = e.op.compute(tuple(None if a is None else made[id(a)] for a in e.args), e.attrs)
            if e.op.kind >= Kind.REDUCTION:  # an opaque one is alone in its group
                anchor = e
            elif e.op.kind is Kind.INJECTIVE:
                moves.append(e)
    out: nn.Tensor = made[id(f.body)]
    if anchor is None and len(moves) == 1 and moves[0].op in (nn.transpose, nn.layout_transform):
        (anchor,) = moves
    if anchor is not None:
        assert isinstance(anchor.op, nn.Op)
        out = by_anchor(anchor.op, out, target, None, anchor.types, anchor.attrs)
    elif 0 not in out.shape:  # what has no entries is computed in any order
        points(out, target)
    return out


def scheduled(f: Function, schedule: Any = None) -> nn.Tensor:
    """The pipeline of `f`, under `schedule`: a halo Schedule, or a function that is given the Func; None for its own."""
    out = pipeline(f)
    if callable(schedule):
        schedule(out.func)
    elif schedule is not None:
        out.func.apply(schedule)
    return out


def _new(f: Function, schedule: Any = None) -> Kernel:
    return scheduled(f, schedule).func.compile()  # type: ignore[no-any-return]  # a Func is of any type here


def _made(f: Function) -> Kernel:
    """The kernel of `f`, from the disk cache, where its text says all of it, before there is a pipeline."""
    known = all(isinstance(e.op, nn.Op) and e.op.built_in for e in walk(f.body) if isinstance(e, Call))
    if not known or not config.current().cache:
        return _new(f)
    key = cache.digest(b"group", function_text("group", f, {}).encode(), repr(Target.host()).encode())
    found = cache.get(key)
    if found is not None:
        return restored(found, lambda kind, call: _new(f).instead(kind, call))
    func = scheduled(f).func
    func.cache = False  # it is there under its text already
    kernel: Kernel = func.compile()
    if kernel.is_storable:
        cache.put(key, kernel.stored())
    return kernel


def compiled(
    functions: Mapping[str, Function], schedules: Mapping[str, Any], say: Callable[[str], None] | None = None
) -> dict[str, Kernel]:
    """The kernel of each primitive function, under `schedules` by name. `say` is told of each that is done, from any thread."""
    done = iter(range(1, len(functions) + 1))

    def one(name: str) -> Kernel:
        kernel = _made(functions[name]) if name not in schedules else _new(functions[name], schedules[name])
        result, out = functions[name].type, next(p for p in kernel.binder.layout.ports if p.is_output)
        if out.type is not result.dtype or out.ndim != result.ndim:
            raise CompileError(f"the kernel {name} gives {out.type.name} of {out.ndim} axes, and not {result}")
        unknown = set(kernel.binder.layout.inputs) - {p.name for p in functions[name].params}
        if unknown:
            raise CompileError(f"the kernel {name} reads {', '.join(sorted(unknown))}")
        if say is not None:
            say(f"kernel {next(done)} of {len(functions)}: {name}")
        return kernel

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            return dict(zip(functions, pool.map(one, functions), strict=True))
        except HaloError as error:
            error.loc = error.loc or here()  # a thread of the pool has no caller
            raise

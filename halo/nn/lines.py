"""Lines: what is found of all the entries along some axes, by softmax, norms and reductions, in one pass over memory.

A line lies along the last axes, and is found in lanes, each over every so many entries; or along an axis before the last
ones, and neighbouring lines are lanes. All that is found of a line, and what it is found from unless that is in memory as
it is, is computed when the line is: it comes from memory once, and stays in cache until its results are stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import halo
from halo import Func, Input, RDom
from halo.ir.surface import as_expr
from halo.jit.target import Target
from halo.types import Type, bf16, f16, f32

from .schedule import bound, in_parallel, inline_rest, is_streamed, tiled
from .shapes import indices
from .tensor import Tensor, TensorType

__all__ = ["WIDE", "accumulator", "across", "along", "extent", "few", "in_lanes", "is_last", "line_of", "line_stages",
           "schedule_across", "schedule_along", "schedule_blocks"]  # fmt: skip

AHEAD = 16  # steps along lines that lie across memory
WIDE = 4  # vectors of lanes, where lines are long: as many sums as hide what one takes


def extent(x: Tensor, axis: int) -> Any:
    """How long an axis is, as a number or an expression."""
    n = x.shape[axis]
    if isinstance(n, int):
        return n
    return x.func.shape[axis] if isinstance(x.func, Input) else as_expr(n)


def accumulator(x: Tensor | TensorType) -> Any:
    """The type that sums of `x` are added up in: f32 for the narrower floats."""
    return f32 if x.dtype in (f16, bf16) else x.dtype


def line_of(x: Tensor) -> Tensor:
    """`x` in the type that is computed in: as it is where it is in memory so, else as a stage of the line."""
    if isinstance(x.func, Input) and accumulator(x) is x.dtype:
        return x
    f, i = Func("line"), indices(x.ndim)
    f[i] = x.func[i].astype(accumulator(x))
    return Tensor(f, x.shape, accumulator(x))


def is_last(x: TensorType, axis: int) -> bool:
    """Whether there is nothing behind an axis but axes of one entry."""
    return all(n == 1 for n in x.shape[axis % x.ndim + 1 :])


def _lanes(n: Any, dtype: Type) -> int:
    """How many lanes a line along an axis of `n` entries is found in: few where there are few, all of them full."""
    natural = Target.host().natural_lanes(dtype)
    if not isinstance(n, int):
        return natural
    if n >= 4 * WIDE * natural:
        return WIDE * natural
    while natural > 1 and n <= natural // 2:
        natural //= 2
    return natural


Fold = Callable[[Any, Any], Any]


def in_lanes(name: str, rest: Any, unit: Any, fold: Fold, value: Callable[..., Any], ranges: Sequence[Any],
             dtype: Type) -> tuple[Func, Func]:  # fmt: skip
    """The Funcs of `fold` of `value(*r)`, r over `ranges`, the last one rounded up, in lanes and of all of these."""
    parts, whole, entry, lane = Func(f"{name}s"), Func(name), Func("entry"), halo.Var("l")
    *outer, n = ranges
    lanes = _lanes(n, dtype)
    natural = min(lanes, Target.host().natural_lanes(dtype))
    places = indices(len(ranges), "p")
    entry[(*rest, *places)] = value(*places)
    view: Any = entry
    if not isinstance(n, int) or n % lanes:
        view = halo.pad(entry, "constant", unit, bounds=[*(None for _ in (*rest, *outer)), (0, n)])
    r: RDom = halo.rdom(*outer, (n + (lanes - 1)) // lanes, names=[*(f"s{d}" for d in range(len(outer))), "s"])
    parts[(*rest, lane)] = unit
    at = (*(r[d] for d in range(len(outer))), r.s * lanes + lane)
    parts[(*rest, lane)] = fold(parts[(*rest, lane)], view[(*rest, *at)])
    if lanes > 1:
        parts.vectorize("l", natural).unroll("l")
        # all sums of a step are in registers, and memory is read as it lies
        parts.update(0).vectorize("l", natural).reorder(*(v.name for v in r), "l", "l_v").unroll("l")
    left = parts
    while lanes > 2:  # halves onto halves, so that no value waits for all of those before it
        lanes //= 2
        half = Func(f"{name}_{lanes}")
        half[(*rest, lane)] = fold(left[(*rest, lane)], left[(*rest, lane + lanes)])
        half.compute_root().vectorize("l", min(lanes, natural)).unroll("l")
        left = half
    whole[rest] = fold(left[(*rest, 0)], left[(*rest, 1)]) if lanes == 2 else left[(*rest, 0)]
    return parts, whole


def along(name: str, rest: Any, unit: Any, fold: Fold, value: Callable[..., Any], ranges: Sequence[Any],
          dtype: Type) -> Func:  # fmt: skip
    """`fold` of `value(*r)` over the last axes, in lanes."""
    return in_lanes(name, rest, unit, fold, value, ranges, dtype)[1]


def across(name: str, rest: Any, unit: Any, fold: Fold, value: Callable[..., Any], ranges: Sequence[Any],
           dtype: Type) -> Func:  # fmt: skip
    """`fold` of `value(*r)` over axes before the last ones."""
    found = Func(name)
    r: RDom = halo.rdom(*ranges, names=[f"s{d}" for d in range(len(ranges))])
    found[rest] = unit
    found[rest] = fold(found[rest], value(*r))
    return found


# Schedules ------------------------------------------------------------------------------------------------------------


def line_stages(f: Func, *others: Func) -> list[Any]:
    """The stages of a line, of the pipeline that ends in `f`: those that are named so. All else but `others` is computed
    where it is read, and that is once."""
    found: list[Any] = [g for g in f.program().graph.functions if g.name.startswith("line")]
    inline_rest(f, *others, *found)
    return found


def schedule_along(out: Tensor, first: int, groups: tuple[int, int] | None = None) -> None:
    """Lines over the axes from `first` on. `groups`: an axis and how many of its entries one line has, the others being
    those of other lines."""
    f = out.func
    bound(f, out)
    vars = list(f.definitions.vars)
    rows, inner = vars[:first], vars[first:]
    if groups is not None:
        d, size = groups
        f.split(vars[d], "group", vars[d], size)
        rows = [*vars[:d], "group"]
    if groups is not None or inner:
        f.vectorize(vars[-1], _width(out.shape[-1], out.dtype))
    task = in_parallel(f, rows) if rows else None
    stages = line_stages(f)
    if task is not None and vars[-1] not in rows and is_streamed(out):
        kept = [g for g in stages if _is_kept(g, out) and _lines_read(g, out)]
        # the next line comes from memory while what is kept of this one is computed, or while it is stored
        for x in [] if kept else _lines_read(f, out):
            f.prefetch(x, vars[-1], 1, from_=task)
        size = math.prod(out.shape[first:]) * (1 if groups is None else groups[1])
        for g in kept:
            for x in _lines_read(g, out):
                g.prefetch(x, g.definitions.vars[-1], size // _width(out.shape[-1], out.dtype), strategy="non_faulting")
    for g in stages:
        if task is None:
            g.compute_root()
        else:
            g.compute_at(f, task)
        if inner and _is_kept(g, out):
            g.vectorize(g.definitions.vars[-1], _width(out.shape[-1], out.dtype))


def _is_kept(g: Func, out: Tensor) -> bool:
    """Whether the stage of a line has an entry for each one of `out`."""
    return len(g.definitions.vars) == out.ndim and g.definitions.vars[-1] != "l"


def _lines_read(f: Func, out: Tensor) -> list[Input]:
    """The inputs of the rank of `out` that `f` reads itself, in its last loop."""
    from halo.frontend.graph import Graph

    graph, found = Graph((f,)), dict[Input, None]()
    todo: list[Any] = [f]
    while todo:
        uses = graph.uses(todo.pop())
        todo += [g for g in uses.functions if not g.name.startswith("line")]
        found |= {x: None for x in uses.inputs if isinstance(x, Input) and x.ndim == out.ndim}
    return list(found)


def _width(n: Any, dtype: Type) -> int:
    """Of the vectors along an axis of `n` entries."""
    return min(_lanes(n, dtype), Target.host().natural_lanes(dtype))


def schedule_across(out: Tensor, axis: int, sum_of: tuple[str, str]) -> None:
    """Lines along `axis`, behind which there is one of some entries: that many neighbouring ones at once as keep enough
    sums in flight. `sum_of`: a stage that adds up the values of another one, if that is kept. In one loop each is computed
    once, and added up while it is in a register."""
    f, natural = out.func, Target.host().natural_lanes(out.dtype)
    bound(f, out)
    vars = list(f.definitions.vars)
    last = max(d for d, n in enumerate(out.shape) if n != 1)
    n, v = out.shape[last], vars[last]
    width = next((k * natural for k in (WIDE, 2, 1) if isinstance(n, int) and n >= k * natural), None)
    if width is None:
        width = natural if not isinstance(n, int) else n
    outer = [u for d, u in enumerate(vars) if d not in (axis, last)]
    if isinstance(n, int):
        tiled(f, v, "lines", width, n)
    else:
        f.split(v, "lines", v, width, "guard")
    f.reorder(*outer, "lines", vars[axis], v).vectorize(v)
    task = in_parallel(f, [*outer, "lines"])
    stages = line_stages(f)
    total, kept = (next((g for g in stages if g.name == name), None) for name in sum_of)
    for g in stages:
        own = g.definitions.vars
        u = own[last if len(own) == out.ndim else last - (axis < last)]
        g.compute_at(f, task)
        updates = [g.update(k) for k in range(len(g.definitions.updates))]
        for stage in (g, *updates):
            stage.vectorize(u, width)
        if g is total and kept is not None:
            s = kept.definitions.vars[axis]
            updates[0].rename("s0", s).reorder(*own[:axis], s, *own[axis:]).compute_with(kept, s)
            continue
        if is_streamed(out) and isinstance(n, int) and n > width:  # as `schedule_along`; and the first of these lines
            for x in _lines_read(g, out):
                if updates:
                    updates[0].prefetch(x, "s0", AHEAD, strategy="non_faulting")
                else:
                    g.prefetch(x, u, 1, strategy="non_faulting")


def schedule_blocks(out: Tensor, size: int, ranges: Sequence[Any]) -> None:
    """What is found `across` axes of `ranges`, the others being those of `out`: `size` neighbours along the last one at once,
    so that memory is read in pieces of that length, and a few values of each are taken up one after the other."""
    f, natural = out.func, Target.host().natural_lanes(out.dtype)
    bound(f, out)
    *outer, v = f.definitions.vars
    n = out.shape[-1]
    if not isinstance(n, int) or n > size:
        f.split(v, "blocks", v, size, "guard")
        outer.append("blocks")
    f.vectorize(v, natural)
    task = in_parallel(f, outer) if outer else None
    for g in line_stages(f):
        u = g.definitions.vars[-1]
        g.compute_at(f, task) if task is not None else g.compute_root()
        g.vectorize(u, natural)
        *loops, k = (f"s{d}" for d in range(len(ranges)))
        update, unrolled = g.update(0).vectorize(u, natural), few(ranges[-1])
        if unrolled > 1:
            update.split(k, k, f"{k}_u", unrolled).unroll(f"{k}_u")
        update.reorder(*loops, k, u, *((f"{k}_u",) if unrolled > 1 else ()), f"{u}_v")


def few(n: Any) -> int:
    """How many entries of an axis are taken at once: a number that divides it."""
    return next(k for k in (4, 3, 2, 1) if n % k == 0) if isinstance(n, int) else 1

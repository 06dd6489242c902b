"""What the schedules of several operators share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import halo
from halo import Func, Input
from halo.ir.shapes import dims_of
from halo.ir.surface import Literal
from halo.jit.results import LARGE, LINE
from halo.jit.target import Target

from .shapes import Window, indices
from .tensor import Tensor, TensorType
from .tiles import Tile, cycles

__all__ = [
    "bound",
    "by_height",
    "epilogues",
    "fetched",
    "in_parallel",
    "inline_rest",
    "is_streamed",
    "length",
    "padded_stage",
    "points",
    "summed_loops",
    "tasks",
    "tiled",
]

FEW = 5  # entries of an innermost axis, as the colours of a picture, that are no vector
AHEAD = 32  # steps of a sum, each of some cycles, in which memory answers
LINES = 32  # of memory, that are asked for before what is elementwise reads them
TASKS = 16  # parallel pieces that are enough for the threads of any machine of a few cores to end together


def bound(f: Func, t: Tensor) -> None:
    """Promise the extents of `t`, which `f` computes, as far as they are known, or follow from those that `f` reads anyway, so
    that what is asked of these need not be asked again; and that its array is packed. It is stored past the caches where it
    is larger than they are."""
    known = f.inputs if any(not isinstance(n, int) for n in t.shape) else ()
    stride: int | None = 1
    for d in reversed(range(t.ndim)):
        n = t.shape[d]
        if isinstance(n, int) or all(name in known for name in dims_of(n)):
            f.bound(f.definitions.vars[d], 0, n)
        if stride is not None and d < t.ndim - 1:
            f.output_buffer().dim(d).set_stride(stride)
        stride = stride * n if stride is not None and isinstance(n, int) else None
    if is_streamed(t) and not f.definitions.updates:
        f.stream_stores()


def is_streamed(t: Tensor) -> bool:
    """Whether it is larger than the caches, in rows of whole lines."""
    if not all(isinstance(n, int) for n in t.shape):
        return False
    row = next((n for n in reversed(t.shape) if n != 1), 1) * t.dtype.bytes
    return math.prod(t.shape) * t.dtype.bytes >= LARGE and row % LINE == 0


def epilogues(f: Func, anchor: Func) -> None:
    """What lies between the anchor and the last stage is computed at the store."""
    from halo.frontend.graph import Graph

    todo: list[Any] = [f]
    graph = Graph((f,))
    while todo:
        for g in graph.uses(todo.pop()).functions:
            if isinstance(g, Func) and g is not anchor and g.name != "constant":
                g.compute_inline()
                todo.append(g)


def fetched(sums: Func, weight: TensorType) -> None:
    """What the innermost of the summed loops will read of `weight` is asked for some steps before, if it is in memory."""
    from halo.frontend.graph import Graph

    for x in Graph((sums,)).uses(sums).inputs:
        if isinstance(x, Input) and x.extents == weight.shape:
            for loop in summed_loops(sums)[-1:]:
                sums.update(0).prefetch(x, loop, AHEAD, strategy="non_faulting")


def length(f: Func, axis: int) -> Any:
    """The extent of what `f`, the last stage, computes along an axis, as directives take it."""
    return Input(f.program().graph.names[f]).shape[axis]  # other stages may have its name, of which it has a longer one


def tiled(stage: Any, v: str, tiles: str, size: int, extent: Any) -> None:
    """Cut the loop `v` into `tiles` of `size`. The last one slides back over the one before it, so that all are whole, where
    there is room for one: if only a call knows that, see `by_height`. Tiles of one are whole as they are."""
    if isinstance(extent, int) and extent < size:
        stage.split(v, tiles, v, size)
    else:
        stage.split(v, tiles, v, size, "shift_inwards" if size > 1 else "round_up").never_partition(tiles)


def by_height(f: Func, axis: int, rows: Any, tile: Tile, lower: Sequence[int] = (8, 4, 2),
              n: Any = None) -> Iterator[tuple[Any, int]]:  # fmt: skip
    """The stages of `f` (one for the calls that each height of tiles suits) and the heights of their tiles of `rows`: of
    `tile`, those that are `lower`, and 1.

    Where only a call knows how many rows there are, the last tile slides back over the one before it, and lower tiles
    compute less twice: 16 rows are two tiles of 8, and not two of 13. `n` is their number as an expression, of the last stage
    the extent of `axis` if left out."""
    if isinstance(rows, int):
        yield f, tile.columns
        return
    n = length(f, axis) if n is None else n

    def cost(height: int) -> Any:
        return halo.max((n + (height - 1)) // height, 1) * round(10 * cycles(height, tile.vectors))

    heights = [h for h in (tile.columns, *(h for h in lower if h < tile.columns)) if h > 1]
    for height, less in zip(heights, [*heights[1:], 1], strict=True):
        yield f.specialize((n >= height) & (cost(height) <= cost(less))), height
    yield f, 1


def points(out: Tensor, target: Target) -> None:
    """`out`, whose values follow one by one from those of its arguments: vectors along its innermost axis, or where that
    has few entries along the one before it, with all of these entries."""
    f, lanes = out.func, target.natural_lanes(out.dtype)
    bound(f, out)
    axes = zip(f.definitions.vars, out.shape, strict=True)
    loops = [(v, n if isinstance(n, int) else length(f, d)) for d, (v, n) in enumerate(axes) if n != 1]
    if not loops:
        return
    (*outer, (v, n)), few = loops, []
    if outer and isinstance(n, int) and n < min(FEW, lanes):
        few, (*outer, (v, _)) = [v], outer
        f.unroll(few[0])
    f.vectorize(v, lanes)
    if is_streamed(out):  # a processor sees few iterations ahead, of long ones too few to wait for memory
        for x in _read_alongside(out):
            f.prefetch(x, v, LINES, strategy="non_faulting")
    names = [name for name, _ in outer]
    if not outer:
        f.parallel(v)
        return
    tasks(f, names[0], outer[1:], [*names[1:], v, *few, f"{v}_v"])


def _read_alongside(out: Tensor) -> list[Input]:
    """The inputs of which `out`, whatever is computed where it is read, takes the entry at its own place."""
    from halo.frontend.graph import reads

    found, left = dict[Input, None](), [out.func]
    for f in left:
        at = list(zip(f.definitions.vars, out.shape, strict=True))
        for access in reads(f):
            if len(access.indices) != len(at) or not all(map(_is_own, access.indices, at)):
                continue
            if isinstance(access.target, Input):
                found[access.target] = None
            elif isinstance(access.target, Func) and access.target not in left:
                left.append(access.target)
    return list(found)


def _is_own(index: Any, axis: tuple[str, Any]) -> bool:
    """Whether an index is that of an axis: its name and how many entries it has."""
    name, n = axis
    return (
        index.name == name if isinstance(index, halo.Var) else n == 1 and isinstance(index, Literal) and not index.value
    )


def inline_rest(f: Func, *kept: Func) -> None:
    """What leads to `f`, but `kept` and constants, is computed where it is read."""
    functions: Any = f.program().graph.functions
    for g in functions:
        if g.name != "constant" and not any(g is other for other in (f, *kept)):
            g.compute_inline()


def summed_loops(f: Func) -> list[str]:
    """The loops over what `f` adds up: none for one entry."""
    return [v.name for v in f.definitions.updates[0].rdom or ()]


def tasks(f: Any, batch: str, axes: Sequence[tuple[str, Any]], loops: Sequence[str]) -> str:
    """Cut the loops `axes` of `f`, or of one of its nests, into parallel tasks, outermost first; the name of the loop over
    them. `axes`: name and extent, which may be an expression of what only a call knows. `loops` are those below `batch`, in
    the order that they have inside a task."""
    names, left = [batch], TASKS
    for name, extent in axes:
        if left == 1:
            break
        if not isinstance(extent, int):
            f.split(name, f"{name}_t", name, halo.max((extent + (left - 1)) // left, 1))
            names.append(f"{name}_t")
            continue
        size = -(-extent // min(left, extent))
        # pieces of one size, where there are some: what a tile at the end of a smaller one holds would be no constant
        size = next((n for n in range(size, 3 * size) if extent % n == 0), size)
        f.split(name, f"{name}_t", name, size)
        names.append(f"{name}_t")
        left = max(left * size // extent, 1)
    f.reorder(*names, *loops)
    return in_parallel(f, names)


def in_parallel(f: Any, loops: Sequence[str]) -> str:
    """The loops of `f`, or of one of its nests, as one parallel loop, outermost first; its name."""
    task, *inner = loops
    for name in inner:
        f.fuse(task, name, f"{task}_{name}")
        task = f"{task}_{name}"
    f.parallel(task)
    return task


def padded_stage(x: Tensor, w: Window, value: Any, axes: Sequence[int] = ()) -> Func:
    """`x` with the padding of `w` around it along `axes` (those behind [N, C]), as a stage of its own: its first entries are
    at 0."""
    before = dict(zip(axes or range(2, 2 + len(w.kernel)), w.before, strict=True))
    view = halo.pad(x.func, "constant", value, bounds=[(0, x.shape[d]) if d in before else None for d in range(x.ndim)])
    f, i = Func("padded"), indices(x.ndim, "p")
    f[i] = view[tuple(p - before.get(d, 0) for d, p in enumerate(i))]
    f.compute_root()
    return f

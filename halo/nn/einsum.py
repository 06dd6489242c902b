"""Sums of products over named axes: einsum, and matrix products of any rank."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.ir.surface import Literal, as_expr
from halo.jit.target import Target

from .layouts import layout_transform
from .lines import accumulator, extent
from .matrix import dense, panels
from .op import Kind, Types, op
from .schedule import TASKS, bound, by_height, epilogues, in_parallel, length, points, summed_loops, tiled
from .shapes import broadcast, equal, indices, places, same_type, takes
from .tensor import Tensor, TensorType, type_of
from .tiles import CACHED, Tile, register_tile, registers

__all__ = ["einsum", "matmul"]

MANY = 64  # rows, and entries of each of them, that are worth a copy of the columns that they are multiplied with


def _terms(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
    """The letters of each operand, and of the result; an ellipsis is written out in capital letters from the end."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentError(f"{equation!r} has {len(terms)} operands, and {len(ranks)} are given", loc=here())
    rest = [c for c in string.ascii_letters if c not in equation]
    most = 0
    for term, rank in zip(terms, ranks, strict=True):
        named = len(term.replace("...", ""))
        if not all(c.isalpha() for c in term.replace("...", "")) or (named > rank if "..." in term else named != rank):
            raise ArgumentError(f"{term!r} of {equation!r} does not name {rank} axes", loc=here())
        most = max(most, rank - named)
    dots = "".join(rest[:most])

    def written(term: str, rank: int) -> str:
        n = rank - len(term.replace("...", ""))
        return term.replace("...", dots[most - n :])

    found = tuple(written(t, n) for t, n in zip(terms, ranks, strict=True))
    if not arrow:
        once = sorted(c for c in {*"".join(terms)} - {"."} if left.count(c) == 1)
        return found, dots + "".join(once)
    result = right.replace("...", dots)
    if not {*result} <= {*"".join(found)} or len({*result}) < len(result):
        raise ArgumentError(f"the result of {equation!r} has axes that no operand has, or one twice", loc=here())
    return found, result


def _extents(terms: tuple[str, ...], types: Any) -> dict[str, Any]:
    of: dict[str, Any] = {}
    for term, t in zip(terms, types, strict=True):
        for c, n in zip(term, t.shape, strict=True):
            of[c] = broadcast((of.get(c, 1),), (n,))[0]
    return of


def _einsum(*xs: Any, equation: str) -> Any:
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in xs]
    return np.asarray(np.einsum(equation, *wide)).astype(xs[0].dtype)


@op(Kind.OPAQUE, reference=_einsum)
def einsum(*xs: TensorType, equation: str) -> TensorType:
    """The sum of products over the axes that the result does not name, by Einstein's notation: NumPy einsum, ONNX Einsum.
    Floats of known extents are multiplied two operands at a time, as matrices, in the order that costs least.

    >>> from halo import nn
    >>> nn.einsum(np.array([[1, 2], [3, 4]]), np.array([1, 10]), equation="ij,j->i")
    array([21, 43])
    """
    takes("einsum", "number", *xs)
    terms, result = _terms(equation, tuple(x.ndim for x in xs))
    of = _extents(terms, xs)
    return TensorType(tuple(of[c] for c in result), same_type("einsum", *xs))


# Two operands at a time, as products of matrices --------------------------------------------------------------------------


def _are_floats(types: Types, attrs: Any, target: Target) -> bool:
    return len(types) > 1 and all(
        t is not None and t.dtype in (halo.f32, halo.f64) and all(isinstance(n, int) and n > 0 for n in t.shape)
        for t in types
    )


def _schedule(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    if "i" in out.func.definitions.vars:
        bound(out.func, out)
        _in_tiles(out, out.func["sums"], out.func.definitions.vars.index("i"), target)
    else:
        points(out, target)


@einsum.strategy("tiled", when=_are_floats, schedule=_schedule)
def _(*xs: Tensor, equation: str) -> Tensor:
    terms, result = _terms(equation, tuple(x.ndim for x in xs))
    of = _extents(terms, xs)
    left = list(zip(terms, xs, strict=True))
    arrays = (np.broadcast_to(np.float32(0), x.type.static) for x in xs)
    path: Any = np.einsum_path(f"{','.join(terms)}->{result}", *arrays, optimize=("greedy", 2**62))[0]
    for k, chosen in enumerate(path[1:]):
        first, *others = [left.pop(p) for p in sorted(chosen, reverse=True)][::-1]
        for n, second in enumerate(others):
            rest = [term for term, _ in (*left, *others[n + 1 :])]
            first = _joined(f"_{k}_{n}", first, second, "".join((*rest, result)), of, None if rest else result)
        left.append(first)
    return left[0][1]


def _joined(suffix: str, first: tuple[str, Tensor], second: tuple[str, Tensor], wanted: str, of: Any,
            result: str | None) -> tuple[str, Tensor]:  # fmt: skip
    """The product of two operands over the letters that are `wanted` after it; `result`: their order, if it is the last."""
    (s, a), (t, b) = (
        _without(f"operand{suffix}_{d}", x, term, other + wanted, of)
        for d, ((term, x), (other, _)) in enumerate(((first, second), (second, first)))
    )
    if result is not None:
        return result, _multiplied("einsum", "sums", s, a, t, b, result)
    both = [c for c in s if c in t and c in wanted]
    kept = "".join((*both, *(c for c in s if c not in t), *(c for c in t if c not in s)))
    return kept, _stored(_multiplied(f"product{suffix}", f"sums{suffix}", s, a, t, b, kept))


def _without(name: str, x: Tensor, term: str, wanted: str, of: Any) -> tuple[str, Tensor]:
    """`x` summed over the letters that nothing else has, each letter once, and none whose one entry is repeated."""
    extents = _extents((term,), (x,))
    kept = "".join(c for c in extents if c in wanted and extents[c] == of[c])
    return (kept, x) if kept == term else (kept, _stored(_products(name, (term,), kept, (x,))))


def _stored(x: Tensor) -> Tensor:
    """`x` as an array of its own."""
    f, target = x.func.compute_root(), Target.host()
    if "i" in f.definitions.vars:
        (sums,) = (g for g in f.program().graph.functions if g.name == f.name.replace("product", "sums"))
        _in_tiles(x, sums, f.definitions.vars.index("i"), target)
    elif x.ndim:
        f.vectorize(f.definitions.vars[-1], target.natural_lanes(x.dtype))
        if x.ndim > 1:
            f.parallel(f.definitions.vars[0])
    return x


def _multiplied(name: str, sums_name: str, s: str, a: Tensor, t: str, b: Tensor, result: str) -> Tensor:
    """In tiles of sums along one axis of each operand, `i` and `j`, where they have some of their own and of those that are
    summed; the letters of both and the result, as all other axes, are loops about it."""
    summed = [c for c in s if c in t and c not in result]
    rows, columns = [c for c in s if c not in t], [c for c in t if c not in s]
    if not summed or not rows or not columns:
        return _products(name, (s, t), result, (a, b))
    if result[-1] in rows:
        (s, a, rows), (t, b, columns) = (t, b, columns), (s, a, rows)
    of = dict(zip(s + t, a.shape + b.shape, strict=True))
    if result[-1] not in columns:
        order = "".join((*(c for c in result if c in s and c in t), *rows, *columns))
        inner = _stored(_multiplied("product", "sums", s, a, t, b, order))
        return _products(name, (order,), result, (inner,))
    row, column = max(rows, key=lambda c: int(of[c])), result[-1]
    i: dict[str, Any] = {c: halo.Var({row: "i", column: "j"}.get(c, f"i_{c}")) for c in result}
    r: RDom = halo.rdom(*(of[c] for c in summed), names=[f"r_{c}" for c in summed])
    if t[-1] != column:
        t, b = _packed(t, b, [*(c for c in t if c in result and c != column), *summed, column])
    f, sums = Func(name), Func(sums_name)
    at = tuple(i[c] for c in (*(c for c in result if c not in (row, column)), row, column))
    over = i | dict(zip(summed, r, strict=True))
    panel = _panel(sums_name.replace("sums", "panel"), b, of[row], math.prod(of[c] for c in summed), of[column])
    sums[at] = a.dtype(0)
    sums[at] += a.func[tuple(over[c] for c in s)] * panel[tuple(over[c] for c in t)]
    f[tuple(i[c] for c in result)] = sums[at]
    return Tensor(f, tuple(of[c] for c in result), a.dtype)


def _packed(term: str, x: Tensor, order: list[str]) -> tuple[str, Tensor]:
    """`x` with its axes in another order, so that vectors are read along the last one."""
    f = Func("packed")
    i = {c: halo.Var(f"i_{c}") for c in order}
    f[tuple(i.values())] = x.func[tuple(i[c] for c in term)]
    return "".join(order), _stored(Tensor(f, tuple(x.shape[term.index(c)] for c in order), x.dtype))


def _panel(name: str, x: Tensor, rows: Any, depth: Any, columns: Any) -> Any:
    """`x`, whose columns are multiplied with rows: where it does not stay in cache a stage for copies of those that many rows
    read, as they lie on too many pages."""
    if not isinstance(depth, int) or not isinstance(columns, int) or depth * columns * x.dtype.bytes <= CACHED // 2:
        return x.func
    if depth < MANY or (isinstance(rows, int) and rows < MANY):
        return x.func
    panel, at = Func(name), indices(x.ndim, "p")
    panel[at] = x.func[at]
    return panel


@einsum.strategy("direct")
def _(*xs: Tensor, equation: str) -> Tensor:
    terms, result = _terms(equation, tuple(x.ndim for x in xs))
    return _products("einsum", terms, result, xs)


def _products(name: str, terms: tuple[str, ...], result: str, xs: tuple[Tensor, ...]) -> Tensor:
    of = _extents(terms, xs)
    f = Func(name)
    i: dict[str, Any] = {c: halo.Var(f"i_{c}") for c in result}
    summed = [c for c in dict.fromkeys("".join(terms)) if c not in result]
    if summed:
        known: dict[str, Any] = {}
        for term, x in zip(terms, xs, strict=True):
            for d, c in enumerate(term):
                if c not in known or x.shape[d] == of[c]:
                    known[c] = extent(x, d) if x.shape[d] == of[c] else as_expr(of[c])
        r: RDom = halo.rdom(*(known[c] for c in summed), names=[f"r_{c}" for c in summed])
        i |= dict(zip(summed, r, strict=True))
    wide = accumulator(xs[0])

    def value(x: Tensor, term: str) -> Any:
        at = places([i[c] for c in term], tuple(of[c] for c in term), x.shape)
        return x.func[at].astype(wide)

    product = math.prod((value(x, t) for x, t in zip(xs[1:], terms[1:], strict=True)), start=value(xs[0], terms[0]))
    total = halo.sum(product, r) if summed else product
    f[tuple(i[c] for c in result)] = total if wide is xs[0].dtype else total.astype(xs[0].dtype)
    return Tensor(f, tuple(of[c] for c in result), xs[0].dtype)


def _matmul(a: Any, b: Any) -> Any:
    wide = np.float64 if a.dtype.kind == "f" else a.dtype
    return np.asarray(a.astype(wide) @ b.astype(wide)).astype(a.dtype)


@op(Kind.ANCHOR, reference=_matmul)
def matmul(a: TensorType, b: TensorType) -> TensorType:
    """The product of the matrices in the last two axes, the others broadcast; a vector is a row of `a`, or a column of `b`:
    NumPy matmul, ONNX MatMul.

    >>> from halo import nn
    >>> nn.matmul(np.array([[1, 2], [3, 4]]), np.array([1, 10]))
    array([21, 43])
    """
    takes("matmul", "number", a, b)
    if not a.ndim or not b.ndim or not equal(a.shape[-1], b.shape[-2:][0]):
        raise ArgumentError(f"{a} and {b} do not multiply as matrices", loc=here())
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    return TensorType((*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())), same_type("matmul", a, b))


def _of_floats(types: Types, attrs: Any, target: Target) -> bool:
    return all(t is not None and t.ndim > 1 and 0 not in t.shape and t.dtype in (halo.f32, halo.f64) for t in types)


def _schedule_tiled(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """Columns are outside. Rows are where the right matrix stays in cache and the result does not: each is written from end
    to end."""
    bound(out.func, out)
    b, rows = types[1], out.shape[-2]
    assert b is not None
    (k, n), size = b.shape[-2:], b.dtype.bytes
    stays = isinstance(n, int) and isinstance(k, int) and n * k * size <= CACHED // 2
    by_rows = stays and isinstance(rows, int) and rows * n * size > CACHED
    _in_tiles(out, out.func["sums"], out.ndim - 2, target, by_rows)


def _in_tiles(out: Tensor, sums: Func, row: int, target: Target, by_rows: bool = False) -> None:
    """Sums of a tile of rows, along axis `row`, and columns, the last axis, in registers; some panels of columns are read
    from cache for all rows, or `by_rows` all columns for each tile of rows."""
    f = out.func
    *batch, j = f.definitions.vars
    i, rows, columns = batch.pop(row), out.shape[row], out.shape[-1]
    lanes = target.natural_lanes(out.dtype)
    known = isinstance(columns, int)
    while known and lanes > max(columns, 1):
        lanes //= 2
    vectors = 2 if not known or columns >= 2 * lanes else 1
    width, most = lanes * vectors, (registers(target) - 1 - vectors) // vectors
    height = register_tile(target, 1, rows, 1).columns if isinstance(rows, int) and rows < most else most
    many = all(isinstance(n, int) for n in out.shape[:-2]) and math.prod(out.shape[:-2]) >= TASKS
    some, depth = 1, _depth(sums)
    if known and depth and not many and not by_rows:  # of a row, pieces that are longer than a panel is wide
        some = max(min(-(-columns // width) // TASKS, CACHED // 2 // (depth * width * out.dtype.bytes)), 1)
    *outer, inner = ("jt", "io", "jo") if some > 1 else ("io", "jo") if by_rows else ("jo", "io")
    for nest, high in by_height(f, row, rows, Tile(1, height, vectors), (height // 2,)):
        stages = [(nest, width)]
        if not known:  # where there is no tile of them, vectors, of which the last is cut
            stages = [(nest.specialize(length(f, out.ndim - 1) >= width), width), (nest, lanes)]
        for stage, wide in stages:
            if wide == width:
                tiled(stage, j, "jo", wide, columns)
            else:
                stage.split(j, "jo", j, wide).never_partition("jo")
            tiled(stage, i, "io", high, rows)
            if some > 1:
                stage.split("jo", "jt", "jo", some)
            stage.reorder(*batch, *outer, inner, i, j).vectorize(j, lanes).unroll(j).unroll(i)
            task = in_parallel(stage, batch if many else [*batch, outer[0]])
    epilogues(f, sums)
    *_, i, j = sums.definitions.vars
    sums.compute_at(f, inner).vectorize(j, lanes).unroll(j).unroll(i)
    sums.update(0).reorder(*summed_loops(sums), i, j).vectorize(j, lanes).unroll(j).unroll(i)
    for panel in f.program().graph.functions:
        if panel.name == sums.name.replace("sums", "panel"):
            panel.compute_at(f, outer[0] if many else task).vectorize(panel.definitions.vars[-1], lanes)


def _depth(sums: Func) -> int:
    """How many products are summed, or 0 where only a call knows."""
    domain: RDom | None = sums.definitions.updates[0].rdom
    extents = [int(n.value) if isinstance(n, Literal) else 0 for _, n in domain.axes] if domain else []
    return math.prod(extents)


def _is_large(types: Types, attrs: Any, target: Target) -> bool:
    """Whether one right matrix, which does not stay in cache, has that many rows read it that panels of it are worth it."""
    a, b = types
    assert a is not None and b is not None
    known = _of_floats(types, attrs, target) and all(isinstance(n, int) for n in (*a.shape, *b.shape))
    return known and b.ndim == 2 and math.prod(b.static) * b.dtype.bytes > CACHED // 2 and a.shape[-2] >= MANY


@matmul.strategy("packed", when=_is_large, composed=True)
def _(a: Any, b: Any) -> Any:
    rows, units, dtype = type_of(a).shape[-2], type_of(b).shape[1], type_of(a).dtype
    kernel = panels(Target.host(), rows, units, dtype)
    return dense(a, layout_transform(b, src="IO", dst=kernel), kernel_layout=kernel, units=units)


@matmul.strategy("tiled", when=_of_floats, schedule=_schedule_tiled)
def _(a: Tensor, b: Tensor) -> Tensor:
    shape = matmul.infer((a.type, b.type), {}).shape
    *batch, i, j = indices(len(shape))
    r: RDom = halo.rdom(extent(a, a.ndim - 1), names="k")
    sums, f = Func("sums"), Func("matmul")

    def at(x: Tensor, *last: Any) -> Any:
        return (*places(batch, shape[:-2], x.shape[:-2]), *last)

    panel = _panel("panel", b, shape[-2], b.shape[-2], b.shape[-1])
    sums[(*batch, i, j)] = a.dtype(0)
    sums[(*batch, i, j)] += a.func[at(a, i, r.k)] * panel[at(b, r.k, j)]
    f[(*batch, i, j)] = sums[(*batch, i, j)]
    return Tensor(f, shape, a.dtype)


@matmul.strategy("direct")
def _(a: Tensor, b: Tensor) -> Tensor:
    dots = string.ascii_uppercase[: max(a.ndim, b.ndim, 2) - 2]
    left = dots[len(dots) - max(a.ndim - 2, 0) :] + ("ik" if a.ndim > 1 else "k")
    right = dots[len(dots) - max(b.ndim - 2, 0) :] + ("kj" if b.ndim > 1 else "k")
    result = dots + ("i" if a.ndim > 1 else "") + ("j" if b.ndim > 1 else "")
    return _products("matmul", (left, right), result, (a, b))

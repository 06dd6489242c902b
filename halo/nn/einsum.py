"""Sums of products over named axes: einsum, and matrix products of any rank."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .op import Kind, Types, op
from .reductions import accumulator, extent
from .schedule import bound, by_height, epilogues, length, tiled
from .shapes import broadcast, equal, indices, same_type, takes
from .tensor import Tensor, TensorType
from .tiles import Tile, register_tile, registers

__all__ = ["einsum", "matmul"]


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

    >>> from halo import nn
    >>> nn.einsum(np.array([[1, 2], [3, 4]]), np.array([1, 10]), equation="ij,j->i")
    array([21, 43])
    """
    takes("einsum", "number", *xs)
    terms, result = _terms(equation, tuple(x.ndim for x in xs))
    of = _extents(terms, xs)
    return TensorType(tuple(of[c] for c in result), same_type("einsum", *xs))


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
            known |= {
                c: extent(x, d)
                for d, c in enumerate(term)
                if c not in known or (isinstance(x.shape[d], int) and x.shape[d] != 1)
            }
        r: RDom = halo.rdom(*(known[c] for c in summed), names=[f"r_{c}" for c in summed])
        i |= dict(zip(summed, r, strict=True))
    wide = accumulator(xs[0])

    def value(x: Tensor, term: str) -> Any:
        return x.func[tuple(0 if n == 1 else i[c] for c, n in zip(term, x.shape, strict=True))].astype(wide)

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
    """Sums of a tile of rows and columns in registers; a panel of columns is read from cache for all rows."""
    f, sums = out.func, out.func["sums"]
    *batch, i, j = f.definitions.vars
    rows, columns = out.shape[-2:]
    lanes = target.natural_lanes(out.dtype)
    vectors = 2 if not isinstance(columns, int) or columns > lanes else 1
    width, most = lanes * vectors, (registers(target) - 1 - vectors) // vectors
    height = register_tile(target, 1, rows, 1).columns if isinstance(rows, int) and rows < most else most
    bound(f, out)
    for nest, high in by_height(f, out.ndim - 2, rows, Tile(1, height, vectors), (height // 2,)):
        stages = [(nest, width)]
        if not isinstance(columns, int):  # where there is no tile of them, vectors, of which the last is cut
            stages = [(nest.specialize(length(f, out.ndim - 1) >= width), width), (nest, lanes)]
        for stage, wide in stages:
            if wide == width:
                tiled(stage, j, "jo", wide, columns)
            else:
                stage.split(j, "jo", j, wide).never_partition("jo")
            tiled(stage, i, "io", high, rows)
            stage.reorder(*batch, "jo", "io", i, j).vectorize(j, lanes).unroll(j).unroll(i)
            task = batch[0] if batch else "jo"
            for v in batch[1:]:
                stage.fuse(task, v, f"{task}_{v}")
                task = f"{task}_{v}"
            stage.parallel(task)
    epilogues(f, sums)
    *_, i, j = sums.definitions.vars
    sums.compute_at(f, "io").vectorize(j, lanes).unroll(j).unroll(i)
    sums.update(0).reorder("k", i, j).vectorize(j, lanes).unroll(j).unroll(i)


@matmul.strategy("tiled", when=_of_floats, schedule=_schedule_tiled)
def _(a: Tensor, b: Tensor) -> Tensor:
    shape = matmul.infer((a.type, b.type), {}).shape
    *batch, i, j = indices(len(shape))
    r: RDom = halo.rdom(extent(a, a.ndim - 1), names="k")
    sums, f = Func("sums"), Func("matmul")

    def at(x: Tensor, *last: Any) -> Any:
        own = batch[len(batch) - (x.ndim - 2) :]
        return x.func[(*(0 if n == 1 else v for v, n in zip(own, x.shape, strict=False)), *last)]

    sums[(*batch, i, j)] = a.dtype(0)
    sums[(*batch, i, j)] += at(a, i, r.k) * at(b, r.k, j)
    f[(*batch, i, j)] = sums[(*batch, i, j)]
    return Tensor(f, shape, a.dtype)


@matmul.strategy("direct")
def _(a: Tensor, b: Tensor) -> Tensor:
    dots = string.ascii_uppercase[: max(a.ndim, b.ndim, 2) - 2]
    left = dots[len(dots) - max(a.ndim - 2, 0) :] + ("ik" if a.ndim > 1 else "k")
    right = dots[len(dots) - max(b.ndim - 2, 0) :] + ("kj" if b.ndim > 1 else "k")
    result = dots + ("i" if a.ndim > 1 else "") + ("j" if b.ndim > 1 else "")
    return _products("matmul", (left, right), result, (a, b))

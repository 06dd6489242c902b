"""Matrix products: the sums of a tile of rows and columns in registers, the weights packed in panels of columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .layouts import Layout, layout_transform
from .lines import accumulator
from .op import Kind, Types, op
from .schedule import TASKS, bound, by_height, epilogues, fetched, in_parallel, summed_loops, tiled
from .shapes import decided, same_type
from .tensor import Tensor, TensorType
from .tiles import CACHED, Tile, register_tile, settled

__all__ = ["dense"]


def _reference(x: Any, weight: Any, bias: Any = None, *, kernel_layout: str = "OI", units: int | None = None) -> Any:
    out = x.astype(np.float64) @ weight.astype(np.float64).T
    return (out if bias is None else out + bias).astype(x.dtype)


@op(Kind.ANCHOR, reference=_reference)
def dense(x: TensorType, weight: TensorType, bias: TensorType | None = None, *, kernel_layout: str = "OI",
          units: int | None = None) -> TensorType:  # fmt: skip
    """x @ weight.T + bias: TOPI dense, ONNX Gemm with transB. `x`: [..., M, I]; `weight`: [O, I]; `bias`: [O].

    `kernel_layout`: also in panels, as "OI32o", which may be filled up: `units` then says how many columns there are.

    >>> from halo import nn
    >>> nn.dense(np.ones((1, 3), np.float32), np.eye(2, 3, dtype=np.float32))
    array([[1., 1.]], dtype=float32)
    """
    o, i = Layout(kernel_layout).logical(weight.shape)
    decided("dense", x.shape[-1] if x.ndim else None, i)
    if x.ndim < 2 or x.shape[-1] != i:
        raise ArgumentError(f"dense of {i} inputs does not take {x}", loc=here())
    return TensorType((*x.shape[:-1], units or o), same_type("dense", x, weight, bias))


def panel(target: Target, rows: Any, units: int, dtype: Any) -> Tile:
    """The tile of sums: its `vectors` are the width of a panel."""
    lanes = target.natural_lanes(dtype)
    if isinstance(rows, int) and rows < 4:  # bound by memory: enough sums in flight
        return Tile(1, rows, min(4, -(-units // lanes)))
    return register_tile(target, 1, rows if isinstance(rows, int) else 128, -(-units // lanes), apart=False)


def panels(target: Target, rows: Any, units: int, dtype: Any) -> str:
    """The layout of weights for `rows` and `units` columns."""
    return f"OI{panel(target, rows, units, dtype).vectors * target.natural_lanes(dtype)}o"


def _packed(types: Types, attrs: Any, target: Target) -> bool:
    return Layout(attrs["kernel_layout"]).block("O") > 1


def _schedule(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """A task is some panels for all rows, where these stay in cache; else as many panels as do, for a band of rows: they are
    read by one band after the other, and each row comes from memory once for all of them. What of a panel is multiplied
    some steps later is asked for, as it comes from memory for the first tile of rows, and from the second-level cache for
    the others."""
    f, product = out.func, out.func["dense"]
    *batch, i, j = f.definitions.vars
    *matrices, rows, units = out.shape
    lanes = target.natural_lanes(out.dtype)
    width = Layout(attrs["kernel_layout"]).block("O")
    bound(f, out)
    assert types[1] is not None
    count, line = -(-units // width), types[1].shape[1] * out.dtype.dtype.itemsize
    tile = panel(target, rows, units, out.dtype)
    above = math.prod(n for n in matrices if isinstance(n, int))
    some, bands = max(count // TASKS, 1), 0
    if isinstance(rows, int) and above * rows * line > CACHED // 2:
        chunks = -(-count // max(CACHED // (width * line), 1))
        some, bands = -(-count // chunks), -(-TASKS // (chunks * above))
        tile = settled(target, tile, rows, line)
    inner = ("io", "jo") if some * width * line <= CACHED else ("jo", "io")
    outer = ["jt", *batch, "it"] if bands else ["jt", *batch]
    f.split(j, "jo", j, width).split("jo", "jt", "jo", some)
    for stage, height in by_height(f, out.ndim - 2, rows, tile):
        tiled(stage, i, "io", height, rows)
        if bands:
            stage.split("io", "it", "io", -(-rows // (height * bands)))
        stage.reorder(*outer, *inner, i, j).vectorize(j, lanes).unroll(j).unroll(i)
        in_parallel(stage, outer if bands else ["jt"])
    epilogues(f, product)
    *_, i, jo, j = product.definitions.vars
    product.compute_at(f, inner[1]).vectorize(j, lanes).unroll(j).unroll(i)
    product.update(0).reorder(*summed_loops(product), jo, i, j).vectorize(j, lanes).unroll(j).unroll(i)
    fetched(product, types[1])


@dense.strategy("packed", when=_packed, schedule=_schedule)
def _dense(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, kernel_layout: str, units: int | None) -> Tensor:
    width = Layout(kernel_layout).block("O")
    panels, depth, _ = weight.shape
    product, f = Func("dense"), Func("columns")
    rows = halo.vars(" ".join((*(f"b{d}" for d in range(x.ndim - 2)), "i")))
    rows, (jo, j) = rows if isinstance(rows, tuple) else (rows,), halo.vars("jo j")
    r: RDom = halo.rdom(depth, names="k")
    product[(*rows, jo, j)] = accumulator(x)(0)
    product[(*rows, jo, j)] += weight.func[jo, r.k, j] * x.func[(*rows, r.k)]
    j = halo.Var("j")
    total = product[(*rows, j // width, j % width)]
    f[(*rows, j)] = (total if bias is None else total + bias.func[j]).astype(x.dtype)
    return Tensor(f, (*x.shape[:-1], units or panels * width), x.dtype)


@dense.strategy("plain")
def _(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, kernel_layout: str, units: int | None) -> Tensor:
    o = weight.shape[0]
    kernel = panels(Target.host(), x.shape[-2], o, x.dtype)
    return _dense(x, layout_transform(weight, src="OI", dst=kernel), bias, kernel_layout=kernel, units=o)

"""Shapes, orders and parts. What a shape depends on is a constant of the program."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halo import nn
from halo.errors import UnknownValueError, here
from halo.ir.shapes import DimExpr, dim_min

from ...ir import Constant, Expr
from ...shape_arithmetic import shape_vector
from ..node import Node, adapter

__all__: list[str] = []

MOST = 2**20  # entries of a constant that need not be one


@adapter("Reshape", 1)
def _(n: Node) -> Any:
    x = n[0]
    if "shape" not in n.attrs and not n.is_known(1):
        return nn.reshape(x, shape=_asked(n))
    shape = n.ints("shape", 1)
    if not n.attrs.get("allowzero"):
        shape = tuple(x.type.shape[d] if v == 0 else v for d, v in enumerate(shape))
        if 0 in shape and -1 in shape and math.prod(x.type.shape) == 0:  # what is left of nothing
            shape = tuple(0 if v == -1 else v for v in shape)
    return nn.reshape(x, shape=shape)


def _asked(n: Node) -> tuple[Any, ...]:
    """The shape that a vector asks for which the program computes: 0 is what the argument has there, -1 what is left."""
    x, asked = n[0].type, n.each(1)
    own = [shape_vector((e,), ()) for e in x.shape] + [Constant(np.array(0, np.int64))] * len(asked)
    zero = bool(n.attrs.get("allowzero"))
    found = [x.shape[d] if isinstance(v, int) and v == 0 and not zero else v for d, v in enumerate(asked)]
    computed = [d for d, v in enumerate(found) if isinstance(v, Expr)]
    if len(computed) == 1 and not any(isinstance(v, int) and v <= 0 for v in found):
        found[computed[0]] = -1
        return tuple(found)
    there = found if zero else [
        nn.where(nn.equal(v, np.int64(0)), own[d], v) if d in computed else v for d, v in enumerate(found)
    ]  # fmt: skip
    rest: Any = shape_vector((math.prod(v for v in there if not isinstance(v, Expr)),), ())
    for d in computed:
        rest = nn.multiply(rest, nn.maximum(there[d], np.int64(1)))
    left = nn.divide(shape_vector((math.prod(x.shape),), ()), nn.maximum(nn.absolute(rest), np.int64(1)))
    for d in computed:
        found[d] = n.extent(nn.where(nn.less(there[d], np.int64(0)), left, there[d]))
    return tuple(found)


@adapter("Transpose")
def _(n: Node) -> Any:
    return nn.transpose(n[0], axes=n.ints("perm"))


@adapter("Concat")
def _(n: Node) -> Any:
    parts = [n[k] for k in range(len(n.inputs))]
    return nn.concatenate(*parts, axis=n.attrs.get("axis", 1)) if len(parts) > 1 else parts[0]


@adapter("Flatten")
def _(n: Node) -> Any:
    return nn.flatten(n[0], axis=n.attrs.get("axis", 1))


@adapter("Unsqueeze")
def _(n: Node) -> Any:
    return nn.expand_dims(n[0], n.ints("axes", 1))


@adapter("Squeeze")
def _(n: Node) -> Any:
    axes = n.ints("axes", 1)
    return nn.squeeze(n[0], _ones(n) if axes is None else axes)


def _ones(n: Node) -> tuple[int, ...]:
    """The axes of one entry: those of symbolic extents are all of them, or none, as the rank of the result tells."""
    shape = n[0].type.shape
    some = [d for d, extent in enumerate(shape) if isinstance(extent, int) and extent != 1]
    open_ = [d for d, extent in enumerate(shape) if not isinstance(extent, int)]
    if n.rank == len(some) + len(open_):
        some += open_
    elif open_ and n.rank != len(some):
        name, why = shape[open_[0]], "takes out all axes of one entry, and only a call tells whether"
        raise UnknownValueError(f"it {why} {name} of {n[0].type} is one", loc=here(),
                                hint=f"the input that has the extent {name}: from_onnx(model, shapes={{...}})")  # fmt: skip
    return tuple(d for d in range(len(shape)) if d not in some)


@adapter("Constant")
def _(n: Node) -> Any:
    for key, dtype in (("value", None), ("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                       ("value_ints", np.int64)):  # fmt: skip
        if key in n.attrs:
            return Constant(np.asarray(n.attrs[key], dtype), n.name or "c")
    raise n.wrong("it has no value that is a tensor of numbers")


@adapter("ConstantOfShape")
def _(n: Node) -> Any:
    shape = n.extents(0)
    value = np.asarray(n.attrs.get("value", np.zeros(1, np.float32)))
    if any(isinstance(extent, DimExpr) for extent in shape) or math.prod(shape) > MOST:
        return nn.broadcast_to(Constant(value.reshape(()), n.name or "c"), shape=shape)
    return Constant(np.full(shape, value.reshape(-1)[0], value.dtype), n.name or "c")


@adapter("Shape")
def _(n: Node) -> Any:
    shape = n[0].type.shape[slice(n.attrs.get("start", 0), n.attrs.get("end"))]
    return shape_vector(shape, (len(shape),), n.name or "c")


@adapter("Size")
def _(n: Node) -> Any:
    return shape_vector((math.prod(n[0].type.shape),), (), n.name or "c")


@adapter("Expand")
def _(n: Node) -> Any:
    x, shape = n[0], n.each(1)
    rank = max(x.type.ndim, len(shape))
    asked, own = [1] * (rank - len(shape)) + shape, (1,) * (rank - x.type.ndim) + x.type.shape

    def extent(a: Any, b: Any) -> Any:
        if isinstance(a, Expr) and (b == 1 or isinstance(b, DimExpr)):
            return n.extent(nn.where(nn.equal(a, np.int64(1)), shape_vector((b,), ()), a))
        return b if isinstance(a, Expr) or (isinstance(a, int) and a == 1) else a

    return nn.broadcast_to(x, shape=tuple(map(extent, asked, own)))


@adapter("Tile", 6)
def _(n: Node) -> Any:
    return nn.tile(n[0], reps=n.extents(1))


@adapter("Slice")
def _(n: Node) -> Any:
    axes, strides = n.ints("axes", 3), n.ints("", 4)
    if "starts" in n.attrs or (n.is_known(1) and n.is_known(2)):
        begin, end = n.ints("starts", 1), n.ints("ends", 2)
        backwards = [k for k, step in enumerate(strides or ()) if step < 0]
        for k in backwards:  # from before the first entry on it begins at the first one, which NumPy leaves out
            extent = n[0].type.shape[axes[k] if axes is not None else k]
            if isinstance(extent, int) and isinstance(begin[k], int) and begin[k] < -extent:
                begin = (*begin[:k], -extent, *begin[k + 1 :])
        return nn.strided_slice(n[0], begin=begin, end=end, axes=axes, strides=strides)
    starts, ends = n.each(1), n.each(2)
    axes = tuple(range(len(starts))) if axes is None else axes
    if any(s < 0 for s in strides or ()):
        raise n.wrong("it goes backwards from where only running tells")
    ranges = [_within(n, n[0].type.shape[d], *ends) for d, *ends in zip(axes, starts, ends, strict=True)]
    begin, end = zip(*ranges, strict=True)
    return nn.strided_slice(n[0], begin=begin, end=end, axes=axes, strides=strides)


def _within(n: Node, extent: Any, begin: Any, end: Any) -> tuple[Any, Any]:
    """Where a part of an axis begins and ends, of which the program computes at least one: from its end if it is negative."""
    whole = shape_vector((extent,), ())

    def at(v: Any) -> Any:
        if not isinstance(v, Expr):
            v = shape_vector((v,), ())
        from_start = nn.where(nn.less(v, np.int64(0)), nn.add(v, whole), v)
        return nn.minimum(nn.maximum(from_start, np.int64(0)), whole)

    first = n.extent(at(begin)) if isinstance(begin, Expr) else begin
    return first, n.extent(nn.maximum(at(end), at(begin))) if isinstance(end, Expr) or first is not begin else end


@adapter("Split")
def _(n: Node) -> Any:
    x, axis, sizes = n[0], n.attrs.get("axis", 0), n.ints("split", 1)
    extent = x.type.shape[axis]
    if sizes is None:
        each = -(-extent // n.attrs.get("num_outputs", n.outputs))
        sizes = tuple(dim_min(each, extent - k * each) for k in range(n.outputs))
    if isinstance(extent, int) and sum(sizes) != extent:
        raise n.wrong(f"parts of {sizes} are not {extent} entries")
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    return tuple(nn.strided_slice(x, begin=(e - s,), end=(e,), axes=(axis,)) for s, e in zip(sizes, ends, strict=True))


@adapter("Pad", 1)
def _(n: Node) -> Any:
    x, pads, mode = n[0], n.ints("pads" if "pads" in n.attrs else "paddings", 1), n.text("mode", "constant")
    axes = n.ints("", 3)
    given = range(x.type.ndim) if axes is None else axes
    before, after = [0] * x.type.ndim, [0] * x.type.ndim
    for k, d in enumerate(given):
        before[d], after[d] = pads[k], pads[len(pads) // 2 + k]
    found = n.array(2)
    value = n.attrs.get("value", 0) if found is None else found.item()
    return nn.pad(x, before=tuple(before), after=tuple(after), mode=mode, value=value if mode == "constant" else 0)


@adapter("Trilu")
def _(n: Node) -> Any:
    return nn.trilu(n[0], k=n.scalar(1, 0), upper=bool(n.attrs.get("upper", 1)))


@adapter("DepthToSpace")
def _(n: Node) -> Any:
    block = n.attrs["blocksize"]
    return nn.depth_to_space(n[0], block=(block, block), mode=n.text("mode", "DCR"))


@adapter("SpaceToDepth")
def _(n: Node) -> Any:
    block = n.attrs["blocksize"]
    return nn.space_to_depth(n[0], block=(block, block), mode=n.text("mode", "DCR"))


@adapter("Identity")
def _(n: Node) -> Any:
    return n[0]

"""Convolution: direct, on channels in blocks of a vector, the sums of a tile of pixels and channels in registers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target
from halo.types import bf16, f16

from .casting import cast
from .layouts import Layout, layout_transform
from .op import Kind, Types, op
from .schedule import bound, by_height, epilogues, length, tasks, tiled
from .shape import reshape, transpose
from .shapes import Window, decided, same_type, takes
from .tensor import Tensor, TensorType, type_of
from .tiles import CACHED, register_tile
from .winograd import winograd_applies, winograd_conv, winograd_schedule, winograd_tile, winograd_weights

__all__ = ["conv2d", "is_narrow", "kernel_blocks", "merge_groups", "of_blocks", "of_rows", "widened"]


def _reference(x: Any, weight: Any, bias: Any = None, *, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
               groups: int = 1, layout: str = "NCHW", kernel_layout: str = "OIHW", out_layout: str = "") -> Any:  # fmt: skip
    x = x.transpose([layout.index(a) for a in "NCHW"])
    weight = weight.transpose([kernel_layout.index(a) for a in "OIHW"])
    w = Window.of(weight.shape[2:], strides, padding, dilation)
    (top, left, bottom, right), (sy, sx), (dy, dx) = w.padding, w.strides, w.dilation
    wide = np.float64 if type_of(x).dtype.is_float else x.dtype
    x = np.pad(x.astype(wide), ((0, 0), (0, 0), (top, bottom), (left, right)))
    o, i, kh, kw = weight.shape
    h, v = w.extents((x.shape[2] - top - bottom, x.shape[3] - left - right))
    out = np.zeros((x.shape[0], o, h, v), wide)
    for ky in range(kh):
        for kx in range(kw):
            taps = x[:, :, ky * dy : ky * dy + (h - 1) * sy + 1 : sy, kx * dx : kx * dx + (v - 1) * sx + 1 : sx]
            for g in range(groups):
                own = slice(g * o // groups, (g + 1) * o // groups)
                k = weight[own, :, ky, kx].astype(wide)
                out[:, own] += np.einsum("nihw,oi->nohw", taps[:, g * i : (g + 1) * i], k)
    out = (out if bias is None else out + bias.astype(wide).reshape(-1, 1, 1)).astype(weight.dtype)
    return np.ascontiguousarray(out.transpose(["NCHW".index(a) for a in out_layout or layout]))


@op(Kind.ANCHOR, reference=_reference)
def conv2d(x: TensorType, weight: TensorType, bias: TensorType | None = None, *, strides: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1, layout: str = "NCHW", kernel_layout: str = "OIHW",
           out_layout: str = "") -> TensorType:  # fmt: skip
    """Two-dimensional convolution (correlation): ONNX Conv, TOPI conv2d.

    out[n, o, y, x] = bias[o] + sum over i, ky, kx of x[n, i, y*stride + ky*dilation - top, ...] * weight[o, i, ky, kx],
    zero outside. `x`: [N, I, H, W]; `weight`: [O, I / groups, KH, KW]; `bias`: [O].

    `strides`, `dilation`: one integer, or (y, x). `padding`: one integer, (y, x), or (top, left, bottom, right).
    `layout`, `kernel_layout`, `out_layout`: those of the arguments and the result (as `layout`, if left out), also
    blocked, as in "NCHW16c" with "OIHW16i16o" and a bias "O16o"; in any order, as "NHWC" with
    "HWIO". Raises ArgumentError where shapes do not fit.

    >>> from halo import nn
    >>> nn.conv2d(np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 3, 3), np.float32), padding=1)[0, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]], dtype=float32)
    """
    takes("conv2d", "number", x)
    data, kernel = Layout(layout), Layout(kernel_layout)
    out = Layout(out_layout or layout)
    wrong = {*data.letters} != {*"NCHW"} or {*kernel.letters} != {*"OIHW"} or {*out.letters} != {*"NCHW"}
    if wrong or x.ndim != len(data.axes) or weight.ndim != len(kernel.axes):
        raise ArgumentError(f"conv2d takes {layout} and {kernel_layout}, not {x} and {weight}", loc=here())
    extents = [dict(zip(a.letters, a.logical(t.shape), strict=True)) for a, t in ((data, x), (kernel, weight))]
    (n, i, *spatial), (o, wi, *taps) = (
        [of[a] for a in axes] for of, axes in zip(extents, ("NCHW", "OIHW"), strict=True)
    )
    decided("conv2d", i, wi * groups)
    if i != wi * groups or o % groups:
        raise ArgumentError(f"conv2d of {groups} groups takes {wi * groups} channels, and x has {i}", loc=here())
    if bias is not None and int(np.prod(bias.static)) != o:
        raise ArgumentError(f"bias has {bias.static} entries for {o} channels", loc=here())
    h, w = Window.of(tuple(taps), strides, padding, dilation).extents(spatial)
    of = {"N": n, "C": o, "H": h, "W": w}
    return TensorType(out.physical([of[a] for a in out.letters]), same_type("conv2d", x, weight, bias))


# Of narrow floats, and of signals ------------------------------------------------------------------------------------


def is_narrow(types: Types, attrs: Any, target: Target) -> bool:
    """Whether the sums are of a wider type than what is summed."""
    return types[0] is not None and types[0].dtype in (f16, bf16)


def widened(f: Any) -> Any:
    """A strategy of the operator `f`: in f32, of which only the results are rounded."""

    def compute(x: Any, *others: Any, **attrs: Any) -> Any:
        wide = (None if a is None else cast(a, dtype="f32") for a in (x, *others))
        return cast(f(*wide, **attrs), dtype=type_of(x).dtype.name)

    return compute


conv2d.strategy("wide", when=is_narrow, composed=True)(widened(conv2d))


def of_rows(x: Any) -> Any:
    """A signal [N, C, W], or weights of one axis, as a picture of one row."""
    n, c, extent = type_of(x).shape
    return reshape(x, shape=(n, c, 1, extent))


# Direct --------------------------------------------------------------------------------------------------------------


MANY = 1 << 10  # columns, where only a call knows how many
LEAST, MOST = 16, 1024  # points that a block of weights is read for, and of which the sums stay in cache
STEPS = 96  # of the depth that sums stay in registers for
MERGED = 16  # groups that are one, with zeros between: more are computed as they are
WORTH = 1 << 21  # products of a convolution in groups for which its arrays go into blocks and back


def _blocked(types: Types, attrs: Any, target: Target) -> bool:
    return Layout(attrs["out_layout"] or attrs["layout"]).block("C") > 1


def _check_blocks(out_layout: str) -> None:
    if Layout(out_layout).block("C") == 1:
        raise ArgumentError(f"this strategy computes blocks of channels, and {out_layout} has none", loc=here(),
                            hint='layout="NCHW16c", kernel_layout="OIHW16i16o"')  # fmt: skip


def _deep(types: Types, attrs: Any, target: Target) -> bool:
    """Whether there is more of the weights than cache for them, and so few points that the sums of all stay in it. Each
    block of channels reads all of the picture: that is the smaller one."""
    x, weight, _ = types
    assert x is not None and weight is not None
    data, kernel = Layout(attrs["layout"]), Layout(attrs["kernel_layout"])
    inner = kernel.block("I")
    if not _blocked(types, attrs, target) or attrs["groups"] > 1 or inner == 1 or data.block("C") != inner:
        return False
    points = conv2d.infer(types, attrs).shape[2:4]
    few = all(isinstance(n, int) for n in (*x.shape, *points)) and LEAST <= points[0] * points[1] <= MOST
    return few and weight.bytes > max(CACHED, x.bytes)


def _schedule_deep(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """Blocks of channels are tasks, with the sums of all their points. A part of the depth at a time is added to these, in
    tiles of points in registers: its weights are read from memory once, and from the first-level cache by all tiles."""
    f, sums, part = out.func, out.func["sums"], out.func["part"]
    n, co, y, x, c = f.definitions.vars
    _, blocks, rows, columns, lanes = out.shape
    tile = register_tile(target, rows, columns, blocks)
    bound(f, out)
    tiled(f, co, "coo", tile.vectors, blocks)
    f.reorder(n, "coo", y, x, co, c).vectorize(c, lanes).unroll(co)
    tasks(f, n, [("coo", -(-blocks // tile.vectors))], ("coo", y, x))
    epilogues(f, sums)
    n, co, y, x, c = sums.definitions.vars
    sums.compute_at(f, "coo").vectorize(c, lanes)
    sums.update(0).split(x, "xo", x, tile.columns).split(y, "yo", y, tile.rows)
    sums.update(0).reorder("ko", n, "yo", "xo", y, x, co, c).vectorize(c, lanes).unroll(y).unroll(x).unroll(co)
    sums.update(0).always_partition("yo", "xo")  # sums of the last tile, too, are in registers
    n, _, co, y, x, c = part.definitions.vars
    part.compute_at(sums.update(0), "xo").vectorize(c, lanes)
    part.update(0).reorder("kc", "ky", "kx", "ki", n, y, x, co, c).vectorize(c, lanes)
    for stage in (part, part.update(0)):
        stage.unroll(y).unroll(x).unroll(co)
    padded = next((g for g in f.program().graph.functions if g.name == "padded"), None)
    if padded is not None:
        padded.compute_root().vectorize(padded.definitions.vars[-1], lanes).parallel(padded.definitions.vars[1])


@conv2d.strategy("deep", when=_deep, schedule=_schedule_deep)
def _(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, strides: Any, padding: Any, dilation: Any, groups: int,
      layout: str, kernel_layout: str, out_layout: str) -> Tensor:  # fmt: skip
    _check_blocks(out_layout or layout)
    outer, inner, kh, kw = weight.shape[1], Layout(kernel_layout).block("I"), *weight.shape[2:4]
    w = Window.of((kh, kw), strides, padding, dilation)
    (sy, sx), (dy, dx) = w.strides, w.dilation
    source = _padded(x, Layout(layout), w) if w.padded else x.func
    size = next(n for n in range(1, outer + 1) if outer % n == 0 and (n * kh * kw * inner >= STEPS or n == outer))
    n, ko, co, y, x_, c = halo.vars("n ko co y x c")
    part, sums, conv = Func("part"), Func("sums"), Func("conv2d")
    r: RDom = halo.rdom(size, kh, kw, inner, names="kc ky kx ki")
    k = ko * size + r.kc
    part[n, ko, co, y, x_, c] = x.dtype(0)
    part[n, ko, co, y, x_, c] += (
        weight.func[co, k, r.ky, r.kx, r.ki, c] * source[n, k, y * sy + r.ky * dy, x_ * sx + r.kx * dx, r.ki]
    )
    q: RDom = halo.rdom(outer // size, names="ko")
    sums[n, co, y, x_, c] = x.dtype(0) if bias is None else bias.func[co, c]
    sums[n, co, y, x_, c] += part[n, q.ko, co, y, x_, c]
    conv[n, co, y, x_, c] = sums[n, co, y, x_, c]
    (h, v) = w.extents(Layout(layout).logical(x.shape)[2:])
    return Tensor(conv, (x.shape[0], weight.shape[0], h, v, Layout(out_layout or layout).block("C")), x.dtype)


def _schedule_direct(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    """`out` in tiles of sums that stay in registers. Tasks are strips of rows, each with its own padded rows, where all the
    weights stay in cache, or the picture is larger than they are; else blocks of channels, which read their weights once: each
    thread its own, too, where the picture, which all of them read, is the smaller of the two."""
    f, conv = out.func, out.func["sums"]
    n, co, y, x, c = f.definitions.vars
    _, blocks, rows, columns, lanes = out.shape
    picture, weight = types[:2]
    assert picture is not None
    assert weight is not None
    alone = attrs["groups"] > 1 and weight.shape[1] * Layout(attrs["kernel_layout"]).block("I") == 1  # depthwise
    tile = register_tile(target, rows if isinstance(rows, int) else 1, columns if isinstance(columns, int) else MANY,
                         1 if alone else blocks // attrs["groups"], whole=attrs["groups"] > 1)  # fmt: skip
    bound(f, out)
    strips: Any = -(-rows // tile.rows) if isinstance(rows, int) else length(f, 2)
    padded = next((g for g in f.program().graph.functions if g.name == "padded"), None)
    smaller = not isinstance(picture.bytes, int) or weight.bytes < picture.bytes
    few = weight.bytes <= CACHED or (isinstance(rows, int) and smaller)
    in_strips = not alone and few and (not isinstance(rows, int) or strips >= 4)
    axes = [("coo", -(-blocks // tile.vectors)), ("yo", strips)]
    if in_strips and padded is not None:
        axes = axes[1:]
    elif in_strips and smaller:
        axes = axes[::-1]
    for nest, width in by_height(f, 3, columns, tile, (-(-tile.columns // 3),)):
        tiled(nest, x, "xo", width, columns)
        tiled(nest, y, "yo", tile.rows, rows)
        tiled(nest, co, "coo", tile.vectors, blocks)
        nest.reorder(n, "coo", "yo", "xo", y, x, co, c).vectorize(c, lanes)
        for v in (y, x, co):
            nest.unroll(v)
        task = tasks(nest, n, axes, ("coo", "yo"))
    epilogues(f, conv)
    *inner, c = conv.definitions.vars
    conv.compute_at(f, "xo").vectorize(c, lanes)
    n, co, y, x = inner
    reduced = ("ky", "kx") if alone else ("ko", "ky", "kx", "ki")
    update = conv.update(0).reorder(*reduced, n, y, x, co, c).vectorize(c, lanes)
    for v in (y, x, co):
        conv.unroll(v)
        update.unroll(v)
    if padded is not None:
        padded.vectorize(padded.definitions.vars[-1], lanes)
        if in_strips or alone:
            padded.compute_at(f, task)
        else:
            padded.compute_root().parallel(padded.definitions.vars[1])


@conv2d.strategy("direct", when=_blocked, schedule=_schedule_direct)
def _direct(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, strides: Any, padding: Any, dilation: Any,
            groups: int, layout: str, kernel_layout: str, out_layout: str) -> Tensor:  # fmt: skip
    _check_blocks(out_layout or layout)
    data, kernel = Layout(layout), Layout(kernel_layout)
    outer, inner, kh, kw = weight.shape[1], kernel.block("I"), *weight.shape[2:4]
    w = Window.of((kh, kw), strides, padding, dilation)
    (sy, sx), (dy, dx) = w.strides, w.dilation
    source = _padded(x, data, w) if w.padded else x.func
    n, co, y, x_, c = halo.vars("n co y x c")
    sums = Func("sums")
    sums[n, co, y, x_, c] = x.dtype(0) if bias is None else bias.func[co, c]
    if groups > 1 and outer * inner == 1:
        r: RDom = halo.rdom(kh, kw, names="ky kx")
        sums[n, co, y, x_, c] += (
            weight.func[co, 0, r.ky, r.kx, c] * source[n, co, y * sy + r.ky * dy, x_ * sx + r.kx * dx, c]
        )
    else:
        r = halo.rdom(outer, kh, kw, inner, names="ko ky kx ki")
        first = 0 if groups == 1 else co // (weight.shape[0] // groups) * outer  # block of the group
        at = {"N": n, "C": r.ko * inner + r.ki, "H": y * sy + r.ky * dy, "W": x_ * sx + r.kx * dx}
        same = data.block("C") == inner and len(data.axes) == 5
        tap = weight.func[(co, r.ko, r.ky, r.kx, *((r.ki,) if inner > 1 else ()), c)]
        sums[n, co, y, x_, c] += tap * source[(n, first + r.ko, at["H"], at["W"], r.ki) if same else data.index(at)]
    conv = Func("conv2d")
    conv[n, co, y, x_, c] = sums[n, co, y, x_, c]
    (h, v) = w.extents(data.logical(x.shape)[2:])
    return Tensor(conv, (x.shape[0], weight.shape[0], h, v, Layout(out_layout or layout).block("C")), x.dtype)


def _padded(x: Tensor, data: Layout, w: Window) -> Func:
    """`x` with its margin of zeros, moved so that it begins at 0."""
    f = Func("padded")
    i = halo.vars("n co y x c" if len(data.axes) == 5 else "n co y x")
    bounds: list[Any] = [None] * x.ndim
    bounds[2], bounds[3] = (0, x.shape[2]), (0, x.shape[3])
    view = halo.pad(x.func, "constant", 0, bounds=bounds)
    f[i] = view[(i[0], i[1], i[2] - w.before[0], i[3] - w.before[1], *i[4:])]
    return f


# Winograd's ----------------------------------------------------------------------------------------------------------
# Asked for by name; in a graph, `choose_winograd` transforms constant weights once.


def _schedule_winograd(out: Tensor, target: Target, types: Types, attrs: Any) -> None:
    made = out.func["winograd_weights"]
    kernel = made.definitions.vars
    made.compute_root().vectorize(kernel[-1], out.shape[-1]).parallel(kernel[2])
    weight = types[1]
    assert weight is not None
    m = winograd_tile(types, attrs) or 2
    winograd_schedule(
        out, target, winograd_weights.infer((weight,), {"tile": m, "kernel_layout": attrs["kernel_layout"]}).static, m
    )


@conv2d.strategy("winograd", when=lambda types, attrs, target: False, schedule=_schedule_winograd)
def _(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: Any, layout: str, kernel_layout: str,
      **attrs: Any) -> Tensor:  # fmt: skip
    types = (x.type, weight.type, None)
    own = {"padding": padding, "layout": layout, "kernel_layout": kernel_layout, **attrs}
    if not winograd_applies(types, own):
        raise ArgumentError("Winograd's convolution is of blocked channels, 3 x 3, strides 1, one group", loc=here(),
                            hint='strategy="direct"')  # fmt: skip
    m = winograd_tile(types, own) or 2
    made = winograd_weights.compute((weight,), {"tile": m, "kernel_layout": kernel_layout})
    return winograd_conv(x, made, bias, tile=m, padding=padding, layout=layout)


# Plain layouts: through blocks ---------------------------------------------------------------------------------------


def _orders(attrs: Any) -> tuple[str, str, str]:
    """Those of the axes of x, the weights and the result."""
    return attrs["layout"], attrs["kernel_layout"], attrs["out_layout"] or attrs["layout"]


def _plain(types: Types, attrs: Any, target: Target) -> bool:
    return attrs["groups"] == 1 and all(len(order) == 4 for order in _orders(attrs))


@conv2d.strategy("blocked", when=_plain, composed=True)
def _(x: Any, weight: Any, bias: Any = None, *, layout: str, kernel_layout: str, out_layout: str, **attrs: Any) -> Any:
    kernel = kernel_blocks(type_of(weight), kernel_layout)
    o = type_of(weight).shape[kernel_layout.index("O")]
    packed = layout_transform(weight, src=kernel_layout, dst=kernel)
    return of_blocks(x, packed, bias, units=o, layout=layout, kernel_layout=kernel, out_layout=out_layout, **attrs)


def kernel_blocks(weight: TensorType, kernel_layout: str) -> str:
    """The layout in which the weights of a convolution of one group are read: of few channels, only its own are in blocks."""
    lanes = Target.host().natural_lanes(weight.dtype)
    few = weight.shape[kernel_layout.index("I")] < lanes
    return f"OIHW{lanes}o" if few else f"OIHW{lanes}i{lanes}o"


def of_blocks(x: Any, weight: Any, bias: Any, *, units: int, layout: str, kernel_layout: str, out_layout: str,
              **attrs: Any) -> Any:  # fmt: skip
    """A convolution to `units` channels of x in a plain layout, by weights in blocks as `kernel_blocks` has them."""
    kernel = Layout(kernel_layout)
    lanes, batch = kernel.block("O"), type_of(x).shape[layout.index("N")]
    data = "NCHW" if kernel.block("I") == 1 else f"NCHW{lanes}c"
    found = conv2d(x if data == layout else layout_transform(x, src=layout, dst=data), weight,
                   None if bias is None else layout_transform(bias, src="O", dst=f"O{lanes}o"),
                   layout=data, kernel_layout=kernel_layout, out_layout=f"NCHW{lanes}c", **attrs)  # fmt: skip
    _, _, h, w, _ = type_of(found).shape
    return layout_transform(found, src=f"NCHW{lanes}c", dst=out_layout or layout, shape=(batch, units, h, w))


def _otherwise_ordered(types: Types, attrs: Any, target: Target) -> bool:
    orders = _orders(attrs)
    return orders != ("NCHW", "OIHW", "NCHW") and all(len(order) == 4 for order in orders)


@conv2d.strategy("transposed", when=_otherwise_ordered, composed=True)
def _(x: Any, weight: Any, bias: Any = None, *, layout: str, kernel_layout: str, out_layout: str, **attrs: Any) -> Any:
    """As one of the usual order of axes."""

    def moved(a: Any, src: str, dst: str) -> Any:
        return a if src == dst else transpose(a, axes=tuple(map(src.index, dst)))

    y = conv2d(moved(x, layout, "NCHW"), moved(weight, kernel_layout, "OIHW"), bias, **attrs)
    return moved(y, "NCHW", out_layout or layout)


# Groups: those whose channels are no whole blocks are merged, with zeros between -----------------------------------


def _merged_reference(weight: Any, *, groups: int, into: int) -> Any:
    o, i, kh, kw = weight.shape
    out = np.zeros((o, i * groups // into, kh, kw), weight.dtype)
    for k in range(o):
        first = k // (o // groups) % (groups // into) * i
        out[k, first : first + i] = weight[k]
    return out


@op(Kind.INJECTIVE, reference=_merged_reference)
def merge_groups(weight: TensorType, *, groups: int, into: int) -> TensorType:
    """The weights [O, I / groups, KH, KW] of a convolution of `groups` as those of one of `into` groups: zero between what
    were different groups.

    >>> from halo import nn
    >>> nn.merge_groups(np.ones((2, 1, 1, 1), np.float32), groups=2, into=1)[:, :, 0, 0]
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    o, i, *taps = weight.shape
    if groups % into or o % groups:
        raise ArgumentError(f"{groups} groups of {o} channels do not merge into {into}", loc=here())
    return TensorType((o, i * (groups // into), *taps), weight.dtype)


@merge_groups.strategy("direct")
def _(weight: Tensor, *, groups: int, into: int) -> Tensor:
    o, i, kh, kw = weight.shape
    f = Func("merge_groups")
    k, j, y, x = halo.vars("o i y x")
    own = j - k // (o // groups) % (groups // into) * i
    f[k, j, y, x] = halo.select((own >= 0) & (own < i), weight.func[k, halo.clamp(own, 0, i - 1), y, x], 0)
    return Tensor(f, (o, i * (groups // into), kh, kw), weight.dtype)


def _whole_groups(types: Types, attrs: Any, target: Target) -> int | None:
    """In how many groups a convolution of plain layouts is computed in blocks: the channels of one are some whole blocks, or
    all. None where that is not worth it: of a channel a group, of few products, or with many more of them than there were."""
    x, weight, _ = types
    if x is None or weight is None or attrs["groups"] < 2 or _orders(attrs) != ("NCHW", "OIHW", "NCHW"):
        return None
    lanes, given = target.natural_lanes(x.dtype), attrs["groups"]
    products = math.prod((*x.shape[2:], *weight.shape))
    o, i = weight.shape[:2]
    if not isinstance(products, int) or products < WORTH or i == 1:
        return None
    into = next(g for g in range(given, 0, -1)
                if given % g == 0 and (g == 1 or (i * given // g % lanes == 0 and o // g % lanes == 0)))  # fmt: skip
    return into if given <= MERGED * into else None


@conv2d.strategy("blocked groups", when=lambda *args: _whole_groups(*args) is not None, composed=True)
def _(x: Any, weight: Any, bias: Any = None, *, groups: int, layout: str, kernel_layout: str, out_layout: str,
      **attrs: Any) -> Any:  # fmt: skip
    own = {"groups": groups, "layout": layout, "kernel_layout": kernel_layout, "out_layout": out_layout}
    into, lanes = (
        _whole_groups((type_of(x), type_of(weight), None), own, Target.host()),
        Target.host().natural_lanes(type_of(x).dtype),
    )
    o, weight = type_of(weight).shape[0], merge_groups(weight, groups=groups, into=into)
    if into == 1:
        return conv2d(x, weight, bias, **attrs)
    data = f"NCHW{lanes}c"
    packed = conv2d(layout_transform(x, src="NCHW", dst=data), layout_transform(weight, src="OIHW", dst=f"OIHW{lanes}i{lanes}o"),
                    None if bias is None else layout_transform(bias, src="O", dst=f"O{lanes}o"),
                    groups=into, layout=data, kernel_layout=f"OIHW{lanes}i{lanes}o", out_layout=data, **attrs)  # fmt: skip
    n, _, h, w, _ = type_of(packed).shape
    return layout_transform(packed, src=data, dst="NCHW", shape=(n, o, h, w))


# Groups in plain layouts -------------------------------------------------------------------------------------------


@conv2d.strategy("grouped")
def _(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, strides: Any, padding: Any, dilation: Any, groups: int,
      layout: str, kernel_layout: str, out_layout: str) -> Tensor:  # fmt: skip
    o, wi, kh, kw = weight.shape
    w = Window.of((kh, kw), strides, padding, dilation)
    (sy, sx), (dy, dx) = w.strides, w.dilation
    source = _padded(x, Layout(layout), w) if w.padded else x.func
    n, c, y, x_ = halo.vars("n c y x")
    r: RDom = halo.rdom(wi, kh, kw, names="k ky kx")
    conv = Func("conv2d")
    conv[n, c, y, x_] = x.dtype(0) if bias is None else bias.func[c]
    conv[n, c, y, x_] += (
        weight.func[c, r.k, r.ky, r.kx]
        * source[n, c // (o // groups) * wi + r.k, y * sy + r.ky * dy, x_ * sx + r.kx * dx]
    )
    h, v = w.extents(x.shape[2:])
    return Tensor(conv, (x.shape[0], o, h, v), x.dtype)

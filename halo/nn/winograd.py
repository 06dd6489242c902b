"""Winograd's convolutions: a tile of m x m results of a 3 x 3 window from (m + 2)^2 products, not 9 m^2.

    Y = A' [(G g G') * (B' d B)] A          g: the window, d: a tile of m + 2 x m + 2 values, *: entry by entry

Summed over channels, each entry of the products in the middle is one of a matrix product: channels out x channels in x
tiles. (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv:1509.09308. TOPI has the same
as conv2d_winograd_without_weight_transform.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

import halo
from halo import Dim, Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .layouts import Layout
from .op import Kind, Types, op
from .schedule import bound, by_height, epilogues, length, padded_stage, tasks, tiled
from .shapes import Window, same_type, takes
from .tensor import Tensor, TensorType, type_of
from .tiles import register_tile

__all__ = [
    "conv2d_winograd",
    "winograd_applies",
    "winograd_conv",
    "winograd_schedule",
    "winograd_tile",
    "winograd_weights",
]

TAPS = 3
STAGES = ("padded", "columns", "transformed", "sums", "products", "rows", "tiles")
CACHED, TASK, NEAR = (
    1 << 20,
    1 << 20,
    24 << 10,
)  # bytes: of weights and of a task in the second cache; of a row in the first
STREAMED, WIDE = 16 << 20, 12  # bytes of weights that are read for each strip of at least so many tiles
SOME, MANY = 7, 1 << 10  # tiles and entries along an axis of which only a call knows the extent
WINOGRAD, DIRECT = 1.4, 1.56  # vectors that are multiplied and added in a cycle
STREAM, TRANSFORM = 8, 10  # bytes of weights a cycle; cycles for an entry of a tile, of a vector of channels
CLEARLY, LARGER = 1.2, 1.05  # times as fast, to be worth more weights than a window's, and than a smaller tile's
POINTS: dict[int, tuple[Any, ...]] = {  # at which polynomials are taken, beside infinity, for tiles of m x m
    2: (0, 1, -1),
    4: (0, Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2)),  # a fourth of the error of 1 and 2
}


@dataclass(frozen=True)
class Transforms:
    """The matrices of a tile: A', G and B', as rows."""

    result: tuple[tuple[Fraction, ...], ...]
    window: tuple[tuple[Fraction, ...], ...]
    data: tuple[tuple[Fraction, ...], ...]


def transforms(m: int) -> Transforms:
    """Toom and Cook's: a product of polynomials from its values at points, here transposed, which makes it a correlation.

    >>> [[int(v) for v in row] for row in transforms(2).data]
    [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    """
    points = tuple(map(Fraction, POINTS[m]))

    def roots(of: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The coefficients, ascending, of the polynomial that is zero there."""
        c = [Fraction(1)]
        for z in of:
            c = [a - z * b for a, b in zip((Fraction(0), *c), (*c, Fraction(0)), strict=True)]
        return (*c, *(Fraction(0),) * (len(points) + 1 - len(c)))

    def powers(z: Fraction, n: int) -> tuple[Fraction, ...]:
        return tuple(z**k for k in range(n))

    others = [[b for b in points if b != z] for z in points]
    scales = [prod((z - b for b in rest), start=Fraction(1)) for z, rest in zip(points, others, strict=True)]
    last = tuple(Fraction(k == TAPS - 1) for k in range(TAPS))
    return Transforms(
        tuple((*(z**i for z in points), Fraction(i == m - 1)) for i in range(m)),
        (*(tuple(p / s for p in powers(z, TAPS)) for z, s in zip(points, scales, strict=True)), last),
        (*map(roots, others), roots(points)),
    )


def _combined(row: Sequence[Fraction], values: Sequence[Any]) -> Any:
    """The sum of `values` times the entries of `row`, even ones and odd ones apart: rows of points z and -z share these."""
    total: Any = None
    for parity in (0, 1):
        terms = [(c, v) for c, v in zip(row[parity::2], values[parity::2], strict=True) if c]
        part: Any = None
        for c, v in terms:
            a = float(abs(c))
            v = v if a == 1 else v * a
            part = v if part is None else part + v if c * terms[0][0] > 0 else part - v
        if part is not None:
            plus = terms[0][0] > 0
            total = (part if plus else -part) if total is None else total + part if plus else total - part
    return total


def _row(i: Any, matrix: Sequence[Sequence[Fraction]], values: Sequence[Any]) -> Any:
    """Entry `i`, a variable whose loop is unrolled, of `matrix` times `values`."""
    *rows, found = (_combined(row, values) for row in matrix)
    for k, e in reversed([*enumerate(rows)]):
        found = halo.select(i == k, e, found)
    return found


# Weights -------------------------------------------------------------------------------------------------------------


def _weights_reference(weight: Any, *, tile: int, kernel_layout: str = "OIHW") -> Any:
    g = np.array([[float(v) for v in row] for row in transforms(tile).window])
    y, x = (Layout(kernel_layout).axes.index((letter, 0)) for letter in "HW")
    made = np.tensordot(g, np.tensordot(g, weight.astype(np.float64), (1, x)), (1, y + 1))
    return np.where(abs(made) < _least(type_of(weight).dtype), 0, made).astype(weight.dtype)


def _least(dtype: Any) -> float:
    """The smallest normal number of what products of `dtype` are summed in."""
    return float(np.finfo(np.float64 if dtype == halo.f64 else np.float32).tiny)


def _weights_general(types: Types, attrs: Mapping[str, Any], result: TensorType) -> tuple[Types, Mapping[str, Any]]:
    (weight,) = types
    assert weight is not None
    axes = zip(weight.shape, Layout(attrs["kernel_layout"]).axes, strict=True)
    return (TensorType(tuple(n if b or a in "HW" else Dim(a) for n, (a, b) in axes), weight.dtype),), attrs


@op(Kind.OPAQUE, reference=_weights_reference, general=_weights_general)
def winograd_weights(weight: TensorType, *, tile: int, kernel_layout: str = "OIHW") -> TensorType:
    """G g G', what Winograd's convolution by tiles of `tile` x `tile` (2 or 4) multiplies with, for windows g of 3 x 3.

    `weight`: [O, I, 3, 3] in `kernel_layout`, which may be blocked. The result has `tile` + 2 entries each for y and x as
    its first axes, then the others of `weight`. What would be subnormal is 0: products with it take a hundred times as long, and
    trained weights that nothing reads decay to that. TOPI's conv2d_winograd_weight_transform.

    >>> from halo import nn
    >>> nn.winograd_weights(np.ones((1, 1, 3, 3), np.float32), tile=2)[:, 0, 0, 0]
    array([1.  , 1.5 , 0.5 , 1.  ], dtype=float32)
    """
    takes("winograd_weights", "float", weight)
    kernel = Layout(kernel_layout)
    if tile not in POINTS:
        raise ArgumentError(f"there are no tiles of {tile} x {tile}", loc=here(), legal=tuple(map(str, POINTS)))
    if kernel.letters != "OIHW" or weight.ndim != len(kernel.axes) or kernel.logical(weight.shape)[2:] != (TAPS, TAPS):
        raise ArgumentError(f"winograd_weights takes windows of 3 x 3, not {weight} in {kernel_layout}", loc=here())
    rest = tuple(n for n, (a, _) in zip(weight.shape, kernel.axes, strict=True) if a not in "HW")
    return TensorType((tile + 2, tile + 2, *rest), weight.dtype)


@winograd_weights.strategy("direct")
def _weights(weight: Tensor, *, tile: int, kernel_layout: str) -> Tensor:
    g = halo.nn.tensor(np.array([[float(v) for v in row] for row in transforms(tile).window])).func
    axes = Layout(kernel_layout).axes
    y, x, *rest = halo.vars(" ".join(("y", "x", *(f"{a.lower()}{b or ''}" for a, b in axes if a not in "HW"))))

    def tap(ky: int, kx: int) -> Any:
        own = iter(rest)
        return weight.func[tuple({"H": ky, "W": kx}[a] if a in "HW" else next(own) for a, _ in axes)]

    f = Func("winograd_weights")
    made = sum(g[y, ky] * g[x, kx] * halo.f64(tap(ky, kx)) for ky in range(TAPS) for kx in range(TAPS))
    f[(y, x, *rest)] = weight.dtype(halo.select(halo.abs(made) < _least(weight.dtype), 0, made))
    shape = tuple(n for n, (a, _) in zip(weight.shape, axes, strict=True) if a not in "HW")
    return Tensor(f, (tile + 2, tile + 2, *shape), weight.dtype)


# Convolution ---------------------------------------------------------------------------------------------------------


def _reference(x: Any, weight: Any, bias: Any = None, *, tile: int, padding: Any = 0, layout: str = "NCHW16c") -> Any:
    t = transforms(tile)
    result, data = (np.array([[float(v) for v in row] for row in rows]) for rows in (t.result, t.data))
    w = Window.of(TAPS, 1, padding)
    h, v = w.extents(x.shape[2:4])
    tiles = [-(-n // tile) for n in (h, v)]
    room = [(b, tile * n + 2 - size - b) for n, size, b in zip(tiles, x.shape[2:4], w.before, strict=True)]
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *((a, max(b, 0)) for a, b in room), (0, 0)))
    out = np.zeros((x.shape[0], weight.shape[2], tiles[0] * tile, tiles[1] * tile, weight.shape[-1]))
    for y in range(0, out.shape[2], tile):
        for z in range(0, out.shape[3], tile):
            d = np.einsum("ia,jb,nkabc->nkijc", data, data, x[:, :, y : y + tile + 2, z : z + tile + 2])
            products = np.einsum("ijokcd,nkijc->noijd", weight.astype(np.float64), d)
            out[:, :, y : y + tile, z : z + tile] = np.einsum("ai,bj,noijd->noabd", result, result, products)
    out = out[:, :, :h, :v]
    return (out if bias is None else out + bias[:, None, None]).astype(weight.dtype)


@op(Kind.ANCHOR, reference=_reference)
def conv2d_winograd(x: TensorType, weight: TensorType, bias: TensorType | None = None, *, tile: int, padding: Any = 0,
                    layout: str = "NCHW16c") -> TensorType:  # fmt: skip
    """`conv2d` of windows of 3 x 3, strides 1, by tiles of `tile` x `tile` results (2 or 4), of transformed weights.

    `x`: [N, C, H, W, c], channels in blocks, as `layout` says; `weight`: [tile + 2, tile + 2, O, I, i, o], what
    `winograd_weights` makes of windows in OIHW16i16o; `bias`: [O, o]. `padding` as in `conv2d`.

    Sums are rounded otherwise than `conv2d`'s: with entries of x up to 1, and of weights that add up to 1 for each channel
    out, results differ by at most 1e-5 of f32 (`tile` 2: 2e-6). A value that is not finite makes all results of its tile so.
    Raises ArgumentError where shapes do not fit. TOPI's conv2d_winograd_without_weight_transform.

    >>> from halo import nn
    >>> w = nn.winograd_weights(np.ones((1, 1, 3, 3, 1, 1), np.float32), tile=2, kernel_layout="OIHW1i1o")
    >>> nn.conv2d_winograd(np.ones((1, 1, 3, 3, 1), np.float32), w, tile=2, padding=1, layout="NCHW1c")[0, 0, :, :, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]], dtype=float32)
    """
    takes("conv2d_winograd", "float", x)
    data = Layout(layout)
    block = data.block("C")
    if data.text != f"NCHW{block}c" or x.ndim != 5 or weight.ndim != 6 or tile not in POINTS:
        raise ArgumentError(f"conv2d_winograd takes NCHW{block}c and windows for tiles of 2 or 4, not {x} and {weight}",
                            loc=here())  # fmt: skip
    blocks, lanes = weight.static[2], weight.static[5]
    if weight.static != (tile + 2, tile + 2, blocks, x.shape[1], block, lanes):
        raise ArgumentError(f"conv2d_winograd of {x} takes weights of other extents than {weight}", loc=here())
    if bias is not None and bias.static != (blocks, lanes):
        raise ArgumentError(f"bias has {bias.static} entries for {(blocks, lanes)} channels", loc=here())
    h, w = Window.of(TAPS, 1, padding).extents(x.shape[2:4])
    return TensorType((x.shape[0], blocks, h, w, lanes), same_type("conv2d_winograd", x, weight, bias))


def _schedule(out: Tensor, target: Target, types: Types, attrs: Mapping[str, Any]) -> None:
    weight = types[1]
    assert weight is not None
    winograd_schedule(out, target, weight.static, attrs["tile"])


def winograd_schedule(out: Tensor, target: Target, weight: tuple[int, ...], m: int) -> None:
    """Tasks are strips of tiles, with what they read and the products of some channels in cache; or, where there are too
    many weights (of the extents `weight`) to read them for each strip, channels, for which all tiles are transformed first."""
    f, size = out.func, out.dtype.dtype.itemsize
    padded, columns, transformed, sums, products, rows, tiles = (f[name] for name in STAGES)
    n, co, y, x, c = f.definitions.vars
    _, blocks, height, width, lanes = out.shape
    depth = weight[3] * weight[4]
    down, across = (-(-k // m) if isinstance(k, int) else None for k in (height, width))
    tile = register_tile(target, down or 1, across or SOME, blocks, points=max(NEAR // (depth * size), 1))
    bound(f, out)
    f.split(y, "ty", y, m).split(x, "tx", x, m).vectorize(c, lanes).unroll(y).unroll(x)
    tiled(f, co, "coo", tile.vectors, blocks)
    wide = across
    if _in_strips(down, across, prod(weight) * size):
        room = (m + 2) ** 2 * (depth + tile.vectors * lanes) * size * tile.rows * tile.columns
        wide = max(TASK // room, 1) * tile.columns
        if across is not None:  # pieces of about one size
            wide = min(-(-across // (-(-across // wide) * tile.columns)) * tile.columns, across)
        tiled(f, "ty", "tyo", tile.rows, down)
        tiled(f, "tx", "txo", wide, across)
        strips = length(f, 2) if down is None else -(-down // tile.rows)
        tasks(f, n, [("tyo", strips)], ("tyo", "txo", "coo", co, "ty", "tx", y, x, c))
        padded.compute_at(f, "txo")
        transformed.compute_at(f, "txo")
    else:
        tasks(f, n, [("coo", -(-blocks // tile.vectors))], ("coo", co, "ty", "tx", y, x, c))
        padded.compute_root().parallel(padded.definitions.vars[1])
        transformed.compute_root().parallel("k")
    epilogues(f, tiles)
    padded.vectorize(padded.definitions.vars[-1], lanes)
    transformed.reorder("n", "k", "ty", "tx", "i", "j", "c")
    columns.compute_at(transformed, "tx").reorder("n", "k", "ty", "tx", "j", "i", "c")
    products.compute_at(f, "coo")
    many = None if across is not None else (length(f, 3) + (m - 1)) // m
    for nest, count in by_height(products, 5, across, tile, n=many):
        tiled(nest, "ty", "yo", tile.rows, down)
        if across is None:  # whole tiles, past the end, keep their sums in registers: what lies there is 0
            nest.split("tx", "xo", "tx", count, "round_up")
        else:
            tiled(nest, "tx", "xo", count, wide)
        nest.reorder("n", "i", "j", "yo", "xo", "ty", "tx", "k", "c")
        nest.unroll("ty").unroll("tx").unroll("k").vectorize("c", lanes)
    sums.compute_at(products, "xo").update(0).reorder("ko", "ki", "n", "i", "j", "ty", "tx", "k", "c")
    for stage in (sums, sums.update(0)):
        stage.unroll("ty").unroll("tx").unroll("k").vectorize("c", lanes)
    tiles.compute_at(f, "tx").reorder("n", "k", "ty", "tx", "i", "j", "c")
    rows.compute_at(f, "tx").reorder("n", "k", "ty", "tx", "j", "i", "c")
    for stage in (columns, transformed, rows, tiles):
        stage.unroll("i").unroll("j").vectorize("c", lanes)


def _in_strips(down: int | None, across: int | None, bytes: int) -> bool:
    """Whether tasks are strips of so many tiles."""
    return down is None or across is None or bytes <= CACHED or (across >= WIDE and bytes <= STREAMED)


@conv2d_winograd.strategy("direct", schedule=_schedule)
def winograd_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, tile: int, padding: Any, layout: str
) -> Tensor:
    m, t, w = tile, transforms(tile), Window.of(TAPS, 1, padding)
    ends = range(m + TAPS - 1)
    n, k, ty, tx, i, j, c, y, z = halo.vars("n k ty tx i j c y x")
    columns, transformed, sums, products = Func("columns"), Func("transformed"), Func("sums"), Func("products")
    rows, tiles, conv = Func("rows"), Func("tiles"), Func("conv2d")
    d = padded_stage(x, w, 0)
    columns[n, k, ty, tx, i, j, c] = _row(i, t.data, [d[n, k, ty * m + a, tx * m + j, c] for a in ends])
    transformed[n, i, j, k, ty, tx, c] = _row(j, t.data, [columns[n, k, ty, tx, i, a, c] for a in ends])
    r: RDom = halo.rdom(*weight.shape[3:5], names="ko ki")
    sums[n, i, j, k, ty, tx, c] = x.dtype(0)
    sums[n, i, j, k, ty, tx, c] += weight.func[i, j, k, r.ko, r.ki, c] * transformed[n, i, j, r.ko, ty, tx, r.ki]
    products[n, i, j, k, ty, tx, c] = sums[n, i, j, k, ty, tx, c]
    rows[n, k, ty, tx, i, j, c] = _row(i, t.result, [products[n, a, j, k, ty, tx, c] for a in ends])
    tiles[n, k, ty, tx, i, j, c] = _row(j, t.result, [rows[n, k, ty, tx, i, a, c] for a in ends])
    found = tiles[n, k, y // m, z // m, y % m, z % m, c]
    conv[n, k, y, z, c] = found if bias is None else found + bias.func[k, c]
    return Tensor(conv, (x.shape[0], weight.shape[2], *w.extents(x.shape[2:4]), weight.shape[5]), x.dtype)


# Which tile ----------------------------------------------------------------------------------------------------------


def winograd_tile(types: Types, attrs: Mapping[str, Any]) -> int:
    """The size of the tiles that are best for this `conv2d`; 0 where no Winograd convolution is clearly faster.

    By cycles of one core, as measured on AVX-512: of products, of weights that come from beyond its cache, and of what is
    transformed. Larger tiles have more weights, and are to be worth them too."""
    if not winograd_applies(types, attrs):
        return 0
    x, weight, _ = types
    assert x is not None and weight is not None
    lanes, size = Layout(attrs["layout"]).block("C"), x.dtype.dtype.itemsize
    o, i = Layout(attrs["kernel_layout"]).logical(weight.static)[:2]
    extents = Window.of(TAPS, 1, attrs["padding"]).extents(x.shape[2:4])
    whole = [n if isinstance(n, int) else MANY for n in extents]

    def streamed(count: int) -> float:
        bytes = count * size
        return float(bytes / STREAM) if bytes > CACHED else 0.0

    def cycles(m: int) -> float:
        tiles, points = prod(-(-n // m) for n in whole), (m + 2) ** 2
        moved = TRANSFORM * points * tiles * (i + o) / lanes
        return float(points * tiles * i * o / lanes / WINOGRAD + moved) + streamed(points * i * o)

    best, least = 0, TAPS**2 * prod(whole) * i * o / lanes / DIRECT + streamed(TAPS**2 * i * o)
    for m in POINTS:
        if cycles(m) * (LARGER if best else CLEARLY) < least:
            best, least = m, cycles(m)
    return best


def winograd_applies(types: Types, attrs: Mapping[str, Any]) -> bool:
    """Whether there is a Winograd convolution for this `conv2d`: of channels in blocks, windows of 3 x 3, strides 1."""
    x, weight, _ = types
    assert x is not None and weight is not None
    kernel = Layout(attrs["kernel_layout"])
    block, lanes = kernel.block("I"), kernel.block("O")
    blocked = (f"NCHW{block}c", f"OIHW{block}i{lanes}o", f"NCHW{lanes}c")
    if (attrs["layout"], kernel.text, attrs["out_layout"] or attrs["layout"]) != blocked or attrs["groups"] > 1:
        return False
    w = Window.of(kernel.logical(weight.shape)[2:], attrs["strides"], attrs["padding"], attrs["dilation"])
    return x.dtype in (halo.f32, halo.f64) and (w.kernel, w.strides, w.dilation) == ((TAPS, TAPS), (1, 1), (1, 1))

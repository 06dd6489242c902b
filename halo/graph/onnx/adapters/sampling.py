"""Other sizes, points between points, and frequencies."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from halo import nn
from halo.errors import UnknownValueError

from ..node import Node, adapter

__all__: list[str] = []


def _resized(n: Node, scales: Any, size: Any, **more: Any) -> Any:
    """Resize with `scales` or a `size` for the axes that `axes` says."""
    x = n[0]
    shape, rank = x.type.shape, x.type.ndim
    given = n.ints("axes")
    axes = tuple(range(rank)) if given is None else tuple(a % rank for a in given)
    factors: list[float | None] = [1.0] * rank
    extents = list(shape)
    if size is not None:
        quotients = [_quotient(s, shape[a]) for s, a in zip(size, axes, strict=True)]
        chosen = {"not_larger": min, "not_smaller": max}.get(n.text("keep_aspect_ratio_policy", "stretch"))
        known = [q for q in quotients if q is not None]
        if chosen is not None and len(known) < len(quotients):
            raise n.wrong(f"the ratio of {x.type} and its new size is known when the program runs, and is wanted before",
                          UnknownValueError)  # fmt: skip
        one = None if chosen is None else chosen(known)
        for a, s, q in zip(axes, size, quotients, strict=True):
            factors[a] = q if one is None else one
            extents[a] = s if one is None else int(one * shape[a] + 0.5)
    elif scales is None:
        raise n.wrong("it is given no scales or sizes")
    else:
        for a, f in zip(axes, scales, strict=True):
            factors[a], extents[a] = f, _scaled(f, shape[a])
    if _repeats(factors, **more):
        for a, f in enumerate(factors):
            x = nn.repeat(x, repeats=int(f), axis=a) if f is not None and f != 1 else x
        return x
    return nn.resize(x, size=tuple(extents), scales=tuple(factors), **more)


def _quotient(size: Any, extent: Any) -> float | None:
    """How much larger an axis becomes: None where only a call knows."""
    if isinstance(size, int) and isinstance(extent, int):
        return size / extent
    whole = next((f for f in range(1, 9) if size == f * extent), None)
    return None if whole is None else float(whole)


def _scaled(f: float, extent: Any) -> Any:
    """floor(f * extent)."""
    if isinstance(extent, int):
        return int(f * extent)
    ratio = Fraction(f).limit_denominator(1024)
    return extent * ratio.numerator // ratio.denominator


def _repeats(factors: list[float | None], *, mode: str, coordinates: str, nearest: str, **_: Any) -> bool:
    """Whether each value is repeated so often along each axis, which is what the nearest one comes to."""
    how = {"asymmetric": nearest == "floor", "half_pixel": nearest.startswith("round")}
    return (
        mode == "nearest"
        and how.get(coordinates, False)
        and all(f is not None and f >= 1 and f == int(f) for f in factors)
    )


def _floats(n: Node, k: int) -> list[float] | None:
    found = n.array(k)
    return None if found is None or not found.size else [float(v) for v in found]


@adapter("Resize", 11)
def _(n: Node) -> Any:
    size = None if n.get(3) is None or n[3].type.shape == (0,) else n.extents(3)
    scales, rank = _floats(n, 2) if size is None else None, n[0].type.ndim
    roi, coordinates = None, n.text("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_crop_and_resize":
        ends = _floats(n, 1) or []
        axes = n.ints("axes", default=tuple(range(rank)))
        parts = [(0.0, 1.0)] * rank
        for k, a in enumerate(axes):
            parts[a] = (ends[k], ends[len(axes) + k])
        roi = tuple(parts)
    return _resized(
        n, scales, size,
        mode=n.text("mode", "nearest"), coordinates=coordinates, nearest=n.text("nearest_mode", "round_prefer_floor"),
        cubic=float(n.attrs.get("cubic_coeff_a", -0.75)), exclude_outside=bool(n.attrs.get("exclude_outside")),
        antialias=bool(n.attrs.get("antialias")), roi=roi, extrapolation=float(n.attrs.get("extrapolation_value", 0)),
    )  # fmt: skip


def _upsample(n: Node) -> Any:
    scales = _floats(n, 1) if "scales" not in n.attrs else [float(v) for v in n.attrs["scales"]]
    mode = n.text("mode", "nearest")
    if mode != "nearest" or scales is None or min(scales, default=1) >= 1:
        return _resized(n, scales, None, mode=mode, coordinates="asymmetric", nearest="floor")
    # opset 10 does not say which one is nearest: ONNX Runtime takes the next one where an axis becomes shorter
    grown = _resized(n, [max(f, 1.0) for f in scales], None, mode=mode, coordinates="asymmetric", nearest="floor")
    shrunk = replace(n, inputs=(grown, *n.inputs[1:]))
    return _resized(shrunk, [min(f, 1.0) for f in scales], None, mode=mode, coordinates="asymmetric", nearest="ceil")


adapter("Upsample", 7)(_upsample)
adapter("Resize", 10)(_upsample)

SAMPLED = {"bilinear": "linear", "bicubic": "cubic"}  # before opset 20


@adapter("GridSample")
def _(n: Node) -> Any:
    mode = n.text("mode", "linear")
    return nn.grid_sample(n[0], n[1], mode=SAMPLED.get(mode, mode), padding=n.text("padding_mode", "zeros"),
                          align_corners=bool(n.attrs.get("align_corners")))  # fmt: skip


@adapter("AffineGrid")
def _(n: Node) -> Any:
    return nn.affine_grid(n[0], size=n.ints("", 1)[2:], align_corners=bool(n.attrs.get("align_corners")))


def _roi_align(n: Node, half_pixel: bool) -> Any:
    samples = n.attrs.get("sampling_ratio", 0)
    if samples < 1:
        raise n.wrong("as many samples as a region has points are not supported, only a number of them")
    size = n.attrs.get("output_height", 1), n.attrs.get("output_width", 1)
    return nn.roi_align(n[0], n[1], n[2], size=size, samples=samples, scale=float(n.attrs.get("spatial_scale", 1)),
                        mode=n.text("mode", "avg"), half_pixel=half_pixel)  # fmt: skip


@adapter("RoiAlign", 10)
def _(n: Node) -> Any:
    return _roi_align(n, False)


@adapter("RoiAlign", 16)
def _(n: Node) -> Any:
    return _roi_align(n, n.text("coordinate_transformation_mode", "half_pixel") == "half_pixel")


@adapter("Col2Im")
def _(n: Node) -> Any:
    size, kernel = n.ints("", 1), n.ints("", 2)
    ones = (1,) * len(size)
    strides, dilation = n.ints("strides", default=ones), n.ints("dilations", default=ones)
    padding = n.ints("pads", default=(0,) * (2 * len(size)))
    return nn.col2im(n[0], size=size, kernel=kernel, strides=strides, dilation=dilation, padding=padding)


@adapter("DFT", 17)
def _(n: Node) -> Any:
    return _dft(n, n.attrs.get("axis", 1))


@adapter("DFT", 20)
def _(n: Node) -> Any:
    return _dft(n, n.scalar(2, -2))


def _dft(n: Node, axis: int) -> Any:
    x, inverse, onesided = n[0], bool(n.attrs.get("inverse")), bool(n.attrs.get("onesided"))
    extent = x.type.shape[axis]
    whole = 2 * (extent - 1) if inverse and onesided else extent
    length = whole if n.get(1) is None else n.extent(n[1])
    return nn.dft(x, length=length, axis=axis, inverse=inverse, onesided=onesided)


@adapter("STFT")
def _(n: Node) -> Any:
    x, step, window = n[0], n.scalar(1), n.get(2)
    size = n.scalar(3, None if window is None else window.type.static[0])
    if x.type.ndim == 2:
        x = nn.reshape(x, shape=(*x.type.shape, 1))
    cut = nn.frame(x, size=size, step=step, axis=1)  # [batch, frames, size, parts]
    if window is not None:
        cut = nn.multiply(cut, nn.reshape(window, shape=(size, 1)))
    return nn.dft(cut, length=size, axis=2, onesided=bool(n.attrs.get("onesided", 1)))

"""Crop windows: taps of a convolution that lie in the padding wherever the window stands go.

conv2d(x: [1, c, 16, 16], w: [o, c, 3, 3], padding=24, dilation=24)  ->  conv2d(x, w[:, :, 1:2, 1:2])

So in a pyramid of dilated windows over a small picture, and in windows of 3 x 3 over one entry.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from halo import nn
from halo.nn.shapes import Window

from ..ir import Call, Expr, rewrite
from ..module import Module, in_bodies


def crop_windows(m: Module) -> Module:
    return in_bodies(m, lambda f: replace(f, body=rewrite(f.body, lambda e, _: _cropped(e))))


class _Kept(NamedTuple):
    """The taps of one axis that meet the picture, and the padding that these need."""

    first: int
    last: int
    before: int
    after: int


def _cropped(e: Expr) -> Expr:
    if not (isinstance(e, Call) and e.op in (nn.conv2d, nn.conv)):
        return e
    x, weight, bias = e.args
    assert x is not None and weight is not None
    letters = "HW" if e.op is nn.conv2d else ""
    orders = [e.attrs.get(name, "") for name in ("layout", "kernel_layout")]
    if any(len(order) > 4 for order in orders):  # in blocks
        return e
    spatial, taps = ([order.index(a) for a in letters] or list(range(2, weight.type.ndim)) for order in orders)
    kernel = tuple(weight.type.static[k] for k in taps)
    strides, padding, dilation = (e.attrs[name] for name in ("strides", "padding", "dilation"))
    w = Window.of(kernel, strides, padding, dilation, ndim=len(taps))
    kept = [_kept(w, d, x.type.shape[axis]) for d, axis in enumerate(spatial)]
    if all(k.last - k.first + 1 == n for k, n in zip(kept, w.kernel, strict=True)):
        return e
    begin, end = tuple(k.first for k in kept), tuple(k.last + 1 for k in kept)
    fewer = nn.strided_slice(weight, begin=begin, end=end, axes=tuple(taps))
    attrs = e.attrs | {"padding": (*(k.before for k in kept), *(k.after for k in kept))}
    return replace(e, args=(x, fewer, bias), attributes=tuple(attrs.items()))


def _kept(w: Window, d: int, extent: object) -> _Kept:
    n, s, step = w.kernel[d], w.strides[d], w.dilation[d]
    before, after = w.padding[d], w.padding[len(w.kernel) + d]
    whole = _Kept(0, n - 1, before, after)
    if not isinstance(extent, int):
        return whole
    reach = s * ((extent + before + after - w.reach(d)) // s)  # from the first window to the last

    def meets(tap: int) -> bool:
        first = tap * step - before
        first += max(-(first // s) * s, 0)  # of those that are not before the picture
        return first < extent and first <= tap * step - before + reach

    met = [t for t in range(n) if meets(t)]
    if not met:
        return whole
    found = _Kept(met[0], met[-1], before - met[0] * step, after - (n - 1 - met[-1]) * step)
    return found if found.before >= 0 and found.after >= 0 else whole

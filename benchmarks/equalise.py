"""Histogram equalisation of a planar u8 RGB picture: a scatter, a scan, and a lookup that shifts the luma of each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

HEIGHT, WIDTH = 1536, 2560


def case() -> Case:
    # Light that falls off, and noise: as in a photo, neighbours often have the same luma.
    rng = np.random.default_rng(0)
    light = np.linspace(20, 140, WIDTH) + np.linspace(0, 60, HEIGHT)[:, None]
    photo = np.clip(light + rng.normal(0, 8, (3, HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
    return Case("equalise", {"img": photo}, photo.shape, np.uint8, func, schedule, numpy_equalise,
                bytes=9 * HEIGHT * WIDTH, channels=3, peers={"halide": halide_equalise, "numba": numba_equalise})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def luma(y, x, *, img: halo.u8[:, :, :]):
        r, g, b = halo.u16(img[0, y, x]), halo.u16(img[1, y, x]), halo.u16(img[2, y, x])
        return halo.u8((77 * r + 150 * g + 29 * b) // 256)

    @halo.func
    def histogram(i, *, img: halo.u8[:, :, :]):
        histogram[i] = halo.u32(0)
        for y, x in halo.rdom(img.shape[1], img.shape[2]):
            histogram[luma[y, x]] += 1

    @halo.func
    def cumulative(i):
        cumulative[i] = histogram[i]
        for k in halo.rdom(range(1, 256)):
            cumulative[k] += cumulative[k - 1]

    @halo.func
    def shift(i):
        return halo.i32(cumulative[i] * 255 // cumulative[255]) - halo.i32(i)  # 32 bits: what can be gathered

    @halo.func
    def equalised(c, y, x, *, img: halo.u8[:, :, :]):
        return halo.saturate(halo.u8, img[c, y, x] + shift[luma[y, x]])

    return equalised


def schedule(equalised: halo.Func) -> None:
    # Strips of rows have histograms of their own, four each: increments that follow each other do not wait for each other.
    luma, histogram, cumulative, shift = (equalised[name] for name in ("luma", "histogram", "cumulative", "shift"))
    histogram.compute_root().vectorize("i", 16)
    counted = histogram.update(0).split("y", "yo", "yi", 64).split("x", "xo", "xi", 4)
    strips = counted.rfactor({"yo": "strip", "xi": "lane"})
    strips.compute_root().parallel("strip").vectorize("i", 16)
    strips.update(0).reorder("strip", "yi", "xo", "lane").parallel("strip").unroll("lane")
    luma.clone_in(strips).compute_at(strips, "yi").vectorize("x", 32)
    histogram.update(0).vectorize("i", 16)
    cumulative.compute_root()
    shift.compute_root().vectorize("i", 16)
    equalised.reorder("y", "x", "c").parallel("y", 16).vectorize("x", 32).bound("c", 0, 3).unroll("c")


def halide_equalise() -> Any:
    import halide as hl

    x, y, c, i, strip, lane = map(hl.Var, ("x", "y", "c", "i", "strip", "lane"))
    img = hl.ImageParam(hl.UInt(8), 3, "img")
    luma, histogram, cumulative, shift, out = map(hl.Func, ("luma", "histogram", "cumulative", "shift", "equalised"))
    red, green, blue = (hl.u16(img[x, y, k]) for k in range(3))
    luma[x, y] = hl.u8((hl.u16(77) * red + hl.u16(150) * green + hl.u16(29) * blue) // hl.u16(256))
    r = hl.RDom([(0, WIDTH), (0, HEIGHT)], "r")
    histogram[i] = hl.u32(0)
    histogram[hl.i32(luma[r.x, r.y])] += hl.u32(1)
    k = hl.RDom([(1, 255)], "k")
    cumulative[i] = histogram[i]
    cumulative[k.x] += cumulative[k.x - 1]
    shift[i] = hl.i16(cumulative[i] * hl.u32(255) // cumulative[255]) - hl.i16(i)  # 32 bits are slower here
    out[x, y, c] = hl.u8_sat(hl.i16(img[x, y, c]) + shift[hl.i32(luma[x, y])])

    yo, yi, xo, xi = map(hl.RVar, ("yo", "yi", "xo", "xi"))
    histogram.compute_root().vectorize(i, 16)
    strips = histogram.update().split(r.y, yo, yi, 64).split(r.x, xo, xi, 4).rfactor([(yo, strip), (xi, lane)])
    strips.compute_root().parallel(strip).vectorize(i, 16)
    strips.update().reorder(lane, xo, yi, strip).parallel(strip).unroll(lane)
    luma.clone_in(strips).compute_at(strips, yi).vectorize(x, 32)
    histogram.update().vectorize(i, 16)
    cumulative.compute_root().bound(i, 0, 256)
    shift.compute_root().bound(i, 0, 256).vectorize(i, 16)
    out.reorder(c, x, y).bound(c, 0, 3).unroll(c).parallel(y, 16).vectorize(x, 32)
    return out.compile_to_callable([img], hl.get_jit_target_from_environment())


def numba_equalise() -> Any:
    import numba

    @numba.njit
    def luma(p, y, x):
        return (77 * np.int32(p[0, y, x]) + 150 * np.int32(p[1, y, x]) + 29 * np.int32(p[2, y, x])) // 256

    @numba.njit(parallel=True, fastmath=True)
    def equalise(p, out):
        _, h, w = p.shape
        strips = np.zeros((48, 256), np.uint32)
        for strip in numba.prange(48):
            for y in range(h * strip // 48, h * (strip + 1) // 48):
                for x in range(w):
                    strips[strip, luma(p, y, x)] += 1
        running = np.cumsum(strips.sum(0))
        shift = (running * 255 // running[255]).astype(np.int32) - np.arange(256).astype(np.int32)
        for y in numba.prange(h):
            for x in range(w):
                s = shift[luma(p, y, x)]
                for c in range(3):
                    out[c, y, x] = min(max(np.int32(p[c, y, x]) + s, 0), 255)

    return equalise


def numpy_equalise(p: np.ndarray) -> np.ndarray:
    r, g, b = p.astype(np.uint16)
    luma = (77 * r + 150 * g + 29 * b) // 256
    running = np.cumsum(np.bincount(luma.ravel(), minlength=256))
    shift = (running * 255 // running[255] - np.arange(256)).astype(np.int16)
    return np.clip(p + shift[luma], 0, 255).astype(np.uint8)

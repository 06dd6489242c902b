"""The histogram of a u8 picture: increments at computed places, in strips that have their own."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560


def case() -> Case:
    rng = np.random.default_rng(0)
    light = np.linspace(20, 140, WIDTH) + np.linspace(0, 60, HEIGHT)[:, None]
    img = np.clip(light + rng.normal(0, 8, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
    return Case("histogram", {"img": img}, (256,), np.uint32, func, schedule, numpy_histogram, bytes=HEIGHT * WIDTH,
                flops=HEIGHT * WIDTH, computes="i32", peers={"halide": halide_histogram, "opencv": opencv_histogram})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def histogram(i, *, img: halo.u8[:, ::1]):
        histogram[i] = halo.u32(0)
        for y, x in halo.rdom(img):
            histogram[img[y, x]] += 1

    @halo.func
    def counts(i):
        return histogram[i]

    return counts


def schedule(counts: halo.Func) -> None:
    histogram = counts["histogram"]
    counts.vectorize("i", 16)
    histogram.compute_root().vectorize("i", 16)
    strips = (
        histogram.update(0).split("y", "yo", "yi", 64).split("x", "xo", "xi", 4).rfactor({"yo": "strip", "xi": "lane"})
    )
    strips.compute_root().parallel("strip").vectorize("i", 16)
    strips.update(0).reorder("strip", "yi", "xo", "lane").parallel("strip").unroll("lane")
    histogram.update(0).vectorize("i", 16)


def halide_histogram() -> Any:
    import halide as hl

    i, strip, lane = map(hl.Var, ("i", "strip", "lane"))
    img, histogram, counts = hl.ImageParam(hl.UInt(8), 2, "img"), hl.Func("histogram"), hl.Func("counts")
    r = hl.RDom([(0, WIDTH), (0, HEIGHT)], "r")
    histogram[i] = hl.u32(0)
    histogram[hl.i32(img[r.x, r.y])] += hl.u32(1)
    counts[i] = histogram[i]
    yo, yi, xo, xi = map(hl.RVar, ("yo", "yi", "xo", "xi"))
    counts.vectorize(i, 16)
    histogram.compute_root().vectorize(i, 16)
    strips = histogram.update().split(r.y, yo, yi, 64).split(r.x, xo, xi, 4).rfactor([(yo, strip), (xi, lane)])
    strips.compute_root().parallel(strip).vectorize(i, 16)
    strips.update().reorder(lane, xo, yi, strip).parallel(strip).unroll(lane)
    histogram.update().vectorize(i, 16)
    return counts.compile_to_callable([img], hl.get_jit_target_from_environment())


def opencv_histogram() -> Any:
    import cv2

    return lambda img, out: np.copyto(out, cv2.calcHist([img], [0], None, [256], [0, 256])[:, 0], casting="unsafe")


def numpy_histogram(img: np.ndarray) -> np.ndarray:
    return np.bincount(img.ravel(), minlength=256).astype(np.uint32)

"""A recursive low pass of an f32 picture, there and back along y and along x: the second by way of two transpositions."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

HEIGHT, WIDTH = 1536, 2560
ALPHA = float(np.float32(0.3))


def case() -> Case:
    img = np.random.default_rng(0).uniform(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    return Case("iir", {"img": img}, img.shape, np.float32, func, schedule, numpy_iir, wide=True, tolerance=1e-5,
                bytes=16 * HEIGHT * WIDTH, flops=12 * HEIGHT * WIDTH, peers={"halide": halide_iir})  # fmt: skip


def func() -> halo.Func:
    img = halo.Input("img", halo.f32, ndim=2)

    def low_pass(name: str, source: Any, length: Any) -> halo.Func:
        y, x, f = halo.Var("y"), halo.Var("x"), halo.Func(name)
        f[y, x] = source[y, x]
        k = halo.rdom(halo.range(1, length), names="k").k
        f[k, x] = ALPHA * source[k, x] + (1 - ALPHA) * f[k - 1, x]
        k = halo.rdom(halo.range(1, length), names="k").k
        at = length - 1 - k
        f[at, x] = ALPHA * f[at, x] + (1 - ALPHA) * f[at + 1, x]
        return f

    def transposed(name: str, f: halo.Func) -> halo.Func:
        y, x, g = halo.Var("y"), halo.Var("x"), halo.Func(name)
        g[y, x] = f[x, y]
        return g

    turned = transposed("turned", low_pass("along_y", img, img.shape[0]))
    return transposed("iir", low_pass("along_x", turned, img.shape[1]))


def schedule(iir: halo.Func) -> None:
    # Strips of 32 columns are filtered in the cache, and written transposed in tiles that fit registers.
    for name, filtered in (("turned", "along_y"), ("iir", "along_x")):
        turned, f = iir[name], iir[filtered]
        turned.compute_root().split("y", "yo", "y", 32).parallel("yo")
        turned.tile("y", "x", "y", "x", "yi", "xi", 8, 16).vectorize("xi").unroll("yi").reorder(
            "yo", "x", "y", "yi", "xi"
        )
        f.compute_at(turned, "yo").vectorize("x", 16)
        for k in range(2):
            f.update(k).reorder("k", "x").vectorize("x", 16)


def halide_iir() -> Any:
    import halide as hl

    x, y, yo, xi, yi = map(hl.Var, ("x", "y", "yo", "xi", "yi"))
    img = hl.ImageParam(hl.Float(32), 2, "img")

    def low_pass(name: str, source: Any, length: Any) -> Any:
        f, k = hl.Func(name), hl.RDom([(1, length - 1)], "k")
        f[x, y] = source[x, y]
        f[x, k] = ALPHA * source[x, k] + (1 - ALPHA) * f[x, k - 1]
        at = length - 1 - k
        f[x, at] = ALPHA * f[x, at] + (1 - ALPHA) * f[x, at + 1]
        turned = hl.Func(f"{name}_turned")
        turned[x, y] = f[y, x]
        turned.compute_root().split(y, yo, y, 32).parallel(yo)
        turned.tile(x, y, xi, yi, 16, 8).vectorize(xi).unroll(yi).reorder(xi, yi, y, x, yo)
        f.compute_at(turned, yo).vectorize(x, 16)
        for n in range(2):
            f.update(n).reorder(x, k).vectorize(x, 16)
        return turned

    out = low_pass("along_x", low_pass("along_y", img, img.height()), img.width())
    return out.compile_to_callable([img], hl.get_jit_target_from_environment())


def numpy_iir(img: np.ndarray) -> np.ndarray:
    for _ in range(2):
        f = img.copy()
        for k in range(1, len(f)):
            f[k] = ALPHA * img[k] + (1 - ALPHA) * f[k - 1]
        for k in reversed(range(len(f) - 1)):
            f[k] = ALPHA * f[k] + (1 - ALPHA) * f[k + 1]
        img = np.ascontiguousarray(f.T)
    return img

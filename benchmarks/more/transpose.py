"""Transpose an f32 matrix of 4096 x 4096: tiles in registers, limited by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from ..case import Case

N = 4096


def case() -> Case:
    a = np.random.default_rng(0).standard_normal((N, N), np.float32)
    return Case("transpose", {"a": a}, (N, N), np.float32, func, schedule, lambda a: np.ascontiguousarray(a.T),
                bytes=8 * N * N, peers={"halide": halide_transpose, "opencv": opencv_transpose})  # fmt: skip


def func() -> halo.Func:
    @halo.func
    def transpose(y, x, *, a: halo.f32[:, ::1]):
        return a[x, y]

    return transpose


def schedule(transpose: halo.Func) -> None:
    block = transpose.inputs["a"].in_(transpose)
    transpose.tile("y", "x", "y", "x", "yi", "xi", 16, 16).vectorize("xi").unroll("yi")
    transpose.split("y", "yo", "y", 4).parallel("yo").reorder("yo", "x", "y")
    block.compute_at(transpose, "y").vectorize("i1").unroll("i0")


def halide_transpose() -> Any:
    import halide as hl

    x, y, xi, yi, yo = map(hl.Var, ("x", "y", "xi", "yi", "yo"))
    a, transpose = hl.ImageParam(hl.Float(32), 2, "a"), hl.Func("transpose")
    transpose[x, y] = a[y, x]
    block = a.in_(transpose)
    transpose.tile(x, y, xi, yi, 16, 16).vectorize(xi).unroll(yi).split(y, yo, y, 4).parallel(yo).reorder(
        xi, yi, y, x, yo
    )
    block.compute_at(transpose, y).vectorize(block.args()[0]).unroll(block.args()[1])
    return transpose.compile_to_callable([a], hl.get_jit_target_from_environment())


def opencv_transpose() -> Any:
    import cv2

    return lambda a, out: cv2.transpose(a, dst=out)

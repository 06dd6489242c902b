"""Every operator against its NumPy reference: on arrays, as a Tensor, and both the same bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import halo
from halo import nn

RNG = np.random.default_rng(0)


def r(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, np.float32)


def ints(*shape: int, low: int = -6, high: int = 7, dtype: Any = np.int32) -> np.ndarray:
    return RNG.integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype(np.bool_)


def powers() -> np.ndarray:
    """Floats of all sizes, subnormal and infinite too."""
    return np.concatenate([2.0 ** np.arange(-149, 128) * 1.5, 2.0 ** np.arange(-149, 128), [0, np.inf]]).astype(
        np.float32
    )


def within(*shape: int) -> np.ndarray:
    """Floats between -1 and 1."""
    return np.tanh(r(*shape))


CASES: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "absolute": [((r(3, 4),), {}), ((ints(3, 4),), {})],
    "acos": [((within(3, 4),), {})],
    "acosh": [((abs(r(3, 4)) + 1,), {})],
    "all": [((bools(3, 4),), {}), ((bools(3, 4, 2),), {"axes": (1,), "keepdims": True}), ((bools(2, 0),), {"axes": (1,)})],
    "any": [((bools(3, 4),), {}), ((bools(3, 4, 2),), {"axes": (-1, 0)}), ((bools(2, 0),), {"axes": (1,)})],
    "arange": [((np.int64(3), np.int64(-2)), {"length": 5}), ((np.float32(0.5), np.float32(0.25)), {"length": 7}),
               ((np.int32(1), np.int32(1)), {"length": 0})],
    "argmax": [((r(3, 4, 5),), {}), ((ints(3, 4, high=-3),), {"axis": -1, "keepdims": True, "last": True}),
               ((ints(3, 4, high=-3),), {"axis": 1})],
    "argmin": [((r(3, 4, 5),), {"axis": 1}), ((ints(3, 4, low=5),), {"axis": 0, "last": True}),
        ((r(7).astype(np.float64),), {})],
    "affine_grid": [((r(2, 2, 3),), {"size": (3, 4)}), ((r(1, 3, 4),), {"size": (2, 3, 1), "align_corners": True})],
    "argsort": [((r(3, 7),), {}), ((ints(4, 5, high=-2),), {"axis": 0}), ((ints(9, high=-2),), {"descending": True}),
                ((np.array([1, np.nan, 3, np.nan, 2], np.float32),), {"descending": True})],
    "asin": [((within(3, 4),), {})],
    "asinh": [((r(3, 4),), {})],
    "atan": [((r(3, 4),), {})],
    "atanh": [((within(3, 4) * np.float32(0.9),), {})],
    "attention": [((r(2, 5, 8), r(2, 7, 8), r(2, 7, 3)), {}),
                  ((r(20, 8), r(8, 33), r(33, 40), r(33)), {"k_layout": "DT", "scale": 0.5}),
                  ((r(2, 1, 3, 4).astype(np.float16), r(3, 5, 4).astype(np.float16), r(5, 4).astype(np.float16)), {})],
    "bitwise_and": [((ints(3, 4), ints(4)), {}), ((bools(3), bools(3)), {})],
    "bitwise_not": [((ints(3, 4),), {}), ((ints(5, low=0, dtype=np.uint8),), {})],
    "bitwise_or": [((ints(3, 4), ints(4)), {})],
    "bitwise_xor": [((ints(3, 1), ints(4)), {})],
    "broadcast_to": [((r(3, 1),), {"shape": (2, 3, 4)}), ((r(),), {"shape": (2,)}), ((r(1, 2),), {"shape": (0, 2)})],
    "cast": [((np.array([-1.5, 2.5, 300, -300, np.nan, np.inf], np.float32),), {"dtype": "int8"}),
             ((np.array([0, 2, 255], np.uint8),), {"dtype": "bool"}), ((ints(3, low=-300, high=300),), {"dtype": "uint8"}),
             ((r(3, 4),), {"dtype": "float16"}), ((bools(5),), {"dtype": "f64"}), ((ints(3, 4),), {"dtype": "i64"}),
             ((r(40) * 900,), {"dtype": "f8e4m3fn"}), ((r(40) * 900,), {"dtype": "f8e4m3fnuz", "saturate": False}),
             ((r(40) * 9e4,), {"dtype": "f8e5m2", "saturate": False}), ((r(40) * 9,), {"dtype": "f4e2m1"}),
             ((powers(),), {"dtype": "f8e8m0"}), ((powers(),), {"dtype": "f8e8m0", "round_mode": "nearest"}),
             ((powers(),), {"dtype": "f8e8m0", "round_mode": "down"}), ((ints(40, low=-20, high=20),), {"dtype": "i4"}),
             ((ints(16, low=-8, high=8, dtype=halo.i4.dtype),), {"dtype": "f16"}),
             ((r(40).astype(halo.f8e5m2.dtype),), {"dtype": "f8e4m3fn"})],
    "celu": [((r(3, 4),), {"alpha": 2.0})],
    "col2im": [((r(1, 12, 6),), {"size": (3, 4), "kernel": (2, 2)}),
        ((r(2, 8, 9),), {"size": (5, 5), "kernel": (2, 2), "strides": 2, "padding": 1}),
               ((ints(1, 3, 4),), {"size": (8,), "kernel": (3,), "dilation": 2})],
    "conv": [
        ((r(2, 3, 9), r(4, 3, 3), r(4)), {"padding": (1, 2), "strides": 2}),
        ((r(1, 2, 40), r(3, 2, 5)), {"padding": 3, "strides": 7, "dilation": 2}),
        ((r(1, 4, 5, 6, 4), r(6, 2, 2, 3, 1)), {"groups": 2, "dilation": (1, 2, 1), "padding": 1}),
        ((ints(1, 2, 5, 5), ints(3, 2, 3, 3)), {}),
        ((r(1, 1, 3, 3).astype(np.float64), r(1, 1, 2, 2).astype(np.float64)), {}),
    ],
    "conv2d_winograd": [
        ((r(2, 2, 7, 6, 4), r(6, 6, 3, 2, 4, 8), r(3, 8)), {"tile": 4, "padding": (1, 0, 2, 1), "layout": "NCHW4c"}),
        ((r(1, 1, 5, 5, 16), r(4, 4, 1, 1, 16, 16)), {"tile": 2, "layout": "NCHW16c"}),
    ],
    "conv_transpose": [
        ((r(2, 3, 5), r(3, 4, 3), r(4)), {"strides": 2, "padding": (1, 0), "output_padding": 1}),
        ((r(1, 4, 4, 3), r(4, 3, 2, 3)), {"groups": 2, "strides": (3, 2), "dilation": (1, 2)}),
        ((r(1, 1, 2, 2, 3), r(1, 2, 2, 2, 2)), {}),
    ],
    "cosh": [((r(3, 4),), {})],
    "cumprod": [((r(3, 4),), {"axis": 1}), ((ints(2, 3),), {"exclusive": True}),
        ((r(5),), {"reverse": True, "exclusive": True})],
    "cumsum": [((r(3, 4),), {"axis": 1}), ((ints(2, 3),), {"exclusive": True}), ((r(5),), {"reverse": True}),
               ((r(2, 1),), {"axis": -1, "exclusive": True, "reverse": True}), ((r(0, 3),), {"axis": 0})],
    "deformable_columns": [
        ((r(2, 4, 5, 6), r(2, 36, 5, 6) * 2, abs(r(2, 18, 5, 6))), {"kernel": (3, 3), "padding": 1, "groups": 2}),
        ((r(1, 3, 6, 5), r(1, 8, 3, 2) * 3), {"kernel": (2, 2), "strides": (2, 3), "padding": (1, 0, 0, 1), "dilation": 2}),
    ],
    "det": [((r(4, 4),), {}), ((r(2, 3, 5, 5),), {}), ((np.float32([[0, 1, 0], [0, 0, 1], [1, 0, 0]]),), {}),
            ((np.ones((3, 3)),), {}), ((r(2, 6, 6).astype(np.float16),), {})],
    "dft": [((r(2, 8, 1),), {"length": 8}), ((r(2, 5, 2),), {"length": 7, "axis": 1, "inverse": True}),
        ((r(9, 3, 1),), {"length": 6, "axis": 0, "onesided": True}),
            ((np.stack([r(4), np.float32([0, 1, 2, 0])], -1),), {"length": 6, "axis": 0, "inverse": True, "onesided": True}),
            ((r(3, 8, 2).astype(np.float16),), {"length": 4}), ((r(2, 3, 1).astype(np.float64),), {"length": 5})],
    "einsum": [((r(3, 4), r(4, 5)), {"equation": "ij,jk"}), ((r(4, 4),), {"equation": "ii->i"}),
        ((r(3, 4),), {"equation": "ij->"}),
               ((r(2, 3, 4), r(2, 4, 5)), {"equation": "...ij,...jk->...ik"}), ((ints(3), ints(4)), {"equation": "i,j->ji"}),
               ((r(1, 3), r(2, 3)), {"equation": "bi,bi->b"}), ((r(2, 3, 3),), {"equation": "...ii->...i"})],
    "equal": [((ints(3, 4), ints(4)), {}), ((bools(3), bools(3)), {}), ((r(3), r(3)), {})],
    "frame": [((r(3, 9),), {"size": 4, "step": 2}), ((r(2, 7, 3),), {"size": 3, "step": 4, "axis": 1}),
        ((ints(5),), {"size": 5, "step": 1, "axis": 0})],
    "gather_elements": [((r(3, 4), ints(2, 4, low=-3, high=3)), {}), ((r(3, 4), ints(3, 6, low=0, high=9)), {"axis": 1})],
    "gather_nd": [((r(3, 4, 2), ints(5, 2, low=-3, high=3)), {}),
        ((r(2, 3, 4), ints(2, 2, 1, low=0, high=3)), {"batch_dims": 1}),
                  ((r(3, 4), ints(2, low=0, high=3)), {})],
    "gelu": [((r(3, 4),), {}), ((r(3, 4),), {"approximate": "tanh"})],
    "greater": [((ints(3, 4), ints(4)), {})],
    "greater_equal": [((r(3, 4), r(4)), {})],
    "grid_sample": [((r(2, 3, 5, 4), within(2, 6, 3, 2) * np.float32(1.5)), {"mode": m, "padding": p, "align_corners": a})
                    for m, p, a in (("linear", "zeros", False), ("cubic", "border", True), ("linear", "reflection", False),
                                    ("nearest", "reflection", True))] + [((r(1, 2, 3, 4, 5), within(1, 2, 3, 2, 3)), {})],
    "group_norm": [((r(2, 6, 4, 3), r(6), r(6)), {"groups": 3}), ((r(2, 4, 5), r(4), r(4)), {"groups": 4, "epsilon": 0.1}),
                   ((r(3, 8), r(8), r(8)), {"groups": 2}), ((r(1, 4, 5, 300), r(4), r(4)), {"groups": 1}),
                   ((r(2, 4, 7).astype(np.float16), *np.ones((2, 4), np.float16)), {"groups": 2})],
    "gru": [((r(3, 2, 3), r(3, 27), r(9, 27), r(54)), {"kernel_layout": "IO"}),
            ((r(4, 2, 3), r(15, 3), r(15, 5), r(30), r(2, 5)), {}), ((r(3, 1, 2), r(6, 2), r(6, 2)), {"reverse": True}),
            ((r(3, 2, 2), r(9, 2), r(9, 3), r(18)), {"reset_after": True, "functions": ("softsign", "relu")}),
            ((r(4, 3, 2), r(9, 2), r(9, 3), r(18), r(3, 3), np.int32([4, 1, 3])), {"reverse": True})],
    "hard_swish": [((r(3, 4) * 3,), {})],
    "hardmax": [((r(3, 4),), {}), ((r(3, 4),), {"axis": 0})],
    "isinf": [((np.array([1, np.inf, -np.inf, np.nan], np.float32),), k) for k in ({}, {"negative": False}, {"positive": False})],
    "isnan": [((np.array([1, np.inf, np.nan], np.float64),), {})],
    "layer_norm": [((r(2, 3, 64), r(64), r(64)), {}), ((r(5, 32), r(32)), {"epsilon": 1e-3}),
                   ((r(3, 10), r(10), r(10)), {}), ((r(2, 3, 4), r(3, 4)), {"axis": 1, "epsilon": 0.1}),
                   ((r(2, 300), r(2, 300), r(300)), {"axis": 0}),
                   ((r(2, 6).astype(np.float16), np.ones(6, np.float16), np.ones(6, np.float16)), {"axis": 1})],
    "left_shift": [((ints(6, low=0, dtype=np.uint8), ints(6, low=0, high=10, dtype=np.uint8)), {}), ((ints(6), ints(6)), {})],
    "less": [((ints(3, 4), ints(4)), {})],
    "less_equal": [((r(3, 4), r(4)), {})],
    "log_softmax": [((r(3, 10),), {}), ((r(2, 3, 4),), {"axis": 0}), ((r(300),), {}), ((r(2, 21, 3, 70) * 90,), {"axis": 1}),
                    ((r(3, 20, 1).astype(np.float16),), {"axis": 1})],
    "logical_and": [((bools(3, 4), bools(4)), {})],
    "logical_not": [((bools(3, 4),), {})],
    "logical_or": [((bools(3, 4), bools(4)), {})],
    "logical_xor": [((bools(3, 4), bools(4)), {})],
    "logsumexp": [((r(3, 4) * 100,), {}), ((r(3, 4),), {"axes": (0,), "keepdims": True}), ((r(3, 4),), {"axes": ()})],
    "lstm": [((r(3, 2, 3), r(3, 36), r(9, 36), r(72)), {"kernel_layout": "IO"}),
             ((r(4, 2, 3), r(20, 3), r(20, 5), r(40), r(2, 5), r(2, 5), r(15)), {}),
             ((r(3, 1, 2), r(8, 2), r(8, 2)), {"reverse": True}), ((r(17, 14, 9), r(208, 9), r(208, 52) / 8), {}),
             ((r(3, 1, 7), r(52, 7), r(52, 13), r(104), r(1, 13), r(1, 13)), {}),
             ((r(9, 1, 1), r(20, 1), r(20, 5), r(40), r(1, 5)), {}),
             ((r(3, 5, 9), r(1056, 9), r(1056, 264) / 16, r(2112)), {}), ((r(5, 1, 264), r(1056, 264) / 16, r(1056, 264) / 16), {}),
             ((r(4, 3, 2), r(8, 2), r(8, 2), r(16), r(3, 2), r(3, 2), r(6), np.int32([4, 1, 3])), {})],
    "lp_pool": [((r(2, 3, 9, 8),), {"kernel": 3, "strides": 2, "padding": 1}),
        ((r(1, 2, 7),), {"kernel": 2, "p": 3, "layout": "NCW"}), ((r(1, 7, 6, 5),), {"kernel": 2, "layout": "NHWC"})],
    "lrn": [((r(2, 7, 3, 4),), {"size": 3, "alpha": 0.1}), ((r(2, 4, 3),), {"size": 4, "beta": 0.5, "bias": 2.0})],
    "matmul": [((r(3, 4), r(4, 5)), {}), ((r(2, 1, 3, 4), r(5, 4, 2)), {}), ((r(4), r(4, 5)), {}), ((r(2, 3, 4), r(4)), {}),
               ((r(4), r(4)), {}), ((ints(3, 4), ints(4, 2)), {}), ((r(0, 4), r(4, 2)), {})],
    "max": [((r(3, 4, 5),), {"axes": (0, -1)}), ((ints(3, 4),), {"axes": (1,), "keepdims": True}),
        ((r(2, 0),), {"axes": (1,)}), ((r(3, 37),), {"axes": (1,), "keepdims": True}),
        ((np.array([[1.0] * 20 + [np.nan], [-np.inf] * 21], np.float32),), {"axes": (1,)})],
    "max_pool_indices": [((r(2, 3, 8, 9),), {"kernel": 3, "strides": 2, "padding": 1}),
                         ((r(1, 2, 7),), {"kernel": 2, "layout": "NCW"}),
                         ((r(1, 2, 5, 6),), {"kernel": 2, "column_major": True})],
    "mel_weights": [((np.int64(64), np.int32(8000), np.float32(125), np.float32(3800)), {"bands": 12, "frequencies": 33}),
                    ((np.int32(16), np.int64(8192), np.float64(0), np.float64(4096)),
                     {"bands": 8, "frequencies": 9, "dtype": "f64"})],
    "mean": [((r(3, 4, 5),), {"axes": (1,)}), ((r(3, 4),), {"keepdims": True}), ((ints(3, 4),), {"axes": (0,)}),
             ((r(2, 3, 4, 19),), {"axes": (2, 3), "keepdims": True}), ((r(3, 50).astype(np.float64),), {"axes": (1,)})],
    "min": [((r(3, 4, 5),), {"axes": (0, 2)}), ((ints(3, 4),), {}), ((r(2, 3, 33),), {"axes": (1, 2)})],
    "mish": [((r(3, 4),), {})],
    "mod": [((ints(20), ints(20)), {}), ((ints(20), ints(20, low=1)), {"fmod": True}), ((r(20), r(20)), {}),
            ((r(20), r(20)), {"fmod": True}), ((ints(9, low=0, dtype=np.uint8), ints(9, low=1, dtype=np.uint8)), {})],
    "nonzero": [((np.array([[0, 5, 0], [7, 0, 1]]),), {"count": 3}), ((np.array([True, False, True]),), {"count": 2}),
                ((np.zeros((2, 2), np.float32),), {"count": 0})],
    "ngram_counts": [((ints(3, 20, low=0, high=3), ints(7, 3, low=0, high=3)), {"skips": 4}),
                     ((ints(2, 6, low=0, high=2), ints(5, 1, low=0, high=3)), {}),
                     ((ints(1, 1), ints(2, 3)), {"skips": 1}), ((ints(2, 4), ints(0, 2)), {})],
    "not_equal": [((ints(3, 4), ints(4)), {})],
    "one_hot": [((ints(3, 4, low=-5, high=6), np.float32(0), np.float32(2)), {"depth": 5}),
                ((ints(3), np.int64(1), np.int64(9)), {"depth": 4, "axis": 0})],
    "overlap_suppression": [((abs(r(1, 2, 9, 4)), -np.sort(-abs(r(1, 2, 9)))), {"most": 4, "threshold": 0.2, "least": 0.3}),
                            ((abs(r(2, 1, 7, 4)), -np.sort(-abs(r(2, 1, 7)))), {"most": 7, "threshold": 0.3, "centred": True}),
                            ((abs(r(1, 1, 37, 4)), -np.sort(-abs(r(1, 1, 37)))), {"most": 50, "threshold": 0.1})],
    "pad": [((r(3, 4),), {"before": (1, 0), "after": (0, 2), "value": 1.5}),
        ((r(3, 4),), {"before": (0, -1), "after": (2, -1)}),
            *(((r(4, 5),), {"before": (2, 1), "after": (3, 0), "mode": m}) for m in ("reflect", "edge", "wrap"))],
    "prod": [((r(3, 4, 5),), {"axes": (1,)}), ((ints(3, 4),), {}), ((r(2, 0),), {"axes": (1,)})],
    "reinterpret": [((r(3, 4),), {"dtype": "i32"}), ((ints(5, dtype=np.int8),), {"dtype": "uint8"}),
        ((bools(5),), {"dtype": "uint8"})],
    "resize": [
        *(((r(1, 2, 5, 6),), {"size": (1, 2, 8, 4), "mode": m}) for m in ("nearest", "linear", "cubic")),
        *(((r(7),), {"size": (4,), "coordinates": c}) for c in ("align_corners", "asymmetric", "half_pixel_symmetric")),
        *(((r(5),), {"size": (8,), "mode": "nearest", "nearest": n, "coordinates": "asymmetric"})
          for n in ("floor", "ceil", "round_prefer_ceil")),
        *(((r(9, 2),), {"size": (4, 2), "mode": m, "antialias": True}) for m in ("linear", "cubic")),
        ((r(6),), {"size": (9,), "mode": "cubic", "exclude_outside": True, "cubic": -0.5}),
        ((r(6),), {"size": (5,), "coordinates": "tf_crop_and_resize", "roi": ((0.4, 1.3),), "extrapolation": 9.0}),
        ((r(4),), {"size": (1,), "coordinates": "pytorch_half_pixel"}), ((r(4),), {"size": (2,), "scales": (0.6,)}),
    ],
    "reverse_sequence": [((r(4, 3), np.array([1, 4, 2])), {}),
        ((r(3, 4, 2), np.array([0, 3, 4])), {"batch_axis": 0, "time_axis": 1})],
    "right_shift": [((ints(6, low=0, dtype=np.uint8), ints(6, low=0, high=10, dtype=np.uint8)), {}), ((ints(6), ints(6)), {})],
    "rint": [((r(3, 4) * 3,), {}), ((np.array([0.5, 1.5, 2.5, -0.5]),), {})],
    "rnn": [((r(4, 2, 3), r(5, 3), r(5, 5), r(10), r(2, 5), np.int64([2, 4])), {}),
            ((r(3, 2, 3), r(3, 9), r(9, 9), r(18)), {"kernel_layout": "IO", "reverse": True}),
            ((r(4, 2, 3), r(5, 3), r(5, 5), r(10), r(2, 5)), {}),
            ((r(3, 2, 2), r(4, 2), r(4, 4)), {"reverse": True, "activation": "relu"})],
    "rms_norm": [((r(3, 10), r(10)), {}), ((r(2, 2, 400), r(400)), {}), ((r(5), r(5)), {}),
                 ((r(2, 3, 4), r(3, 4)), {"axis": 1, "epsilon": 0.1})],
    "scatter_elements": [((r(3, 4), ints(2, 4, low=-3, high=3), r(2, 4)), {}),
                         *(((ints(5), np.array([1, 1, -1]), ints(3)), {"reduction": k}) for k in ("add", "mul", "max", "min")),
                         ((r(2, 3), np.array([[0, 2], [1, 0]]), r(2, 2)), {"axis": 1, "reduction": "add"})],
    "scatter_nd": [((r(4, 3), np.array([[2], [0]]), r(2, 3)), {}),
        ((r(4, 3), np.array([[2, 1], [2, 1]]), r(2)), {"reduction": "add"}),
                   ((r(4), np.array([2]), r()), {})],
    "roi_align": [((r(2, 3, 6, 5), within(4, 4) * np.float32(7), ints(4, low=0, high=1)),
                   {"size": (2, 3), "samples": s, "scale": k, "mode": m, "half_pixel": h})
                  for s, k, m, h in ((2, 1.0, "avg", True), (3, 0.5, "avg", False), (2, 2.0, "max", True))],
    "selu": [((r(3, 4),), {})],
    "shrink": [((r(3, 4),), {"lambd": 0.3, "bias": 0.1}), ((ints(6),), {"lambd": 1.5, "bias": 1.5})],
    "sign": [((r(3, 4),), {}), ((ints(9),), {}), ((ints(9, low=0, dtype=np.uint16),), {})],
    "sinh": [((r(3, 4),), {})],
    "softplus": [((r(3, 4) * 30,), {})],
    "softsign": [((r(3, 4),), {})],
    "strided_slice": [((r(5, 6),), {"begin": (1, -1), "end": (4, 0), "strides": (1, -2)}),
        ((r(5, 6),), {"begin": (9,), "end": (2**63 - 1,), "axes": (1,)}),
                      ((r(4, 5, 6),), {"begin": (-2,), "end": (-1,), "axes": (-2,)})],
    "sort": [((r(3, 7),), {}), ((ints(4, 5),), {"axis": 0, "descending": True})],
    "sum": [((r(3, 4, 5),), {"axes": (0, 2)}), ((r(3, 4),), {"keepdims": True}), ((r(2, 3, 64),), {"axes": (2,)}),
        ((ints(3, 4, dtype=np.uint8, low=200, high=255),), {}),
            ((r(2, 0),), {"axes": (1,)}), ((r(3, 4),), {"axes": ()}), ((r(3, 9).astype(np.float16),), {"axes": (1,)})],
    "take": [((r(3, 4), ints(2, 2, low=-3, high=3)), {}), ((r(3, 4, 5), ints(2, low=-4, high=4)), {"axis": 1}),
        ((r(3, 4), np.int64(-1)), {"axis": -1}),
             ((r(3), np.array([7, -9])), {})],
    "tan": [((within(3, 4),), {})],
    "thresholded_relu": [((r(3, 4),), {"alpha": 0.5})],
    "tile": [((r(2, 3),), {"reps": (2, 1)}), ((r(2, 3),), {"reps": (0, 2)}), ((ints(3),), {"reps": (3,)})],
    "trilu": [((r(3, 4),), {}), ((r(2, 4, 3),), {"k": -1, "upper": False}), ((ints(3, 3),), {"k": 2})],
    "where": [((bools(3, 4), r(4), r(3, 1)), {}), ((bools(4), ints(4), ints(4)), {})],
    "winograd_weights": [((r(5, 3, 3, 3),), {"tile": 4}),
                         ((r(2, 1, 3, 3, 4, 8),), {"tile": 2, "kernel_layout": "OIHW4i8o"})],
    "ceil": [((r(3, 4),), {})],
    "cos": [((r(3, 4),), {})],
    "elu": [((r(3, 4),), {"alpha": 0.5})],
    "erf": [((r(3, 4),), {})],
    "floor": [((r(3, 4),), {})],
    "hard_sigmoid": [((r(3, 4),), {})],
    "leaky_relu": [((r(3, 4),), {"alpha": 0.1})],
    "log": [((abs(r(3, 4)) + 0.1,), {})],
    "negative": [((r(3, 4),), {})],
    "power": [((abs(r(3, 4)), r(4)), {}), ((ints(9), ints(9, low=0)), {}), ((r(4), ints(4)), {}),
              ((np.array([1, -1, 2, 0]), np.array([-3, -3, -1, 0])), {}), ((ints(4, low=1), np.float32([0.5, 2, 1.5, 0])), {})],
    "reciprocal": [((abs(r(3, 4)) + 1,), {})],
    "sin": [((r(3, 4),), {})],
    "add": [((r(5, 1, 3), r(4, 3)), {}), ((r(2, 3), r(1)), {})],
    "average_pool": [
        ((r(2, 5, 13, 14),), {"kernel": 3, "strides": 2, "padding": 1}),
        ((r(1, 2, 8, 8),), {"kernel": 2, "count_include_pad": True, "padding": 1}),
        ((r(1, 2, 9, 9),), {"kernel": 2, "ceil": True}),
        ((r(1, 2, 5, 6, 7),), {"kernel": 3, "strides": 2, "padding": 1, "layout": "NCDHW"}),
        ((r(1, 2, 9),), {"kernel": 2, "ceil": True, "padding": 1, "count_include_pad": True, "layout": "NCW"}),
        ((r(1, 2, 20, 20),), {"kernel": 12, "strides": 5, "padding": 2}),
        ((r(2, 9, 8, 20),), {"kernel": (3, 2), "strides": 2, "padding": 1, "layout": "NHWC"}),
        ((r(1, 20, 20, 2),), {"kernel": 12, "strides": 5, "padding": 2, "layout": "NHWC"}),
        ((r(1, 7, 3),), {"kernel": 2, "ceil": True, "count_include_pad": True, "padding": 1, "layout": "NWC"}),
    ],
    "batch_norm": [((r(2, 6, 4, 4), r(6), r(6), r(6), abs(r(6))), {}),
                   ((r(2, 4, 5, 6), r(6), r(6), r(6), abs(r(6))), {"axis": -1}),
                   ((r(3), r(3), r(3), r(3), abs(r(3))), {"axis": 0})],
    "clip": [((r(3, 4),), {"low": -0.5, "high": 0.5}), ((ints(3, 4).astype(np.uint8),), {"low": -3, "high": 2**40}),
             ((ints(3, 4),), {"low": -math.inf, "high": 2.0})],
    "concatenate": [((r(2, 3, 4), r(2, 1, 4), r(2, 5, 4)), {"axis": 1}), ((r(3), r(4)), {}),
        ((r(2, 2), r(2, 1)), {"axis": -1})],
    "conv2d": [
        ((r(2, 32, 14, 15), r(48, 32, 3, 3), r(48)), {"padding": 1}),
        ((r(1, 3, 14, 15), r(64, 3, 7, 7), r(64)), {"padding": 3, "strides": 2}),
        ((r(1, 20, 9, 8), r(20, 20, 3, 3)), {"padding": (0, 1, 2, 1), "strides": (2, 1), "dilation": 2}),
        ((r(1, 32, 7, 7), r(32, 32, 1, 1)), {}),
        ((r(2, 12, 9, 9), r(24, 4, 3, 3), r(24)), {"groups": 3, "padding": 1}),
        ((r(2, 9, 8, 20), r(3, 3, 20, 24), r(24)), {"layout": "NHWC", "kernel_layout": "HWIO", "padding": (0, 1, 2, 1),
                                                    "strides": (2, 1)}),
        ((r(1, 7, 8, 12), r(6, 3, 2, 4), r(6)), {"layout": "NHWC", "kernel_layout": "OHWI", "groups": 3, "dilation": 2}),
        ((r(1, 8, 9, 18), r(3, 3, 1, 18)), {"layout": "NHWC", "kernel_layout": "HWIO", "groups": 18, "padding": 1}),
        ((r(1, 3, 8, 9), r(5, 3, 3, 3)), {"out_layout": "NHWC"}),
    ],
    "depth_to_space": [((r(2, 12, 3, 5),), {"block": (2, 3)}), ((r(1, 8, 4, 4),), {"block": (2, 2), "mode": "CRD"}),
                       ((r(2, 6, 5),), {"block": (3,)}), ((r(1, 24, 2, 3, 2),), {"block": (2, 3, 2), "mode": "CRD"})],
    "dense": [((r(2, 3, 8).astype(np.float64), r(40, 8).astype(np.float64)), {}), ((ints(4, 3), ints(5, 3), ints(5)), {}),
        ((r(1, 70), r(100, 70), r(100)), {}), ((r(33, 70), r(32, 70)), {}), ((r(2, 3), r(5, 3)), {})],
    "divide": [((r(3, 4), abs(r(4)) + 1), {}),
               ((np.arange(-6, 6, dtype=np.int32).reshape(3, 4), np.array([2, -3, 5, -1], np.int32)), {})],
    "exp": [((r(3, 4),), {})],
    "extents": [((), {"values": (2, 3, 4), "shape": (3, 1)})],
    "flatten": [((r(2, 3, 4),), {}), ((r(2, 3, 4),), {"axis": -1})],
    "global_average_pool": [((r(2, 5, 7, 6),), {}), ((r(2, 7, 6, 40),), {"layout": "NHWC"}),
                            ((r(2, 7, 6, 3),), {"layout": "NHWC"})],
    "identity": [((r(3, 4),), {})],
    "layout_transform": [
        ((r(1, 20, 5, 6),), {"src": "NCHW", "dst": "NCHW16c"}),
        ((r(1, 2, 5, 6, 16),), {"src": "NCHW16c", "dst": "NCHW", "shape": (1, 20, 5, 6)}),
        ((r(40, 20, 3, 3),), {"src": "OIHW", "dst": "OIHW16i16o"}),
        ((r(5,),), {"src": "O", "dst": "O4o"}),
        ((r(2, 5, 6, 20),), {"src": "NHWC", "dst": "NCHW16c"}),
        ((r(1, 2, 5, 6, 16),), {"src": "NCHW16c", "dst": "NHWC", "shape": (1, 20, 5, 6)}),
        ((r(3, 3, 20, 40),), {"src": "HWIO", "dst": "OIHW16i16o"}),
    ],
    "max_pool": [
        ((r(2, 5, 13, 14),), {"kernel": 3, "strides": 2, "padding": 1}),
        ((r(1, 3, 9, 9),), {"kernel": 2, "ceil": True}),
        ((r(1, 3, 9, 9),), {"kernel": (2, 3), "padding": (0, 1, 1, 1), "dilation": 2}),
        ((r(2, 3, 7),), {"kernel": 3, "strides": 2, "padding": 1, "layout": "NCW"}),
        ((r(1, 2, 40, 40),), {"kernel": (12, 13), "strides": 7, "dilation": 2, "padding": 3}),
        ((ints(1, 2, 5, 4, 6),), {"kernel": 2, "layout": "NCDHW"}),
        ((r(2, 9, 8, 20),), {"kernel": (3, 2), "strides": 2, "padding": 1, "layout": "NHWC"}),
        ((r(1, 30, 30, 3),), {"kernel": 12, "strides": 5, "padding": 4, "layout": "NHWC"}),
        ((r(1, 5, 4, 6, 3),), {"kernel": 2, "padding": (1, 0, 0), "ceil": True, "layout": "NDHWC"}),
    ],
    "maximum": [((r(3, 4), r(4)), {})],
    "merge_groups": [((r(12, 2, 3, 3),), {"groups": 6, "into": 2})],
    "minimum": [((r(3, 4), r(4)), {})],
    "multiply": [((r(3, 1), r(1, 4)), {})],
    "relu": [((r(3, 4),), {}), ((np.float32(-1.0),), {})],
    "repeat": [((r(2, 3, 4),), {"repeats": 3, "axis": 1}), ((r(2, 3),), {"repeats": 2, "axis": -1})],
    "reshape": [((r(2, 3, 4),), {"shape": (4, -1)})],
    "rsqrt": [((abs(r(3, 4)) + 1,), {})],
    "sigmoid": [((r(3, 4),), {})],
    "softmax": [((r(2, 3, 37) * 30,), {}), ((r(3, 10),), {}), ((r(2, 3, 4),), {"axis": 1}), ((r(7),), {}), ((r(3, 1),), {}),
                ((r(2, 300),), {}), ((r(2, 5, 150),), {"axis": 1}), ((r(4, 6, 1, 1),), {"axis": 1}),
                ((r(9, 2, 20).astype(np.float64),), {"axis": 0}), ((r(2, 9, 40).astype(np.float16),), {"axis": 1})],
    "sqrt": [((abs(r(3, 4)),), {})],
    "subtract": [((r(3, 4), r(4)), {})],
    "tanh": [((r(3, 4),), {})],
    "topk": [((r(3, 40),), {"k": 5}), ((ints(4, 5, 6, high=-2),), {"k": 2, "axis": 1, "largest": False}),
             ((r(3, 4),), {"k": 0}), ((r(70),), {"k": 1}), ((r(2, 90),), {"k": 40}), ((r(3, 9).astype(np.float64),), {"k": 2})],
    "transpose": [((r(2, 3, 4),), {"axes": (0, 2, 1)}), ((r(2, 3),), {}), ((r(70, 33),), {}), ((r(5),), {}),
                  ((r(2, 17, 3, 40),), {"axes": (2, 3, 0, 1)}), ((ints(2, 90, 16, dtype=np.int8),), {"axes": (0, 2, 1)}),
                  ((r(20, 2, 99).astype(np.float64),), {"axes": (1, 2, 0)}), ((bools(64, 64),), {})],
}  # fmt: skip
CALLS = [[pytest.param(name, *call, id=f"{name}{k}") for k, call in enumerate(of)] for name, of in CASES.items()]
ALL = [p for of in CALLS for p in of]
ENDS = [p for of in CALLS for p in of[:: max(len(of) - 1, 1)]]  # the first and the last of each


def error(got: np.ndarray, want: np.ndarray) -> float:
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if got.dtype.kind == "V":  # whose NaNs NumPy does not know
        got, want = got.astype(np.float64), want.astype(np.float64)
    if got.dtype.kind != "f" or not want.size or not np.isfinite(want.astype(np.float64)).all():
        np.testing.assert_array_equal(got, want)
        return 0.0
    return float(np.abs(got - want).max() / max(float(np.abs(want).max()), 1e-30))


@pytest.mark.parametrize(("name", "args", "attrs"), ALL)
def test_on_arrays_as_numpy(name: str, args: Any, attrs: Any) -> None:
    op = nn.OPS[name]
    want = op.reference(*args, **attrs)
    assert error(op(*args, **attrs), np.asarray(want)) < (2e-3 if np.asarray(want).dtype == np.float16 else 1e-5)
    types = tuple(nn.tensor(a).type for a in args)
    padded = (*types, *(None,) * (0 if op.variadic else len(op.params) - len(args)))
    assert op.infer(padded, op.bound(args, attrs)[1]).shape == np.shape(want)


@pytest.mark.parametrize(("name", "args", "attrs"), ENDS)
def test_tensors_give_the_same_bits(name: str, args: Any, attrs: Any) -> None:
    """What an operator makes of its operands does not depend on who gives them."""
    op = nn.OPS[name]
    if not args or not all(map(np.ndim, args)):
        pytest.skip("inputs are arrays")
    inputs = [halo.Input(f"a{k}", a.dtype, shape=a.shape) for k, a in enumerate(args)]
    out = op(*inputs, **attrs)
    got = out(**{f"a{k}": a for k, a in enumerate(args)})
    assert error(got, op(*args, **attrs)) == 0


@pytest.mark.parametrize(("call", "says"), [
    (lambda x: nn.transpose(x, axes=(0, 1.0)), "transpose: axes is a tuple of integers, not"),
    (lambda x: nn.strided_slice(x, begin=(0.5,), end=(2,)), "strided_slice: begin is a tuple of integers, not"),
    (lambda x: nn.concatenate(x, x, axis=0.5), "concatenate: axis is an integer, not 0.5"),
    (lambda x: nn.softmax(x, axis="a"), "softmax: axis is an integer, not 'a'"),
    (lambda x: nn.layout_transform(x, src=1, dst="NC"), "layout_transform: src is a text, not 1"),
    (lambda x: nn.elu(x, alpha="a"), "elu: alpha is a number, not 'a'"),
    (lambda x: nn.clip(x.astype(np.int8), low=0.5, high=3), "from an integer to another, not from 0.5 to 3"),
    (lambda x: nn.clip(x.astype(np.int8), low=200, high=300), "leaves nothing"),
    (lambda x: nn.clip(x > 0, low=0, high=1), "takes numbers"),
])  # fmt: skip
def test_attributes_are_of_their_types(call: Any, says: str) -> None:
    with pytest.raises(halo.ArgumentError, match=says):
        call(r(3, 4))


def test_what_has_no_entries() -> None:
    np.testing.assert_array_equal(nn.det(r(3, 0, 0)), np.ones(3, np.float32))
    np.testing.assert_array_equal(nn.ngram_counts(ints(2, 0), ints(3, 1)), np.zeros((2, 3), np.float32))


NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "maximum", "minimum", "less", "equal", "mod", "divide"]
)
def test_arithmetic_of_all_types(name: str, dtype: str) -> None:
    a, b = (RNG.integers(1, 9, 12).astype(dtype) for _ in range(2))
    op = nn.OPS[name]
    assert error(op(a, b), np.asarray(op.reference(a, b))) < 1e-6


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "argmax", "cumsum", "sort", "absolute", "sign"])
def test_reductions_of_all_types(name: str, dtype: str) -> None:
    x = RNG.integers(1, 5, (3, 4)).astype(dtype)
    op = nn.OPS[name]
    assert error(op(x), np.asarray(op.reference(x))) < 1e-6


@pytest.mark.parametrize("shape", [(2, 3, 7, 5), (4, 3, 3), (0, 3, 4), (5, 2, 2, 2)])
@pytest.mark.parametrize("name", ["sum", "max", "min", "mean"])
def test_axes_that_are_a_row_together(name: str, shape: tuple[int, ...]) -> None:
    x, op, axes = RNG.standard_normal(shape).astype(np.float32), nn.OPS[name], tuple(range(-(len(shape) - 1), 0))
    for keepdims in (True, False):
        got, want = (f(x, axes=axes[-2:], keepdims=keepdims) for f in (op, op.reference))
        assert got.shape == want.shape
        assert error(got, want) < 1e-6
        got, want = (f(x, axes=axes, keepdims=keepdims) for f in (op, op.reference))
        assert got.shape == want.shape
        assert error(got, want) < 1e-6


@pytest.mark.parametrize("src", (*NUMBERS, "bool", "float16"))
@pytest.mark.parametrize("dst", (*NUMBERS, "bool", "float16"))
def test_casts_between_all_types(src: str, dst: str) -> None:
    x = RNG.integers(0, 100, 9).astype(src)
    np.testing.assert_array_equal(nn.cast(x, dtype=dst), x.astype(dst))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_shapes_axes_and_broadcasts_as_numpy(data: st.DataObject) -> None:
    """Random shapes, zero extents among them: the rule, the values and NumPy agree."""
    shape = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    x = RNG.integers(-9, 9, shape).astype(np.int32)
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    signed = tuple(a - len(shape) if data.draw(st.booleans()) else a for a in axes)
    keep = data.draw(st.booleans())
    np.testing.assert_array_equal(
        nn.sum(x, axes=signed, keepdims=keep), x.sum(axis=axes, keepdims=keep, dtype=np.int32)
    )
    other = tuple(1 if data.draw(st.booleans()) else n for n in shape)[data.draw(st.integers(0, len(shape) - 1)) :]
    y = RNG.integers(-9, 9, other).astype(np.int32)
    np.testing.assert_array_equal(nn.subtract(x, y), x - y)
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    np.testing.assert_array_equal(nn.transpose(x, axes=order), x.transpose(order))
    begin, end, step = (data.draw(st.integers(-6, 6)) for _ in range(3))
    axis = data.draw(st.integers(0, len(shape) - 1))
    at = [slice(None)] * len(shape)
    at[axis] = slice(begin, end, step or 1)
    np.testing.assert_array_equal(
        nn.strided_slice(x, begin=(begin,), end=(end,), strides=(step or 1,), axes=(axis,)), x[tuple(at)]
    )
    if shape[axis]:
        i = RNG.integers(-shape[axis], shape[axis], (2,))
        np.testing.assert_array_equal(nn.take(x, i, axis=axis), np.take(x, i, axis))


def test_every_operator_has_cases_and_a_reference() -> None:
    builtin = {name for name, op in nn.OPS.items() if getattr(nn, name, None) is op}
    assert builtin == set(CASES)
    assert all(nn.OPS[name].reference is not None for name in builtin)
    assert all(nn.OPS[name].__doc__ for name in builtin)


def test_nan_and_negative_zero_go_through_relu_and_pools() -> None:
    x = np.array([[[[np.nan, 1.0], [-0.0, 2.0]]]], np.float32)
    assert np.isnan(nn.max_pool(x, kernel=2)).all()
    assert np.isnan(nn.relu(x)[0, 0, 0, 0])


@pytest.mark.parametrize(("call", "words"), [
    (lambda: nn.add(r(3), r(4)), "do not broadcast"),
    (lambda: nn.add(r(3), r(3).astype(np.float64)), "one type"),
    (lambda: nn.attention(r(2, 3), r(2, 4), r(2, 4)), "do not fit"),
    (lambda: nn.attention(r(2, 3), r(2, 3), r(2, 4), r(4, 4)), "is not of the scores"),
    (lambda: nn.attention(r(3), r(2, 3), r(2, 4)), "takes matrices"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 2, 3, 3)), "takes 2 channels"),
    (lambda: nn.conv2d(r(1, 3, 2, 2), r(4, 3, 3, 3)), "larger than the axis"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 3, 3, 3), padding=-1), "padding is"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 3, 3, 3), r(5)), "bias has"),
    (lambda: nn.conv2d(r(1, 3, 5, 5), r(4, 3, 3, 3), stride=2), "unexpected keyword"),
    (lambda: nn.winograd_weights(r(4, 3, 3, 3), tile=3), "no tiles of 3 x 3"),
    (lambda: nn.winograd_weights(r(4, 3, 5, 5), tile=2), "windows of 3 x 3"),
    (lambda: nn.conv2d_winograd(r(1, 1, 5, 5, 4), r(4, 4, 1, 1, 4, 4), tile=4, layout="NCHW4c"), "other extents"),
    (lambda: nn.conv2d_winograd(r(1, 4, 5, 5), r(4, 4, 1, 1, 4, 4), tile=2, layout="NCHW"), "takes NCHW"),
    (lambda: nn.conv2d_winograd(r(1, 1, 5, 5, 4), r(4, 4, 1, 1, 4, 4), r(4), tile=2, layout="NCHW4c"), "bias has"),
    (lambda: nn.dense(r(2, 3), r(4, 5)), "dense of 5 inputs"),
    (lambda: nn.max_pool(r(2, 3), kernel=2), "does not take 2 axes"),
    (lambda: nn.reshape(r(2, 3), shape=(4, 2)), "does not reshape"),
    (lambda: nn.softmax(r(2), axis=1), "no axis 1"),
    (lambda: nn.layout_transform(r(2), src="NCHW", dst="NC"), "does not go"),
    (lambda: nn.relu(r(2), strategy="fast"), "no strategy"),
    (lambda: nn.exp(ints(3)), "exp takes floats"),
    (lambda: nn.add(bools(3), bools(3)), "add takes numbers"),
    (lambda: nn.logical_and(r(3), r(3)), "takes truth values"),
    (lambda: nn.bitwise_and(r(3), r(3)), "takes integers and truth values"),
    (lambda: nn.where(r(3), r(3), r(3)), "condition of where"),
    (lambda: nn.sum(r(2, 3), axes=(2,)), "has no axis 2"),
    (lambda: nn.sum(r(2, 3), axes=(1, -1)), "each axis once"),
    (lambda: nn.argmax(r(2, 3), axis=5), "has no axis 5"),
    (lambda: nn.topk(r(2, 3), k=4), "no 4 largest"),
    (lambda: nn.cumsum(r(2), axis=-2), "has no axis -2"),
    (lambda: nn.take(r(3), r(2)), "indices of take takes integers"),
    (lambda: nn.take(r(0, 3), ints(2)), "nothing to take"),
    (lambda: nn.gather_elements(r(3, 4), ints(4, 4), axis=1), "do not lie within"),
    (lambda: nn.gather_nd(r(3, 4), ints(2, 3)), "are none of"),
    (lambda: nn.scatter_elements(r(3), ints(2), r(3)), "an index for each"),
    (lambda: nn.scatter_elements(r(3), ints(2), r(2), reduction="sum"), "no reduction 'sum'"),
    (lambda: nn.scatter_nd(r(3, 4), ints(2, 1), r(2, 3)), "are none of"),
    (lambda: nn.strided_slice(r(3), begin=(0,), end=(1,), strides=(0,)), "no stride 0"),
    (lambda: nn.pad(r(3), before=(1,), after=(1,), mode="mirror"), "no mode 'mirror'"),
    (lambda: nn.pad(r(3), before=(-2,), after=(-2,)), "leaves nothing"),
    (lambda: nn.tile(r(3), reps=(1, 2)), "an entry an axis"),
    (lambda: nn.broadcast_to(r(3), shape=(2,)), "do not broadcast"),
    (lambda: nn.matmul(r(2, 3), r(4, 2)), "do not multiply"),
    (lambda: nn.einsum(r(2), r(3), equation="i,i"), "do not broadcast"),
    (lambda: nn.einsum(r(2), equation="ij"), "does not name 1 axes"),
    (lambda: nn.einsum(r(2), equation="i->j"), "no operand has"),
    (lambda: nn.conv(r(1, 3, 5), r(4, 2, 3)), "does not take"),
    (lambda: nn.conv_transpose(r(1, 3, 5), r(4, 2, 3)), "does not take"),
    (lambda: nn.layer_norm(r(2, 3), r(4)), "broadcast"),
    (lambda: nn.group_norm(r(1, 4, 2), r(4), r(4), groups=3), "are not 3 groups"),
    (lambda: nn.gelu(r(2), approximate="sigmoid"), "no approximation"),
    (lambda: nn.resize(r(2), size=(-3,)), "no extent is negative"),
    (lambda: nn.resize(r(2), size=(3,), mode="area"), "no mode 'area'"),
    (lambda: nn.grid_sample(r(1, 1, 2, 2), r(1, 2, 3)), "are none of"),
    (lambda: nn.one_hot(ints(3), r(2), r(2), depth=3), "one value on"),
    (lambda: nn.roi_align(r(1, 1, 2, 2), r(3, 5), ints(3), size=(1, 1)), "are no regions of"),
    (lambda: nn.roi_align(r(1, 1, 2, 2), r(3, 4), ints(3), size=(1, 1), mode="sum"), "no mode 'sum'"),
    (lambda: nn.roi_align(r(1, 1, 2, 2), r(3, 4), ints(3), size=(0, 1)), "makes no"),
    (lambda: nn.roi_align(r(1, 1, 2, 2), r(3, 4), ints(3), size=(1, 1), samples=2**31), "of 2147483648 samples"),
    (lambda: nn.arange(np.int32(1), np.int64(1), length=2), "one type"),
    (lambda: nn.reinterpret(r(2), dtype="i64"), "the bits of"),
])  # fmt: skip
def test_what_does_not_fit_is_said(call: Any, words: str) -> None:
    if "strategy" in words:
        with pytest.raises(halo.ArgumentError, match=words):
            nn.relu(r(7, 7), strategy="fast")
        return
    with pytest.raises(halo.ArgumentError, match=words):
        call()


def test_an_operator_of_the_users_own() -> None:
    @nn.op(nn.Kind.ELEMENTWISE, reference=lambda x: x * x * x, general=nn.any_extent)
    def cube_of_test(x: Any) -> Any:
        return x

    @cube_of_test.strategy("direct")
    def _(x: Any) -> Any:
        return nn.elementwise("cube", lambda v: v * v * v, x)

    try:
        a = r(3, 5)
        np.testing.assert_allclose(cube_of_test(a), a**3, rtol=1e-5)
        out = cube_of_test(nn.relu(halo.Input("x", halo.f32, shape=("n", 5))))
        assert out.shape == (halo.Dim("n"), 5)
        np.testing.assert_allclose(out(x=a), np.maximum(a, 0) ** 3, rtol=1e-5)
    finally:
        del nn.OPS["cube_of_test"]

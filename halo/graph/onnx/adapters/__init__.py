"""What ONNX's operators mean: each one operators of `halo.nn`, of ONNX's newest semantics. A file a family."""

from . import (
    elementwise,
    indexing,
    matrices,
    normalisation,
    quantised,
    recurrent,
    reductions,
    sampling,
    shapes,
    sorting,
    windows,
)

__all__ = [
    "elementwise",
    "indexing",
    "matrices",
    "normalisation",
    "quantised",
    "recurrent",
    "reductions",
    "sampling",
    "shapes",
    "sorting",
    "windows",
]

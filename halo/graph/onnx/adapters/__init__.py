"""What ONNX's operators mean: each one operators of `halo.nn`, of ONNX's newest semantics. A file a family."""

from . import (
    elementwise,
    features,
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
    "features",
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

"""What ONNX's operators mean: each one operators of `halo.nn`, of ONNX's newest semantics. A file a family."""

from . import (
    attention,
    blocked,
    elementwise,
    features,
    indexing,
    matrices,
    microsoft,
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
    "attention",
    "blocked",
    "elementwise",
    "features",
    "indexing",
    "matrices",
    "microsoft",
    "normalisation",
    "quantised",
    "recurrent",
    "reductions",
    "sampling",
    "shapes",
    "sorting",
    "windows",
]

"""The blur of thirty megapixels."""

from __future__ import annotations

from . import blur
from .case import Case


def case() -> Case:
    return blur.case(6408, 4802, "blur_large")

"""The local Laplacian filter of a photograph of 512 x 512 x 3: 47 stages."""

from __future__ import annotations

from collections.abc import Iterator

from examples import local_laplacian, photo

from .measure import Result, best


def run() -> Iterator[Result]:
    picture = photo.colour("astronaut")
    ours = best(lambda: local_laplacian.enhance(picture))
    theirs = best(lambda: local_laplacian.reference(picture), seconds=0)
    yield Result("local Laplacian filter, 512 x 512 colour", ours * 1000, "ms")
    yield Result("    NumPy", theirs * 1000, "ms")

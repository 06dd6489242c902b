"""Real photographs to work on (scikit-image's own), and PNG files to look at what came out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

OUT = Path("out")


def grey(name: str = "camera") -> np.ndarray:
    """A photograph as u8[height, width]."""
    picture = getattr(data, name)()
    return picture if picture.ndim == 2 else (picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def colour(name: str = "astronaut") -> np.ndarray:
    """A photograph as u8[height, width, 3]."""
    return getattr(data, name)()


def save(name: str, picture: np.ndarray) -> Path:
    """Write u8 or float (0 to 1) pictures to out/NAME.png."""
    if picture.dtype.kind == "f":
        picture = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.png"
    Image.fromarray(picture).save(path)
    return path


def best_ms(f: Callable[..., Any], *args: Any, repeat: int = 5, **kwargs: Any) -> float:
    """The shortest time of some calls of f(*args, **kwargs), in milliseconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        f(*args, **kwargs)
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def report(name: str, picture: np.ndarray, ours: float, reference: float) -> None:
    """Save the picture and print its line of the table."""
    print(f"{name:<24} {ours:9.2f} ms   NumPy {reference:9.2f} ms   {reference / ours:6.1f} x   {save(name, picture)}")

"""The frames of a trace as pictures, for a GIF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .traces import Panel, State, TraceView

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["images"]

WHITE, BLACK, NEVER, LIVE, STORE, LOAD = range(6)
PALETTE = (255, 255, 255, 0, 0, 0, 235, 235, 235, 143, 180, 217, 11, 95, 176, 224, 138, 0)
WIDE, TITLE, GAP = 240, 16, 12  # pixels of a panel, of the line over it, and between panels


def images(view: TraceView) -> list[Image]:
    """A picture for each frame, all of one size. ImportError without Pillow."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError("a GIF needs Pillow: pip install pillow (the extra `image`)") from error
    sides = [max(2, min(16, WIDE // max(p.columns, 1))) for p in view.panels]
    widths = [max(p.columns * side, WIDE // 2) for p, side in zip(view.panels, sides, strict=True)]
    height = TITLE + max((p.rows * side for p, side in zip(view.panels, sides, strict=True)), default=0) + TITLE
    size = (GAP + sum(w + GAP for w in widths), height)
    made = []
    for number, states in enumerate(view.states()):
        picture = Image.new("P", size, WHITE)
        picture.putpalette(PALETTE)
        pen, left = ImageDraw.Draw(picture), GAP
        for p, s, side, width in zip(view.panels, states, sides, widths, strict=True):
            pen.text((left, 2), f"{p.name} {s.memory}".rstrip(), fill=BLACK)
            picture.paste(Image.fromarray(_pixels(p, s, side), "P"), (left, TITLE))
            left += width + GAP
        pen.text((GAP, height - TITLE + 2), f"step {view.ends[number]} of {view.steps}", fill=BLACK)
        made.append(picture)
    return made


def _pixels(p: Panel, s: State, side: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """A square of `side` pixels for each cell; what is loaded has a ring."""
    fill, ring = np.full(p.rows * p.columns, WHITE, np.uint8), np.zeros(p.rows * p.columns, bool)
    for cells, colour in ((p.shown, NEVER), (sorted(s.live), LIVE), (s.stored, STORE)):
        fill[cells] = colour
    ring[s.loaded] = True
    big = np.kron(fill.reshape(p.rows, p.columns), np.ones((side, side), np.uint8)).astype(np.uint8)
    edge = np.ones((side, side), bool)
    thick = max(side // 5, 1)
    edge[thick:-thick, thick:-thick] = side <= 2
    return np.where(np.kron(ring.reshape(p.rows, p.columns), edge), np.uint8(LOAD), big)

"""Orders of computation as a figure of matplotlib's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .order import Order, plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

__all__ = ["plot"]

NUMBERED = 24  # cells a side, up to which there is room for numbers


def plot(o: Order) -> Figure:
    """A picture for each grid, side by side. The figure belongs to no window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(o.grids), 4.5), layout="constrained")
    for k, g in enumerate(o.grids):
        axes = figure.add_subplot(1, len(o.grids), k + 1)
        first, times = np.array(plane(g.first)), np.array(plane(g.times))
        axes.imshow(np.ma.masked_equal(first, 0), cmap="viridis", vmin=1, vmax=max(o.steps, 1))
        for i, j in [] if g.is_update else np.argwhere(times > 1):
            axes.add_patch(_hatched(j, i))
        if max(first.shape) <= NUMBERED:
            for (i, j), n in np.ndenumerate(first):
                if n:
                    axes.text(j, i, str(n), ha="center", va="center", fontsize=7,
                              color="white" if n < 0.6 * o.steps else "black")  # fmt: skip
        axes.set_title(g.name)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def _hatched(x: int, y: int) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="//", edgecolor="darkorange", linewidth=0)

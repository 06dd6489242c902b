"""Orders of computation as HTML: tables, and an animation that can be scrubbed. No network, light and dark."""

from __future__ import annotations

import json
from html import escape

from .assets import asset, controls
from .order import Grid, Order, plane

__all__ = ["Animation", "tables"]


def tables(o: Order) -> str:
    """A table for each grid, side by side."""
    return (
        f"<div><style>{asset('order.css')}</style>{''.join(_table(g, o.steps, k) for k, g in enumerate(o.grids))}</div>"
    )


def _table(g: Grid, steps: int, number: int) -> str:
    first, times = plane(g.first), plane(g.times)
    rows = (
        "<tr>" + "".join(_cell(n, 1 if g.is_update else t, steps) for n, t in zip(row, again, strict=True)) + "</tr>"
        for row, again in zip(first, times, strict=True)
    )
    note = f": {g.recomputed} computations too many, hatched" if g.recomputed else ""
    caption = f"<caption>{escape(g.name)}{note}</caption>"
    return f'<div class="halo-order" data-grid="{number}"><table>{caption}{"".join(rows)}</table></div>'


def _cell(n: int, times: int, steps: int) -> str:
    if not n:
        return '<td class="never"></td>'
    lightness = 22 + round(68 * (n - 1) / max(steps - 1, 1))
    kind = ("dark" if lightness < 55 else "light") + (" again" if times > 1 else "")
    title = f' title="computed {times} times"' if times > 1 else ""
    return f'<td class="{kind}" style="background-color:hsl(210 70% {lightness}%)"{title}>{n}</td>'


class Animation:
    """An Order in motion. `str` of it is HTML that needs nothing else."""

    def __init__(self, order: Order) -> None:
        self.order = order

    def __str__(self) -> str:
        data = [
            {
                "stores": [[_number(cell, g), n] for cell, n in g.stores if _shown(cell)],
                "live": [[_number(cell, g), start, end] for cell, start, end in g.live if _shown(cell)],
            }
            for g in self.order.grids
        ]
        values = json.dumps(data, separators=(",", ":"))
        steps = self.order.steps
        script = f"{asset('player.js')}{asset('order.js')}order(root, {values}, {steps});"
        return (
            f"<div>{controls(steps, str(steps))}{tables(self.order)}"
            f"<script>(function (root) {{{script}}})(document.currentScript.parentElement);</script></div>"
        )

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"<an animation of {self.order.steps} steps>"


def _shown(cell: tuple[int, ...]) -> bool:
    """Whether the cell lies in the plane that a table shows."""
    return not any(cell[:-2])


def _number(cell: tuple[int, ...], g: Grid) -> int:
    width = g.first.shape[-1] if g.first.ndim else 1
    row, column = (0, 0, *cell)[-2:]
    return row * width + column

"""Orders of computation as HTML: tables, and an animation that can be scrubbed. No network, light and dark."""

from __future__ import annotations

import json
from html import escape

from .order import Grid, Order, plane

__all__ = ["Animation", "tables"]

# One hue from dark to light, so that the order is the lightness, whatever colours one sees; what is computed again is
# hatched. Numbers stand on their own background, so that neither theme of a page makes them hard to read.
_STYLE = """
.halo-order{display:inline-block;vertical-align:top;margin:0 1.5em 1em 0;font:12px ui-monospace,Consolas,monospace}
.halo-order caption{text-align:left;font-weight:bold;padding:2px 0;color:inherit}
.halo-order table{border-collapse:separate;border-spacing:1px;background:none}
.halo-order td{min-width:1.6em;padding:1px 3px;text-align:right;border:0;transition:opacity .1s}
.halo-order td.dark{color:#fff}.halo-order td.light{color:#000}.halo-order td.never{background:none}
.halo-order td.again{background-image:repeating-linear-gradient(45deg,transparent 0 4px,rgba(255,140,0,.75) 4px 6px)}
.halo-order td.wait{opacity:.08}.halo-order td.live{outline:2px solid #ff8c00;outline-offset:-2px}
"""


def tables(o: Order) -> str:
    """A table for each grid, side by side."""
    return f"<div><style>{_STYLE}</style>{''.join(_table(g, o.steps, k) for k, g in enumerate(o.grids))}</div>"


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
        script = _SCRIPT.replace("DATA", json.dumps(data, separators=(",", ":"))).replace(
            "STEPS", str(self.order.steps)
        )
        controls = (
            '<button type="button" aria-label="play or pause">play</button> '
            f'<input type="range" min="0" max="{self.order.steps}" value="{self.order.steps}" aria-label="step"> '
            f"<output>{self.order.steps}</output>"
        )
        return f"<div>{controls}{tables(self.order)}<script>{script}</script></div>"

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"<an animation of {self.order.steps} steps>"


# Cells appear when they are computed; a ring marks the values that wait in memory for their readers.
_SCRIPT = """
(function(){
const root=document.currentScript.parentElement,data=DATA,steps=STEPS;
const slider=root.querySelector("input"),said=root.querySelector("output"),button=root.querySelector("button");
const cells=[...root.querySelectorAll("[data-grid]")].map(g=>[...g.querySelectorAll("td")]);
function show(t){said.textContent=t;data.forEach((g,k)=>{
const done=new Set(),live=new Set();
g.stores.forEach(([c,n])=>{if(n<=t)done.add(c)});g.live.forEach(([c,a,b])=>{if(a<=t&&t<b)live.add(c)});
cells[k].forEach((td,c)=>{td.classList.toggle("wait",!done.has(c)&&!td.classList.contains("never"));
td.classList.toggle("live",live.has(c)&&t<steps)})})}
let timer=null;
function stop(){clearInterval(timer);timer=null;button.textContent="play"}
button.onclick=()=>{if(timer)return stop();if(+slider.value>=steps)slider.value=0;button.textContent="pause";
timer=setInterval(()=>{slider.value=+slider.value+Math.max(1,Math.round(steps/256));show(+slider.value);
if(+slider.value>=steps)stop()},60)};
slider.oninput=()=>{stop();show(+slider.value)};
})();
"""


def _shown(cell: tuple[int, ...]) -> bool:
    """Whether the cell lies in the plane that a table shows."""
    return not any(cell[:-2])


def _number(cell: tuple[int, ...], g: Grid) -> int:
    width = g.first.shape[-1] if g.first.ndim else 1
    row, column = (0, 0, *cell)[-2:]
    return row * width + column

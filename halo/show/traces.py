"""A trace as pictures: each array a panel, whose cells light up as they are loaded and stored, and pale as they wait in
memory. Halide's HalideTraceViz is the idea. All of it is made from the events of the trace, so it shows what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, here
from ..func.trace import Trace
from ..jit.python_trace import ALLOCATE, FREE, LOAD, STORE
from .assets import asset, controls
from .order import lifetimes

__all__ = ["Frame", "Panel", "State", "TraceView"]

SIZES = (
    (64, 400),
    (48, 300),
    (32, 240),
    (24, 160),
    (16, 100),
    (8, 60),
)  # cells a side, and frames: the first that is light
ENTRIES = 40_000  # cells that change or light up, in all frames together: about 200 kB of HTML
PLANES = 16  # of the outer axes that are shown beside each other
ROWS = 12  # of the timeline as text


@dataclass(frozen=True, eq=False)
class Panel:
    """One array: the box of it that the trace touches, as `rows` by `columns` cells of `cell` points each. Of more than two
    axes the planes of the last two are tiled, as many as `planes` of them."""

    name: str
    origin: tuple[int, ...]
    extents: tuple[int, ...]
    cell: tuple[int, int]
    rows: int
    columns: int
    planes: tuple[int, ...]
    is_input: bool

    def numbers(self, at: Any) -> Any:
        """The cell of each of the points `at` (a row each); -1 where its plane is not shown."""
        relative = np.asarray(at)[:, : len(self.extents)] - np.asarray(self.origin, np.int64)
        height, width = self._tile()
        zeros = np.zeros(len(relative), np.int64)
        row = relative[:, -2] // self.cell[0] if len(self.extents) > 1 else zeros
        column = relative[:, -1] // self.cell[1] if self.extents else zeros
        outer = self.extents[:-2]
        plane = np.ravel_multi_index(tuple(relative[:, : len(outer)].T), outer) if outer else zeros
        place = np.full(int(np.prod(outer, dtype=np.int64)), -1)
        place[list(self.planes)] = np.arange(len(self.planes))
        tile, across = place[plane], _across(len(self.planes))
        number = (tile // across * (height + 1) + row) * self.columns + tile % across * (width + 1) + column
        return np.where(tile < 0, -1, number)

    @property
    def shown(self) -> list[int]:
        """All cells, without the gaps between planes."""
        height, width = self._tile()
        across = _across(len(self.planes))
        return [
            (tile // across * (height + 1) + row) * self.columns + tile % across * (width + 1) + column
            for tile in range(len(self.planes))
            for row in range(height)
            for column in range(width)
        ]

    def _tile(self) -> tuple[int, int]:
        return _tile(self.extents, self.cell)

    def __str__(self) -> str:
        """What a cell and a tile are."""
        parts = [f"{'x'.join(map(str, self.extents)) or 'a scalar'} from {list(self.origin)}"]
        if self.cell != (1, 1):
            parts.append(f"a cell is {self.cell[0]}x{self.cell[1]} points")
        total = int(np.prod(self.extents[:-2], dtype=np.int64))
        if total > 1:
            parts.append(f"{len(self.planes)} of {total} planes")
        return ", ".join(parts)


@dataclass
class Frame:
    """What happens to a panel in a stretch of steps: cells stored and loaded, cells whose first value comes (`on`) and whose
    last one goes (`off`), and the memory it has afterwards (None: as before; empty: none)."""

    stored: list[int] = field(default_factory=list)
    loaded: list[int] = field(default_factory=list)
    on: list[int] = field(default_factory=list)
    off: list[int] = field(default_factory=list)
    memory: str | None = None

    @property
    def entries(self) -> int:
        return len(self.stored) + len(self.loaded) + len(self.on) + len(self.off)


class TraceView:
    """The animation: in a notebook HTML that needs nothing else; `save` writes a GIF or a page; `text(step)` and its repr say
    the same in letters."""

    def __init__(
        self, t: Trace, of: Sequence[str] | None = None, planes: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        names = tuple(t.arrays) if of is None else tuple(of)
        for name in (*names, *(planes or ())):
            if name not in t.arrays:
                raise ArgumentError(f"nothing happens to {name!r}", legal=t.arrays, loc=here())
        self.trace = t
        self.steps = int(t.events.step[-1]) + 1 if len(t) else 0
        for cells, frames in SIZES:
            count = min(self.steps, frames)
            self.ends = [-(-self.steps * k // max(count, 1)) for k in range(count + 1)]
            self.panels = tuple(_panel(t, name, cells, (planes or {}).get(name)) for name in names)
            self.frames: list[dict[int, Frame]] = [{} for _ in range(count)]
            for k, panel in enumerate(self.panels):
                for number, frame in _frames(t, panel, self.ends).items():
                    self.frames[number][k] = frame
            if sum(f.entries for frame in self.frames for f in frame.values()) <= ENTRIES:
                break

    # As text -----------------------------------------------------------------------------------------------------------

    def text(self, step: int | None = None) -> str:
        """The panels after `step` steps (at the end, if it is left out): S stored just now, l loaded, B both, o in memory,
        . nothing there."""
        now = self._frame(self.steps if step is None else step)
        states = next(s for k, s in enumerate(self.states()) if k == now)
        return "\n\n".join(_letters(p, s) for p, s in zip(self.panels, states, strict=True))

    def __repr__(self) -> str:
        rows = [("steps", *(p.name for p in self.panels))]
        slices = np.array_split(np.arange(len(self.frames)), min(ROWS, len(self.frames)) or 1)
        for part in (p for p in slices if len(p)):
            lo, hi = self.ends[part[0]], self.ends[part[-1] + 1]
            e = self.trace.events[(self.trace.events.step >= lo) & (self.trace.events.step < hi)]
            rows.append((f"{lo + 1}-{hi}", *(_summary(e, self.trace.arrays.index(p.name)) for p in self.panels)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join((*lines, *(f"{p.name}: {p}" for p in self.panels)))

    # As HTML -----------------------------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        data = {
            "panels": [{"rows": p.rows, "columns": p.columns, "there": p.shown if p.is_input else [], "shown": p.shown}
                       for p in self.panels],
            "frames": [[[k, f.stored, f.loaded, f.on, f.off, f.memory] for k, f in frame.items()] for frame in self.frames],
            "steps": self.ends,
        }  # fmt: skip
        values = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
        figures = "".join(
            f"<figure><figcaption>{escape(p.name)} <small></small></figcaption><canvas role='img' "
            f'aria-label="{escape(str(p))}"></canvas><p>{escape(str(p))}</p></figure>'
            for p in self.panels
        )
        key = (
            '<p><b style="background:#0b5fb0"></b> stored <b style="border:2px solid #e08a00;box-sizing:border-box"></b> '
            'loaded <b style="background:#8fb4d9"></b> in memory</p>'
        )
        buttons = controls(len(self.frames), f"step {self.steps}")
        script = f"{asset('player.js')}{asset('trace.js')}trace(root, {values});"
        return (
            f'<div class="halo-trace"><style>{asset("trace.css")}</style>{buttons}'
            f"{key}{figures}<details><summary>as text</summary><pre>{escape(repr(self))}</pre></details>"
            f"<script>(function (root) {{{script}}})(document.currentScript.parentElement);</script></div>"
        )

    # As a file ---------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, milliseconds: int = 60) -> None:
        """Write the animation to `path`: a GIF, each frame for so many `milliseconds`, or a page (.html). ImportError for a
        GIF without Pillow (the extra `image`), ArgumentError for any other kind of file."""
        target = Path(path)
        if target.suffix == ".html":
            target.write_text(
                f"<!doctype html><meta charset=utf-8><title>halo</title>{self._repr_html_()}", encoding="utf-8"
            )
            return
        if target.suffix != ".gif":
            raise ArgumentError(f"an animation is not written as {target.suffix or 'a file without a suffix'!r}",
                                legal=(".gif", ".html"), loc=here())  # fmt: skip
        from .trace_gif import images

        first, *others = images(self)
        first.save(target, save_all=True, append_images=others, duration=milliseconds, loop=0)

    def states(self) -> Iterator[tuple[State, ...]]:
        """The panels before the first frame, and after each."""
        states = tuple(State(set(p.shown) if p.is_input else set(), [], [], "") for p in self.panels)
        yield states
        for frame in self.frames:
            states = tuple(_after(s, frame.get(k, Frame())) for k, s in enumerate(states))
            yield states

    def _frame(self, step: int) -> int:
        if not 0 <= step <= self.steps:
            raise ArgumentError(f"there is no step {step} of {self.steps}", loc=here())
        return int(np.searchsorted(self.ends, step))


@dataclass(frozen=True)
class State:
    """Of a panel: the cells that hold values, those stored and loaded just now, the memory it has."""

    live: set[int]
    stored: list[int]
    loaded: list[int]
    memory: str


def _after(s: State, f: Frame) -> State:
    live = s.live if not (f.on or f.off) else (s.live | set(f.on)) - set(f.off)
    return State(live, f.stored, f.loaded, s.memory if f.memory is None else f.memory)


def _across(planes: int) -> int:
    """How many of so many tiles stand side by side."""
    return int(np.ceil(np.sqrt(planes)))


def _tile(extents: tuple[int, ...], cell: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the last two axes."""
    height, width = (1, 1, *extents)[-2:]
    return -(-height // cell[0]), -(-width // cell[1])


def _panel(t: Trace, name: str, most: int, chosen: Sequence[int] | None) -> Panel:
    """The panel of an array with `most` cells a side, over all planes, or the one `chosen` by its outer coordinates."""
    number = t.arrays.index(name)
    own = t.events[(t.events.array == number) & ((t.events.event == LOAD) | (t.events.event == STORE))]
    ndim = t.ndim[number]
    at = np.asarray(own.at)[:, :ndim]
    low = at.min(0) if len(at) else np.zeros(ndim, np.int64)
    extents = tuple((at.max(0) - low + 1).tolist()) if len(at) else (0,) * ndim
    origin = tuple(low.tolist())
    outer = extents[:-2]
    total = int(np.prod(outer, dtype=np.int64))
    planes = tuple(np.unique(np.linspace(0, total - 1, min(total, PLANES)).round().astype(int)).tolist())
    if chosen is not None:
        place = tuple(i - o for i, o in zip(chosen, origin, strict=False))
        if (
            len(place) != len(outer)
            or len(chosen) != len(outer)
            or not all(0 <= i < n for i, n in zip(place, outer, strict=True))
        ):
            raise ArgumentError(f"{name} has no plane {tuple(chosen)}", loc=here(),
                                hint=f"outer coordinates from {origin[:-2]}, {outer} of them")  # fmt: skip
        planes = (int(np.ravel_multi_index(place, outer)) if outer else 0,)
    most = max(most // _across(len(planes) or 1), 4)
    height, width = (1, 1, *extents)[-2:]
    cell = max(-(-height // most), 1), max(-(-width // most), 1)
    tile = _tile(extents, cell)
    across = _across(len(planes)) or 1
    down = -(-len(planes) // across)
    return Panel(name, origin, extents, cell, max(down * (tile[0] + 1) - 1, 0), max(across * (tile[1] + 1) - 1, 0), planes,
                 not (own.event == STORE).any())  # fmt: skip


def _frames(t: Trace, p: Panel, ends: Sequence[int]) -> dict[int, Frame]:
    """What happens to a panel, by the number of the frame."""
    found: dict[int, Frame] = {}
    own = t.events[t.events.array == t.arrays.index(p.name)]

    def of(steps: Any) -> Any:
        return np.searchsorted(ends, steps, side="right") - 1

    def frame(number: int) -> Frame:
        return found.setdefault(min(number, len(ends) - 2), Frame())

    for kind, what in ((STORE, "stored"), (LOAD, "loaded")):
        events = own[own.event == kind]
        pairs = np.unique(np.stack((of(events.step), p.numbers(events.at)), 1), axis=0)
        for number, cells in groupby(pairs[pairs[:, 1] >= 0].tolist(), key=lambda pair: pair[0]):
            setattr(frame(number), what, [cell for _, cell in cells])
    if not p.is_input:
        _waiting(t, p, of, frame)
    depth: list[str] = []
    for e in own[(own.event == ALLOCATE) | (own.event == FREE)]:
        if e.event == ALLOCATE:
            depth.append(f"memory {e.at[: len(p.extents)].tolist()}")
        else:
            depth.pop()
        frame(int(of(e.step))).memory = depth[-1] if depth else ""
    return found


def _waiting(t: Trace, p: Panel, of: Any, frame: Any) -> None:
    """Note when cells come to hold values that lie in memory, and when they hold none any more."""
    lives = list(lifetimes(t, p.name))
    if not lives:
        return
    cells = p.numbers([at for at, _, _ in lives])
    last = int(t.events.step[-1]) + 1
    starts = of(np.array([start for _, start, _ in lives]))
    stops = of(np.array([last if end is None else end for _, _, end in lives]))
    changes = np.concatenate((np.stack((cells, starts, np.ones_like(cells)), 1),
                              np.stack((cells, stops, -np.ones_like(cells)), 1)))  # fmt: skip
    forever = {cell for cell, (_, _, end) in zip(cells.tolist(), lives, strict=True) if end is None}
    changes = changes[np.lexsort((changes[:, 1], changes[:, 0]))]
    for cell, group in groupby(changes.tolist(), key=lambda change: change[0]):
        count = 0
        for number, same in groupby(group, key=lambda change: change[1]):
            before, count = count, count + sum(change[2] for change in same)
            if cell < 0 or (before > 0) == (count > 0) or (count <= 0 and cell in forever):
                continue
            (frame(number).on if count > 0 else frame(number).off).append(cell)


def _summary(events: Any, array: int) -> str:
    own = events.event[events.array == array]
    counts = ((kind, int((own == kind).sum())) for kind in (STORE, LOAD, ALLOCATE, FREE))
    words = {STORE: "stored", LOAD: "loaded", ALLOCATE: "allocated", FREE: "freed"}
    return " ".join(f"{n} {words[kind]}" for kind, n in counts if n)


def _letters(p: Panel, s: State) -> str:
    shown, stored, loaded = set(p.shown), set(s.stored), set(s.loaded)

    def letter(cell: int) -> str:
        if cell not in shown:
            return " "
        if cell in stored:
            return "B" if cell in loaded else "S"
        return "l" if cell in loaded else "o" if cell in s.live else "."

    rows = ("".join(letter(row * p.columns + column) for column in range(p.columns)) for row in range(p.rows))
    return "\n".join((f"{p.name} {s.memory}".rstrip(), *rows))

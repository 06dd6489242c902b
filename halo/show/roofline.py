"""The roofline of a report as a picture: what the machine can do at most, and a dot for each stage. SVG, light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from .assets import asset
from .report import Report, StageReport

__all__ = ["page", "roofline"]

WIDTH, HEIGHT = 620, 330
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 16, 40


def page(r: Report) -> str:
    """The table of a report, and the roofline under it."""
    head, *rows = r.rows()
    cells = "".join(f"<th>{escape(t)}</th>" for t in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(t)}</td>' for t in row)}</tr>" for row in rows)
    notes = "".join(f"<p>{escape(line)}</p>" for line in r.notes())
    return (
        f'<div class="halo"><style>{asset("reprs.css")}{asset("roofline.css")}</style>'
        f'<table class="halo-report"><tr>{cells}</tr>{body}</table>{notes}{roofline(r)}</div>'
    )


def roofline(r: Report, before: Report | None = None) -> str:
    """The picture; stages of the report `before` are hollow, each with a line to where it is now. Empty where nothing is
    known of any stage."""
    shown = [s for s in (*r.stages, r.whole) if _placed(s)]
    if not shown:
        return ""
    old = {s.name: s for s in (*before.stages, before.whole) if _placed(s)} if before else {}
    scale = _Scale(r, [*shown, *old.values()])
    drawn = "".join((*_axes(scale), *_roofs(r, scale), *_dots(shown, old, scale, r)))
    what = f"Roofline: {'; '.join(_said(s) for s in shown)}"
    return (
        f'<svg class="halo-roofline" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(what)}">{drawn}</svg>'
    )


def _placed(s: StageReport) -> bool:
    return all(math.isfinite(n) and n > 0 for n in (s.intensity, s.flops_per_second))


def _said(s: StageReport) -> str:
    return (
        f"{s.name}: {s.intensity:.2g} flops a byte, {s.flops_per_second / 1e9:.3g} Gflop/s, "
        f"{s.share:.0%} of the roof, bound by {s.bound}{f' in {s.computes}' if s.bound == 'compute' else ''}"
    )


class _Scale:
    """Where things are: both axes are logarithmic."""

    def __init__(self, r: Report, shown: list[StageReport]) -> None:
        m = r.machine
        peaks = [speed for _, speed in m.ops_per_second]
        ridges = [max(peaks) / speed for _, speed in m.bytes_per_second]
        across = [*(s.intensity for s in shown), *ridges]
        up = [*(s.flops_per_second for s in shown), *peaks]
        self.x = math.floor(math.log10(min(across)) - 0.2), math.ceil(math.log10(max(across)) + 0.2)
        self.y = math.floor(math.log10(min(up)) - 0.2), math.log10(max(up)) + 0.2

    def at(self, intensity: float, flops: float) -> tuple[float, float]:
        return self.across(math.log10(intensity)), self.up(math.log10(flops))

    def across(self, decade: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (decade - self.x[0]) / (self.x[1] - self.x[0])

    def up(self, decade: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (decade - self.y[0]) / (self.y[1] - self.y[0])


def _axes(scale: _Scale) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for decade in range(scale.x[0], scale.x[1] + 1):
        x = scale.across(decade)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{10.0**decade:g}</text>'
    for decade in range(scale.y[0], math.floor(scale.y[1]) + 1):
        y = scale.up(decade)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
        yield f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{10.0 ** (decade - 9):g}</text>'
    yield f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">flops a byte</text>'
    yield f'<text transform="translate(12 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">Gflop/s</text>'


def _roofs(r: Report, scale: _Scale) -> Iterator[str]:
    """The slope of each level up to its highest ridge, and a flat roof for each type that is computed in."""
    m, bottom, right = r.machine, HEIGHT - BOTTOM, WIDTH - RIGHT
    peaks = sorted(m.ops_per_second, key=lambda peak: -peak[1])
    fastest, above = max(speed for _, speed in m.bytes_per_second), -math.inf
    for kind, peak in peaks:
        x, y = scale.at(peak / fastest, peak)
        yield f'<path class="roof" d="M{x:.1f} {y:.1f}H{right}"/>'
        above = max(y + 4, above + 13)  # labels keep apart
        yield f'<text x="{right + 4}" y="{above:.1f}">{kind} {peak / 1e9:.0f} Gop/s</text>'
    top = peaks[0][1]
    foot = 10.0 ** scale.y[0]
    for level, speed in m.bytes_per_second:
        start = max(foot / speed, 10.0 ** scale.x[0])
        (x0, y0), (x1, y1) = scale.at(start, start * speed), scale.at(top / speed, top)
        kind = "roof" if level == m.bytes_per_second[-1][0] else "roof cache"
        yield f'<path class="{kind}" d="M{x0:.1f} {min(y0, bottom):.1f}L{x1:.1f} {y1:.1f}"/>'
    for k, (level, speed) in enumerate(m.bytes_per_second):
        dashed = "- " if level == m.bytes_per_second[-1][0] else "-- "
        text = f"{dashed}{level} {speed / 1e9:.0f} GB/s"
        yield f'<text x="{right + 4}" y="{max(TOP + 40, above + 22) + 15 * k:.1f}">{escape(text)}</text>'


def _dots(shown: list[StageReport], old: dict[str, StageReport], scale: _Scale, r: Report) -> Iterator[str]:
    """A dot for each stage, with its number, which the list at the right explains; the whole call is a square."""
    right, start = (
        WIDTH - RIGHT,
        TOP + 52 + 15 * len(r.machine.bytes_per_second) + 13 * (len(r.machine.ops_per_second) - 1),
    )
    for k, s in enumerate(shown, 1):
        x, y = scale.at(s.intensity, s.flops_per_second)
        if s.name in old:
            x0, y0 = scale.at(old[s.name].intensity, old[s.name].flops_per_second)
            yield f'<path class="moved" d="M{x0:.1f} {y0:.1f}L{x:.1f} {y:.1f}"/>'
            yield f'<circle class="before" cx="{x0:.1f}" cy="{y0:.1f}" r="5"/>'
        title = f"<title>{escape(_said(s))}</title>"
        if s is r.whole:
            yield f'<rect class="whole" x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12">{title}</rect>'
        else:
            yield f'<circle class="stage" cx="{x:.1f}" cy="{y:.1f}" r="6">{title}</circle>'
        yield f'<text class="number" x="{x + 8:.1f}" y="{y - 7:.1f}">{k}</text>'
        if start + 14 * k < HEIGHT - BOTTOM:
            name = s.name if len(s.name) <= 14 else f"{s.name[:13]}…"
            yield f'<text x="{right + 4}" y="{start + 14 * k}">{k} {escape(name)} {s.share:.0%}</text>'

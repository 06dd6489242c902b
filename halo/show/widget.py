"""The explorer as a widget (anywidget: JupyterLab, Notebook, VS Code, marimo). It shows what `Explorer` has as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ..errors import HaloError
from .assets import asset
from .order import order
from .reprs import nest
from .roofline import roofline

if TYPE_CHECKING:
    from .explore import Explorer

__all__ = ["ExplorerWidget"]

MANY = 4  # stages, of which one at a time is looked at
AT_ONCE = 6  # suggestions that the nest is asked about between two pictures
GRID = (8, 16)


class ExplorerWidget(anywidget.AnyWidget):
    """`view` is all that the page draws; messages from it are {"do": "apply", "code": ...}, {"do": "undo"},
    {"do": "goto", "number": n}, {"do": "look", "stage": name}, {"do": "more"}, {"do": "report"}."""

    _esm = asset("explore.js")
    _css = asset("explore.css") + asset("reprs.css") + asset("order.css") + asset("roofline.css")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self.explorer = explorer
        self.on_msg(lambda _, content, __: self.receive(content))
        self.stage = explorer.f.name if len(explorer.stages) > MANY else ""
        self._measured: tuple[int, dict[str, Any]] = -1, {}  # of which state
        self._error = ""
        explorer.look_at(self.stage)
        self.draw()

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the page asks; what is refused is shown, and changes nothing."""
        e, error = self.explorer, ""
        match message:
            case {"do": "more"}:
                e.check(AT_ONCE)
                error = self._error  # until something else is done
            case {"do": "report"}:
                found = e.report()
                self._measured = e.current.number, {
                    "report": found.rows(), "notes": found.notes(), "roofline": roofline(found, e.report_before()),
                    "order": self._order(),
                }  # fmt: skip
            case {"do": "apply", "code": str(code)}:
                error = self._try(lambda: e.apply(code))
            case {"do": "look", "stage": str(stage)}:
                error = self._try(lambda: e.look_at(stage))
                self.stage = self.stage if error else stage
            case {"do": "undo"}:
                error = self._try(e.undo)
            case {"do": "goto", "number": int(number)}:
                error = self._try(lambda: e.goto(number))
        self._error = error
        self.draw(error)

    def _try(self, act: Any) -> str:
        try:
            act()
        except (HaloError, SyntaxError, NameError, AttributeError, TypeError) as error:
            return str(error)
        return ""

    def draw(self, error: str = "") -> None:
        e = self.explorer
        of, measured = self._measured
        waiting = e.check(0)
        self.view = {
            "drawn": self.view.get("drawn", 0) + 1,  # what is the same as before is not sent, and the page waits
            "name": e.f.name,
            "nest": nest(e.loops(), e.f.measured()),
            "steps": [{"code": s.code, "reason": s.reason} for s in e.suggested],
            "waiting": waiting,
            "stages": list(e.stages),
            "stage": self.stage,
            "states": [
                {"number": s.number, "code": s.code, "ms": s.milliseconds, "depth": depth, "now": s is e.current}
                for s, depth in e.tree()
            ],
            "code": e.code,
            "error": error,
            **(measured if of == e.current.number else {}),
        }

    def _order(self) -> str:
        """The order of computation of the stages with two axes, on a small region; empty where the output has others."""
        f: Any = self.explorer.f
        if f.ndim != len(GRID):
            return ""
        try:
            shown = [
                n
                for n, g in f.program().stages().items()
                if getattr(g, "ndim", None) == 2 and n in self.explorer.loops()
            ]
            found = [n for n in reversed(shown) if f"produce {n}:" in self.explorer.loops()]
            return order(f, GRID, of=found)._repr_html_()
        except HaloError:
            return ""

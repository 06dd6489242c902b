from __future__ import annotations

from typing import Any

from halo.ir.expr import Op
from halo.ir.node import interning
from halo.ir.pipeline import Pipeline

from .helpers import BLUR, Interpreter, define, scheduled


class Printing(Interpreter):
    """Keeps what is printed."""

    def __init__(self, p: Pipeline) -> None:
        super().__init__(p, {"img": lambda y, x: 10 * y + x}, {"y": (0, 1), "x": (0, 2)})
        self.lines: list[str] = []

    def value(self, e: Any, env: Any) -> Any:
        if isinstance(e, Op) and e.name == "print":
            shown = [self.value(a, env) for a in e.args]
            self.lines.append(e.data.format(*shown))
            return shown[0]
        return super().value(e, env)


def lines(code: str) -> list[str]:
    with interning():
        run = Printing(scheduled(define(BLUR, f"blur_x.compute_root()\nblur_y.serial('y')\n{code}"), "blur_y"))
        run.run()
        return run.lines


def test_stores_are_printed() -> None:
    assert lines("blur_x.trace_stores()") == ["0 stored to blur_x[0, 0]", "1 stored to blur_x[0, 1]"]
    assert lines("blur_y.trace_stores()") == ["0 stored to blur_y[0, 0]", "0 stored to blur_y[0, 1]"]


def test_loads_are_printed() -> None:
    assert lines("blur_x.trace_loads()") == [
        f"{v} loaded from blur_x[{y}, {x}]" for x in (0, 1) for y, v in ((-1, 0), (0, x), (1, 0))
    ]


def test_nothing_is_printed_without() -> None:
    assert lines("") == []

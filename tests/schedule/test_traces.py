from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halo
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


# Whole runs -------------------------------------------------------------------------------------------------------------


IMG = np.arange(30, dtype=np.int32).reshape(6, 5)


def sums() -> tuple[halo.Func, halo.Func]:
    y, x = halo.vars("y x")
    g, f = halo.Func("g"), halo.Func("f")
    g[y, x] = halo.Input("img", halo.i32, ndim=2)[y, x] * 2
    f[y, x] = g[y, x] + g[y + 1, x]
    return f, g


def test_realizations_come_and_go(capsys: pytest.CaptureFixture[str]) -> None:
    f, g = sums()
    g.compute_root().trace_realizations()
    f.trace_realizations().add_trace_tag("a {tag}")
    f(img=IMG, shape=(4, 5))
    assert capsys.readouterr().out.splitlines() == [
        "tag of f: a {tag}",
        "begin realization of g[0..4, 0..4]",
        "begin production of g[0..4, 0..4]",
        "end production of g[0..4, 0..4]",
        "begin production of f[0..3, 0..4]",
        "end production of f[0..3, 0..4]",
        "end realization of g[0..4, 0..4]",
    ]


def test_a_sliding_window_produces_what_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    f, g = sums()
    g.store_root().compute_at(f.compute_root(), "y").trace_realizations()
    f(img=IMG, shape=(3, 5))
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("begin production")]
    assert rows == [f"begin production of g[{rows}, 0..4]" for rows in ("0..1", "2..2", "3..3")]


def test_what_is_computed_together_is_there_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, img = halo.Var("x"), halo.Input("img", halo.i32, ndim=1)
    a, b, f = halo.Func("a"), halo.Func("b"), halo.Func("f")
    a[x], b[x] = img[x] + 1, img[x] * 2
    f[x] = a[x] + b[x]
    a.compute_root().debug_to_file(tmp_path / "a")
    b.compute_root().compute_with(a, "x").debug_to_file(tmp_path / "b").trace_realizations()
    f(img=np.arange(5, dtype=np.int32))
    assert np.load(tmp_path / "a.npy").tolist() == [1, 2, 3, 4, 5]
    assert np.load(tmp_path / "b.npy").tolist() == [0, 2, 4, 6, 8]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_file_has_the_last_region_and_no_fold(tmp_path: Path) -> None:
    f, g = sums()
    g.store_root().compute_at(f.compute_root(), "y").debug_to_file(tmp_path / "g.npy")
    f(img=IMG, shape=(3, 5))
    np.testing.assert_array_equal(np.load(tmp_path / "g.npy"), 2 * IMG[3:4])
    g.fold_storage("y", 2)
    with pytest.raises(halo.ScheduleError, match="folded"):
        f(img=IMG, shape=(3, 5))


def test_files_are_written_by_cached_code_too(tmp_path: Path) -> None:
    for _ in range(2):  # the second finds what the first left in the cache
        f, g = sums()
        g.compute_root().debug_to_file(tmp_path / "g")
        f(img=IMG, shape=(3, 5))
        (tmp_path / "g.npy").unlink()


def test_what_cannot_be_written_or_is_not_there() -> None:
    f, g = sums()
    g.compute_root().debug_to_file("/no such folder/g.npy")
    with pytest.raises(halo.ArgumentError, match="cannot be written") as error:
        f(img=IMG, shape=(3, 5))
    assert "test_traces.py" in str(error.value)
    for trace in (lambda g: g.debug_to_file("g"), lambda g: g.trace_realizations()):
        f, g = sums()
        trace(g)
        with pytest.raises(halo.ScheduleError, match="inline") as refused:
            f(img=IMG, shape=(3, 5))
        assert "g.compute_root()" in str(refused.value)
    with pytest.raises(halo.ScheduleError, match="not a text"):
        g.add_trace_tag(3)

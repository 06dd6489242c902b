"""Progress: lines where nobody watches, a bar where somebody does, and what was done before Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

import halo
from halo import progress
from halo.progress import Progress


def test_plain_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("counting", 1000) as p:
        for _ in range(1000):
            p.advance()
        p.say("done")
    said = capsys.readouterr()
    assert said.out == "done\n"
    lines = said.err.splitlines()
    assert len(lines) == 20
    assert lines[-1].startswith("counting: 1000 of 1000, ")


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("quick", after=5.0) as p:
        p.advance(note="a step")
    assert capsys.readouterr().err == ""


def test_what_takes_long_is_shown_late(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("slow", after=0.02) as p:
        p.advance(note="the first step")
        time.sleep(0.2)
    assert "slow: 1, 0 s, the first step" in capsys.readouterr().err


def test_only_the_outermost_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("outer", 2) as outer:
        with Progress("inner", 2) as inner:
            inner.advance(2)
        outer.advance(2)
    with Progress("next", 1) as later:
        later.advance()
    said = capsys.readouterr().err
    assert "inner" not in said
    assert "outer: 2 of 2" in said
    assert "next: 1 of 1" in said


def test_an_option_turns_it_off(capsys: pytest.CaptureFixture[str]) -> None:
    with halo.options(progress=False), Progress("silent", 1) as p:
        p.advance()
    assert capsys.readouterr().err == ""
    assert p.done == 1


def test_ctrl_c_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Progress("work", 10) as p:
        p.advance(3)
        raise KeyboardInterrupt
    assert "stopped at work: 3 of 10" in capsys.readouterr().err


def test_a_bar_where_somebody_watches(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with Progress("watched", 4) as p:
        assert isinstance(p._shown, progress._Bar)
        p.advance(4, "all [of] it")
        p.say("a line [red]as it is")
    assert "a line [red]as it is" in capsys.readouterr().err


def test_without_rich_there_are_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "rich", None)
    with Progress("watched", 1) as p:
        p.advance()
    assert "watched: 1 of 1" in capsys.readouterr().err


def test_a_long_compilation_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from halo.func import program

    monkeypatch.setattr(program, "SHOWN", 1e-6)
    x = halo.Var("x")
    f = halo.Func("slowly")
    f[x] = x + 1
    with halo.options(cache=False):
        f.compile()
    assert "compiling slowly: " in capsys.readouterr().err


def test_the_fuzzer_keeps_count() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "halo.fuzz", "--cases", "2"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("2 cases, 0 failures, ")
    assert "fuzzing: 2 of 2" in done.stderr

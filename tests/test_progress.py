"""Progress: lines where nobody watches, a bar where somebody does, and what was done before Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

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
    pytest.importorskip("rich", reason="extra: notebook")
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


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import halo

y, x = halo.vars("y x")
f = halo.Input("img", halo.u16, ndim=2)
for k in range(12):
    g = halo.Func(f"s{k}")
    g[y, x] = (f[y, x] + f[y, x + 1] + f[y + 1, x]) // 3
    f = g.compute_root().vectorize("x", 16).parallel("y", 16)

img = np.random.default_rng(0).integers(0, 20000, (40, 50)).astype(np.uint16)
want = img
for k in range(12):
    want = (want[:-1, :-1] + want[:-1, 1:] + want[1:, :-1]) // 3
with halo.options(cache=False):
    start = time.perf_counter()
    f.compile()
    whole, stopped = time.perf_counter() - start, 0
    for k in range(10):
        f.unschedule().vectorize("x", 8 + k)  # to compile again
        timer = threading.Timer(whole * (k + 0.5) / 10, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            f.compile()
            timer.join()
            time.sleep(0.2)
        except KeyboardInterrupt:
            stopped += 1
        np.testing.assert_array_equal(f(img=img, shape=want.shape), want)
print("stopped", stopped)
"""


@pytest.mark.slow
def test_ctrl_c_in_a_compilation_leaves_all_in_order() -> None:
    """Real signals, at ten moments of a compilation: the next one is whole, and right."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) == 10


NETWORK = """
import os, signal, sys
import numpy as np
import halo
from halo import graph, nn

x = graph.Var("x", nn.TensorType((1, 8, 16, 16), halo.f32))
e = x
for k in (1, 3, 5):
    e = nn.relu(nn.conv2d(e, graph.Constant(np.full((8, 8, k, k), 0.01, np.float32), f"w{k}"), padding=k // 2))
m = graph.Module({"main": graph.Function((x,), e)}, ("y",))

def said(line):
    if line.startswith("kernel 1 of"):
        os.kill(os.getpid(), signal.SIGINT)

try:
    m.compile(progress=said)
except KeyboardInterrupt:
    kept = halo.cache.info()
    m.compile()
    print("kept", kept.entries, "used", halo.cache.info().hits - kept.hits)
"""


def test_ctrl_c_while_a_network_compiles_keeps_its_kernels(tmp_path: Path) -> None:
    environment = {**os.environ, "HALO_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", NETWORK], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    kept, used = map(int, re.findall(r"\d+", done.stdout))
    assert kept >= 1
    assert used >= 1


@pytest.mark.slow
def test_ctrl_c_of_the_fuzzer_says_what_it_found() -> None:
    """To the one process alone, as `kill` sends it: those that it started end too."""
    command = [sys.executable, "-m", "halo.fuzz", "--cases", "100000", "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(10)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert re.fullmatch(r"\d+ cases, 0 failures, \d+ s\n", out)


def test_the_fuzzer_keeps_count() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "halo.fuzz", "--cases", "2"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("2 cases, 0 failures, ")
    assert "fuzzing: 2 of 2" in done.stderr

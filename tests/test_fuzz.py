"""The fuzzer's cases under pytest: `halo.fuzz` makes them, Hypothesis and fixed chunks choose the seeds."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import halo
from halo.fuzz import Mismatch, check, garbage
from halo.fuzz.pipelines import Case

QUICK, CHUNK, ALL = 150, 25, 1200  # seeds in the quick tests, in one test, and in all


@pytest.mark.parametrize("first", range(0, QUICK, CHUNK))
def test_schedules_change_nothing(first: int) -> None:
    for seed in range(first, first + CHUNK):
        check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, ALL, CHUNK))
def test_schedules_change_nothing_in_many_more(first: int) -> None:
    for seed in range(first, first + CHUNK):
        check(seed)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_schedules_change_nothing_anywhere(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_garbage_is_refused(first: int) -> None:
    for seed in range(first, first + 250):
        garbage(seed)


@settings(max_examples=100)
@example(14209)  # a negative extent, beside a stage
@given(st.integers(0, 2**32))
def test_garbage_is_refused_anywhere(seed: int) -> None:
    garbage(seed)


def test_a_seed_is_one_program() -> None:
    assert [Case(7).text, Case(7).shapes] == [Case(7).text, Case(7).shapes]
    assert len({Case(seed).text for seed in range(50)}) == 50


def test_a_mismatch_shows_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = next(s for s in range(100) if all(t == 2 for t in Case(s).trusts) and Case(s).expected()[0].size)
    monkeypatch.setattr(Case, "expected", lambda self: [a + 1 if a.dtype != bool else ~a for a in self._expected])
    with pytest.raises(Mismatch, match=rf"seed {seed}: result 0: .* differ[\s\S]*halo.Input\("):
        check(seed)


def test_the_command_runs_cases_and_prints_programs() -> None:
    command = [sys.executable, "-m", "halo.fuzz", "--seed", "3"]
    done = subprocess.run([*command, "--cases", "4"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("4 cases, 0 failures")
    shown = subprocess.run([*command, "--cases", "1", "--show"], capture_output=True, text=True)
    assert shown.stdout.startswith("# seed 3\n")


def test_words_that_are_not_meant_are_refused_by_halo() -> None:
    x = halo.Var("x")
    f = halo.Func("f")
    f[x] = x
    f[x] += 1
    for refused in (
        lambda: halo.vars(3),
        lambda: halo.argmin(x, np.zeros(3)),
        lambda: f.apply("f"),
        lambda: f.update("auto"),
        lambda: f.update(0).rfactor(3),
        lambda: f.store_in(np.zeros(3)),
        lambda: f.inspect_llvm(target=np.zeros(3, "f4,i4")),
    ):
        with pytest.raises(halo.HaloError):
            refused()

"""Profiles: what is counted, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

import halo
from halo.errors import ArgumentError

from .stages import IMG, image, stage, x, y


def pipeline() -> halo.Func:
    low = stage("low", image()[y, x] * 2 + image()[y, x + 1])
    top = stage("top", low[y, x] + low[y, x + 2])
    top.split("y", "yo", "yi", 2).parallel("yo")
    low.compute_at(top, "yi").vectorize("x", 8)
    return top


def test_every_stage_is_counted() -> None:
    f = pipeline()
    p = f.profile(img=IMG, shape=(6, 6), runs=3)
    assert p.runs == 3
    assert p["low"].times == 6
    assert p["top"].times == 1
    assert p.seconds > 0
    assert all(s.seconds >= 0 for s in p)
    assert sum(s.seconds for s in p) > 0


def test_allocations_are_those_from_the_heap() -> None:
    big = stage("big", image()[y, x] + 1)
    f = stage("f", big[y, x] + big[y, x + 1])
    big.compute_root()
    a = np.zeros((100, 201), np.int32)
    p = f.profile(a, shape=(100, 200), runs=2)
    assert p["big"].allocations == 1
    assert p["big"].bytes == 100 * 201 * 4
    assert p["f"].allocations == 0


def test_the_result_is_written_as_by_a_call() -> None:
    f, out = pipeline(), np.zeros((6, 6), np.int32)
    f.profile(img=IMG, out=out, runs=1)
    np.testing.assert_array_equal(out, f(img=IMG, shape=(6, 6)))


def test_it_prints_as_a_table() -> None:
    text = repr(pipeline().profile(img=IMG, shape=(6, 6)))
    assert text.startswith("stage")
    assert "low" in text
    assert "a call, mean of" in text
    assert "<pre>" in halo.Pipeline([pipeline()]).profile(img=IMG, shape=((6, 6),), runs=1)._repr_html_()


def test_calls_that_fall_back_are_profiled_too() -> None:
    p = pipeline().profile(img=np.asfortranarray(IMG), shape=(6, 6), runs=2)
    assert p["low"].times == 6


def test_runs_are_positive() -> None:
    with pytest.raises(ArgumentError, match="one or more runs"):
        pipeline().profile(img=IMG, shape=(6, 6), runs=0)

from __future__ import annotations

import pytest

from halo.errors import ArgumentError
from halo.jit.target import REFERENCE, Target, as_target
from halo.types import f32, f64, u8

HASWELL = Target("x86_64-unknown-linux-gnu", "haswell", "+avx2,+f16c,+fma")
SERVER = Target("x86_64-unknown-linux-gnu", "skylake-avx512", "+avx2,+avx512bw,+avx512f,+avx512vl,+fma")
PLAIN = Target("x86_64-unknown-linux-gnu")
ARM = Target("aarch64-apple-darwin", "apple-m1", "+neon")


def test_what_a_target_has() -> None:
    assert [t.vector_bits for t in (HASWELL, SERVER, PLAIN, ARM)] == [256, 512, 128, 128]
    assert [t.has_fma for t in (HASWELL, SERVER, PLAIN, ARM)] == [True, True, False, True]
    assert [t.has_f16 for t in (HASWELL, SERVER, PLAIN, ARM)] == [True, True, False, True]
    assert [[t.masks(n) for n in (1, 4)] for t in (HASWELL, SERVER, PLAIN)] == [[False, True], [True] * 2, [False] * 2]
    assert [[t.gathers(n) for n in (2, 8)] for t in (HASWELL, SERVER, PLAIN)] == [[False, True]] * 2 + [[False] * 2]
    assert [[t.scatters(n) for n in (2, 8)] for t in (HASWELL, SERVER)] == [[False] * 2, [False, True]]
    assert [SERVER.natural_lanes(t) for t in (u8, f32, f64)] == [64, 16, 8]


def test_targets_are_values() -> None:
    assert HASWELL == Target(HASWELL.triple, "haswell", "+avx2,+f16c,+fma")
    assert len({HASWELL, SERVER, PLAIN, HASWELL}) == 3


def test_the_host_is_a_target_and_names_are_known() -> None:
    assert as_target(None) is as_target("host") is Target.host()
    assert Target.host().cpu
    assert as_target(HASWELL) is HASWELL
    assert [as_target(name) for name in REFERENCE] == list(REFERENCE)
    with pytest.raises(ArgumentError, match="'gpu' is not a target"):
        as_target("gpu")

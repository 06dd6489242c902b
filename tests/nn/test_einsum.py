"""einsum against NumPy's: products of matrices in every order of their axes, several operands, and what is none of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import halo
from halo import nn

RNG = np.random.default_rng(0)
EXTENTS = dict(zip("abcdefhijk", (3, 2, 5, 34, 7, 9, 1, 19, 37, 20), strict=True))


def agrees(equation: str, *arrays: np.ndarray) -> None:
    want = np.einsum(equation, *(a.astype(np.float64) for a in arrays))
    got = nn.einsum(*arrays, equation=equation)
    assert got.shape == want.shape
    assert got.dtype == arrays[0].dtype
    near = 1e-5 if got.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(got, want, rtol=near, atol=near * max(1.0, float(np.abs(want).max(initial=0))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("equation", [
    "ij,jk->ik", "ij,kj", "ji,jk->ki", "abij,abkj->abik", "abik,akbd->abid", "aij,jbk->aibk", "aibk,jbk->aij",
    "aij,ajk->ika", "ij,j->i", "i,ij->j", "i,i->", "ij,ij->i", "i,j->ij", "ij,ij->ij", "hij,ajk->aik",
])  # fmt: skip
def test_two_operands(equation: str, dtype: type) -> None:
    terms = equation.split("->")[0].split(",")
    agrees(equation, *(RNG.standard_normal([EXTENTS[c] for c in term]).astype(dtype) for term in terms))


@pytest.mark.parametrize(("equation", "shapes", "dtype"), [
    ("ij,jk->ik", ((100, 300), (300, 600)), np.float32), ("aij,jk->aik", ((3, 70, 70), (70, 2000)), np.float32),
    ("aij,ajk->aik", ((17, 65, 130), (17, 130, 530)), np.float64), ("kj,ji->ik", ((530, 129), (129, 1100)), np.float32),
    ("iab,abk->ik", ((90, 20, 17), (20, 17, 401)), np.float32), ("abi,abk->ik", ((20, 17, 90), (20, 17, 1100)), np.float64),
    ("bhqd,bkhd->bhqk", ((2, 3, 70, 66), (2, 1100, 3, 66)), np.float32), ("ij,jk,kl->il", ((80, 90), (90, 1500), (1500, 97)),
                                                                          np.float32),
])  # fmt: skip
def test_columns_that_do_not_stay_in_cache_are_copied(equation: str, shapes: Any, dtype: type) -> None:
    agrees(equation, *(RNG.standard_normal(shape).astype(dtype) / 8 for shape in shapes))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_equation(data: st.DataObject) -> None:
    """Up to four operands of any rank: letters twice, letters that one has alone, entries that are repeated."""
    letters = data.draw(st.permutations("abcdij"))[: data.draw(st.integers(2, 5))]
    terms = data.draw(st.lists(st.lists(st.sampled_from(letters), min_size=1, max_size=4), min_size=2, max_size=4))
    found = sorted({c for term in terms for c in term})
    result = data.draw(st.permutations(found))[: data.draw(st.integers(0, len(found)))]
    ones = {(k, c) for k, term in enumerate(terms) for c in term if data.draw(st.integers(0, 6)) == 0}
    arrays = (RNG.standard_normal([1 if (k, c) in ones else EXTENTS[c] for c in term], np.float32)
              for k, term in enumerate(terms))  # fmt: skip
    agrees(f"{','.join(map(''.join, terms))}->{''.join(result)}", *arrays)


def test_several_operands_are_multiplied_in_the_order_that_costs_least() -> None:
    """A matrix times a matrix times a vector never multiplies the matrices."""
    a, b, v = (halo.Input(name, halo.f32, shape=s) for name, s in (("a", (40, 40)), ("b", (40, 40)), ("v", (40,))))
    out = nn.einsum(a, b, v, equation="ij,jk,k->i")
    given = {name: RNG.standard_normal(s, np.float32) for name, s in (("a", (40, 40)), ("b", (40, 40)), ("v", (40,)))}
    np.testing.assert_allclose(out(**given), given["a"] @ (given["b"] @ given["v"]), rtol=1e-4, atol=1e-4)
    assert {f.name for f in out.func.program().graph.functions if f.definitions.vars == ("i_j",)}
    assert all(len(f.definitions.vars) < 2 for f in out.func.program().graph.functions)


@pytest.mark.parametrize(("a", "b", "dtype"), [
    ((2, 20, 9), (2, 9, 24), np.float32), ((3, 7, 5), (3, 5, 12), np.float64), ((30, 6), (6, 3), np.float32),
    ((2, 70, 300), (1, 300, 500), np.float32), ((17, 65, 70), (17, 70, 2000), np.float32), ((64, 513), (513, 333), np.float64),
    ((70, 2), (2, 70000), np.float32), ((2, 600, 8), (2, 8, 500), np.float32), ((17, 600, 3), (3, 500), np.float32),
    ((1, 1), (1, 1), np.float32), ((1, 70, 90), (2, 90, 1500), np.float32), ((3, 30, 7), (3, 7, 1100), np.float64),
    ((128, 66), (1, 66, 5001), np.float32), ((90, 1100), (1, 1100, 1040), np.float32),
])  # fmt: skip
def test_matrices_that_stay_in_cache_or_do_not(a: tuple[int, ...], b: tuple[int, ...], dtype: type) -> None:
    """Fewer columns than two vectors; copies of columns; results that are written row by row; batches that are broadcast."""
    x, y = RNG.standard_normal(a).astype(dtype), RNG.standard_normal(b).astype(dtype)
    np.testing.assert_allclose(nn.matmul(x, y), x @ y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 13, 64, 100])
def test_rows_of_any_number_times_a_matrix_that_does_not_stay_in_cache(rows: int) -> None:
    a, b = halo.Input("a", halo.f32, shape=(2, "n", 300)), halo.Input("b", halo.f32, shape=(300, 500))
    x, y = RNG.standard_normal((2, rows, 300), np.float32), RNG.standard_normal((300, 500), np.float32)
    np.testing.assert_allclose(nn.matmul(a, b)(a=x, b=y), x @ y, rtol=1e-4, atol=1e-4)

"""Symbolic extents: arithmetic in a normal form, as text, and as values of a pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import halo
from halo import Dim
from halo.ir.shapes import Told, as_extents, dim_max, dim_min, dims_of, never_negative, told, values_of, within

H, W = Dim("h"), Dim("w")
OPS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "max": dim_max, "min": dim_min}
trees = st.recursive(
    st.sampled_from(("h", "w")) | st.integers(-5, 9),
    lambda inner: (
        st.tuples(st.sampled_from(tuple(OPS)), inner, inner)
        | st.tuples(st.sampled_from(("//", "%")), inner, st.integers(-7, 7).filter(bool))
    ),
    max_leaves=8,
)


def value(tree: Any, of: dict[str, Any]) -> Any:
    if not isinstance(tree, tuple):
        return of.get(tree, tree)
    a, b = value(tree[1], of), value(tree[2], of)
    return OPS[tree[0]](a, b) if tree[0] in OPS else a // b if tree[0] == "//" else a % b


@given(trees, st.integers(0, 50), st.integers(0, 50))
def test_an_expression_has_the_value_of_its_arithmetic(tree: Any, h: int, w: int) -> None:
    made = value(tree, {"h": H, "w": W})
    got = made if isinstance(made, int) else made.evaluate({"h": h, "w": w})
    assert got == value(tree, {"h": h, "w": w})


@given(trees, st.integers(0, 50), st.integers(0, 50))
def test_what_is_never_negative_is_not(tree: Any, h: int, w: int) -> None:
    if never_negative(value(tree, {"h": H, "w": W})):
        assert value(tree, {"h": h, "w": w}) >= 0


def test_what_is_plainly_never_negative() -> None:
    assert never_negative(H % 7) and never_negative(dim_min(H, 240) * W) and never_negative((H + 1) // 2 * 2 - H)
    assert not never_negative(H - 1) and not never_negative(H - W) and not never_negative(dim_max(-H, -W))


@given(trees)
def test_text_reads_back(tree: Any) -> None:
    made = value(tree, {"h": H, "w": W})
    if not isinstance(made, int):
        assert as_extents((str(made),)) == (made,)
        assert set(dims_of(made)) <= {"h", "w"}


@given(trees, trees, st.integers(0, 50), st.integers(0, 50))
def test_a_factor_comes_out_of_a_product(a: Any, b: Any, h: int, w: int) -> None:
    whole, by = (value(tree, {"h": H, "w": W}) for tree in (a, b))
    if not isinstance(by, int):
        assert (whole * by) // by == whole
        rest = (whole * by + 1) // by
        if not isinstance(rest, int) and (divisor := by.evaluate({"h": h, "w": w})):
            want = whole if isinstance(whole, int) else whole.evaluate({"h": h, "w": w})
            assert rest.evaluate({"h": h, "w": w}) == (want * divisor + 1) // divisor


def test_normal_form() -> None:
    assert (512 * W * H - 3072 * W) // (W * H - 6 * W) == 512 and (H * H - W * W) // (H + W) == H - W
    assert (H - 1) // 2 + 1 == (H + 1) // 2 and H * W == W * H and (H * W) // W == H
    assert (H // 2) // 2 == H // 4 and -(-H // 8) == (H + 7) // 8 and ((H + 1) // 2 + 1) // 2 == (H + 3) // 4
    assert H - H == 0 and (4 * H + 7) % 4 == 3 and (6 * H) // 3 == 2 * H and dim_max(H, H + 2) == H + 2
    assert H != W and H != 1 and H + 1 != H


@pytest.mark.parametrize("text", ["", "1 +", "f(n)", "n[0]", "n/2", "__import__('os')", "1.5", "n//0", "(" * 500])
def test_what_is_no_extent(text: str) -> None:
    with pytest.raises(halo.HaloError, match=r"a shape has integers|divided by 0"):
        halo.Input("x", halo.f32, shape=(text,))


@pytest.mark.parametrize("use", [lambda n: n < 3, int, bool, range, lambda n: n / 2])
def test_its_value_is_not_there_before_a_call(use: Any) -> None:
    with pytest.raises(halo.HaloError, match="is known when the program runs"):
        use(H)


@pytest.fixture(scope="module")
def turned() -> Any:
    x, (i, j) = halo.Input("x", halo.i32, shape=("h", "w")), halo.vars("i j")
    f = halo.Func("f")
    f[i, j] = x[H - 1 - i, j] + (H + 1) // 2 * 100 + dim_max(H, W)
    return halo.nn.tensor(f, shape=("h", "w"))


@given(h=st.integers(1, 20), w=st.integers(1, 20))
def test_a_dim_is_a_parameter_of_the_pipeline(turned: Any, h: int, w: int) -> None:
    a = np.arange(h * w, dtype=np.int32).reshape(h, w)
    np.testing.assert_array_equal(turned(x=a), a[::-1] + (h + 1) // 2 * 100 + max(h, w))


def test_what_tells_a_dim() -> None:
    n, w = Dim("n"), Dim("w")
    shapes = ((32 * n + 1, 3, n * w), (n // 2, w - 4), (0, 2 * w))
    assert told(shapes) == {"n": Told(0, 0, 32, 1), "w": Told(1, 1, 1, -4)}
    assert told((*shapes, (n, w))) == {"n": Told(3, 0, 1, 0), "w": Told(3, 1, 1, 0)}
    assert told(((-n, 5 - n, n + w, n * n),)) == {}
    assert values_of(shapes, ((65, 3, 14), (1, 3), (0, 14))) == {"n": 2, "w": 7}
    assert values_of(((4 * n,),), ((8 * w,),)) == {"n": 2 * w}
    assert within((n, 2 * w + 3), (1, 5))
    assert within((n - 4,), (0,))
    assert not within((n, 2 * w + 3), (1, 1))
    assert not within((n + 9,), (w,))
    assert within((n + 9,), (w + 9,))
    assert within((n,), ((w - 1) // n,))  # an extent, whatever it is

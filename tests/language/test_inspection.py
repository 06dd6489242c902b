"""Language, section 4: looking inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(9)
IMG = RNG.integers(0, 20000, (20, 30), np.uint16)


def pipeline() -> halo.Func:
    @halo.func
    def rows(y, x, *, img: halo.u16[:, :]):
        return (img[y, x] + img[y, x + 1]) // 3

    @halo.func
    def smooth(y, x):
        return rows[y, x] + rows[y + 1, x]

    smooth.split("y", "yo", "yi", 8).vectorize("x", 8).parallel("yo")
    rows.store_at(smooth, "yo").compute_at(smooth, "yi")
    return smooth


def test_loops(golden: Callable[[str, str], None]) -> None:
    golden("loops/sliding", pipeline().loops())


def test_loops_need_no_types() -> None:
    @halo.func
    def f(y, x, *, img):
        return img[y, x] * 2

    f.vectorize("x").parallel("y")
    assert "parallel" in f.loops()


def test_source_is_runnable_python() -> None:
    f = pipeline()
    f(img=IMG, shape=(19, 29))
    source = f.inspect_source()
    compile(source, "source", "exec")
    assert "img[" in source
    assert "[(y, x)]" not in source


@pytest.mark.parametrize("target", ["python", "numba"])
def test_reference_targets_agree_bit_for_bit(target: str) -> None:
    f = pipeline()
    want = f(img=IMG, shape=(19, 29))
    kernel = f.compile(img=IMG, target=target)
    out = np.zeros_like(want)
    kernel(IMG, out=out)
    np.testing.assert_array_equal(out, want)


def test_llvm_and_assembly() -> None:
    f = pipeline()
    assert "define" in f.inspect_llvm(img=IMG)
    assert "ret" in f.inspect_asm(img=IMG)


def test_inputs() -> None:
    text = str(pipeline().inspect_inputs(img=IMG))
    assert "img" in text


def test_profile() -> None:
    f = pipeline()
    text = str(f.profile(img=IMG, shape=(19, 29)))
    assert "rows" in text
    assert "smooth" in text


def test_inspectors_show_the_variant_compiled_last() -> None:
    f = pipeline()
    f(img=IMG, shape=(19, 29))
    assert f.inspect_llvm() == f.inspect_llvm(img=IMG)


def test_repr_shows_definition_and_schedule() -> None:
    f = pipeline()
    assert "rows[y, x] + rows[y + 1, x]" in repr(f)
    assert "vectorize" in repr(f)
    assert "<" in f._repr_html_()
    assert "smooth" in f._repr_html_()

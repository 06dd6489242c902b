"""Of specialised nests a kernel has those of the call that it is made for; other calls get others, and the same results."""

import numpy as np
import pytest

import halo
from halo.jit import llvm

RNG = np.random.default_rng(0)


def picture(*shape):
    return RNG.random(shape, np.float32)


def summed(a):
    """What `rows` computes."""
    return a + np.pad(a, [(1, 0), *[(0, 0)] * (a.ndim - 1)], "edge")[:-1]


def rows(ndim=3):
    v = halo.vars(" ".join("abcdefgh"[:ndim]))
    f, img = halo.Func("f"), halo.Input("img", halo.f32, ndim=ndim)
    a = halo.pad(img, "edge")
    f[v] = a[v] + a[(v[0] - 1, *v[1:])]
    return f


@pytest.fixture
def compiled(monkeypatch):
    """The LLVM IR of each kernel `f` that is made."""
    texts, compile_parts = [], llvm.compile_parts

    def spy(parts, target):
        texts.extend(text for text in ["".join(parts)] if "define i32 @f(" in text)
        return compile_parts(parts, target)

    monkeypatch.setattr(llvm, "compile_parts", spy)
    with halo.options(cache=False):
        yield texts


def test_the_nests_of_the_first_calls_then_all(compiled):
    f = rows()
    for channels, kernels in ((3, 1), (3, 1), (7, 2), (3, 2), (7, 2), (4, 3), (1, 3), (2, 3), (5, 3), (3, 3)):
        a = picture(5, 6, channels)
        np.testing.assert_array_equal(f(img=a), summed(a))
        assert len(compiled) == kernels
    three, seven, every = map(len, compiled)
    assert three < every / 3
    assert seven < every / 2


def test_without_arrays_all_nests_are_there(compiled):
    kernel = rows().compile(img=halo.f32)
    for channels in (3, 1, 7):
        a = picture(5, 6, channels)
        np.testing.assert_array_equal(kernel(a), summed(a))
    assert len(compiled) == 1


def test_conditions_of_scalars(compiled):
    x = halo.Var("x")
    f, a, w = halo.Func("f"), halo.Input("a", halo.i32, ndim=1), halo.Param("w", halo.i32)
    f[x] = a[x] * w
    f.specialize(w == 2).vectorize("x", 8)
    data = np.arange(300, dtype=np.int32)
    for scale, n, kernels in ((2, 7, 1), (2, 300, 1), (5, 300, 2), (5, 7, 2), (2, 7, 2)):
        np.testing.assert_array_equal(f(a=data, w=scale, shape=n), data[:n] * scale)
        assert len(compiled) == kernels


def test_eight_dimensions_compile_one_nest(compiled):
    a = picture(2, 3, 2, 1, 2, 2, 3, 3)
    np.testing.assert_array_equal(rows(8)(img=a), summed(a))
    assert len(compiled[0]) < 400_000


def test_the_cache_serves_kernels_of_other_calls(tmp_path, monkeypatch):
    from halo.jit import cache

    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_state", cache._State())
    for order in ((3, 7, 4), (7, 4, 3), (4, 3, 7)):
        f = rows()
        for channels in order:
            a = picture(5, 6, channels)
            np.testing.assert_array_equal(f(img=a), summed(a))

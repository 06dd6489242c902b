"""Language, section 1: reductions and update stages."""

from __future__ import annotations

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(4)
IMG = RNG.integers(0, 255, (23, 31), np.uint8)
FLT = RNG.random((9, 11), np.float32)


@halo.func
def histogram(i, *, img: halo.u8[:, :]):
    histogram[i] = halo.u32(0)
    for ry, rx in halo.rdom(img):
        histogram[img[ry, rx]] += 1


@halo.func
def conv(y, x, *, img, w):
    return sum(img[y + ky, x + kx] * w[ky, kx] for ky, kx in halo.rdom(3, 3))


def test_histogram() -> None:
    np.testing.assert_array_equal(histogram(img=IMG, shape=(256,)), np.bincount(IMG.ravel(), minlength=256))


def test_the_pure_stage_may_be_left_out() -> None:
    @halo.func
    def count(i, *, img: halo.u8[:, :]):
        for ry, rx in halo.rdom(img):
            count[img[ry, rx]] += halo.u32(1)

    @halo.func
    def product(i, *, a: halo.i32[:]):
        for r in halo.rdom(a):
            product[i] *= a[r]

    np.testing.assert_array_equal(count(img=IMG, shape=(256,)), np.bincount(IMG.ravel(), minlength=256))
    np.testing.assert_array_equal(product(a=np.array([2, 3, 7], np.int32), shape=(2,)), [42, 42])


def test_convolution_with_an_inline_reduction() -> None:
    from scipy.ndimage import correlate

    w = RNG.random((3, 3), np.float32)
    out = conv(img=FLT, w=w, shape=(7, 9))
    np.testing.assert_allclose(out, correlate(FLT, w)[1:-1, 1:-1], rtol=1e-5)


def test_axes_of_a_domain() -> None:
    @halo.func
    def f(x, *, a, n: halo.i32):
        f[x] = 0
        for i, j, k in halo.rdom(2, range(1, 3), (3, n)):
            f[x] += a[x] * (100 * i + 10 * j + k)

    a = np.array([1, 2], np.int32)
    want = sum(100 * i + 10 * j + k for i in range(2) for j in range(1, 3) for k in range(3, 7))
    np.testing.assert_array_equal(f(a=a, n=4), a * want)


def test_nested_loops_equal_one_domain() -> None:
    @halo.func
    def f(x, *, a):
        f[x] = 0
        for r in halo.rdom(3):
            for s in halo.rdom(4):
                f[x] = f[x] * 3 + a[x] * r + s

    value = np.array([1, 5], np.int32)
    want = np.zeros(2, np.int32)
    for r in range(3):
        for s in range(4):
            want = want * 3 + value * r + s
    np.testing.assert_array_equal(f(a=value), want)


def test_first_axis_is_outermost_and_loops_are_named_by_their_targets() -> None:
    text = histogram.loops()
    assert text.index("for ry in") < text.index("for rx in")


def test_update_k() -> None:
    @halo.func
    def f(x, *, a):
        f[x] = a[x]
        for r in halo.rdom(3):
            f[x] += r
        for r in halo.rdom(2):
            f[x] *= 2 + r

    f.update(1).vectorize("x", 4)
    a = np.arange(10, dtype=np.int32)
    np.testing.assert_array_equal(f(a=a), (a + 3) * 6)


def test_several_updates_in_one_body_become_stages_where_that_is_the_same() -> None:
    @halo.func
    def f(y, x, *, a):
        f[y, x] = a[y, x]
        for r in halo.rdom(3):
            f[y, 0] += r
            f[y, 1] += 2 * r

    a = RNG.integers(0, 9, (3, 4), np.int32)
    want = a.copy()
    want[:, :2] += [3, 6]
    np.testing.assert_array_equal(f(a=a), want)


def test_elsewhere_the_error_says_write_two_loops() -> None:
    @halo.func
    def f(y, x, *, a):
        f[y, x] = a[y, x]
        for r in halo.rdom(3):
            f[y, x] += r
            f[y, x] *= 2

    with pytest.raises(halo.DefinitionError, match="write two loops"):
        f(a=np.zeros((3, 4), np.int32))


def test_if_round_an_update_is_its_predicate() -> None:
    @halo.func
    def f(x, *, a: halo.i32[:]):
        f[x] = 0
        for r in halo.rdom(a):
            if a[r] % 2 == 0:
                f[x] += a[r]
            else:
                f[x] -= 1

    a = np.arange(7, dtype=np.int32)
    want = sum(v if v % 2 == 0 else -1 for v in a.tolist())
    np.testing.assert_array_equal(f(a=a, shape=(3,)), np.full(3, want))


def test_a_local_does_not_survive_the_iteration() -> None:
    @halo.func
    def f(x):
        f[x] = 0
        t = 0
        for r in halo.rdom(3):
            f[x] += t
            t = r

    with pytest.raises(halo.DefinitionError):
        f(shape=(3,))


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("sum", lambda a: a.sum(axis=1)),
        ("min", lambda a: a.min(axis=1)),
        ("max", lambda a: a.max(axis=1)),
        ("halo.prod", lambda a: a.prod(axis=1)),
        ("halo.mean", lambda a: a.mean(axis=1)),
    ],
)
def test_inline_reductions(name: str, want) -> None:
    source = f"def f(y, *, a):\n    return {name}(a[y, r] for r in halo.rdom(a.shape[1]))\n"
    scope: dict = {"halo": halo}
    exec(source, scope)
    f = halo.func(source=source)(scope["f"])
    np.testing.assert_allclose(f(a=FLT), want(FLT), rtol=1e-5)


def test_any_all_and_predicates() -> None:
    @halo.func
    def some(y, *, a):
        return any(a[y, r] > 0.95 for r in halo.rdom(a.shape[1]))

    @halo.func
    def every(y, *, a):
        return all(a[y, r] > 0.05 for r in halo.rdom(a.shape[1]))

    @halo.func
    def large(y, *, a):
        return sum(a[y, r] for r in halo.rdom(a.shape[1]) if a[y, r] > 0.5)

    np.testing.assert_array_equal(some(a=FLT), (FLT > 0.95).any(axis=1))
    np.testing.assert_array_equal(every(a=FLT), (FLT > 0.05).all(axis=1))
    np.testing.assert_allclose(large(a=FLT), np.where(FLT > 0.5, FLT, 0).sum(axis=1), rtol=1e-5)


def test_reductions_fold_with_the_operator_s_own_promotion() -> None:
    @halo.func
    def wraps(x, *, a: halo.u8[:]):
        return sum(a[r] for r in halo.rdom(a))

    @halo.func
    def widens(x, *, a: halo.u8[:]):
        return sum((a[r] for r in halo.rdom(a)), halo.u32(0))

    a = np.full(10, 100, np.uint8)
    assert wraps(a=a, shape=(1,)).dtype == np.uint8
    assert wraps(a=a, shape=(1,))[0] == 1000 % 256
    assert widens(a=a, shape=(1,))[0] == 1000


def test_an_empty_domain_gives_the_identity() -> None:
    @halo.func
    def f(x, *, a: halo.i32[:]):
        return sum(a[r] for r in halo.rdom(a))

    @halo.func
    def g(x, *, a: halo.i32[:]):
        return max(a[r] for r in halo.rdom(a))

    empty = np.zeros(0, np.int32)
    assert f(a=empty, shape=(1,))[0] == 0
    assert g(a=empty, shape=(1,))[0] == np.iinfo(np.int32).min


def test_argmin_and_argmax_give_the_first_extremum() -> None:
    @halo.func
    def largest(y, *, a):
        return halo.argmax(a[y, r] for r in halo.rdom(a.shape[1]))

    @halo.func
    def smallest(i, *, a):
        return halo.argmin(a[r, s] for r, s in halo.rdom(a))

    a = RNG.integers(0, 4, (6, 9), np.int32)
    where, value = largest(a=a)
    np.testing.assert_array_equal(where, a.argmax(axis=1))
    np.testing.assert_array_equal(value, a.max(axis=1))
    r, s, least = smallest(a=a, shape=(1,))
    assert (r[0], s[0]) == np.unravel_index(a.argmin(), a.shape)
    assert least[0] == a.min()


def test_a_reduction_is_the_func_s_own_update_or_a_stage() -> None:
    @halo.func
    def own(y, *, a):
        return sum(a[y, k] for k in halo.rdom(a.shape[1]))

    @halo.func
    def other(y, *, a):
        return sum(a[y, k] for k in halo.rdom(a.shape[1])) + 1

    own.update(0).split("k", "ko", "ki", 4)
    assert isinstance(other["other_sum"], halo.Func)
    a = RNG.integers(0, 9, (5, 7), np.int32)
    np.testing.assert_array_equal(own(a=a), a.sum(axis=1))
    np.testing.assert_array_equal(other(a=a), a.sum(axis=1) + 1)


def test_scan_scatter_and_extremum_updates() -> None:
    @halo.func
    def running(y, x, *, img: halo.i32[:, :]):
        running[y, x] = img[y, x]
        for t in halo.rdom(range(1, img.shape[1])):
            running[y, t] = running[y, t - 1] + img[y, t]

    @halo.func
    def highest(i, *, img: halo.u8[:, :]):
        highest[i] = 0
        for y, x in halo.rdom(img):
            highest[img[y, x] // 16] = max(highest[img[y, x] // 16], halo.i32(img[y, x]))

    a = IMG.astype(np.int32)
    np.testing.assert_array_equal(running(img=a), a.cumsum(axis=1))
    want = np.zeros(16, int)
    np.maximum.at(want, IMG // 16, IMG)
    np.testing.assert_array_equal(highest(img=IMG, shape=(16,)), want)


def test_updates_of_tuples_are_atomic() -> None:
    @halo.func
    def fibonacci(x):
        fibonacci[x] = 0, 1
        for _ in halo.rdom(10):
            fibonacci[x] = fibonacci[x][1], fibonacci[x][0] + fibonacci[x][1]

    a, b = fibonacci(shape=(2,))
    assert (a[0], b[0]) == (55, 89)


def test_stores_outside_the_region_are_masked() -> None:
    out = histogram(img=IMG, shape=(100,))
    np.testing.assert_array_equal(out, np.bincount(IMG.ravel(), minlength=256)[:100])


def test_points_outside_that_values_inside_depend_on_are_computed() -> None:
    @halo.func
    def running(x, *, a: halo.i32[:]):
        running[x] = a[x]
        for t in halo.rdom(range(1, 20)):
            running[t] = running[t - 1] + a[t]

    a = np.arange(20, dtype=np.int32)
    np.testing.assert_array_equal(running.realize((5,), origin=(10,), a=a), a.cumsum()[10:15])


def test_an_unbounded_scatter_source_suggests_clamp() -> None:
    @halo.func
    def f(x, *, a: halo.i32[:]):
        f[x] = a[x]

    @halo.func
    def g(x, *, a: halo.i32[:], i: halo.i64[:]):
        return f[i[x]]

    with pytest.raises(halo.BoundsError, match=r"halo\.clamp"):
        g(a=np.arange(3, dtype=np.int32), i=np.arange(3))


def test_undef_keeps_what_out_holds() -> None:
    @halo.func
    def f(x):
        f[x] = halo.undef(halo.i32)
        for r in halo.rdom(3):
            f[2 * r] = r + 100

    out = np.arange(6, dtype=np.int32)
    f(out=out)
    np.testing.assert_array_equal(out, [100, 1, 101, 3, 102, 5])
    with pytest.raises(halo.HaloError):
        f(shape=(6,))


def test_scatter_and_gather_store_several_values_at_once() -> None:
    @halo.func
    def swapped(x, *, a: halo.i32[:]):
        swapped[x] = a[x]
        for r in halo.rdom(4):
            swapped[halo.scatter(r, 7 - r)] = halo.gather(swapped[7 - r], swapped[r])

    a = np.arange(8, dtype=np.int32)
    np.testing.assert_array_equal(swapped(a=a), a[::-1])


def test_require_stops_the_call() -> None:
    @halo.func
    def f(x, *, a, k: halo.i32):
        return halo.require(k > 0, a[x] // k, "k must be positive")

    np.testing.assert_array_equal(f(a=np.arange(6), k=2), np.arange(6) // 2)
    with pytest.raises(halo.HaloError, match="k must be positive"):
        f(a=np.arange(6), k=0)


def test_random_is_a_function_of_the_point() -> None:
    @halo.func
    def noise(y, x):
        return halo.random_f32()

    a, b = noise(shape=(40, 50)), noise.realize((20, 20), origin=(10, 10))
    assert a.dtype == np.float32
    assert 0 <= a.min()
    assert a.max() < 1
    assert 0.45 < a.mean() < 0.55
    np.testing.assert_array_equal(a[10:30, 10:30], b)


def test_likely_reinterpret_and_bits() -> None:
    @halo.func
    def f(x, *, a: halo.f32[:]):
        return halo.reinterpret(halo.u32, a[x])

    @halo.func
    def low(x, *, a: halo.u16[:]):
        return halo.extract_bits(halo.u8, a[x], 4)

    @halo.func
    def joined(x, *, a: halo.u8[:], b: halo.u8[:]):
        return halo.concat_bits([a[x], b[x]])

    @halo.func
    def steady(x, *, a: halo.f32[:]):
        return halo.select(halo.likely(x > 2), a[x], 0.0)

    v = RNG.random(9, np.float32)
    np.testing.assert_array_equal(f(a=v), v.view(np.uint32))
    w = RNG.integers(0, 65536, 9, np.uint16)
    np.testing.assert_array_equal(low(a=w), (w >> 4).astype(np.uint8))
    pair = w.view(np.uint8)
    np.testing.assert_array_equal(joined(a=pair[::2], b=pair[1::2]), w)
    np.testing.assert_array_equal(steady(a=v), np.where(np.arange(9) > 2, v, 0))


def test_debug_print_shows_values(capfd: pytest.CaptureFixture[str]) -> None:
    @halo.func
    def f(x, *, a: halo.i32[:]):
        return halo.debug_print(a[x], "saw", x)

    np.testing.assert_array_equal(f(a=np.array([5, 6], np.int32)), [5, 6])
    assert "saw" in capfd.readouterr().out


def test_zero_dimensional_funcs() -> None:
    @halo.func
    def total(*, a: halo.i64[:]):
        return sum(a[r] for r in halo.rdom(a))

    @halo.func
    def share(x, *, a: halo.i64[:]):
        return a[x] / halo.f64(total[()])

    a = np.arange(1, 6)
    assert total(a=a).shape == ()
    assert total(a=a) == 15
    np.testing.assert_allclose(share(a=a), a / 15)


def test_extern_stages() -> None:
    def sort_rows(out, a):
        out[...] = np.sort(a, axis=1)

    img = halo.Input("img", halo.u8, ndim=2)
    h, w = img.shape
    rows = halo.extern(sort_rows, [img], halo.u8, 2, bounds=lambda box: [[box[0], (0, w)]])

    @halo.func
    def f(y, x):
        return rows[y, x] + 1

    np.testing.assert_array_equal(f(img=IMG, shape=IMG.shape), np.sort(IMG, axis=1) + 1)


def test_the_object_form() -> None:
    y, x = halo.vars("y x")
    img = halo.Input("img", halo.u8, ndim=2)
    k = halo.Param("k", halo.f32, default=1.0)
    f = halo.Func("f")
    f[y, x] = halo.select(img[y, x] > 128, img[y, x] * k, 0.0)
    r = halo.rdom(3, 3, names="ky kx")
    f[y, x] += img[y + r.ky, x + r.kx]

    i = IMG.astype(np.float32)
    want = np.where(IMG > 128, i, 0)[:-2, :-2]
    for ky in range(3):
        for kx in range(3):
            want = want + i[ky : ky + 21, kx : kx + 29]
    np.testing.assert_allclose(f(img=IMG, shape=(21, 29)), want, rtol=1e-6)


def test_both_forms_give_the_same_loops() -> None:
    @halo.func
    def f(y, x, *, img: halo.u8[:, :]):
        f[y, x] = halo.u32(0)
        for r in halo.rdom(3):
            f[y, x] += img[y, x + r]

    y, x = halo.vars("y x")
    img = halo.Input("img", halo.u8, ndim=2)
    g = halo.Func("f")
    g[y, x] = halo.u32(0)
    r = halo.rdom(3, names="r")
    g[y, x] += img[y, x + r.r]
    assert f.loops() == g.loops()
    np.testing.assert_array_equal(f(img=IMG, shape=(23, 29)), g(img=IMG, shape=(23, 29)))


def test_halo_functions_for_the_builtins() -> None:
    x = halo.Var("x")
    a = halo.Input("a", halo.i32, ndim=1)
    f, g = halo.Func("f"), halo.Func("g")
    r = halo.rdom(4, names="r")
    f[x] = halo.min(halo.abs(a[x]), 3) + halo.max(a[x], 0, 1)
    g[x] = halo.sum(a[x + r.r], r)
    v = np.arange(-5, 5, dtype=np.int32)
    np.testing.assert_array_equal(f(a=v), np.minimum(np.abs(v), 3) + np.maximum(v, 1))
    np.testing.assert_array_equal(g(a=v, shape=(7,)), np.convolve(v, np.ones(4, int), "valid"))


@pytest.mark.parametrize("use", [lambda e: bool(e), lambda e: 1 if e else 0, lambda e: e and e, lambda e: 0 < e < 1])
def test_an_expr_has_no_truth_value(use) -> None:
    a = halo.Input("a", halo.i32, ndim=1)
    with pytest.raises(halo.DefinitionError, match=r"halo\.select"):
        use(a[halo.Var("x")] > 3)

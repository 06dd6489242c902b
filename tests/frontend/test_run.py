"""Every construct of the decorated form, run: against the same computation in NumPy or plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(7)
IMG = RNG.integers(0, 256, (9, 13)).astype(np.uint8)
BIG = RNG.integers(0, 60000, (9, 13)).astype(np.uint16)
REAL = RNG.normal(size=(9, 13)).astype(np.float32)
ROW = RNG.integers(-50, 50, 24).astype(np.int32)
TAPS = (1, 4, 6, 4, 1)
KERNEL = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
LUT = RNG.permutation(256).astype(np.uint8)
FIVE = 5


def agree(f, expected, shape=None, **inputs):
    """The machine code and the Python backend both give `expected`, types included."""
    expected = np.asarray(expected)
    for target in ("host", "python"):
        got = f.compile(target=target, **inputs)(**inputs, shape=shape)
        assert got.dtype == expected.dtype, target
        np.testing.assert_array_equal(got, expected, err_msg=target)


# Pure definitions ----------------------------------------------------------------------------------------------------


def test_a_chain_of_stages():
    @halo.func
    def blur_x(y, x, *, img: halo.u16[:, :]):
        return (img[y, x - 1] + img[y, x] + img[y, x + 1]) // 3

    @halo.func
    def blur_y(y, x):
        return (blur_x[y - 1, x] + blur_x[y, x] + blur_x[y + 1, x]) // 3

    p = np.pad(BIG, 1, "edge")
    bx = (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) // 3
    np.testing.assert_array_equal(blur_y(img=halo.pad(BIG, "edge")), (bx[:-2] + bx[1:-1] + bx[2:]) // 3)


def test_locals_tuples_and_unrolled_loops():
    @halo.func
    def f(y, x, *, img):
        total = halo.u32(0)
        for k, (t, odd) in enumerate(zip(TAPS, (0, 1, 0, 1, 0), strict=True)):
            weight = t if not odd else 2 * t
            total += img[y, x + k] * halo.u32(weight)
        lo, hi = total & 255, total >> 8
        return lo * 3 + hi

    w = np.array([1, 8, 6, 8, 1], np.uint32)
    total = sum(IMG[:, k : k + 9].astype(np.uint32) * w[k] for k in range(5))
    agree(f, (total & 255) * np.uint32(3) + (total >> 8), shape=(9, 9), img=IMG)


def test_if_elif_else_and_guards():
    @halo.func
    def f(y, x, *, img):
        if x > 0 and img[y, x - 1] > 100:
            t = img[y, x - 1]
        elif 3 <= y < 6:
            return halo.u8(0)
        else:
            t = img[y, x] // 2
        return t if img[y, x] % 2 else 255 - t

    expected = np.empty_like(IMG)
    for y in range(9):
        for x in range(13):
            if x > 0 and IMG[y, x - 1] > 100:
                t = IMG[y, x - 1]
            elif 3 <= y < 6:
                expected[y, x] = 0
                continue
            else:
                t = IMG[y, x] // 2
            expected[y, x] = t if IMG[y, x] % 2 else 255 - t
    agree(f, expected, img=IMG)


def test_conditions_guard_what_comes_after_them():
    @halo.func
    def f(i, *, a):
        return 3 if i < 1 or a[i - 1] > 10 else a[i - 1]

    @halo.func
    def g(i, *, a):
        g[i] = 0
        for k in halo.rdom(24):
            if k > 0 and a[k - 1] > 3:
                g[k] += a[k - 1]

    before = np.roll(ROW, 1)
    agree(f, np.where((np.arange(24) < 1) | (before > 10), 3, before).astype(np.int32), a=ROW, shape=(24,))
    agree(g, np.where((np.arange(24) > 0) & (before > 3), before, 0).astype(np.int32), a=ROW, shape=(24,))


def test_and_or_not_of_numbers():
    @halo.func
    def f(i, *, a, b):
        return (a[i] and b[i]) + (a[i] or b[i]) + (not a[i]) + (a[i] in (1, 2, 3))

    a, b = ROW % 4, ROW % 3
    expected = [(p and q) + (p or q) + (not p) + (p in (1, 2, 3)) for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    agree(f, np.array(expected, np.int32), a=a, b=b)


def test_lookup_tables():
    @halo.func
    def f(y, x, *, img):
        return LUT[img[y, x]] + LUT[FIVE] + KERNEL[x % 3][y % 3] + KERNEL[1][-1]

    y, x = np.indices(IMG.shape)
    expected = (LUT[IMG] + LUT[FIVE]).astype(np.int32) + np.array(KERNEL, np.int32)[x % 3, y % 3] + 2
    agree(f, expected, img=IMG)


def test_a_table_of_python_numbers_keeps_the_type_of_what_it_meets():
    @halo.func
    def f(i, *, a: halo.f32[:]):
        return a[i] * [0.5, 1.5, 2.5][i % 3]

    a = ROW.astype(np.float32)
    agree(f, a * np.array([0.5, 1.5, 2.5], np.float32)[np.arange(24) % 3], a=a)


def test_a_large_table():
    table = RNG.integers(0, 1000, 1 << 15).astype(np.int32)  # 128 KiB

    @halo.func
    def f(i, *, a):
        return table[halo.clamp(a[i], -50, 50) + 100] + table[-1]

    agree(f, table[ROW + 100] + table[-1], a=ROW)


def smooth(v, lo, hi):
    """A helper: its ifs, its defaults, its own helper."""
    if v < lo:
        return lo
    return top(v, hi)


def top(v, hi):
    return hi if v > hi else v


def test_helpers():
    @halo.func
    def f(y, x, *, img):
        return smooth(img[y, x], 30, 200) - smooth(10, 20, 30)

    agree(f, np.clip(IMG, 30, 200) - np.uint8(20), img=IMG)


def test_vocabulary():
    @halo.func
    def f(y, x, *, img, other):
        root = math.sqrt(abs(img[y, x])) + np.maximum(img[y, x], other[y, x])
        return np.where(np.isnan(root), 0.0, max(root, math.floor(other[y, x]), 0.25)) - round(img[y, x])

    other = REAL[::-1].copy()
    root = np.sqrt(np.abs(REAL)) + np.maximum(REAL, other)
    agree(f, np.maximum(np.maximum(root, np.floor(other)), np.float32(0.25)) - np.rint(REAL), img=REAL, other=other)


def test_conversions():
    @halo.func
    def f(y, x, *, img):
        return np.uint16(img[y, x]) * 257 + img[y, x].astype(halo.u16) + bool(img[y, x])

    wide = IMG.astype(np.uint16)
    agree(f, (wide * 257 + wide).astype(np.int32) + (IMG != 0), img=IMG)  # a bool counts as i32


def test_scalars_and_defaults():
    @halo.func
    def f(y, x, *, img, gain=2, offset: halo.u8 = 3):
        return img[y, x] * halo.u8(gain) + offset

    agree(f, IMG * np.uint8(2) + np.uint8(3), img=IMG)
    agree(f, IMG * np.uint8(5) + np.uint8(1), img=IMG, gain=5, offset=1)


def test_shapes_in_values_and_indices():
    @halo.func
    def flip(y, x, *, img):
        h, w = img.shape
        return img[h - 1 - y, w - 1 - x] + len(img)

    agree(flip, IMG[::-1, ::-1] + np.int32(9), shape=(9, 13), img=IMG)


def test_rank_generic():
    @halo.func
    def scale(*i, img):
        return img[i] * 2

    @halo.func
    def last_difference(*i, img):
        return scale[i] - img[(*i[:-1], i[-1] + 1)] if i[-1] < 5 else img[i]

    for shape in ((6,), (3, 6), (2, 3, 6)):
        a = RNG.integers(-9, 9, shape).astype(np.int32)
        expected = a.copy()
        expected[..., :5] = a[..., :5] * 2 - a[..., 1:]
        np.testing.assert_array_equal(last_difference(img=a), expected)


def test_tuples():
    @halo.func
    def both(y, x, *, img):
        low, high = img[y, x] & 15, img[y, x] >> 4
        return (low, high) if x % 2 == 0 else (high, low)

    @halo.func
    def back(y, x):
        a, b = both[y, x]
        return a * 16 + both[y, x][1] + b * 0

    x = np.indices(IMG.shape)[1]
    low, high = IMG & 15, IMG >> 4
    np.testing.assert_array_equal(both(img=IMG)[0], np.where(x % 2 == 0, low, high))
    agree(back, np.where(x % 2 == 0, low * 16 + high, high * 16 + low).astype(np.uint8), img=IMG)


def test_funcs_bound_inside_definitions():
    @halo.func
    def blur(i, *, img):
        return (img[i - 1] + img[i] + img[i + 1]) // 3

    @halo.func
    def half(i, *, a):
        return a[i] // 2

    @halo.func
    def f(i, *, a):
        edges = blur(img=halo.pad(a, "edge"))
        return edges[i] * 1000 + blur(half)[i + 1] + a[i]

    @halo.func
    def same(i, *, src):
        return blur(img=src)[i + 1]

    p = np.pad(ROW, 1, "edge")
    edges, h = (p[:-2] + p[1:-1] + p[2:]) // 3, ROW // 2
    agree(f, (edges[:22] * 1000 + (h[:-2] + h[1:-1] + h[2:]) // 3 + ROW[:22]).astype(np.int32), a=ROW, shape=(22,))
    agree(same, (ROW[:-2] + ROW[1:-1] + ROW[2:]) // 3, src=ROW, shape=(22,))


def test_zero_dimensions():
    @halo.func
    def total(*, img: halo.u8[:, :]):
        return sum((img[y, x] for y, x in halo.rdom(img)), halo.u32(0))

    agree(total, np.uint32(IMG.sum()), img=IMG)


def test_pyramids_in_a_loop():
    level = halo.Input("img", halo.i32, ndim=1)
    for _ in range(3):

        @halo.func
        def down(i):
            return (level[2 * i] + level[2 * i + 1]) // 2

        level = down
    a = ROW
    for _ in range(3):
        a = (a[::2] + a[1::2]) // 2
    agree(level, a, shape=(3,), img=ROW)


# Reductions ----------------------------------------------------------------------------------------------------------


def test_convolutions():
    @halo.func
    def valid(y, x, *, img, w):
        return sum(img[y + ky, x + kx] * w[ky, kx] for ky, kx in halo.rdom(3, 3))

    w = np.array(KERNEL, np.int32)
    a = IMG.astype(np.int32)
    expected = sum(a[i : i + 7, j : j + 11] * w[i, j] for i in range(3) for j in range(3))
    agree(valid, expected, shape=(7, 11), img=a, w=w)


def test_inline_reductions_with_predicates_and_starts():
    @halo.func
    def f(i, *, a):
        near = sum((a[i + k] for k in halo.rdom(5) if a[i + k] > 0), halo.i64(10))
        far = max(a[i + k] for k in halo.rdom((1, 4)) if k != 2)
        every = all(a[i + j] > -45 for j in halo.rdom(3))
        return near + far * any(a[i + j] == 7 for j in halo.rdom(20)) + every

    expected = []
    for i in range(4):
        w = ROW[i:]
        near = 10 + sum(int(v) for v in w[:5] if v > 0)
        far = max(int(w[k]) for k in range(1, 5) if k != 2)
        expected.append(near + far * bool((w[:20] == 7).any()) + bool((w[:3] > -45).all()))
    agree(f, np.array(expected, np.int64), shape=(4,), a=ROW)


def test_mean_prod_and_domains():
    @halo.func
    def f(i, *, a, n):
        m = halo.mean(a[i + k] for k in halo.rdom(range(n)))
        return m + halo.prod(a[i + k] for k in halo.rdom((1, 2)))

    a = REAL[0]
    expected = np.array(
        [np.float32(sum(a[i : i + 4], np.float32(0))) / np.float32(4) + a[i + 1] * a[i + 2] for i in range(9)]
    )
    agree(f, expected, shape=(9,), a=a, n=4)


def test_argmin_and_argmax():
    @halo.func
    def where(i, *, a):
        j, k, v = halo.argmin(abs(a[i + j] - a[k]) for j in halo.rdom(3) for k in halo.rdom(4))
        top = halo.argmax(a[i + j] for j in halo.rdom(5))
        return j * 1000 + k * 100 + v + top[0]

    expected = []
    for i in range(8):
        v, j, k = min((abs(int(ROW[i + j]) - int(ROW[k])), j, k) for j in range(3) for k in range(4))
        expected.append(j * 1000 + k * 100 + v + int(np.argmax(ROW[i : i + 5])))
    agree(where, np.array(expected, np.int32), shape=(8,), a=ROW)


def test_returned_arguments_of_extrema():
    @halo.func
    def first(i, *, a):
        return halo.argmin(a[i + j] for j in halo.rdom(5))

    at, value = first(a=ROW, shape=(8,))
    windows = np.lib.stride_tricks.sliding_window_view(ROW, 5)[:8]
    np.testing.assert_array_equal(at, windows.argmin(1))
    np.testing.assert_array_equal(value, windows.min(1))


# Updates -------------------------------------------------------------------------------------------------------------


def test_a_histogram_and_its_cumulation():
    @halo.func
    def hist(i, *, img: halo.u8[:, :]):
        for ry, rx in halo.rdom(img):
            hist[img[ry, rx]] += halo.u32(1)

    @halo.func
    def cdf(i):
        cdf[i] = hist[i]
        for r in halo.rdom((1, 255)):
            cdf[r] += cdf[r - 1]

    counts = np.bincount(IMG.ravel(), minlength=256).astype(np.uint32)
    agree(hist, counts, shape=(256,), img=IMG)
    agree(cdf, counts.cumsum(dtype=np.uint32), shape=(256,), img=IMG)


def test_scans_along_an_axis():
    @halo.func
    def acc(y, t, *, img):
        acc[y, t] = halo.i32(img[y, t])
        for k in halo.rdom(range(1, img.shape[1])):
            acc[y, k] = acc[y, k - 1] + img[y, k]

    agree(acc, IMG.cumsum(1, dtype=np.int32), img=IMG)


def test_scan_with_if_and_else():
    @halo.func
    def runs(t, *, a):
        runs[t] = 0
        for k in halo.rdom((1, 23)):
            if a[k] > 0:
                runs[k] = runs[k - 1] + 1
            else:
                runs[k] = 0

    expected = np.zeros(24, np.int32)
    for k in range(1, 24):
        expected[k] = expected[k - 1] + 1 if ROW[k] > 0 else 0
    agree(runs, expected, a=ROW, shape=(24,))


def test_predicated_updates_and_else():
    @halo.func
    def f(i, *, a):
        f[i] = 0
        for k in halo.rdom(24):
            if a[k] > 10:
                f[k] = a[k]
            elif a[k] > -10 and k % 2 == 0:
                f[k] = 1
        if f[i] == 1:
            f[i] += 100
        else:
            f[i] -= 1

    expected = np.where(ROW > 10, ROW, np.where((ROW > -10) & (np.arange(24) % 2 == 0), 1, 0))
    agree(f, np.where(expected == 1, 101, expected - 1).astype(np.int32), a=ROW, shape=(24,))


def test_nested_loops_and_two_updates_in_one_body():
    @halo.func
    def f(i, *, a):
        f[i] = 0
        for j in halo.rdom(4):
            t = a[j] * 2
            for k in halo.rdom((1, 3)):
                f[2 * k] += t
                f[2 * k + 1] = f[2 * k + 1] - a[j + k]

    expected = np.zeros(10, np.int32)
    for j in range(4):
        for k in range(1, 4):
            expected[2 * k] += ROW[j] * 2
            expected[2 * k + 1] -= ROW[j + k]
    agree(f, expected, a=ROW, shape=(10,))


def test_unrolled_updates():
    @halo.func
    def f(i, *, a):
        f[i] = a[i]
        for k in range(3):
            f[k] = k * 7
            f[i] *= 2

    expected = ROW.copy()
    for k in range(3):
        expected[k] = k * 7
        expected *= 2
    agree(f, expected, a=ROW)


def test_tuple_updates_are_atomic():
    @halo.func
    def fib(t):
        fib[t] = 0, 1
        for k in halo.rdom((1, 19)):
            fib[k] = fib[k - 1][1], fib[k - 1][0] + fib[k - 1][1]
        fib[t][0] *= 10

    a, b = fib(shape=(20,))
    numbers = [0, 1]
    while len(numbers) < 21:
        numbers.append(numbers[-1] + numbers[-2])
    np.testing.assert_array_equal(a, np.array(numbers[:20]) * 10)
    np.testing.assert_array_equal(b, numbers[1:])


def test_reductions_inside_updates():
    @halo.func
    def f(i, *, img):
        f[i] = 0
        for k in halo.rdom(9):
            f[k] += sum((img[k, j] for j in halo.rdom(13) if j > k), halo.i32(0))

    expected = np.zeros(12, np.int32)
    expected[:9] = [IMG[k, k + 1 :].sum() for k in range(9)]
    agree(f, expected, img=IMG, shape=(12,))


def test_a_domain_with_a_condition_made_outside():
    r = halo.rdom(9, 9, names="p q")
    r.where(r.p <= r.q)

    @halo.func
    def f(i, *, img):
        f[i] = halo.i32(0)
        for j, k in r:
            f[j] += img[j, k]

    agree(f, np.array([IMG[k, k:9].sum() for k in range(9)], np.int32), img=IMG, shape=(9,))


def test_both_forms_give_the_same():
    y, x = halo.vars("y x")
    img = halo.Input("img", halo.u8, ndim=2)
    k = halo.Param("k", halo.f32, default=1.0)
    g = halo.Func("g")
    g[y, x] = halo.select(img[y, x] > 128, img[y, x] * k, 0.0)
    r = halo.rdom(3, 3, names="ky kx")
    g[y, x] += img[y + r.ky, x + r.kx]

    @halo.func
    def f(y, x, *, img: halo.u8[:, :], k: halo.f32 = 1.0):
        f[y, x] = img[y, x] * k if img[y, x] > 128 else 0.0
        for ky, kx in halo.rdom(3, 3):
            f[y, x] += img[y + ky, x + kx]

    assert f.loops().replace("f", "g") == g.loops().replace("f", "g")
    np.testing.assert_array_equal(f(img=IMG, k=2.5, shape=(7, 11)), g(img=IMG, k=2.5, shape=(7, 11)))


def test_errors_come_from_the_definition():
    @halo.func
    def f(y, x, *, image):
        return imgae[y, x]  # noqa: F821  (unbound on purpose)

    with pytest.raises(halo.DefinitionError) as e:
        f(image=IMG)
    assert e.value.loc.line == f.py_func.__code__.co_firstlineno + 2

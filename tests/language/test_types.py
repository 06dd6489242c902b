"""Language, section 1: types, arithmetic, boundaries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(5)
ALL = [halo.bool_, halo.i8, halo.i16, halo.i32, halo.i64, halo.u8, halo.u16, halo.u32, halo.u64, halo.f16, halo.bf16,
       halo.f32, halo.f64]  # fmt: skip
INTS = ALL[1:9]


def one(expression: str, /, **arrays: np.ndarray) -> np.ndarray:
    """`expression` of x and of the elements a[x], b[x], ... of one-dimensional arrays, as a Func."""
    locals_ = "".join(f"    {n} = {n}_in[x]\n" for n in arrays)
    inputs = ", ".join(f"{n}_in" for n in arrays)
    source = f"def f(x{', *, ' if inputs else ''}{inputs}):\n{locals_}    return {expression}\n"
    scope: dict = {"halo": halo, "math": math, "np": np}
    exec(source, scope)
    f = halo.func(source=source)(scope["f"])
    return f(**{f"{n}_in": a for n, a in arrays.items()}, **({} if arrays else {"shape": (4,)}))


def bits(t: halo.Type) -> np.ndarray:
    """Sixteen values of the type, extremes among them."""
    raw = RNG.integers(0, 256, 16 * t.dtype.itemsize, np.uint8).view(t.dtype)
    if t.is_bool:
        return raw.view(np.uint8) > 127
    if t.is_int:
        raw[:2] = t.min, t.max
        return raw
    return RNG.standard_normal(16).astype(t.dtype)


@pytest.mark.parametrize("t", ALL, ids=str)
def test_every_type_goes_in_and_out(t: halo.Type) -> None:
    a = bits(t)
    out = one("a", a=a)
    assert out.dtype == t.dtype
    np.testing.assert_array_equal(out.view(np.uint8), a.view(np.uint8))


@pytest.mark.parametrize("t", ALL, ids=str)
def test_dtypes_and_names_stand_for_types(t: halo.Type) -> None:
    a = np.array([0, 1, 1, 0], np.int32)
    for spelling in (t, t.dtype, t.name, t.dtype.name):
        f, x = halo.Func("f"), halo.Var("x")
        f[x] = halo.Input("a", halo.i32, ndim=1)[x].astype(spelling)
        assert f(a=a).dtype == t.dtype


@pytest.mark.parametrize(("s", "t"), [*itertools.combinations_with_replacement(INTS, 2)], ids=str)
def test_promotion_among_integers_is_numpy_s(s: halo.Type, t: halo.Type) -> None:
    """In one order: `a + b` and `b + a` are of one type, see tests/frontend/test_promotion.py."""
    a, b = bits(s), bits(t)
    out = one("a + b", a=a, b=b)
    if halo.u64 in (s, t) and s.kind != t.kind:  # the one exception: NumPy has a float here
        assert out.dtype == np.int64
    else:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(out, a + b)
        assert out.dtype == (a + b).dtype


def test_python_numbers_are_weak() -> None:
    a = np.array([250, 7], np.uint8)
    np.testing.assert_array_equal(one("a + 10", a=a), np.array([4, 17], np.uint8))
    assert one("a + 10", a=a).dtype == np.uint8
    assert one("a * 0.5", a=a).dtype == np.float32
    assert one("a * 0.5", a=a.astype(np.int64)).dtype == np.float64
    assert one("a * 0.5", a=a.astype(np.float16)).dtype == np.float16


def test_an_integer_with_a_float_gives_that_float() -> None:
    i, f = np.arange(4, dtype=np.int64), np.ones(4, np.float32)
    assert one("a * b", a=i, b=f).dtype == np.float32
    assert one("a * b", a=i, b=f.astype(np.float16)).dtype == np.float16


def test_division_and_float_functions_of_integers() -> None:
    assert one("a / 3", a=np.arange(4, dtype=np.uint8)).dtype == np.float32
    assert one("a / 3", a=np.arange(4, dtype=np.int32)).dtype == np.float64
    assert one("math.sqrt(a)", a=np.arange(4, dtype=np.int16)).dtype == np.float32
    assert one("math.sqrt(a)", a=np.arange(4, dtype=np.uint32)).dtype == np.float64


def test_index_variables_are_i32_and_weak_with_floats() -> None:
    f = np.ones(4, np.float32)
    assert one("x + 1").dtype == np.int32
    assert one("x * 0.5").dtype == np.float32
    assert one("x / 2").dtype == np.float32
    assert one("a * (x + 0.5)", a=f).dtype == np.float32
    assert one("a * (x + 0.5)", a=f.astype(np.float64)).dtype == np.float64
    assert one("x + a", a=np.zeros(4, np.int64)).dtype == np.int64


def test_bool_counts_as_i32() -> None:
    a = np.array([True, False, True, True])
    out = one("a + a", a=a)
    assert out.dtype == np.int32
    np.testing.assert_array_equal(out, a.astype(int) * 2)

    @halo.func
    def count(i, *, a: halo.bool_[:]):
        return sum(a[r] for r in halo.rdom(a))

    assert count(a=a, shape=(1,))[0] == 3


def test_definitions_of_python_numbers_alone() -> None:
    assert one("3").dtype == np.int32
    assert one("3.5").dtype == np.float32
    assert one("True").dtype == np.bool_


def test_an_update_converts_if_lossless_or_weak() -> None:
    @halo.func
    def fits(x, *, a: halo.u8[:]):
        fits[x] = halo.i32(0)
        for _ in halo.rdom(2):
            fits[x] += a[x]

    @halo.func
    def loses(x, *, a: halo.i64[:]):
        loses[x] = halo.i32(0)
        for _ in halo.rdom(2):
            loses[x] += a[x]

    np.testing.assert_array_equal(fits(a=np.array([200], np.uint8)), [400])
    with pytest.raises(halo.TypeMismatchError, match="i32") as error:
        loses(a=np.arange(3))
    assert isinstance(error.value, TypeError)


def test_a_python_int_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(halo.TypeMismatchError):
        one("a + 256", a=np.zeros(3, np.uint8))
    with pytest.raises(halo.TypeMismatchError):
        one("a + -1", a=np.zeros(3, np.uint8))


@pytest.mark.parametrize("t", INTS, ids=str)
def test_integer_division(t: halo.Type) -> None:
    a = np.resize(bits(t), 256)
    b = np.repeat(np.concatenate([np.array([0, 1, t.max, 3], t.dtype), bits(t)[:12]]), 16)
    if t.is_signed:
        b[:16] = t.dtype.type(-1)
        b[16:32] = 0
    quotient, remainder = one("a // b", a=a, b=b), one("a % b", a=a, b=b)
    for x, y, q, r in zip(a.tolist(), b.tolist(), quotient.tolist(), remainder.tolist(), strict=True):
        assert q == (t.wrap(x // y) if y else 0)
        assert r == (x % y if y else 0)


@pytest.mark.parametrize("t", INTS, ids=str)
def test_shifts(t: halo.Type) -> None:
    a = np.resize(bits(t), 160)
    by = np.repeat(np.array([0, 1, 7, t.bits - 1, t.bits, t.bits + 3, -1, -t.bits, -3, 100], np.int8), 16)
    if not t.is_signed:
        by = np.abs(by)
    left, right = one("a << b", a=a, b=by.astype(t.dtype)), one("a >> b", a=a, b=by.astype(t.dtype))

    def shifted(v: int, k: int) -> int:
        return t.wrap(v << k) if k >= 0 else v >> -k

    for v, k, lo, hi in zip(a.tolist(), by.tolist(), left.tolist(), right.tolist(), strict=True):
        assert lo == shifted(v, k)
        assert hi == shifted(v, -k)


def test_abs_round_and_conversion() -> None:
    np.testing.assert_array_equal(one("abs(a)", a=np.array([-128, 5], np.int8)), np.array([-128, 5], np.int8))
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    np.testing.assert_array_equal(one("round(a)", a=halves), np.round(halves))
    wild = np.array([1e30, -1e30, np.nan, 3.99, -3.99, np.inf, -np.inf, 255.5], np.float32)
    np.testing.assert_array_equal(one("halo.u8(a)", a=wild), [255, 0, 0, 3, 0, 255, 0, 255])
    info = np.iinfo(np.int32)
    np.testing.assert_array_equal(one("halo.i32(a)", a=wild), [info.max, info.min, 0, 3, -3, info.max, info.min, 255])


def test_min_and_max_propagate_nan() -> None:
    a, b = np.array([np.nan, 1, np.nan, 2], np.float32), np.array([1, np.nan, np.nan, 3], np.float32)
    np.testing.assert_array_equal(one("min(a, b)", a=a, b=b), np.minimum(a, b))
    np.testing.assert_array_equal(one("max(a, b)", a=a, b=b), np.maximum(a, b))


def test_float_division_and_modulo_follow_numpy() -> None:
    a = np.array([7.5, -7.5, 1.0, 0.0, np.inf, 5.0], np.float32)
    b = np.array([2.0, 2.0, 0.0, 0.0, 2.0, -3.0], np.float32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(one("a / b", a=a, b=b), a / b)
        np.testing.assert_array_equal(one("a // b", a=a, b=b), a // b)
        np.testing.assert_array_equal(one("a % b", a=a, b=b), a % b)


def test_conversions_and_saturation() -> None:
    a = np.array([-5, 300, 128, 0], np.int32)
    np.testing.assert_array_equal(one("halo.u8(a)", a=a), a.astype(np.uint8))
    np.testing.assert_array_equal(one("a.astype(halo.u8)", a=a), a.astype(np.uint8))
    np.testing.assert_array_equal(one("halo.saturate(halo.u8, a)", a=a), np.clip(a, 0, 255))


def test_integer_functions() -> None:
    a, b = RNG.integers(0, 256, 64, np.uint8), RNG.integers(0, 256, 64, np.uint8)
    i, j = a.astype(int), b.astype(int)
    cases = {
        "halo.absd(a, b)": abs(i - j),
        "halo.avg_up(a, b)": (i + j + 1) // 2,
        "halo.avg_down(a, b)": (i + j) // 2,
        "halo.mul_high(a, b)": i * j >> 8,
        "halo.widening_mul(a, b)": i * j,
        "halo.sat_add(a, b)": np.minimum(i + j, 255),
        "halo.sat_sub(a, b)": np.maximum(i - j, 0),
        "halo.clamp(a, 10, 20)": np.clip(i, 10, 20),
        "halo.popcount(a)": [v.bit_count() for v in i.tolist()],
        "halo.clz(a)": [8 - v.bit_length() for v in i.tolist()],
        "halo.select(a > b, a, b)": np.maximum(i, j),
    }
    for expression, want in cases.items():
        out = one(expression, a=a, b=b)
        np.testing.assert_array_equal(out, want, err_msg=expression)
    assert one("halo.widening_mul(a, b)", a=a, b=b).dtype == np.uint16


FUNCTIONS = [
    *("sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arctan"),
    *("sinh", "cosh", "tanh", "floor", "ceil", "trunc", "isnan", "isinf", "isfinite"),
]


@pytest.mark.parametrize("t", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_as_in_numpy(name: str, t: type) -> None:
    a = (RNG.random(100) * 4 + 0.01).astype(t)
    want = getattr(np, name)(a.astype(np.longdouble))
    out = one(f"np.{name}(a)", a=a)
    if out.dtype == np.bool_:
        np.testing.assert_array_equal(out, want)
    else:
        assert out.dtype == t
        ulp = np.abs(out - want) / np.spacing(np.abs(want).astype(t))
        assert ulp.max() <= 4


def test_scalar_and_vector_code_give_the_same_bits() -> None:
    @halo.func
    def f(x, *, a):
        return halo.exp(halo.sin(a[x])) + halo.pow(a[x], 1.7) + halo.erf(a[x]) + halo.atan2(a[x], 0.3)

    a = RNG.random(37, np.float32) * 3
    f.compute_root()
    scalar = f(a=a)
    f.vectorize("x", 8)
    np.testing.assert_array_equal(f(a=a).view(np.uint32), scalar.view(np.uint32))


def test_fma_is_placed_at_capture_and_floats_do_not_depend_on_the_schedule() -> None:
    def make():
        @halo.func
        def scaled(x, *, a, b):
            return a[x] * b[x]

        @halo.func
        def f(x, *, a, b):
            return a[x] * b[x] + scaled[x] * 0.3 + a[x] * a[x]

        return f

    a, b = RNG.random(101), RNG.random(101)
    plain, inlined, rooted = make(), make(), make()
    inlined["scaled"].compute_inline()
    inlined.vectorize("x", 4)
    rooted["scaled"].compute_root()
    rooted.split("x", "xo", "xi", 7).unroll("xi")
    want = plain(a=a, b=b).view(np.uint64)
    np.testing.assert_array_equal(inlined(a=a, b=b).view(np.uint64), want)
    np.testing.assert_array_equal(rooted(a=a, b=b).view(np.uint64), want)
    np.testing.assert_array_equal(plain.compile(target="python", a=a, b=b)(a, b).view(np.uint64), want)


def test_subscripts_are_mathematical_integers() -> None:
    @halo.func
    def f(x, *, a, k: halo.i32):
        return a[(x * 65536 * 65536) // 65536 // 65536 + halo.select(k > 0, 1, 0)]

    a = np.arange(10)
    np.testing.assert_array_equal(f(a=a, k=1, shape=(9,)), a[1:])


def test_the_same_expression_as_a_value_wraps() -> None:
    out = one("x * 65536 * 65536")
    np.testing.assert_array_equal(out, 0)
    assert out.dtype == np.int32


# Boundaries -----------------------------------------------------------------------------------------------------------

IMG = RNG.integers(0, 255, (7, 9), np.int32)


@halo.func
def cross(y, x, *, img):
    return img[y - 2, x] + 2 * img[y + 2, x] + 3 * img[y, x - 2] + 4 * img[y, x + 2]


def numpy_cross(p: np.ndarray) -> np.ndarray:
    return p[:-4, 2:-2] + 2 * p[4:, 2:-2] + 3 * p[2:-2, :-4] + 4 * p[2:-2, 4:]


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
def test_pad_modes_are_numpy_s(mode: str) -> None:
    np.testing.assert_array_equal(cross(img=halo.pad(IMG, mode)), numpy_cross(np.pad(IMG, 2, mode)))
    small = IMG[:1, :2] if mode != "reflect" else IMG[:2, :2]
    np.testing.assert_array_equal(cross(img=halo.pad(small, mode)), numpy_cross(np.pad(small, 2, mode)))


def test_pad_with_a_value() -> None:
    want = numpy_cross(np.pad(IMG, 2, constant_values=77))
    np.testing.assert_array_equal(cross(img=halo.pad(IMG, "constant", 77)), want)


def test_pad_of_an_input_and_of_a_func_in_a_definition() -> None:
    @halo.func
    def inside(y, x, *, img):
        p = halo.pad(img, "edge")
        return p[y - 1, x] + p[y, x + 1]

    @halo.func
    def negative(y, x, *, img):
        return -img[y, x]

    @halo.func
    def of_func(y, x):
        p = halo.pad(negative, "edge", bounds=[(0, 7), (0, 9)])
        return p[y - 1, x] + p[y, x + 1]

    p = np.pad(IMG, 1, "edge")
    want = p[:-2, 1:-1] + p[1:-1, 2:]
    np.testing.assert_array_equal(inside(img=IMG), want)
    np.testing.assert_array_equal(of_func(img=IMG, shape=(7, 9)), -want)


def test_pad_may_leave_an_axis_alone() -> None:
    @halo.func
    def f(y, x, *, img):
        p = halo.pad(img, "edge", bounds=[(0, 7), None])
        return p[y - 1, x + 1]

    with pytest.raises(halo.BoundsError):
        f(img=IMG, shape=(7, 9))
    np.testing.assert_array_equal(f(img=IMG, shape=(7, 8)), np.pad(IMG, ((1, 0), (0, 0)), "edge")[:7, 1:])


def test_padding_an_empty_axis_needs_constant() -> None:
    empty = np.zeros((0, 4), np.int32)
    assert cross(img=halo.pad(empty, "constant"), shape=(2, 4)).sum() == 0
    with pytest.raises(halo.HaloError):
        cross(img=halo.pad(empty, "edge"), shape=(2, 4))

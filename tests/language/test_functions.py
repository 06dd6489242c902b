"""Language, section 1: pure functions."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

import halo

RNG = np.random.default_rng(3)
IMG = RNG.integers(0, 200, (13, 17), np.uint16)
FLT = RNG.random((13, 17), np.float32)


@halo.func
def blur_x(y, x, *, img):
    return (img[y, x - 1] + img[y, x] + img[y, x + 1]) // 3


@halo.func
def blur_y(y, x):
    return (blur_x[y - 1, x] + blur_x[y, x] + blur_x[y + 1, x]) // 3


blur_y.tile("y", "x", "yo", "xo", "yi", "xi", 32, 256).vectorize("xi", 32).parallel("yo")
blur_x.compute_at(blur_y, "xo").vectorize("x", 32)


def numpy_blur(img: np.ndarray) -> np.ndarray:
    p = np.pad(img, 1, "edge")
    rows = (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) // 3
    return (rows[:-2] + rows[1:-1] + rows[2:]) // 3


@pytest.mark.parametrize("shape", [(13, 17), (1, 1), (70, 600)])
def test_the_opening_example(shape: tuple[int, int]) -> None:
    photo = RNG.integers(0, 20000, shape, np.uint16)
    np.testing.assert_array_equal(blur_y(img=halo.pad(photo, "edge")), numpy_blur(photo))


def test_index_variables_are_outermost_first() -> None:
    @halo.func
    def f(y, x):
        return 100 * y + x

    out = f(shape=(3, 5))
    np.testing.assert_array_equal(out, np.add.outer(100 * np.arange(3), np.arange(5)))
    assert out.flags.c_contiguous


def test_a_pack_of_index_variables_is_bound_when_the_rank_is_known() -> None:
    @halo.func
    def twice(*i, img):
        return img[i] * 2

    @halo.func
    def ramp(*i, img):
        return img[i] + i[-1] + len(i)

    for shape in [(7,), (3, 4), (2, 3, 4)]:
        a = RNG.integers(0, 99, shape, np.int32)
        np.testing.assert_array_equal(twice(img=a), a * 2)
        np.testing.assert_array_equal(ramp(img=a), a + np.arange(shape[-1]) + len(shape))


def test_a_pack_beside_other_indices() -> None:
    @halo.func
    def luminance(*i, img):
        return img[(*i, 0)] + img[(*i, 1)]

    a = RNG.integers(0, 99, (4, 5, 2), np.int32)
    np.testing.assert_array_equal(luminance(img=a), a.sum(axis=-1))


def test_keyword_parameters_are_arrays_or_scalars() -> None:
    @halo.func
    def scaled(y, x, *, img, gain, offset=1.5):
        return img[y, x] * gain + offset

    np.testing.assert_allclose(scaled(img=FLT, gain=2.0), FLT * 2 + 1.5, rtol=1e-6)
    np.testing.assert_allclose(scaled(img=FLT, gain=2.0, offset=0.0), FLT * 2, rtol=1e-6)


def test_stages_that_name_the_same_input_mean_the_same() -> None:
    @halo.func
    def a(x, *, v):
        return v[x] + 1

    @halo.func
    def b(x, *, v):
        return a[x] * v[x]

    v = np.arange(5, dtype=np.int32)
    assert list(b.inputs) == ["v"]
    np.testing.assert_array_equal(b(v=v), (v + 1) * v)


def test_merging_inputs_of_different_rank_or_type_is_an_error() -> None:
    @halo.func
    def a(x, *, v: halo.u8[:]):
        return v[x]

    @halo.func
    def b(x, *, v: halo.u16[:]):
        return a[x] + v[x]

    with pytest.raises(halo.DefinitionError, match="v"):
        b(v=np.zeros(3, np.uint8))


def test_an_annotation_fixes_the_type() -> None:
    @halo.func
    def f(y, x, *, img: halo.u16[:, :], gain: halo.f32):
        return img[y, x] * gain

    assert f(img=IMG, gain=2).dtype == np.float32
    with pytest.raises(halo.ArgumentError, match="u16"):
        f(img=IMG.astype(np.int32), gain=2)


def test_without_an_annotation_the_type_is_the_argument_s() -> None:
    @halo.func
    def same(x, *, a):
        return a[x]

    for dtype in (np.uint8, np.int64, np.float16, np.float64, np.bool_):
        assert same(a=np.zeros(3, dtype)).dtype == dtype


def test_a_promised_contiguous_axis_is_checked() -> None:
    @halo.func
    def f(y, x, *, img: halo.u16[:, ::1]):
        return img[y, x] + 1

    np.testing.assert_array_equal(f(img=IMG), IMG + 1)
    with pytest.raises(halo.ArgumentError, match="contiguous"):
        f(img=IMG[:, ::2])


def test_compile_takes_the_promise_too() -> None:
    @halo.func
    def f(y, x, *, img):
        return img[y, x] + 1

    kernel = f.compile(img=halo.u16[:, ::1])
    assert "img: u16[:, ::1]" in repr(kernel)
    np.testing.assert_array_equal(kernel(img=IMG), IMG + 1)
    np.testing.assert_array_equal(kernel(IMG[::2, 3:]), IMG[::2, 3:] + 1)
    out = np.zeros_like(IMG[:, ::2])
    with pytest.raises(halo.ArgumentError, match="contiguous"):
        kernel(img=IMG[:, ::2], out=out)
    assert not out.any()
    for plain in (f, f.compile(img=halo.u16[:, :]), f.compile(img=IMG)):
        np.testing.assert_array_equal(plain(img=IMG[:, ::2]), IMG[:, ::2] + 1)
    with pytest.raises(halo.ArgumentError, match="axes"):
        f.compile(img=halo.u16[::1])


def test_what_the_decorator_gives() -> None:
    @halo.func(name="renamed", cache=False)
    def f(x, *, a, k=3):
        return a[x] * k

    assert isinstance(f, halo.Func)
    assert f.name == "renamed"
    assert f.py_func.__name__ == "f"
    assert list(f.inputs) == ["a", "k"]
    assert bool(f)
    np.testing.assert_array_equal(f(a=np.arange(3)), np.arange(3) * 3)


def test_fastmath_may_reorder() -> None:
    @halo.func(fastmath=True)
    def f(x, *, a):
        return (a[x] + 1.5) * 3.0 - a[x] / 7.0

    np.testing.assert_allclose(f(a=FLT[0]), (FLT[0] + 1.5) * 3 - FLT[0] / 7, rtol=1e-5)
    assert " fdiv " not in f.inspect_llvm(a=FLT[0])

    def total(*, a):
        return sum(a[ry, rx] for ry, rx in halo.rdom(a))

    exact = halo.func(total)
    exact.update(0).reorder("rx", "ry")
    with pytest.raises(halo.ScheduleError, match="round"):
        exact(a=FLT)
    fast = halo.func(fastmath=True)(total)
    fast.update(0).reorder("rx", "ry")
    np.testing.assert_allclose(fast(a=FLT), FLT.sum(), rtol=1e-5)


def test_source_may_be_given() -> None:
    scope: dict = {}
    source = "def f(x, *, a):\n    return a[x] + 1\n"
    exec(source, scope)
    f = halo.func(source=source)(scope["f"])
    np.testing.assert_array_equal(f(a=np.arange(3)), np.arange(3) + 1)
    with pytest.raises(halo.DefinitionError, match="source"):
        halo.func(scope["f"])(a=np.arange(3))


def test_a_stage_of_the_pipeline_by_name() -> None:
    assert blur_y["blur_x"] is blur_x
    with pytest.raises((KeyError, halo.HaloError)):
        blur_y["nothing"]


def test_binding_a_func_to_an_input_makes_a_new_func() -> None:
    @halo.func
    def gained(y, x, *, raw, gain: halo.u16 = 2):
        return raw[y, x] * gain

    both = blur_y(img=gained)
    assert isinstance(both, halo.Func)
    assert list(both.inputs) == ["raw", "gain"]
    np.testing.assert_array_equal(both(raw=halo.pad(IMG, "edge")), numpy_blur(IMG * 2))
    assert list(blur_y.inputs) == ["img"]


def test_binding_an_input_renames_it_and_a_number_is_bound_as_a_constant() -> None:
    @halo.func
    def scaled(x, *, a, k: halo.i32):
        return a[x] * k

    f = scaled(a=halo.Input("other", halo.i32, ndim=1), k=5)
    assert list(f.inputs) == ["other"]
    np.testing.assert_array_equal(f(other=np.arange(4, dtype=np.int32)), np.arange(4) * 5)


def test_binding_leaves_the_inputs_of_what_is_bound_alone() -> None:
    @halo.func
    def inc(x, *, a):
        return a[x] + 1

    @halo.func
    def double(x, *, a):
        return a[x] * 2

    f = double(a=inc)
    np.testing.assert_array_equal(f(a=np.arange(4)), (np.arange(4) + 1) * 2)
    np.testing.assert_array_equal(double(a=double)(a=np.arange(4)), np.arange(4) * 4)


def test_the_shape_of_a_bound_func_needs_bounds() -> None:
    @halo.func
    def width(y, x, *, img):
        return img[y, x] + img.shape[1]

    @halo.func
    def source(y, x, *, raw):
        return raw[y, x]

    with pytest.raises(halo.DefinitionError, match="bounds"):
        width(img=source)(raw=IMG)
    bounded = width(img=halo.pad(source, "edge", bounds=[(0, 13), (0, 17)]))
    np.testing.assert_array_equal(bounded(raw=IMG, shape=IMG.shape), IMG.astype(np.int32) + 17)


def test_binding_copies_the_directives() -> None:
    @halo.func
    def source(y, x, *, raw):
        return raw[y, x]

    both = blur_y(img=source)
    assert "parallel" in both.loops()
    assert both["blur_x"] is not blur_x


def test_free_names_are_those_of_the_time_of_decoration() -> None:
    k = 1

    @halo.func
    def f(x, *, a):
        return a[x] + k

    k = 100
    np.testing.assert_array_equal(f(a=np.arange(3)), np.arange(3) + 1)


def test_a_loop_that_builds_a_pyramid_gets_each_level_right() -> None:
    @halo.func
    def level(x, *, a):
        return a[x]

    for _ in range(3):
        below = level

        @halo.func
        def level(x):
            return below[2 * x] + below[2 * x + 1]

    a = np.arange(16, dtype=np.int32)
    np.testing.assert_array_equal(level(a=a, shape=(2,)), a.reshape(2, 8).sum(axis=1))
    assert len(level.loops()) > 0


def test_a_list_is_copied_at_decoration() -> None:
    weights = [1, 2, 3]

    @halo.func
    def f(x, *, a):
        return sum(weights[k] * a[x + k] for k in range(3))

    weights[0] = 100
    a = np.arange(10)
    np.testing.assert_array_equal(f(a=a, shape=(8,)), a[:8] + 2 * a[1:9] + 3 * a[2:10])


def test_a_large_array_becomes_a_bound_input() -> None:
    table = RNG.integers(0, 99, 40000, np.int32)

    @halo.func
    def f(x, *, a: halo.u8[:]):
        return table[halo.i32(a[x]) * 100]

    a = RNG.integers(0, 255, 50, np.uint8)
    np.testing.assert_array_equal(f(a=a), table[a.astype(int) * 100])
    table[:] = 0
    assert f(a=a).any()


def test_an_unbound_name_is_an_error_at_first_use() -> None:
    @halo.func
    def f(x):
        return not_defined_anywhere[x]  # noqa: F821  (unbound on purpose)

    with pytest.raises(halo.DefinitionError, match="define it above"):
        f(shape=(3,))


def test_a_table_indexed_by_an_expression() -> None:
    table = np.array([5, 7, 11, 13], np.uint16)
    numbers = (1, 10, 100)

    @halo.func
    def f(x, *, a: halo.u8[:]):
        return table[a[x] % 4] + numbers[2]

    a = np.arange(9, dtype=np.uint8)
    np.testing.assert_array_equal(f(a=a), table[a % 4] + 100)


def test_functions_of_math_numpy_operator_and_builtins() -> None:
    @halo.func
    def f(x, *, a):
        big = operator.mul(math.sqrt(a[x]), np.float32(2))
        return max(abs(big), 0.5) + np.floor(a[x]) + min(a[x], 1.0)

    a = RNG.random(20, np.float32) * 3
    np.testing.assert_allclose(f(a=a), np.maximum(2 * np.sqrt(a), 0.5) + np.floor(a) + np.minimum(a, 1), rtol=1e-6)


def test_a_python_function_is_inlined_with_its_ifs() -> None:
    def sign(v):
        if v > 0:
            return 1
        elif v < 0:
            return -1
        return 0

    @halo.func
    def f(x, *, a):
        return sign(a[x])

    a = np.array([-3, 0, 5], np.int32)
    np.testing.assert_array_equal(f(a=a), np.sign(a))


def test_an_njit_function_is_translated() -> None:
    import numba

    @numba.njit
    def curve(v):
        if v < 0.5:
            return v * v
        return v + math.sqrt(v)

    @halo.func
    def f(x, *, a):
        return curve(a[x])

    a = RNG.random(33)
    np.testing.assert_allclose(f(a=a), np.where(a < 0.5, a * a, a + np.sqrt(a)), rtol=1e-12)


def test_an_njit_function_that_is_not_translated_is_called_lane_by_lane() -> None:
    import numba

    @numba.njit
    def collatz(n):
        steps = 0
        while n > 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return steps

    @halo.func
    def f(x, *, n: halo.i64[:]):
        return collatz(n[x])

    n = np.arange(1, 30)
    np.testing.assert_array_equal(f.vectorize("x", 8)(n=n), [collatz.py_func(int(k)) for k in n])
    assert "f[...] = ...  # calls collatz lane by lane" in f.loops()


def test_an_njit_function_that_can_raise_is_refused() -> None:
    import numba

    @numba.njit
    def strict(v):
        if v < 0:
            raise ValueError("negative")
        return v

    @halo.func
    def f(x, *, a):
        return strict(a[x])

    with pytest.raises(halo.DefinitionError):
        f(a=np.ones(3))


def test_the_body() -> None:
    @halo.func
    def f(y, x, *, img):
        here, right = img[y, x], img[y, x + 1]
        total = 0
        for k in range(3):
            total += img[y, x + k] * (k + 1)
        assert len([1, 2]) == 2
        if 10 < here <= 100 and not right == 7:
            result = total
        elif here > 150 or right > 190:
            result = right
        else:
            result = here if here > right else right + 1
        return result

    i = IMG.astype(np.int32)
    want = np.zeros((13, 15), np.int32)
    for y in range(13):
        for x in range(15):
            here, right = i[y, x], i[y, x + 1]
            total = sum(i[y, x + k] * (k + 1) for k in range(3))
            if 10 < here <= 100 and right != 7:
                want[y, x] = total
            elif here > 150 or right > 190:
                want[y, x] = right
            else:
                want[y, x] = here if here > right else right + 1
    np.testing.assert_array_equal(f(img=i, shape=(13, 15)), want)


def test_a_tuple_valued_func() -> None:
    @halo.func
    def both(x, *, a):
        return a[x] + 1, a[x] * 0.5

    @halo.func
    def total(x):
        one, half = both[x]
        return one + half + both[x][1]

    a = np.arange(6, dtype=np.int32)
    one, half = both(a=a)
    np.testing.assert_array_equal(one, a + 1)
    np.testing.assert_array_equal(half, (a * 0.5).astype(np.float32))
    np.testing.assert_array_equal(total(a=a), a + 1 + a)


@pytest.mark.parametrize(
    "body", ["while True: pass", "return [a[x] for _ in range(2)]", "yield a[x]", "return lambda: a[x]"]
)
def test_what_has_no_meaning_is_a_definition_error_with_a_caret(body: str) -> None:
    source = f"def f(x, *, a):\n    {body}\n"
    scope: dict = {}
    exec(source, scope)
    with pytest.raises(halo.DefinitionError) as error:
        halo.func(source=source)(scope["f"])(a=np.arange(3))
    assert "^" in str(error.value)


def test_conditions_guard_accesses() -> None:
    @halo.func
    def previous(y, x, *, img):
        return img[y, x - 1] if x > 0 else 0

    want = np.zeros_like(IMG)
    want[:, 1:] = IMG[:, :-1]
    np.testing.assert_array_equal(previous(img=IMG, shape=IMG.shape), want)


def test_other_conditions_do_not_narrow() -> None:
    @halo.func
    def f(y, x, *, img):
        return img[y, x - 1] if img[y, x] > 3 else 0

    with pytest.raises(halo.BoundsError):
        f(img=IMG)


def test_negative_indices_never_wrap() -> None:
    @halo.func
    def f(x, *, a):
        return a[x - 1]

    with pytest.raises(halo.BoundsError):
        f(a=np.arange(4), shape=(4,))


def test_equal_stage_names_are_numbered_in_topological_order() -> None:
    @halo.func
    def level(x, *, a):
        return a[x] + a[x + 1]

    for _ in range(2):
        below = level

        @halo.func
        def level(x):
            return below[x] + below[x + 1]

    text = level.loops()
    assert text.index("produce level:") < text.index("produce level_1:") < text.index("produce level_2:")

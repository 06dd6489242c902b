"""The text of every error, category by category: golden/errors/CLASS_what.txt."""

# ruff: noqa: F821  (names that are nowhere)
from __future__ import annotations

import re
import sys
from collections.abc import Callable

import numpy as np
import pytest

import halo

A = np.arange(12, dtype=np.int32)
IMG = np.arange(120, dtype=np.int32).reshape(10, 12)
U8 = np.arange(120, dtype=np.uint8).reshape(10, 12)
CASES: dict[str, tuple[type[halo.HaloError], Callable[[], object]]] = {}


def case(error: type[halo.HaloError]) -> Callable[[Callable[[], object]], Callable[[], object]]:
    def register(f: Callable[[], object]) -> Callable[[], object]:
        CASES[f"{error.__name__}_{f.__name__}"] = error, f
        return f

    return register


def stencil() -> tuple[halo.Func, halo.Func]:
    @halo.func
    def producer(y, x, *, img):
        return img[y, x] + 1

    @halo.func
    def consumer(y, x):
        return producer[y, x] + producer[y, x + 1]

    return consumer, producer


# Definitions ----------------------------------------------------------------------------------------------------------


@case(halo.DefinitionError)
def bool_of_expr():
    img = halo.Input("img", halo.u8, ndim=1)
    if img[halo.Var("x")] > 128:
        return 1


@case(halo.DefinitionError)
def iteration_over_expr():
    img = halo.Input("img", halo.u8, ndim=1)
    return list(img[halo.Var("x")])


@case(halo.DefinitionError)
def name_defined_nowhere():
    @halo.func
    def f(x, *, img):
        return img[x] + nowhere[x]

    f(img=A)


@case(halo.DefinitionError)
def undefined_func():
    f, g, x = halo.Func("f"), halo.Func("g"), halo.Var("x")
    g[x] = f[x] + 1
    g(shape=(3,))


@case(halo.DefinitionError)
def unsupported_syntax():
    @halo.func
    def f(x, *, img):
        while img[x] > 0:
            x = x + 1
        return x

    f(img=A)


@case(halo.DefinitionError)
def unsupported_function():
    @halo.func
    def f(x, *, img):
        return np.linalg.norm(img[x])

    f(img=A)


@case(halo.DefinitionError)
def no_source():
    scope: dict = {}
    exec(compile("def f(x, *, a):\n    return a[x]", "<nowhere>", "exec"), scope)
    halo.func(scope["f"])(a=A)


@case(halo.DefinitionError)
def wrong_number_of_indices():
    _, producer = stencil()

    @halo.func
    def f(x):
        return producer[x]

    f(img=IMG)


@case(halo.DefinitionError)
def same_variable_twice():
    f, x = halo.Func("f"), halo.Var("x")
    f[x, x] = x


@case(halo.DefinitionError)
def no_variable_in_a_pure_definition():
    f, x = halo.Func("f"), halo.Var("x")
    f[x + 1] = x


@case(halo.DefinitionError)
def reduction_variable_in_a_pure_definition():
    f, x = halo.Func("f"), halo.Var("x")
    f[x] = halo.rdom(3, names="r").r


@case(halo.DefinitionError)
def free_variable():
    f, x, y = halo.Func("f"), halo.Var("x"), halo.Var("y")
    f[x] = x + y
    f(shape=(3,))


@case(halo.DefinitionError)
def tuple_sizes():
    f, x = halo.Func("f"), halo.Var("x")
    f[x] = x, x + 1
    f[0] = 1, 2, 3
    f(shape=(3,))


@case(halo.DefinitionError)
def inputs_of_one_name():
    @halo.func
    def f(x, *, v: halo.u8[:]):
        return v[x]

    @halo.func
    def g(x, *, v: halo.u8[:, :]):
        return f[x] + v[x, 0]

    g(v=U8)


@case(halo.DefinitionError)
def a_local_that_survives():
    @halo.func
    def f(x):
        f[x] = 0
        t = 0
        for r in halo.rdom(3):
            f[x] += t
            t = r

    f(shape=(3,))


@case(halo.DefinitionError)
def unbounded_range():
    @halo.func
    def f(x, *, img):
        total = 0
        for k in range(img.shape[0]):
            total += img[k]
        return total

    f(img=A)


# Types ----------------------------------------------------------------------------------------------------------------


@case(halo.TypeMismatchError)
def update_narrows():
    @halo.func
    def f(x, *, img: halo.f32[:]):
        f[x] = halo.u8(0)
        for r in halo.rdom(3):
            f[x] += img[r]

    f(img=A.astype(np.float32))


@case(halo.TypeMismatchError)
def number_that_does_not_fit():
    @halo.func
    def f(y, x, *, img: halo.u8[:, :]):
        return img[y, x] + 256

    f(img=U8)


@case(halo.TypeMismatchError)
def float_as_an_index():
    @halo.func
    def f(x, *, img: halo.f32[:]):
        return img[img[x]]

    f(img=A.astype(np.float32))


@case(halo.TypeMismatchError)
def no_such_type():
    halo.Input("img", "complex64")


@case(halo.TypeMismatchError)
def bits_of_a_float():
    @halo.func
    def f(x, *, img: halo.f32[:]):
        return img[x] & 3

    f(img=A.astype(np.float32))


# Schedules ------------------------------------------------------------------------------------------------------------


@case(halo.ScheduleError)
def unknown_loop():
    f, _ = stencil()
    f.vectorize("xi", 8)


@case(halo.ScheduleError)
def split_onto_an_existing_name():
    f, _ = stencil()
    f.split("x", "y", "xi", 8)


@case(halo.ScheduleError)
def split_factor():
    f, _ = stencil()
    f.split("x", "xo", "xi", 0)


@case(halo.ScheduleError)
def unknown_tail():
    f, _ = stencil()
    f.split("x", "xo", "xi", 8, tail="ragged")


@case(halo.ScheduleError)
def dynamic_vector_width():
    f, _ = stencil()
    f.vectorize("x", halo.Param("width", halo.i32))
    f(img=IMG, width=8, shape=(10, 11))


@case(halo.ScheduleError)
def placement_not_inside():
    f, g = stencil()

    @halo.func
    def both(y, x):
        return f[y, x] + g[y, x]

    f.compute_root()
    g.compute_at(f, "y")
    both(img=IMG, shape=(10, 11))


@case(halo.ScheduleError)
def placement_at_a_consumed_loop():
    f, g = stencil()
    f.split("x", "xo", "xi", 8)
    g.compute_at(f, "x")
    f(img=IMG, shape=(10, 11))


@case(halo.ScheduleError)
def storage_inside_of_computation():
    f, g = stencil()
    g.store_at(f, "x").compute_at(f, "y")
    f(img=IMG, shape=(10, 11))


@case(halo.ScheduleError)
def race():
    @halo.func
    def histogram(i, *, img: halo.u8[:, :]):
        for ry, rx in halo.rdom(img):
            histogram[img[ry, rx]] += halo.u32(1)

    histogram.update(0).parallel("ry")
    histogram(img=U8, shape=(256,))


@case(halo.ScheduleError)
def reordered_reduction():
    @halo.func
    def f(x, *, img: halo.i32[:, :]):
        f[x] = 0
        for ry, rx in halo.rdom(img):
            f[x] = f[x] * 3 + img[ry, rx]

    f.update(0).reorder("rx", "ry", "x")
    f(img=IMG, shape=(3,))


@case(halo.ScheduleError)
def rfactor_of_what_is_not_associative():
    @halo.func
    def f(i, *, img: halo.i32[:]):
        f[i] = 0
        for r in halo.rdom(img):
            f[i] = f[i] * 3 - img[r]

    f.update(0).rfactor({"r": "u"})
    f(img=A, shape=(1,))


@case(halo.ScheduleError)
def no_such_update():
    f, _ = stencil()
    f.update(1).vectorize("x", 8)


@case(halo.ScheduleError)
def fold_of_too_few():
    f, g = stencil()
    g.store_root().compute_at(f.reorder("x", "y"), "x").fold_storage("x", 1)
    f(img=IMG, shape=(10, 11))


@case(halo.ScheduleError)
def fold_too_small():
    f, g = stencil()
    g.store_root().compute_at(f, "y").fold_storage("x", 1)
    f(img=IMG, shape=(10, 11))


@case(halo.ScheduleError)
def unknown_memory():
    _, g = stencil()
    g.store_in("disk")


@case(halo.ScheduleError)
def schedule_of_another_pipeline():
    f, g = stencil()

    @halo.func
    def other(x):
        return x

    f.apply(other.vectorize("x", 8).schedule())


# Bounds ---------------------------------------------------------------------------------------------------------------


@case(halo.BoundsError)
def input_too_small():
    f, _ = stencil()
    f(img=IMG, shape=IMG.shape)


@case(halo.BoundsError)
def unbounded_access():
    @halo.func
    def f(x, *, i: halo.i64[:], table: halo.i32[:]):
        return table[i[x]]

    f(i=np.arange(3), table=A)


@case(halo.BoundsError)
def one_of_several_accesses_is_unbounded():
    i, table = halo.Input("i", halo.i64, ndim=1), halo.Input("table", halo.i32, ndim=1)
    x, f = halo.Var("x"), halo.Func("f")
    f[x] = table[x] + table[halo.clamp(i[x], 0, 3)] * table[i[x + 1] % 5 + i[x]]
    f(i=np.arange(4), table=A)


@case(halo.BoundsError)
def unbounded_stage():
    @halo.func
    def g(x, *, table: halo.i32[:]):
        return halo.clamp(x, 0, 3) + table[0]

    @halo.func
    def f(x, *, i: halo.i64[:]):
        return g[i[x]]

    g.compute_root()
    f(i=np.arange(3), table=A)


# Calls ----------------------------------------------------------------------------------------------------------------


@case(halo.ArgumentError)
def missing_input():
    f, _ = stencil()
    f()


@case(halo.ArgumentError)
def unknown_input():
    f, _ = stencil()
    f(image=IMG)


@case(halo.ArgumentError)
def wrong_rank():
    f, _ = stencil()
    f(img=A)


@case(halo.ArgumentError)
def wrong_dtype():
    @halo.func
    def f(y, x, *, img: halo.u8[:, :]):
        return img[y, x]

    f(img=IMG)


@case(halo.ArgumentError)
def dtype_without_a_type():
    f, _ = stencil()
    f(img=IMG.astype(complex))


@case(halo.ArgumentError)
def no_array():
    f, _ = stencil()
    f(img="a picture")


@case(halo.ArgumentError)
def shape_not_known():
    @halo.func
    def f(x, *, img: halo.u8[:, :]):
        return img[0, x + 1]

    f(img=U8)


@case(halo.BoundsError)
def read_beyond_a_sorted_axis():
    rows = halo.sort(halo.Input("img", halo.i32, ndim=2))
    rows(img=IMG, shape=(10, 13))


@case(halo.ScheduleError)
def lanes_of_sorted_rows():
    halo.sort(halo.Input("img", halo.i32, ndim=2)).vectorize("i0", 4)(img=IMG)


@case(halo.DefinitionError)
def sorted_axis_of_no_length():
    free, (y, x) = halo.Func("free"), halo.vars("y x")
    free[y, x] = y * x
    halo.argsort(free)(shape=(2, 2))


def running_sum(before=-1):
    """h[t, x] = img[t, x] + h[t - 1, x], and its step."""
    t, x = halo.vars("t x")
    h, step = halo.Func("h"), halo.Func("step")
    step[t, x] = halo.Input("img", halo.i32, ndim=2)[t, x] + h[t + before, x]
    return halo.scan(h, 0, step), step


@case(halo.DefinitionError)
def scan_reads_a_later_step():
    running_sum(1)[0](img=IMG)


@case(halo.DefinitionError)
def scan_reads_its_own_step():
    running_sum(0)[0](img=IMG)


@case(halo.DefinitionError)
def step_outside_of_its_scan():
    h, step = running_sum()
    f, (t, x) = halo.Func("f"), halo.vars("t x")
    f[t, x] = h[t, x] - step[t, x]
    f(img=IMG)


@case(halo.DefinitionError)
def scan_of_a_defined_func():
    halo.scan(running_sum()[0], 0, halo.Func("step"))


@case(halo.DefinitionError)
def scan_without_a_length():
    h, step, t = halo.Func("h"), halo.Func("step"), halo.Var("t")
    step[t] = h[t - 1] + 1
    halo.scan(h, 0, step)


@case(halo.ScheduleError)
def step_at_the_root():
    h, step = running_sum()
    step.compute_root()
    h(img=IMG)


@case(halo.ScheduleError)
def steps_out_of_order():
    h, _ = running_sum()
    h.update(1).reorder("x", "t")
    h(img=IMG)


@case(halo.ScheduleError)
def parallel_steps():
    h, _ = running_sum()
    h.update(1).parallel("t")
    h(img=IMG)


@case(halo.ArgumentError)
def wrong_out():
    f, _ = stencil()
    f(img=IMG, out=np.zeros((10, 11), np.float32))


@case(halo.ArgumentError)
def read_only_out():
    f, _ = stencil()
    out = np.zeros((10, 11), np.int32)
    out.flags.writeable = False
    f(img=IMG, out=out)


@case(halo.ArgumentError)
def not_contiguous():
    @halo.func
    def f(y, x, *, img: halo.i32[:, ::1]):
        return img[y, x]

    f(img=IMG[:, ::2])


@case(halo.ArgumentError)
def parameter_out_of_range():
    @halo.func
    def f(x, *, img, k: halo.u8):
        return img[x] * k

    f(img=A, k=1000)


@case(halo.UnknownValueError)
def extent_that_a_call_tells():
    [0] * (2 * halo.Dim("n") + 1)


# Faults of halo's own -------------------------------------------------------------------------------------------------


@case(halo.CompileError)
def refused_by_llvm():
    from halo.jit.llvm import compile_ir
    from halo.jit.target import as_target

    compile_ir("define void @f() { ret i32 0 }", as_target(None))


# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_text(name: str, golden: Callable[[str, str], None]) -> None:
    error, provoke = CASES[name]
    with pytest.raises(halo.HaloError) as caught:
        provoke()
    assert type(caught.value) is error
    if sys.version_info >= (3, 11):  # 3.10 knows statements, not columns
        golden(f"errors/{name}", without_line_numbers(str(caught.value)))


def without_line_numbers(text: str) -> str:
    """The text, with `file.py | code` for `file.py:12 | code`, and the line under it moved along."""
    pattern = r"^( *)(\S+\.py):(\d+)  \| (.*)\n( *)  \| (.*)$"
    return re.sub(pattern, lambda m: f"{m[1]}{m[2]}  | {m[4]}\n{m[1]}{' ' * len(m[2])}  | {m[6]}", text, flags=re.M)


def test_errors_are_also_python_s_own() -> None:
    own = [(halo.TypeMismatchError, TypeError), (halo.BoundsError, IndexError), (halo.ArgumentError, TypeError)]
    assert all(issubclass(error, builtin) for error, builtin in [*own, (halo.ArgumentError, ValueError)])
    assert all(issubclass(e, halo.HaloError) for e, _ in CASES.values())

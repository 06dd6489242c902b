"""24 to 26: tails, nested vectors, reductions in vectors, and shuffles instead of gathers."""

from __future__ import annotations

import re

import numpy as np
import pytest

import halo

from .stages import X, Y, func

RNG = np.random.default_rng(24)
TAILS = ["auto", "guard", "round_up", "shift_inwards", "predicate", "predicate_loads", "predicate_stores",
         "shift_inwards_and_blend", "round_up_and_blend"]  # fmt: skip


def bordered(shape: tuple[int, ...], type: type[np.generic] = np.int32) -> tuple[np.ndarray, np.ndarray]:
    """Memory full of -7 and the part of it that a call may touch."""
    memory = np.full(tuple(n + 64 for n in shape), -7, type)
    return memory, memory[tuple(slice(32, 32 + n) for n in shape)]


def untouched(memory: np.ndarray, shape: tuple[int, ...]) -> bool:
    around = memory.copy()
    around[tuple(slice(32, 32 + n) for n in shape)] = -7
    return bool((around == -7).all())


# 24: tails ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("width", [1, 7, 8, 9, 31])
def test_24_every_tail_is_exact_and_stays_inside(tail: str, width: int) -> None:
    img = halo.Input("img", halo.i32, ndim=2)
    f = func("f", (Y, X), img[Y, X] * 2 + img[Y, X + 1]).vectorize("x", 8, tail=tail)
    data = RNG.integers(-99, 99, (3, width + 1), np.int32)
    memory, out = bordered((3, width))
    f(img=data, out=out)
    np.testing.assert_array_equal(out, data[:, :-1] * 2 + data[:, 1:])
    assert untouched(memory, (3, width))


@pytest.mark.parametrize("outer", ["guard", "round_up", "shift_inwards", "predicate"])
@pytest.mark.parametrize("inner", ["guard", "round_up", "shift_inwards", "predicate"])
def test_24_nested_tails(outer: str, inner: str) -> None:
    f = func("f", X, X * X - 3)
    f.split("x", "xo", "xi", 20, tail=outer).split("xi", "xm", "xv", 8, tail=inner).vectorize("xv")
    for n in (1, 19, 20, 21, 47):
        memory, out = bordered((n,))
        f(out=out)
        np.testing.assert_array_equal(out, np.arange(n) ** 2 - 3)
        assert untouched(memory, (n,))


@pytest.mark.parametrize("tail", ["guard", "predicate", "shift_inwards"])
def test_24_several_splits_of_an_axis_and_its_update(tail: str) -> None:
    f = halo.Func("f")
    f[Y, X] = X + Y
    f[Y, X] *= 3
    f.split("x", "xo", "xi", 8, tail=tail).vectorize("xi").split("y", "yo", "yi", 3, tail="guard")
    f.update(0).vectorize("x", 4, tail="guard").unroll("y", 2, tail="guard")
    memory, out = bordered((7, 29))
    f(out=out)
    np.testing.assert_array_equal(out, 3 * (np.arange(29) + np.arange(7)[:, None]))
    assert untouched(memory, (7, 29))


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("type", [halo.u8, halo.i16, halo.u32, halo.f32, halo.f64])
def test_24_predicated_stores_and_loads(type: halo.Type, lanes: int) -> None:
    img = halo.Input("img", type, ndim=1)
    f = halo.Func("f")
    f[X] = img[X]
    r = halo.rdom(61, names="r")
    r.where(r.r % 3 != 1)
    f[r.r] = img[60 - r.r]
    f.update(0).vectorize("r", lanes, tail="predicate")
    data = RNG.integers(0, 99, 61).astype(type.dtype)
    np.testing.assert_array_equal(f(img=data), np.where(np.arange(61) % 3 != 1, data[::-1], data))


def test_24_a_split_of_a_split_whose_tail_is_predicated() -> None:
    f = func("f", X, X * 5)
    f.split("x", "xo", "xi", 13, tail="predicate").vectorize("xi", 8, tail="predicate")
    for n in (1, 12, 13, 14, 40):
        np.testing.assert_array_equal(f(shape=(n,)), np.arange(n) * 5)


# 25: vectors of several dimensions, reductions in vectors ---------------------------------------------------------------


def test_25_nested_vectors() -> None:
    f = func("f", (Y, X), Y * 100 + X)
    f.tile("y", "x", "yo", "xo", "yi", "xi", 4, 8).vectorize("xi").vectorize("yi")
    for shape in ((4, 8), (5, 9), (1, 1), (13, 30)):
        np.testing.assert_array_equal(f(shape=shape), np.arange(shape[0])[:, None] * 100 + np.arange(shape[1]))


@pytest.mark.parametrize("order", [("y", "x"), ("x", "y")])
def test_25_a_transposed_reduction_in_vectors(order: tuple[str, str]) -> None:
    a, b = halo.Input("a", halo.i32, ndim=2), halo.Input("b", halo.i32, ndim=2)
    r = halo.rdom(16, names="k")
    f = halo.Func("f")
    f[Y, X] = 0
    f[Y, X] += a[Y, r.k] * b[r.k, X]
    f.update(0).tile("y", "x", "yo", "xo", "yi", "xi", 4, 4).reorder("yo", "xo", *(v + "i" for v in order), "k")
    f.update(0).atomic().vectorize("k", 8).vectorize("xi").unroll("yi")
    p, q = RNG.integers(-9, 9, (12, 16), np.int32), RNG.integers(-9, 9, (16, 8), np.int32)
    np.testing.assert_array_equal(f(a=p, b=q, shape=(12, 8)), p @ q)


OPERATORS = {"sum": (lambda a, b: a + b, np.add), "prod": (lambda a, b: a * b, np.multiply),
             "min": (halo.min, np.minimum), "max": (halo.max, np.maximum)}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "type", [halo.u8, halo.i8, halo.u16, halo.i16, halo.u32, halo.i32, halo.u64, halo.i64, halo.f32]
)
def test_25_reductions_in_vectors(name: str, type: halo.Type) -> None:
    fold, want = OPERATORS[name]
    img = halo.Input("img", type, ndim=2)
    r = halo.rdom(32, names="r")
    f = halo.Func("f")
    f[X] = img[X, 0]
    f[X] = fold(f[X], img[X, r.r])
    f.update(0).atomic().vectorize("r", 16)
    data = RNG.integers(0, 3 if name == "prod" else 99, (5, 32)).astype(type.dtype)
    data[:, 0] = 1
    first = want(data[:, 0], want.reduce(data, axis=1, dtype=type.dtype), dtype=type.dtype)
    np.testing.assert_array_equal(f(img=data, shape=(5,)), first)  # small whole numbers are exact in f32 too


@pytest.mark.parametrize("name", ["and", "or"])
def test_25_boolean_reductions_in_vectors(name: str) -> None:
    img = halo.Input("img", halo.bool_, ndim=2)
    r = halo.rdom(32, names="r")
    f = halo.Func("f")
    f[X] = img[X, 0]
    f[X] = f[X] & img[X, r.r] if name == "and" else f[X] | img[X, r.r]
    f.update(0).atomic().vectorize("r", 16)
    data = RNG.random((40, 32)) > (0.02 if name == "and" else 0.97)
    np.testing.assert_array_equal(f(img=data, shape=(40,)), data.all(axis=1) if name == "and" else data.any(axis=1))


def test_25_a_tuple_reduced_in_vectors() -> None:
    img = halo.Input("img", halo.i32, ndim=1)
    r = halo.rdom(64, names="r")
    f = halo.Func("f")
    f[()] = (0, halo.i32(2**31 - 1))
    f[()] = (f[()][0] + img[r.r], halo.min(f[()][1], img[r.r]))
    f.update(0).atomic().vectorize("r", 16)
    data = RNG.integers(-99, 99, 64, np.int32)
    assert tuple(map(int, f(img=data))) == (data.sum(), data.min())


# 26: shuffles instead of gathers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_26_strided_loads_are_dense_loads_and_shuffles(stride: int) -> None:
    img = halo.Input("img", halo.u16, ndim=1)
    total = img[stride * X]
    for k in range(1, stride):
        total = total * 3 + img[stride * X + k]
    f = func("f", X, total).vectorize("x", 16, tail="round_up")
    data = RNG.integers(0, 999, 64 * stride).astype(np.uint16)
    want = data[::stride].copy()
    for k in range(1, stride):
        want = want * 3 + data[k::stride]
    np.testing.assert_array_equal(f(img=data, shape=(64,)), want)
    text = f.inspect_llvm(img=data)
    assert "shufflevector" in text
    assert "llvm.masked.gather" not in text


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_26_interleaved_stores_are_dense_stores(channels: int) -> None:
    c = halo.Var("c")
    img = halo.Input("img", halo.u8, ndim=3)
    f = func("f", (Y, X, c), img[c, Y, X] + 1)
    f.bound("c", 0, channels).unroll("c").vectorize("x", 16)
    data = RNG.integers(0, 255, (channels, 3, 64), np.uint8)
    np.testing.assert_array_equal(f(img=data), np.moveaxis(data, 0, 2) + 1)
    text = f.inspect_llvm(img=data)
    assert f"store <{16 * channels} x i8>" in text
    assert "llvm.masked.scatter" not in text


def test_26_a_wide_store_is_a_store_for_each_register() -> None:
    c = halo.Var("c")
    img = halo.Input("img", halo.f64, ndim=3)
    f = func("f", (Y, X, c), img[c, Y, X] + 1)
    f.bound("c", 0, 3).unroll("c").vectorize("x", 16, tail="round_up")
    data = RNG.random((3, 3, 64))
    np.testing.assert_array_equal(f(img=data), np.moveaxis(data, 0, 2) + 1)
    stores = re.findall(r"store <(\d+) x double>", f.inspect_llvm(img=data))
    assert stores
    assert max(map(int, stores)) <= 8  # of 512 bits, the widest register of any target


def test_26_a_transposed_tile_has_no_gather() -> None:
    img = halo.Input("img", halo.u8, ndim=2)
    copy = func("copy", (Y, X), img[Y, X])
    f = func("f", (Y, X), copy[X, Y])
    f.tile("y", "x", "yo", "xo", "yi", "xi", 4, 4, tail="round_up").vectorize("xi").unroll("yi")
    copy.compute_at(f, "xo").vectorize("x", 4).unroll("y")
    data = RNG.integers(0, 255, (32, 48), np.uint8)
    np.testing.assert_array_equal(f(img=data, shape=(48, 32)), data.T)
    assert "llvm.masked.gather" not in f.inspect_llvm(img=data)


def test_26_no_shuffled_load_reads_outside() -> None:
    # the last dense load of odd elements would reach one past the end
    import mmap

    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    n = 2 * mmap.PAGESIZE // 2
    data = np.frombuffer(pages, np.uint16)[:n]
    data[:] = np.arange(n) % 999
    img = halo.Input("img", halo.u16, ndim=1)
    f = func("f", X, img[2 * X + 1]).vectorize("x", 16)
    for count in (n // 2, n // 2 - 1, 17, 1):
        np.testing.assert_array_equal(f(img=data[n - 2 * count :], shape=(count,)), data[n - 2 * count :][1::2])

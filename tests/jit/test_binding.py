"""Whatever is passed to a kernel: an answer or one of halo's errors, and `out` untouched by an error."""

import random

import numpy as np
import pytest

import halo

A = np.arange(60, dtype=np.uint8).reshape(6, 10)


class Raising:
    """Raises wherever it is looked at."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("array")

    def __index__(self):
        raise OverflowError("index")

    def __eq__(self, other):
        raise RuntimeError("eq")

    def __repr__(self):
        raise RuntimeError("repr")

    __hash__ = None


class NoInterface:
    @property
    def __array_interface__(self):
        raise ValueError("interface")


class EmptyInterface:
    __array_interface__ = {"version": 3, "shape": (2,), "typestr": "<u1", "data": None}  # noqa: RUF012  (as NumPy has it)


class NoCapsule:
    def __dlpack__(self, **options):
        return 5

    def __dlpack_device__(self):
        return (1, 0)


@halo.func
def f(y, x, *, img: halo.u8[:, :], k: halo.f32 = 1.0):
    return halo.f32(img[y, x + 1]) * k


def anything(rng):
    choices = [
        A, A[:0], A[:, ::-1], A.T, A.astype(np.float32), np.zeros((6, 9), np.float32)[:, ::-1], np.float32(3), np.array(3),
        np.zeros((3, 3, 3), np.uint8), np.array([["a"]]), np.array([[object()]]), np.ma.masked_array(A, A > 3),
        np.broadcast_to(np.float32(0), (6, 9)), np.datetime64("2020"), memoryview(A), Raising(), NoInterface(),
        EmptyInterface(), NoCapsule(), None, 3, -1, 2.5, float("nan"), 10**400, 1j, True, "x", b"abc", [], [1], (), (2, 3),
        (2, -3), (2, "a"), (1 << 40, 1 << 40), (2**31 - 1, 2**31 - 1), {}, set(), object(), type, slice(1), range(3),
    ]  # fmt: skip
    return rng.choice(choices)


@pytest.mark.parametrize("seed", range(4))
def test_garbage(seed):
    rng = random.Random(seed)
    kernel = f.compile()
    realize = kernel.realize
    answers = 0
    for _ in range(500):
        call = rng.choice([kernel, realize, f])
        args = [] if call is realize else [anything(rng) for _ in range(rng.choice([0, 1, 1, 2, 3, 4]))]
        if call is not realize and rng.random() < 0.5:
            args[:1] = [A]
        named = {n: anything(rng) for n in ("img", "k", "out", "shape", "q") if rng.random() < 0.3}
        out = np.full((6, 9), 7, np.float32)
        if rng.random() < 0.3:
            named["out"] = out
        failed = ""
        try:
            call(*args, **named)
            answers += 1
        except (halo.HaloError, MemoryError) as error:
            failed = str(error)
        assert not failed or (out == 7).all()
    assert answers

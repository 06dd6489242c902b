"""Vector accesses of every shape against NumPy's indexing. No element outside the first and the last is touched:
arrays end where the memory that the process may read ends."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable

import numpy as np
import pytest

from halo.ir.expr import Broadcast, Const, Expr, Load, Ramp, Shuffle, Var
from halo.ir.node import interning
from halo.ir.stmt import For, Store, block
from halo.jit import llvm
from halo.jit.target import Target
from halo.types import ALL, Type, bool_, f32, i32, index, u8, u16

from .harness import HOST, Kernel, assert_same, at, k, op, port, ramp

Index = Callable[[Var], Expr]


OTHERS = [Target(HOST.triple, "haswell", "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+sse4.2"), Target(HOST.triple)]
TARGETS = [HOST, *(t for t in OTHERS if HOST.is_x86 and HOST.has("avx2"))]


class Fenced:
    """`n` elements just behind, or just before, memory that may not be touched."""

    def __init__(self, n: int, dtype: np.dtype, at_end: bool) -> None:
        page = mmap.PAGESIZE
        size = -(-n * dtype.itemsize // page) * page
        self.map = mmap.mmap(-1, size + 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None)
        for edge in (start, start + page + size):
            assert libc.mprotect(ctypes.c_void_p(edge), ctypes.c_size_t(page), 0) == 0
        offset = page + (size - n * dtype.itemsize if at_end else 0)
        self.array = np.frombuffer(self.map, dtype, n, offset)


def lanes_of(e: Expr, values: dict[Var, int]) -> np.ndarray:
    """What an index expression is, lane by lane."""
    if isinstance(e, Const):
        return np.array([e.value])
    if isinstance(e, Var):
        return np.array([values[e]])
    if isinstance(e, Broadcast):
        return np.tile(lanes_of(e.value, values), e.n)
    if isinstance(e, Ramp):
        base, stride = lanes_of(e.base, values), lanes_of(e.stride, values)
        return np.concatenate([base + j * stride for j in range(e.n)])
    return sum((c * lanes_of(a, values) for a, c in e.terms), np.array([e.const]))


def wide(e: Expr, n: int) -> Expr:
    return Broadcast(e, n)


STRIDE = 5  # what the variable stride is

SHAPES: dict[str, Index] = {
    **{f"stride {s} x {n}": lambda v, s=s, n=n: Ramp(at(v, const=max(-s, 0) * (n - 1)), k(s), n)
       for s in (1, -1, 2, -2, 3, 4, -4, 5) for n in (2, 3, 8, 32)},
    "variable stride": lambda v: Ramp(k(1), v, 8),
    "standing still": lambda v: wide(v, 8),
    "vector repeated": lambda v: wide(ramp(v, 4), 3),
    "each repeated": lambda v: Ramp(wide(v, 4), k(1), 4),
    "each repeated, strided": lambda v: Ramp(wide(v, 3), k(2), 4),
    "two ramps that are one": lambda v: Ramp(ramp(v, 8), wide(k(8), 8), 4),
    "two strided ramps that are one": lambda v: Ramp(ramp(v, 4, 3), k(12), 4),
    "tile": lambda v: Ramp(ramp(at(v, const=1), 8), wide(k(20), 8), 3),
    "transposed tile": lambda v: Ramp(ramp(v, 3, 20), wide(k(1), 3), 8),
    "reversed tile": lambda v: Ramp(ramp(at(v, const=9), 8, -1), wide(k(20), 8), 3),
    "tile with variable rows": lambda v: Ramp(ramp(v, 8), wide(v, 8), 4),
    "transposed, variable rows": lambda v: Ramp(Ramp(v, v, 4), wide(k(1), 4), 8),
    "overlapping windows": lambda v: Ramp(ramp(v, 4), wide(k(1), 4), 8),
    "three levels": lambda v: Ramp(Ramp(ramp(v, 4), k(11), 2), k(29), 3),
    "repeated rows": lambda v: Ramp(wide(ramp(v, 4), 2), k(16), 2),
    "one lane of many": lambda v: Ramp(ramp(v, 8), k(3), 1),
    "no ramp": lambda v: Ramp(Shuffle((ramp(v, 4),), (2, 0, 3, 1)), k(4), 2),
}  # fmt: skip


def positions(shape: Index) -> np.ndarray:
    with interning():
        v = Var("v")
        e = shape(v)
        if isinstance(e, Ramp) and isinstance(e.base, Shuffle):
            return np.concatenate([np.array([2, 0, 3, 1]) + STRIDE + 4 * j for j in range(2)])
        return lanes_of(e, {v: STRIDE})


@pytest.mark.parametrize("fence", ["above", "below"])
@pytest.mark.parametrize(("t", "target"), [(u8, HOST), (f32, HOST), (bool_, HOST), *((u16, t) for t in TARGETS[1:])],
                         ids=lambda t: t.name if isinstance(t, Type) else t.cpu)  # fmt: skip
def test_loads_and_stores_of_all_shapes(t: Type, target: Target, fence: str) -> None:
    """Loads, and stores where no two lanes meet; masked and not."""
    check(t, {name: (shape, positions(shape)) for name, shape in SHAPES.items()}, fence == "above", target)


def check(t: Type, shapes: dict[str, tuple[Index, np.ndarray]], at_end: bool, target: Target) -> None:
    rng = np.random.default_rng(3)
    with interning():
        ports, arrays, stmts, checks = [port("stride", u8, ndim=1)], [np.zeros(STRIDE, np.uint8)], [], []
        v = ports[0].extents[0]
        for name, (shape, where) in shapes.items():
            n, low = len(where), int(where.min())
            shift = -low if not at_end else 0  # the first element is the array's first, or the last its last
            total = int(where.max()) + 1 + shift
            source = Fenced(total, t.dtype, at_end).array
            source[:] = rng.integers(0, 256, total) < 128 if t is bool_ else rng.integers(0, 256, total)
            mask = rng.random(n) < 0.5
            e = moved(shape(v), shift)
            src, msk, out, masked = (port(f"{name}.{k}", q, kind) for k, q, kind in (
                ("src", t, "input"), ("mask", bool_, "input"), ("out", t, "output"), ("masked", t, "output")))  # fmt: skip
            pred = Load(msk.buffer, ramp(k(0), n))
            stmts += [Store(out.buffer, ramp(k(0), n), Load(src.buffer, e)),
                      Store(masked.buffer, ramp(k(0), n), Load(src.buffer, e, pred))]  # fmt: skip
            got, got_masked = np.zeros(n, t.dtype), np.ones(n, t.dtype)
            ports += [src, msk, out, masked]
            arrays += [source, mask, got, got_masked]
            picked = source[where + shift]
            checks += [(f"{name} of {t}", got, picked),
                       (f"{name} of {t}, masked", got_masked, np.where(mask, picked, 0).astype(t.dtype))]  # fmt: skip
            if len(set(where.tolist())) == n:
                data, (to, to_masked) = np.ones(n, t.dtype), (port(f"{name}.to{k}", t, "output") for k in "01")
                data[:] = picked
                val = port(f"{name}.val", t)
                stmts += [Store(to.buffer, e, Load(val.buffer, ramp(k(0), n))),
                          Store(to_masked.buffer, e, Load(val.buffer, ramp(k(0), n)), pred)]  # fmt: skip
                targets = [Fenced(total, t.dtype, at_end).array for _ in range(2)]
                ports += [val, to, to_masked]
                arrays += [data, *targets]
                wanted = [np.zeros(total, t.dtype) for _ in range(2)]
                wanted[0][where + shift] = data
                wanted[1][(where + shift)[mask]] = data[mask]
                checks += [(f"{name} of {t}, stored", targets[0], wanted[0]),
                           (f"{name} of {t}, stored masked", targets[1], wanted[1])]  # fmt: skip
        kernel = Kernel(block(*stmts), ports, target=target)
    assert kernel(*arrays) == 0
    for name, got, want in checks:
        assert_same(got, want, name)


def moved(e: Expr, shift: int) -> Expr:
    if isinstance(e, Ramp):
        return Ramp(moved(e.base, shift), e.stride, e.n)
    if isinstance(e, Broadcast):
        return Broadcast(moved(e.value, shift), e.n)
    if isinstance(e, Shuffle):
        return Shuffle(tuple(moved(x, shift) for x in e.vectors), e.picks)
    return at(e, const=shift)


@pytest.mark.parametrize("t", ALL, ids=lambda t: t.name)
def test_gathers_scatters_and_conditions_of_every_type(t: Type) -> None:
    rng = np.random.default_rng(4)
    n = 16
    data = rng.integers(0, 100, 64).astype(t.dtype)
    where = rng.permutation(64)[:n].astype(np.int32)
    with interning():
        src, idx, out, cond = port("src", t), port("idx", i32), port("out", t, "output"), port("cond", bool_)
        rest = [port(f"o{j}", t, "output") for j in range(3)]
        from halo.ir.expr import Cast

        vector = Cast(Load(idx.buffer, ramp(k(0), n)), index)
        one = Cast(Load(idx.buffer, k(0)), index)
        c = Load(cond.buffer, k(0))
        far = at(k(0), const=1 << 40)
        body = block(
            Store(out.buffer, vector, Load(src.buffer, vector)),
            Store(rest[0].buffer, k(0), Load(src.buffer, one)),
            Store(rest[0].buffer, k(1), Load(src.buffer, far, c)),
            Store(rest[1].buffer, ramp(k(0), n), Load(src.buffer, Ramp(far, k(1), n), Broadcast(c, n))),
            Store(rest[2].buffer, Ramp(far, k(3), n), Load(src.buffer, vector), Broadcast(c, n)),
        )
        kernel = Kernel(body, [src, idx, out, cond, *rest])
    outputs = [np.ones(64, t.dtype) for _ in range(4)]
    assert kernel(data, where, outputs[0], np.array([False]), *outputs[1:]) == 0
    want = np.ones(64, t.dtype)
    want[where] = data[where]
    assert_same(outputs[0], want)
    assert outputs[1][0] == data[where[0]]
    assert outputs[1][1] == 0
    assert (outputs[2][:n] == 0).all()
    assert (outputs[3] == 1).all()


def test_tables_are_constants_of_the_kernel() -> None:
    from halo.ir.expr import Buffer, Cast

    table = np.arange(0, 1024, 4, np.uint16) ^ 77
    with interning():
        a, out = port("a", u8), port("out", u16, "output")
        lut = Buffer("lut", u16, "table", table)
        value = Load(lut, Cast(Load(a.buffer, ramp(k(0), 32)), index))
        kernel = Kernel(Store(out.buffer, ramp(k(0), 32), value), [a, out])
    data, got = np.arange(100, 132, dtype=np.uint8), np.zeros(32, np.uint16)
    assert kernel(data, got) == 0
    np.testing.assert_array_equal(got, table[data])


def test_strides_become_shuffles_and_constants_addressing_modes() -> None:
    """No gather for small strides, and no arithmetic on addresses but the loop's own."""
    with interning():
        a, out, v = port("a", u16), port("out", u16, "output"), Var("v")
        where = [Ramp(at((v, 32), const=d), k(2), 16) for d in (0, 1, 2, 3)]
        total = Load(a.buffer, where[0])
        for w in where[1:]:
            total = op("add", total, Load(a.buffer, w))
        body = For(v, k(0), out.extents[0], "serial", Store(out.buffer, ramp(at((v, 16)), 16), total))
        kernel = Kernel(body, [a, out])
    text = llvm.asm(kernel.text, HOST)
    assert "gather" not in text
    assert "gather" not in kernel.text
    loop = text[text.index("ymm") :]
    assert loop.count("lea") == 0 or HOST.vector_bits < 256


def test_reversed_lanes_and_values_narrower_than_the_index() -> None:
    with interning():
        a, out = port("a", i32), port("out", i32, "output")
        body = block(
            Store(out.buffer, Ramp(k(7), k(-1), 8), Load(a.buffer, ramp(k(0), 8))),
            Store(out.buffer, ramp(k(8), 8), k(5, i32)),
        )
        kernel = Kernel(body, [a, out])
    got = np.zeros(16, np.int32)
    assert kernel(np.arange(8, dtype=np.int32), got) == 0
    assert got.tolist() == [7, 6, 5, 4, 3, 2, 1, 0] + [5] * 8


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.cpu)
@pytest.mark.parametrize(("stride", "width"), [(1, 40), (-1, 40), (2, 40), (1, 3), (1, 1)])
def test_clamped_neighbours(stride: int, width: int, target: Target) -> None:
    """Dense where no lane meets a bound, and never outside of the bounds: of a row, at every position."""
    n, row = 8, 3
    positions_of_row = range(-30, 70)
    with interning():
        a, msk, v = port("a", u16), port("mask", bool_), Var("v")
        outs = [port(f"out{j}", u16, "output") for j in range(3)]
        plain = Ramp(v, k(stride), n)
        clamped = op("min", wide(at(a.extents[0], const=-1 - row), n), op("max", plain, wide(k(0), n)))
        moved_on = op("add", clamped, wide(at(msk.extents[0], const=row - n), n))
        pred = Load(msk.buffer, ramp(k(0), n))
        conds = (None, pred, wide(op("lt", v, k(20), type=bool_), n))
        where = ramp(at((v, n), const=30 * n), n)
        stores = [Store(o.buffer, where, Load(a.buffer, moved_on, c)) for o, c in zip(outs, conds, strict=True)]
        kernel = Kernel(For(v, k(-30), k(100), "serial", block(*stores)), [a, msk, *outs], target=target)
    assert "gather" not in kernel.text
    assert "phi <8 x i16>" in kernel.text
    for at_end in (False, True):
        data = Fenced(width + row, np.dtype(np.uint16), at_end).array
        data[:] = np.arange(100, 100 + width + row)
        mask = np.array([1, 0, 0, 1, 1, 0, 1, 0], bool)
        got = [np.zeros(100 * n, np.uint16) for _ in range(3)]
        assert kernel(data, mask, *got) == 0
        lanes = np.array([[p + stride * j for j in range(n)] for p in positions_of_row])
        want = data[np.clip(lanes, 0, width - 1) + row]
        np.testing.assert_array_equal(got[0].reshape(100, n), want)
        np.testing.assert_array_equal(got[1].reshape(100, n), np.where(mask, want, 0))
        np.testing.assert_array_equal(got[2].reshape(100, n), np.where(lanes[:, :1] < 20, want, 0))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.cpu)
@pytest.mark.parametrize("t", [u8, f32], ids=lambda t: t.name)
def test_reflected_neighbours(t: Type, target: Target) -> None:
    """Dense where no lane is folded back."""
    n, width = 8, 20
    with interning():
        a, msk, v = port("a", t), port("mask", bool_), Var("v")
        outs = [port(f"out{j}", t, "output") for j in range(2)]
        i, last, zero = Ramp(v, k(1), n), wide(k(width - 1), n), wide(k(0), n)
        outside = op("or", op("lt", i, zero, type=bool_), op("lt", last, i, type=bool_))
        folded = op("min", op("abs", i), op("sub", wide(k(2 * width - 2), n), op("abs", i)))
        where = op("min", last, op("max", zero, op("rare", outside, folded, i, type=i.type)))
        to = ramp(at((v, n), const=9 * n), n)
        pred = Load(msk.buffer, ramp(k(0), n))
        stores = [Store(o.buffer, to, Load(a.buffer, where, p)) for o, p in zip(outs, (None, pred), strict=True)]
        kernel = Kernel(For(v, k(-9), k(33), "serial", block(*stores)), [a, msk, *outs], target=target)
    assert "gather" not in kernel.text
    data = Fenced(width, np.dtype(t.dtype), True).array
    data[:] = np.arange(width)
    mask = np.array([0, 1, 1, 0, 1, 0, 0, 1], bool)
    got = [np.ones((33, n), t.dtype) for _ in range(2)]
    assert kernel(data, mask, *(g.ravel() for g in got)) == 0
    lanes = abs(np.arange(-9, 24)[:, None] + np.arange(n))
    want = np.clip(np.minimum(lanes, 2 * width - 2 - lanes), 0, width - 1).astype(t.dtype)
    np.testing.assert_array_equal(got[0], want)
    np.testing.assert_array_equal(got[1], np.where(mask, want, 0))

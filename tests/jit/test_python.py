"""The reference backends: the source that they print, and its values against machine code, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from halo.errors import ArgumentError, CompileError
from halo.ir import algebra as A
from halo.ir.expr import Array, Buffer, Cast, Const, Expr, Load, Op, Read, Var
from halo.ir.node import interning
from halo.ir.pipeline import Lowered, Param, Port
from halo.ir.stmt import Check, Evaluate, Extern, For, Hoist, If, Let, Produce, Provide, Realize, Stmt, block
from halo.jit.python import function_source, run, to_source
from halo.types import Type, bf16, bool_, f16, f32, f64, i8, i16, i32, i64, index, u8, u16, u32, u64
from tests.jit.harness import assert_same, op, outputs_of, pairs, port

INTEGERS, FLOATS = (i8, i16, i32, i64, u8, u16, u32, u64), (f16, bf16, f32, f64)
TYPES = (bool_, *INTEGERS, *FLOATS)
BACKENDS = ("python", "numba")


def k(value: float, type: Type = index) -> Expr:
    return Const(value, type)


def lowered(nest: Stmt, *ports: Port, params: tuple[Param, ...] = ()) -> Lowered:
    return Lowered(nest, None, ports, params, ())


def output(array: Array, item: int = 0) -> Port:
    label = array.name if len(array.types) == 1 else f"{array.name}.{item}"
    t = array.types[item]
    return Port(
        label,
        "output",
        t,
        array.ndim,
        array,
        item,
        Buffer(label, t, "output"),
        array.extents,
        array.strides,
        array.mins,
    )


def source_of(low: Lowered, backend: str = "python", origin: bool = False) -> str:
    """The function itself, without its imports."""
    return to_source(low, backend, origin).split("\n\n\n")[1]


@pytest.fixture(autouse=True)
def _own_table() -> Any:
    with interning():
        yield


# Every operation --------------------------------------------------------------------------------------------------------


def operations(t: Type, a: Expr, b: Expr, c: Expr) -> list[Expr]:
    """All that can be done with values of `t`, alone and combined such that casts matter."""
    names: tuple[str, ...] = ()
    done: list[Expr] = []
    if t.is_int:
        names = ("add", "sub", "mul", "floordiv", "mod", "min", "max", "and", "or", "xor", "shl", "shr", "absd", "avg_up",
                 "avg_down", "sat_add", "sat_sub", "mul_high")  # fmt: skip
        done += [op(n, a) for n in ("neg", "abs", "not", "popcount", "clz", "ctz")]
        done += [op(n, a, k(s, t)) for n in ("shl", "shr") for s in (0, 1, t.bits - 1)]
        divisors = (3, 7, -1, -5) if t.kind == "int" else (3, 7, 255, 16)
        done += [op(n, a, k(d, t)) for n in ("floordiv", "mod") for d in divisors]
        less = op("lt", a, b, type=bool_)
        done += [
            op("floordiv", op("add", op("mul", a, b), op("sub", c, k(3, t))), k(3, t)),
            op("max", op("select", less, op("add", a, c), k(5, t), type=t), op("xor", op("shl", a, k(2, t)), c)),
            op("shr", op("neg", op("add", a, op("min", b, k(4, t)))), k(1, t)),
            op("add", op("select", less, k(1, t), k(7, t), type=t), op("min", a, k(9, t))),
            op("lt", op("add", a, b), op("mul", a, k(3, t)), type=bool_),
            op("mul", op("mul", op("mul", a, b), c), op("sub", a, k(7, t))),
            Cast(op("add", a, b), f32),
            Cast(op("sub", k(1, t), a), i64),
        ]
    elif t.is_float:
        names = ("add", "sub", "mul", "div", "floordiv", "mod", "min", "max", "fmin", "fmax", "copysign")
        done += [op(n, a) for n in ("neg", "abs", "floor", "ceil", "trunc", "round", "sqrt")]
        done += [op(n, a, type=bool_) for n in ("isnan", "isinf", "isfinite")]
        done += [
            op("fma", a, b, c),
            op("add", op("mul", a, k(0.1, t)), op("sub", k(1.0, t), op("div", b, k(3.0, t)))),
            op("select", op("lt", a, k(0.5, t), type=bool_), op("fma", a, k(2.5, t), b), k(0.1, t), type=t),
            op("min", a, k(float("inf"), t)),
        ]
    else:
        names = ("and", "or", "xor")
        done += [op("not", op("and", a, op("or", b, c)))]
    done += [op(n, a, b) for n in names]
    done += [op(n, a, b, type=bool_) for n in ("eq", "ne", "lt", "le")]
    done += [op("select", op("le", b, c, type=bool_), a, b, type=t)]
    done += [Cast(a, s) for s in TYPES if s is not t]
    if not t.is_bool:
        done += [op("reinterpret", a, type=s) for s in TYPES if s is not t and s.bits == t.bits]
    return done


@pytest.mark.parametrize(
    ("backend", "t", "every"),
    [
        *(("python", t, 1) for t in TYPES),
        *(("numba", t, 6) for t in (i8, u64, f32, bf16)),
        *(pytest.param("numba", t, 1, marks=pytest.mark.slow) for t in TYPES),
    ],
)
def test_operations_agree_with_machine_code(backend: str, t: Type, every: int) -> None:
    arrays = [np.ascontiguousarray(a[:: 1 if backend == "numba" else 4]) for a in pairs(t)]
    if t in (f16, bf16):  # what bits a NaN has is not said
        arrays = [np.where(np.isnan(a), a.dtype.type("nan"), a).astype(a.dtype) for a in arrays]
    expected = outputs_of(lambda v: operations(t, *v)[::every], arrays, 1)
    inputs = [port(f"in{j}", t) for j in range(3)]
    i = Var("i")
    values = operations(t, *(Read(p.array, (i,)) for p in inputs))[::every]
    outputs = [port(f"out{j}", e.type, "output") for j, e in enumerate(values)]
    body = block(*(Provide(p.array, (i,), (e,)) for p, e in zip(outputs, values, strict=True)))
    low = lowered(For(i, k(0), inputs[0].extents[0], "serial", body), *inputs, *outputs)
    results = [np.zeros(len(arrays[0]), p.type.dtype) for p in outputs]
    assert run(low, backend, [*arrays, *results]) == (0, [])
    for e, actual, wanted in zip(values, results, expected, strict=True):
        assert_same(actual, wanted, repr(e))


@pytest.mark.slow
@pytest.mark.parametrize("t", [f32, f64])
def test_transcendentals_under_numba_have_the_bits_of_plain_python(t: Type) -> None:
    from halo import ref

    x, y, _ = (a[::5] for a in pairs(t))
    for name in ref.TRANSCENDENTALS:
        args = (x, y) if name in ("pow", "atan2", "hypot") else (x,)
        i, ports = Var("i"), [port(f"in{j}", t) for j in range(len(args))]
        out = port("out", t, "output")
        value = Op(name, tuple(Read(p.array, (i,)) for p in ports), t)
        low = lowered(For(i, k(0), out.extents[0], "serial", Provide(out.array, (i,), (value,))), *ports, out)
        results = [np.zeros_like(x), np.zeros_like(x)]
        for backend, result in zip(BACKENDS, results, strict=True):
            run(low, backend, [*args, result])
        assert_same(results[1], results[0], name)


# What is printed --------------------------------------------------------------------------------------------------------


def blur() -> Lowered:
    img, out, rows = Array("img", (u8,), 2, "input"), Array("blur", (u8,), 2), Array("rows", (u8,), 2)
    y, x, r, c = Var("y"), Var("x"), Var("r"), Var("x")
    h, w = out.extents

    def third(*values: Expr) -> Expr:
        return op("floordiv", op("add", op("add", values[0], values[1]), values[2]), k(3, u8))

    across = third(*(Read(img, (r, A.add(c, k(j)))) for j in range(3)))
    down = third(*(Read(rows, (A.add(y, k(j)), x)) for j in range(3)))
    make = Produce(rows, For(r, y, k(3), "serial", For(c, k(0), w, "vectorize", Provide(rows, (r, c), (across,)))))
    use = Produce(out, For(x, k(0), w, "vectorize", Provide(out, (y, x), (down,))))
    loop = For(y, out.mins[0], h, "parallel", Realize(rows, ((y, k(3)), (k(0), w)), block(make, use)))
    enough = Check(A.le(A.add(h, k(2)), img.extents[0]), 1, (h, img.extents[0]))
    return lowered(block(enough, loop), port_of(img), output(out))


def port_of(a: Array) -> Port:
    return Port(a.name, "input", a.types[0], a.ndim, a, 0, Buffer(a.name, a.types[0], "input"), a.extents, a.strides)


BLUR = """\
@np.errstate(all='ignore')
def kernel(img, blur, error):
    if img.shape[0] <= blur.shape[0] + 1:
        error[0] = blur.shape[0]
        error[1] = img.shape[0]
        return 1
    for y in range(blur.shape[0]):  # parallel
        rows = np.empty((3, blur.shape[1]), np.uint8)
        # rows
        for r in range(y, y + 3):
            for x in range(blur.shape[1]):  # vectorize
                rows[r - y, x] = (img[r, x] + img[r, x + 1] + img[r, x + 2]) // 3
        # blur
        for x in range(blur.shape[1]):  # vectorize
            blur[y, x] = (rows[0, x] + rows[1, x] + rows[2, x]) // 3
    return 0
"""


def test_the_source_of_a_nest() -> None:
    low = blur()
    assert to_source(low) == "import numpy as np\nfrom halo import ref\n\n\n" + BLUR
    numba = BLUR.replace("np.errstate(all='ignore')", "ref.njit")
    for sum in ("(img[r, x] + img[r, x + 1] + img[r, x + 2])", "(rows[0, x] + rows[1, x] + rows[2, x])"):
        numba = numba.replace(sum, f"np.uint8{sum}")
    assert source_of(low, "numba") == numba


def test_origins_are_subtracted_where_they_are_not_zero() -> None:
    text = source_of(blur(), origin=True)
    assert "def kernel(img, blur, blur_min0, blur_min1, error):" in text
    assert "blur[y - blur_min0, x - blur_min1] = (rows[0, x] + rows[1, x] + rows[2, x]) // 3" in text


@pytest.mark.parametrize("backend", BACKENDS)
def test_nests_run(backend: str) -> None:
    img = np.random.default_rng(1).integers(0, 256, (9, 12), np.uint8)
    rows = (img[:, :-2] + img[:, 1:-1] + img[:, 2:]) // 3
    out = np.zeros((7, 10), np.uint8)
    low = blur()
    assert run(low, backend, [img, out]) == (0, [])
    np.testing.assert_array_equal(out, (rows[:-2] + rows[1:-1] + rows[2:]) // 3)
    assert run(low, backend, [img[:5], out]) == (1, [7, 5])


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(CompileError, match="one array a port"):
        run(blur(), "python", [np.zeros((3, 3), np.uint8)])
    with pytest.raises(CompileError, match="no backend 'cython'"):
        to_source(blur(), "cython")


def stored(value: Expr, *inputs: Port, what: Array | None = None, **fields: Any) -> Lowered:
    """One store of `value` at 0."""
    out = what or Array("out", (value.type,), 1)
    return lowered(Provide(out, (k(0),), (value,), **fields), *inputs, output(out))


def line(value: Expr, *inputs: Port, backend: str = "python") -> str:
    """The right side of the store, or the lines, if there are more."""
    lines = source_of(stored(value, *inputs), backend).splitlines()[2:]
    return "\n".join(s.strip() for s in lines).removeprefix("out[0] = ")


def a_read(t: Type, name: str = "a") -> tuple[Expr, Port]:
    p = port(name, t)
    return Read(p.array, (k(1),)), p


@pytest.mark.parametrize(
    ("make", "python", "numba"),
    [
        (lambda a: op("add", a, k(-3, i32)), "a[1] - 3", "a[1] - 3"),
        (lambda a: op("sub", k(3, i32), a), "3 - a[1]", "3 - a[1]"),
        (lambda a: op("mul", op("add", a, a), a), "(a[1] + a[1]) * a[1]", "np.int32(a[1] + a[1]) * a[1]"),
        (lambda a: op("floordiv", a, a), "ref.floordiv(a[1], a[1])", "ref.floordiv(a[1], a[1])"),
        (lambda a: op("mod", a, k(8, i32)), "a[1] % 8", "a[1] % 8"),
        (lambda a: op("shl", a, k(3, i32)), "a[1] << 3", "np.int32(a[1] << 3)"),
        (lambda a: op("shl", a, a), "ref.shl(a[1], a[1])", "ref.shl(a[1], a[1])"),
        (lambda a: op("min", a, k(3, i32)), "min(a[1], 3)", "min(a[1], 3)"),
        (
            lambda a: op("add", op("min", a, k(3, i32)), op("max", a, k(0, i32))),
            "np.int32(min(a[1], 3)) + max(a[1], 0)",
            "min(a[1], 3) + max(a[1], 0)",
        ),
        (lambda a: op("not", a), "~a[1]", "np.int32(~a[1])"),
        (lambda a: Cast(a, u8), "np.uint8(a[1])", "np.uint8(a[1])"),
        (lambda a: Cast(Cast(a, f32), i16), "ref.i16(np.float32(a[1]))", "ref.i16(np.float32(a[1]))"),
        (lambda a: op("sat_add", a, a), "ref.sat_add(a[1], a[1])", "ref.sat_add(a[1], a[1])"),
        (lambda a: op("select", op("lt", a, k(3, i32), type=bool_), a, k(7, i32), type=i32), *["a[1] if a[1] < 3 else 7"] * 2),
        (lambda a: op("reinterpret", a, type=f32), "a[1].view(np.float32)", "np.int32(a[1]).view(np.float32)"),
    ],
)  # fmt: skip
def test_integers_as_printed(make: Callable[[Expr], Expr], python: str, numba: str) -> None:
    a, p = a_read(i32)
    assert line(make(a), p) == python
    assert line(make(a), p, backend="numba") == numba


@pytest.mark.parametrize(
    ("make", "python", "numba"),
    [
        (lambda a: op("mul", a, k(0.1, f32)), "a[1] * 0.1", "a[1] * np.float32(0.1)"),
        (lambda a: op("div", k(1, f32), a), "1.0 / a[1]", "np.float32(1.0) / a[1]"),
        (lambda a: op("fma", a, a, k(2, f32)), "ref.fma(a[1], a[1], 2.0)", "ref.fma(a[1], a[1], np.float32(2.0))"),
        (lambda a: op("floor", a), "np.floor(a[1])", "np.floor(a[1])"),
        (lambda a: op("exp", a), "ref.exp(a[1])", "ref.exp(a[1])"),
        (lambda a: op("max", a, k(0, f32)), "ref.max(a[1], 0.0)", "ref.max(a[1], np.float32(0.0))"),
        (lambda a: Cast(a, f64), "np.float64(a[1])", "np.float64(a[1])"),
        (lambda a: op("min", a, k(float("-inf"), f32)), "ref.min(a[1], -np.inf)", "ref.min(a[1], np.float32(-np.inf))"),
        (lambda a: Cast(a, bf16), "bfloat16(a[1])", "ref.bf16_bits(a[1])"),
        (lambda a: op("add", a, k(1 / 3, f32)), "a[1] + 0.33333334", "a[1] + np.float32(0.33333334)"),
    ],
)  # fmt: skip
def test_floats_as_printed(make: Callable[[Expr], Expr], python: str, numba: str) -> None:
    a, p = a_read(f32)
    assert line(make(a), p) == python
    assert line(make(a), p, backend="numba") == numba


def test_unsigned_meets_signed() -> None:
    """uint64 and int64 would meet in float64."""
    a, p = a_read(u32)
    assert line(op("add", op("add", a, a), k(1, u32)), p, backend="numba") == "np.uint32(a[1] + a[1]) + 1"
    b, q = a_read(u64)
    assert line(op("add", b, k(1, u64)), q, backend="numba") == "a[1] + np.uint64(1)"
    assert line(op("min", op("mul", a, a), k(5, u32)), p, backend="numba") == "min(np.uint32(a[1] * a[1]), 5)"


def test_signed_arithmetic_that_could_leave_64_bits() -> None:
    """Numba's own has no meaning there."""
    a, p = a_read(i64)
    assert line(op("add", op("mul", a, a), k(1, i64)), p, backend="numba") == "ref.add(ref.mul(a[1], a[1]), 1)"
    b, q = a_read(i32)
    square = op("mul", b, b)
    assert line(op("mul", square, square), q, backend="numba").endswith("out[0] = t * t")
    assert line(op("add", square, b), q, backend="numba") == "a[1] * a[1] + a[1]"
    assert line(op("mul", square, b), q, backend="numba") == "np.int32(a[1] * a[1]) * a[1]"
    c, r = a_read(u32)
    assert line(op("mul", c, k(0x9E3779B9, u32)), r, backend="numba") == "a[1] * np.uint32(2654435769)"
    assert line(op("mul", c, k(3, u32)), r, backend="numba") == "a[1] * 3"


def test_halves_are_carried_in_f32_under_numba() -> None:
    a, p = a_read(f16)
    value = op("mul", op("add", a, k(0.1, f16)), a)
    assert line(value, p) == "(a[1] + 0.1) * a[1]"
    rounded = "ref.f16(ref.f16_value(a[1]) + np.float32(0.099975586))"
    assert line(value, p, backend="numba") == f"ref.f16_bits({rounded} * ref.f16_value(a[1]))"
    b, q = a_read(bf16)
    assert line(op("add", b, k(0.5, bf16)), q) == "a[1] + bfloat16(0.5)"
    assert "from ml_dtypes import bfloat16\n" in to_source(stored(op("add", b, k(0.5, bf16)), q))


def test_conditions_as_printed() -> None:
    a, p = a_read(i32)
    b, q = a_read(bool_, "b")
    lt = op("lt", a, k(3, i32), type=bool_)
    assert line(op("and", lt, op("not", op("or", b, b))), p, q) == "a[1] < 3 and not (b[1] or b[1])"
    assert line(op("and", op("and", b, b), op("and", lt, b)), p, q) == "b[1] and b[1] and a[1] < 3 and b[1]"
    assert line(op("xor", b, lt), p, q) == "b[1] != (a[1] < 3)"
    assert line(op("lt", k(3, i32), a, type=bool_), p) == "a[1] > 3"


def test_index_arithmetic_as_printed() -> None:
    y, x = Var("y"), Var("x")
    out = Array("out", (i32,), 1)

    def subscript(e: Expr) -> str:
        nest = For(y, k(0), k(4), "serial", For(x, k(0), k(4), "serial", Provide(out, (e,), (k(0, i32),))))
        return source_of(lowered(nest, output(out))).splitlines()[-1].strip().removesuffix("] = 0").removeprefix("out[")

    def lin(*terms: tuple[Expr, int], const: int = 0) -> Expr:
        from halo.ir.linear import linear

        return linear(terms, const)

    assert subscript(lin((y, 8), (x, 1))) == "8 * y + x"
    assert subscript(lin((y, -1), (x, 2), const=-3)) == "2 * x - y - 3"
    assert subscript(lin((y, -1), const=5)) == "5 - y"
    assert subscript(lin((y, -2), const=-5)) == "-(2 * y) - 5"
    assert subscript(A.floordiv(lin((y, 1), (x, 1)), k(3))) == "(y + x) // 3"
    assert subscript(A.minimum(y, A.maximum(x, k(2)))) == "min(y, max(x, 2))"
    assert subscript(A.mod(y, out.extents[0])) == "ref.mod(y, out.shape[0])"
    table, p = a_read(u8, "t")
    assert line(Read(Array("t", (u8,), 1, table=np.arange(4, dtype=np.uint8)), (Cast(table, index),)), p) == "t_1[t[1]]"


# Statements -------------------------------------------------------------------------------------------------------------


def ran(low: Lowered, *arrays: np.ndarray, **more: Any) -> None:
    """On both backends, which must agree; the outputs are those of the first."""
    copies = [a.copy() for a in arrays]
    assert run(low, "numba", copies, **more) == run(low, "python", arrays, **more)
    for a, b in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, b)


def test_lets_conditions_and_params() -> None:
    out, x, v = Array("out", (i32,), 1), Var("x"), Var("v", i32)
    p = Param("gain", Var("gain", i32))
    store = [Provide(out, (x,), (e,)) for e in (op("mul", v, p.var), op("sub", v, p.var))]
    body = Let(v, op("add", Cast(x, i32), k(1, i32)), If(op("lt", v, k(3, i32), type=bool_), store[0], store[1]))
    low = lowered(For(x, k(0), out.extents[0], "unroll", body), output(out), params=(p,))
    assert (
        source_of(low)
        == """\
@np.errstate(all='ignore')
def kernel(out, gain):
    for x in range(out.shape[0]):  # unroll
        v = ref.i32(x) + 1
        if v < 3:
            out[x] = v * gain
        else:
            out[x] = v - gain
"""
    )
    result = np.zeros(5, np.int32)
    ran(low, result, params=[10])
    assert result.tolist() == [10, 20, -7, -6, -5]


def test_definitions_that_say_nothing_are_left_out() -> None:
    out, x, y = Array("out", (i32,), 1), Var("x"), Var("y")
    unused, same, size = Var("unused"), Var("same"), Var("size")
    inner = For(x, k(0), size, "serial", Provide(out, (x,), (Cast(A.add(x, same), i32),)))
    nest: Stmt = Let(size, A.add(out.extents[0], A.floordiv(y, k(2))), Let(same, y, Let(unused, A.add(y, k(1)), inner)))
    low = lowered(For(y, k(0), k(1), "serial", nest), output(out))
    assert source_of(low).splitlines()[2:] == [
        "    for y in range(1):",
        "        size = out.shape[0] + y // 2",
        "        for x in range(size):",
        "            out[x] = ref.i32(x + y)",
    ]


def test_shared_subexpressions_are_named() -> None:
    a, p = a_read(f32)
    d = op("sub", op("mul", a, k(2.0, f32)), k(1.0, f32))
    assert line(op("add", op("mul", d, d), op("div", d, a)), p) == "t = a[1] * 2.0 - 1.0\nout[0] = t * t + t / a[1]"
    assert line(op("mul", a, a), p) == "a[1] * a[1]"


def test_very_deep_expressions_are_cut_in_pieces() -> None:
    a, p = a_read(i64)
    deep = a
    for j in range(3000):
        deep = op("sub", k(j, i64), deep)
    low = stored(deep, p)
    out = np.zeros(1, np.int64)
    assert run(low, "python", [np.array([5, 7]), out]) == (0, [])
    expected = 7
    for j in range(3000):
        expected = j - expected
    assert out[0] == expected


def test_updates_in_place() -> None:
    hist, img = Array("hist", (u8,), 1), port("img", u8)
    i = Var("i")
    at = Cast(Read(img.array, (i,)), index)
    for name, symbol in (("add", "+"), ("sub", "-"), ("mul", "*")):
        step = Provide(hist, (at,), (op(name, Read(hist, (at,)), k(3, u8)),), atomic=True)
        low = lowered(For(i, k(0), img.extents[0], "serial", step), img, output(hist))
        assert source_of(low).splitlines()[-1].strip() == f"hist[img[i]] {symbol}= 3"
        data = np.random.default_rng(3).integers(0, 4, 300, np.uint8)
        counts = np.ones(4, np.uint8)
        ran(low, data, counts)
        expected = [1, 1, 1, 1]
        for v in data.tolist():
            expected[v] = {"+": expected[v] + 3, "-": expected[v] - 3, "*": expected[v] * 3}[symbol] % 256
        assert counts.tolist() == expected


def test_tuples_are_stored_at_once() -> None:
    pair, i = Array("pair", (i32, f32), 1), Var("i")
    first, second = Read(pair, (i,), 0), Read(pair, (i,), 1)
    swap = Provide(pair, (i,), (Cast(second, i32), Cast(first, f32)))
    only = Provide(pair, (i,), (None, op("neg", second)))
    low = lowered(For(i, k(0), pair.extents[0], "serial", block(swap, only)), output(pair, 0), output(pair, 1))
    assert source_of(low).splitlines()[3:] == [
        "        pair_0[i], pair_1[i] = ref.i32(pair_1[i]), np.float32(pair_0[i])",
        "        pair_1[i] = -pair_1[i]",
    ]
    a, b = np.array([1, 2], np.int32), np.array([3.9, -4.9], np.float32)
    ran(low, a, b)
    assert a.tolist() == [3, -4] and b.tolist() == [-1.0, -2.0]


def test_storage_with_a_fold_an_origin_and_several_elements() -> None:
    out, ring, y = Array("out", (i32,), 1), Array("ring", (i32, u8), 1), Var("y")
    lo = A.sub(out.mins[0], A.floordiv(out.extents[0], k(3)))  # no plain expression: it gets a name
    value = Cast(y, i32)
    make = Produce(ring, Provide(ring, (y,), (op("mul", value, value), Cast(value, u8))))
    use = Provide(out, (y,), (op("add", Read(ring, (y,)), Cast(Read(ring, (y,), 1), i32)),))
    nest = For(y, out.mins[0], out.extents[0], "serial", block(make, use))
    for fold in ((), ((0, 2),)):
        box = ((lo, A.add(out.extents[0], A.sub(out.mins[0], lo))),)
        low = lowered(Hoist(ring, Realize(ring, box, nest, fold=fold)), output(out))
        result = np.zeros(6, np.int32)
        ran(low, result, mins=[(-2,)])
        assert result.tolist() == [y * y + y % 256 for y in range(-2, 4)]
        assert ("ring_0[y % 2]" if fold else "ring_0[y - ring_min0]") in source_of(low)


def test_predicates_guard_stores_and_reads() -> None:
    out, img, x = Array("out", (i32,), 1), port("img", i32), Var("x")
    inside = A.lt(x, img.extents[0])
    value = op("add", Read(img.array, (x,), 0, inside), k(1, i32))
    odd = A.eq(A.mod(x, k(2)), k(1))
    low = lowered(For(x, k(0), out.extents[0], "serial", Provide(out, (x,), (value,), pred=odd)), img, output(out))
    assert source_of(low).splitlines()[2:] == [
        "    for x in range(out.shape[0]):",
        "        if x % 2 == 1:",
        "            out[x] = np.int32(img[x] if x < img.shape[0] else 0) + 1",
    ]
    result = np.zeros(8, np.int32)
    ran(low, np.array([5, 6, 7, 8], np.int32), result)
    assert result.tolist() == [0, 7, 0, 9, 0, 1, 0, 1]


def test_tables_and_rank_0() -> None:
    squares = Array("squares", (f32,), 1, table=np.array([0.0, 1.5, np.inf], np.float32))
    out, which = Array("out", (f32,), 0), Param("which", Var("which", u8))
    low = lowered(Provide(out, (), (Read(squares, (Cast(which.var, index),)),)), output(out), params=(which,))
    text = to_source(low)
    assert "\nsquares = np.array([0.0, 1.5, np.inf], np.float32)\n" in text
    assert "out[()] = squares[which]" in text
    for k_, expected in enumerate([0.0, 1.5, np.inf]):
        result = np.zeros((), np.float32)
        ran(low, result, params=[k_])
        assert result == expected


def test_flat_tables() -> None:
    words = Buffer("words", u64, "table", np.array([2**63, 7], np.uint64))
    x = Var("x", u64)
    text = function_source("f", (x,), op("add", Load(words, Cast(x, index)), k(1, u64)), "python")
    assert "words = np.array([9223372036854775808, 7], np.uint64)" in text
    assert "return words[x] + 1" in text


def test_the_names_of_things() -> None:
    a, b = Array("lambda", (i32,), 1), Array("np", (i32,), 1)
    x, again, other = Var("x"), Var("x"), Var("x.1 of f")
    value = Cast(A.add(A.add(x, again), other), i32)
    loops = For(other, k(0), k(1), "serial", Provide(b, (k(0),), (op("add", value, Read(a, (k(0),))),)))
    nest = For(x, k(0), k(1), "serial", For(again, k(0), k(1), "serial", loops))
    text = source_of(lowered(nest, port_of(a), output(b)))
    assert "def kernel(lambda_, np_):" in text
    assert "for x in range(1):\n        for x_1 in range(1):\n            for x_1_of_f in range(1):" in text
    ran(lowered(nest, port_of(a), output(b)), np.zeros(1, np.int32), np.zeros(1, np.int32))


def test_empty_storage_and_negative_extents() -> None:
    out, f = Array("out", (i32,), 1), Array("f", (i32,), 1)
    nest = Realize(f, ((k(0), A.sub(out.extents[0], k(4))),), Provide(out, (k(0),), (k(1, i32),)))
    low = lowered(nest, output(out))
    assert "np.empty(max(out.shape[0] - 4, 0), np.int32)" in source_of(low)
    result = np.zeros(2, np.int32)
    ran(low, result)
    assert result.tolist() == [1, 0]


def test_extern_stages_see_their_regions() -> None:
    class Call:
        function = staticmethod(np.cumsum)

        def required(self, box: Any) -> Any:
            return (((k(0), A.add(*box[0])),),)

    def cumulative(out: np.ndarray, a: np.ndarray) -> None:
        out[...] = np.cumsum(a)[-len(out) :]

    Call.function = staticmethod(cumulative)
    img, out = port("img", f16), Array("out", (f16,), 1)
    low = lowered(Extern(Call(), out, (img.array,), ((k(2), k(3)),)), img, output(out))
    text = source_of(low)
    assert "cumulative(out[2:5], img[0:5])" in text
    a, result = np.arange(6, dtype=np.float16), np.zeros(6, np.float16)
    ran(low, a, result)
    assert result.tolist() == [0, 0, 3, 6, 10, 0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_requirements_and_printing(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    a, p = a_read(i32)
    small = op("lt", a, k(9, i32), type=bool_)
    shown = Op("print", (a, k(2.5, f64)), i32, "{} and then {}")
    result = np.zeros(1, np.int32)
    run(stored(shown, p), backend, [np.array([0, 8], np.int32), result])
    assert capsys.readouterr().out == "8 and then 2.5\n" and result[0] == 8
    with_text = stored(Op("require", (small, a, a), i32, ("{} is too large", None)), p)
    assert run(with_text, backend, [np.array([0, 8], np.int32), result]) == (0, [])
    with pytest.raises(ArgumentError):
        run(with_text, backend, [np.array([0, 9], np.int32), result])
    with_status = stored(Op("require", (small, a, k(0.5, f32)), i32, 4), p)
    half = int(np.float64(0.5).view(np.int64))
    assert run(with_status, backend, [np.array([0, 9], np.int32), result]) == (4, [9, half])


def test_random_numbers() -> None:
    out, y, x = Array("out", (u32,), 2), Var("y"), Var("x")
    drawn = Op("random", (y, x), u32, 5)
    inner = For(x, out.mins[1], out.extents[1], "serial", Provide(out, (y, x), (drawn,)))
    low = lowered(For(y, out.mins[0], out.extents[0], "serial", inner), output(out))
    result, shifted = np.zeros((4, 5), np.uint32), np.zeros((4, 5), np.uint32)
    ran(low, result, mins=[(-2, 7)])
    ran(low, shifted, mins=[(-1, 8)])
    np.testing.assert_array_equal(result[1:, 1:], shifted[:-1, :-1])
    assert len(set(result.ravel().tolist())) == 20


def test_statements_that_only_compute() -> None:
    out = Array("out", (i32,), 1)
    low = lowered(block(Evaluate(k(3, i32)), Provide(out, (k(0),), (k(4, i32),))), output(out))
    assert source_of(low).splitlines()[2:] == ["    3", "    out[0] = 4"]

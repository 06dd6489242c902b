"""Operations on floats: IEEE 754, each rounded once, nothing reordered; f16 and bf16 by way of f32."""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..ir.expr import RAISED, Op
from .emit_cast import round_to
from .emit_function import REGISTER, Function, register_type, vec
from .emit_vector import any_lane, concat, permute

__all__ = ["OPS"]

Emitter = Callable[[Function, Op, list[str]], str]


def _binary(name: str) -> Emitter:
    def emitter(f: Function, e: Op, a: list[str]) -> str:
        return round_to(f, e.type, e.lanes, f.new(f"{name} {register_type(e)} {a[0]}, {a[1]}"))

    return emitter


def _intrinsic(name: str) -> Emitter:
    """`llvm.<name>` on all operands, rounded."""

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        return round_to(f, e.type, e.lanes, _call(f, register_type(e), name, *a))

    return emitter


def _exact(name: str) -> Emitter:
    """`llvm.<name>`, whose result needs no rounding."""

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        return _call(f, register_type(e), name, *a)

    return emitter


def _call(f: Function, type: str, name: str, *a: str) -> str:
    return f.new(f"call {type} @llvm.{name}({', '.join(f'{type} {x}' for x in a)})")


def _compare(condition: str) -> Emitter:
    def emitter(f: Function, e: Op, a: list[str]) -> str:
        return f.new(f"fcmp {condition} {register_type(e.args[0])} {a[0]}, {a[1]}")

    return emitter


def _neg(f: Function, e: Op, a: list[str]) -> str:
    return f.new(f"fneg {register_type(e)} {a[0]}")


def _raw(condition: str) -> Emitter:
    """`a if a < b else b`: the machine's min; `>` for max."""

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        type, cond = register_type(e), vec("i1", e.lanes)
        return f.new(f"select {cond} {f.new(f'fcmp {condition} {type} {a[0]}, {a[1]}')}, {type} {a[0]}, {type} {a[1]}")

    return emitter


def _propagating(condition: str) -> Emitter:
    """As `_raw`, which gives b where either is NaN; so only a NaN in `a` is left to see to. The freeze keeps LLVM from making
    both choices one, for which there is no instruction."""
    raw = _raw(condition)

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        type = register_type(e)
        best = f.new(f"freeze {type} {raw(f, e, a)}")
        nan = f.new(f"fcmp uno {type} {a[0]}, {a[0]}")
        return f.new(f"select {vec('i1', e.lanes)} {nan}, {type} {a[0]}, {type} {best}")

    return emitter


def _isnan(f: Function, e: Op, a: list[str]) -> str:
    return f.new(f"fcmp uno {register_type(e.args[0])} {a[0]}, {a[0]}")


def _size_is(condition: str) -> Emitter:
    """Whether |a| is `condition` infinity."""

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        type = register_type(e.args[0])
        return f.new(f"fcmp {condition} {type} {_call(f, type, 'fabs', a[0])}, {f.constant(float('inf'), e.args[0])}")

    return emitter


# -- floor division --------------------------------------------------------------------------------------------------


class _Floats:
    """Arithmetic on one float type, for the formulas below."""

    def __init__(self, f: Function, e: Op, scalar: str) -> None:
        self.f, self.e, self.n, self.scalar = f, e, e.lanes, scalar
        self.type, self.cond = vec(scalar, e.lanes), vec("i1", e.lanes)

    def __call__(self, instruction: str, a: str, b: str) -> str:
        return self.f.new(f"{instruction} {self.type} {a}, {b}")

    def call(self, name: str, *a: str) -> str:
        return _call(self.f, self.type, name, *a)

    def test(self, condition: str, a: str, b: str) -> str:
        return self.f.new(f"fcmp {condition} {self.type} {a}, {b}")

    def select(self, cond: str, then: str, other: str) -> str:
        return self.f.new(f"select {self.cond} {cond}, {self.type} {then}, {self.type} {other}")

    def convert(self, instruction: str, source: str, a: str) -> str:
        return self.f.new(f"{instruction} {vec(source, self.n)} {a} to {self.type}")

    def k(self, value: float) -> str:
        literal = f"0x{_bits(value):016X}"
        return literal if self.n == 1 else f"splat ({self.scalar} {literal})"


def _bits(value: float) -> int:
    return int.from_bytes(struct.pack(">d", value), "big")


def _fmod(m: _Floats, a: str, b: str) -> str:
    """C's fmod, exact. Doubles serve f32, whose quotients they can all hold."""
    if m.scalar == "double":
        return _fmod_double(m, a, b, scaled=True)
    d = _Floats(m.f, m.e, "double")
    wide = _fmod_double(d, d.convert("fpext", "float", a), d.convert("fpext", "float", b), scaled=False)
    return m.convert("fptrunc", "double", wide)


def _fmod_double(m: _Floats, a: str, b: str, scaled: bool) -> str:
    """r - trunc(r / b) * b is exact in one fma as long as the quotient is finite, and takes 52 bits off r: a loop that
    seldom turns twice. A huge quotient is made finite by dividing by `b` times a power of two first."""
    f = m.f
    x, y = m.call("fabs", a), m.call("fabs", b)
    steps = [y]
    for _ in range(2 if scaled else 0):
        steps.append(m("fmul", steps[-1], m.k(2.0**700)))
    active, before = m.test("oge", x, y), f.block
    again, done = f.label(), f.label()
    f.do(f"br i1 {any_lane(f, active, m.n)}, label %{again}, label %{done}")
    f.begin(again)
    at = len(f.lines)
    rest, on = f.new(""), f.new("")
    size = m.call("fabs", rest)
    by = y
    for larger in steps[1:]:
        by = m.select(m.test("oge", size, larger), larger, by)
    quotient = m.call("trunc", m("fdiv", rest, by))
    less = m.call("fma", f.new(f"fneg {m.type} {quotient}"), by, rest)
    less = m.select(on, less, rest)
    more = m.test("oge", m.call("fabs", less), y)
    f.lines[at] = f"{rest} = phi {m.type} [ {x}, %{before} ], [ {less}, %{again} ]"
    f.lines[at + 1] = f"{on} = phi {m.cond} [ {active}, %{before} ], [ {more}, %{again} ]"
    f.do(f"br i1 {any_lane(f, more, m.n)}, label %{again}, label %{done}")
    f.begin(done)
    rest = f.new(f"phi {m.type} [ {x}, %{before} ], [ {less}, %{again} ]")
    rest = m.select(m.test("olt", rest, m.k(0.0)), m("fadd", rest, y), rest)
    rest = m.call("copysign", rest, a)
    return m.select(m.test("uno", b, b), b, rest)


def _divmod(f: Function, e: Op, a: list[str]) -> tuple[_Floats, str, str]:
    """(arithmetic, quotient before its floor, remainder with the divisor's sign)."""
    m = _Floats(f, e, REGISTER[e.type.name])
    x, y = a
    rest = _fmod(m, x, y)
    quotient = m("fdiv", m("fsub", x, rest), y)
    left = m.test("une", rest, m.k(0.0))
    differ = f.new(f"xor {m.cond} {m.test('olt', y, m.k(0.0))}, {m.test('olt', rest, m.k(0.0))}")
    below = f.new(f"and {m.cond} {left}, {differ}")
    quotient = m.select(below, m("fsub", quotient, m.k(1.0)), quotient)
    rest = m.select(below, m("fadd", rest, y), rest)
    return m, quotient, m.select(left, rest, m.call("copysign", m.k(0.0), y))


def _floordiv(f: Function, e: Op, a: list[str]) -> str:
    """As numpy.floor_divide: the nearest integer to the exact quotient's floor; a / b where b is 0."""
    m, quotient, _ = _divmod(f, e, a)
    plain, floor = m("fdiv", a[0], a[1]), m.call("floor", quotient)
    up = m.test("ogt", m("fsub", quotient, floor), m.k(0.5))
    floor = m.select(up, m("fadd", floor, m.k(1.0)), floor)
    none = m.test("oeq", quotient, m.k(0.0))
    result = m.select(none, m.call("copysign", m.k(0.0), plain), floor)
    return round_to(f, e.type, e.lanes, m.select(m.test("oeq", a[1], m.k(0.0)), plain, result))


def _mod(f: Function, e: Op, a: list[str]) -> str:
    """As numpy.mod: the sign of the divisor; NaN where that is 0."""
    return round_to(f, e.type, e.lanes, _divmod(f, e, a)[2])


# -- powers of two ---------------------------------------------------------------------------------------------------


def _raised(f: Function, e: Op, a: list[str]) -> str:
    """Whole registers by one instruction where there is one; else by two powers of two, so that the first product is exact."""
    m, (p, sum) = _Floats(f, e, REGISTER[e.type.name]), a
    n = f.module.target.natural_lanes(e.type)
    if f.module.target.vector_bits == 512 and e.lanes % n == 0:
        whole, type = m("fsub", sum, m.k(RAISED[e.type])), vec(m.scalar, n)
        pieces: list[tuple[str, int]] = []
        for first in range(0, e.lanes, n):
            parts = [permute(f, m.scalar, [(v, e.lanes)], range(first, first + n)) for v in (p, whole)]
            given = ", ".join(f"{type} {v}" for v in (*parts, "undef"))
            pieces.append((f.new(f"call {type} @llvm.x86.avx512.mask.scalef.{'ps' if n == 16 else 'pd'}.512({given}, "
                                 f"i{n} -1, i32 4)"), n))  # fmt: skip
        return concat(f, m.scalar, pieces)[0]
    bits, digits = (32, 23) if m.scalar == "float" else (64, 52)
    type = vec(f"i{bits}", e.lanes)

    def k(value: int) -> str:
        return str(value) if e.lanes == 1 else f"splat (i{bits} {value})"

    def power(exponent: str) -> str:
        return f.new(f"bitcast {type} {f.new(f'shl {type} {exponent}, {k(digits)}')} to {m.type}")

    both = f.new(f"bitcast {m.type} {sum} to {type}")
    half = f.new(f"lshr {type} {both}, {k(1)}")
    return m("fmul", m("fmul", p, power(half)), power(f.new(f"sub {type} {both}, {half}")))


OPS: dict[str, Emitter] = {
    "add": _binary("fadd"), "sub": _binary("fsub"), "mul": _binary("fmul"), "div": _binary("fdiv"), "neg": _neg,
    "eq": _compare("oeq"), "ne": _compare("une"), "lt": _compare("olt"), "le": _compare("ole"),
    "min": _propagating("olt"), "max": _propagating("ogt"), "fmin": _raw("olt"), "fmax": _raw("ogt"),
    "abs": _exact("fabs"), "copysign": _exact("copysign"), "floor": _exact("floor"), "ceil": _exact("ceil"),
    "trunc": _exact("trunc"), "round": _exact("roundeven"), "sqrt": _intrinsic("sqrt"), "fma": _intrinsic("fma"),
    "isnan": _isnan, "isinf": _size_is("oeq"), "isfinite": _size_is("olt"), "floordiv": _floordiv, "mod": _mod,
    "raised": _raised,
}  # fmt: skip

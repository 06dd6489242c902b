"""Expressions as LLVM instructions: one small function a node, in `EMIT`; operations by name in `OPS`."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import CompileError
from ..ir.expr import Broadcast, Cast, Const, Expr, Instruction, Lin, Load, Op, Ramp, Reduce, Shuffle, Var
from ..ir.random import random_bits
from . import emit_effect, emit_float, emit_int
from .emit_cast import cast, reinterpret, unpack
from .emit_function import EMIT, MEMORY, REGISTER, Function, register_type, vec
from .emit_instruction import instruction
from .emit_load import load
from .emit_vector import any_lane, constant_of, linear, permute

__all__ = ["OPS"]

Emitter = Callable[[Function, Op, list[str]], str]


def _const(f: Function, e: Const) -> str:
    return f.module.literal(e.value, e.type)


def _var(f: Function, e: Var) -> str:
    """A variable of the call, or one that this function's parent knows. In a call it is stored as in an array."""
    if f.parent is not None:
        return f.capture(e, REGISTER[e.type.name])
    stored = f.capture(e, MEMORY[e.type.name])
    with f.entry():
        return unpack(f, e.type, 1, stored)


def _cast(f: Function, e: Cast) -> str:
    return cast(f, e, f.values[e.value])


def _op(f: Function, e: Op) -> str:
    emitter = OPS.get(e.name)
    if emitter is None:
        raise CompileError(f"the operation {e.name!r} has no machine code")
    if e.name == "rare":
        return _rare(f, e, [])
    values = f.values
    return emitter(f, e, [values[a] for a in e.args])


def _lin(f: Function, e: Lin) -> str:
    """Outermost terms first, so that what does not vary in the inner loops is a common beginning; the constant last."""
    total = linear(f, e.terms)
    return f.new(f"add nsw i64 {total}, {e.const}") if e.const else total


# -- vectors ---------------------------------------------------------------------------------------------------------


def _broadcast(f: Function, e: Broadcast) -> str:
    type, inner = REGISTER[e.type.name], e.value.lanes
    value = f.values[e.value]
    return permute(f, type, [(value, inner)], [*range(inner)] * e.n)


def _ramp(f: Function, e: Ramp) -> str:
    type, lanes, inner = REGISTER[e.type.name], e.lanes, e.base.lanes
    base, flags = f.values[e.base], " nsw" if e.type.name == "index" else ""
    if lanes == inner:
        return base
    start, by = constant_of(e.base), constant_of(e.stride)
    if by is not None:
        offsets = _integers(f, e, [int(start or 0) + int(by) * (k // inner) for k in range(lanes)])
    else:
        stride = permute(f, type, [(f.values[e.stride], e.stride.lanes)], [k % e.stride.lanes for k in range(lanes)])
        steps = _integers(f, e, [k // inner for k in range(lanes)])
        offsets = f.new(f"mul{flags} <{lanes} x {type}> {stride}, {steps}")
    if start == 0 or (start is not None and by is not None):
        return offsets
    bases = permute(f, type, [(base, inner)], [*range(inner)] * e.n)
    return f.new(f"add{flags} <{lanes} x {type}> {bases}, {offsets}")


def _integers(f: Function, e: Expr, values: list[int]) -> str:
    """A constant vector of `e`'s type."""
    type = REGISTER[e.type.name]
    return f"<{', '.join(f'{type} {f.module.literal(e.type.wrap(v), e.type)}' for v in values)}>"


def _shuffle(f: Function, e: Shuffle) -> str:
    type = REGISTER[e.type.name]
    parts = [(f.values[v], v.lanes) for v in e.vectors]
    return permute(f, type, parts, e.picks)


_INT_REDUCE = {"add": "add", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}


def _reduce(f: Function, e: Reduce) -> str:
    """Integers by `llvm.vector.reduce` where one lane is left; else by halves, in a fixed order."""
    value, lanes, n = f.values[e.value], e.value.lanes, e.n
    size, scalar = lanes // n, REGISTER[e.type.name]
    if size == 1:
        return value
    if n == 1 and not e.type.is_float:
        name = _INT_REDUCE.get(e.name) or ("s" if e.type.kind == "int" else "u") + e.name
        return f.new(f"call {scalar} @llvm.vector.reduce.{name}({vec(scalar, lanes)} {value})")
    parts = [(value, lanes)]
    while size > 1:  # every group: its first half with its second, a middle lane of an odd one left alone
        half = size // 2
        low = permute(f, scalar, parts, [g * size + k for g in range(n) for k in range(half)])
        high = permute(f, scalar, parts, [g * size + size - half + k for g in range(n) for k in range(half)])
        folded = OPS[e.name](f, _like(e, n * half), [low, high])
        if size % 2:
            middle = permute(f, scalar, parts, [g * size + half for g in range(n)])
            picks = [p for g in range(n) for p in (*range(g * half, g * half + half), n * half + g)]
            folded = permute(f, scalar, [(folded, n * half), (middle, n)], picks)
        size = half + size % 2
        parts = [(folded, n * size)]
    return parts[0][0]


def _like(e: Reduce, lanes: int) -> Op:
    """A node that stands for the fold of `lanes` lanes at once: emitters look at its type and lanes."""
    operand = Broadcast(Const(0, e.type), lanes) if lanes > 1 else Const(0, e.type)
    return Op(e.name, (operand, operand), e.type)


# -- conditions ------------------------------------------------------------------------------------------------------


def _rare(f: Function, e: Op, _: list[str]) -> str:
    """A branch round the rare side, which so costs nothing where no lane needs it."""
    known = constant_of(e.args[0])
    if known is not None:
        return f.value(e.args[1] if known else e.args[2])
    cond, usual, type = f.values[e.args[0]], f.values[e.args[2]], register_type(e)
    slow, done = f.label(), f.label()
    some = any_lane(f, cond, e.lanes)
    before = f.block
    f.do(f"br i1 {some}, label %{slow}, label %{done}, !prof !1")
    f.begin(slow)
    mark = f.mark()
    rare = f.value(e.args[1])
    merged = f.new(f"select {vec('i1', e.lanes)} {cond}, {type} {rare}, {type} {usual}")
    f.restore(mark)
    end = f.block
    f.jump(done)
    return f.new(f"phi {type} [ {usual}, %{before} ], [ {merged}, %{end} ]")


def _select(f: Function, e: Op, a: list[str]) -> str:
    type = register_type(e)
    return f.new(f"select {vec('i1', e.args[0].lanes)} {a[0]}, {type} {a[1]}, {type} {a[2]}")


def _random(f: Function, e: Op, a: list[str]) -> str:
    return f.value(random_bits(e))


def _by_type(name: str) -> Emitter:
    """The operation `name` on floats or on integers, as its first operand says."""
    floats, integers = emit_float.OPS.get(name), emit_int.OPS.get(name)

    def emitter(f: Function, e: Op, a: list[str]) -> str:
        chosen = floats if e.args[0].type.is_float else integers
        if chosen is None:
            raise CompileError(f"the operation {name!r} does not take {e.args[0].type!r}")
        return chosen(f, e, a)

    return emitter


OPS: dict[str, Emitter] = {name: _by_type(name) for name in {**emit_float.OPS, **emit_int.OPS}}
OPS |= {**emit_effect.OPS, "random": _random, "select": _select, "rare": _rare, "reinterpret": reinterpret}

EMIT |= {Const: _const, Var: _var, Lin: _lin, Op: _op, Cast: _cast, Load: load, Ramp: _ramp, Broadcast: _broadcast,
         Shuffle: _shuffle, Reduce: _reduce, Instruction: instruction}  # fmt: skip

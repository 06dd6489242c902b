"""Atomic read-modify-writes: what a parallel loop needs to add to memory that other iterations add to as well.

`buffer[i] = op(buffer[i], x)` becomes one instruction where there is one, and else a loop of compare-and-swap round
the whole expression. Memory that only this function sees needs neither. Lanes act one after the other, so that
several may hit the same element.
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import CHILDREN, Buffer, Const, Expr, Instruction, Load, Op
from ..ir.stmt import Store
from .emit_address import address, affine
from .emit_cast import pack, unpack
from .emit_function import MEMORY, REGISTER, Function
from .emit_store import store
from .emit_vector import permute, splat

__all__ = ["store_atomic"]

_INSTRUCTIONS = {"add": "add", "sub": "sub", "and": "and", "or": "or", "xor": "xor"}


def store_atomic(f: Function, s: Store) -> None:
    """The Store `s`, whose value reads its own element."""
    shared = f.threaded and s.buffer not in f.owned
    if not shared and s.index.lanes > 1 and _are_apart(s.index):
        store(f, s)
        return
    if isinstance(s.value, Instruction):  # a dot product: its sums go to their places, each in one piece
        total, *factors = s.value.args
        sums = s.value.replace(args=(A.broadcast(Const(0, total.type), total.lanes), *factors))
        s = s.replace(value=Op("add", (total, sums), total.type))
    old = _own_load(s)
    operand = _operand(s, old) if shared and old is not None else None
    if operand is not None:
        f.value(operand)
    index = f.value(s.index) if s.index.lanes > 1 else ""
    mask = f.value(s.pred) if s.pred is not None else None
    for k in range(s.index.lanes):
        pointer = _pointer(f, s, index, k)
        done = ""
        if mask is not None:
            act, done = f.label(), f.label()
            f.do(f"br i1 {permute(f, 'i1', [(mask, s.index.lanes)], [k])}, label %{act}, label %{done}")
            f.begin(act)
        mark = f.mark()
        if operand is not None:
            _instruction(f, s, operand, pointer, k)
        elif shared and old is not None:
            _swap(f, s, old, pointer, k)
        else:
            _plain(f, s, old, pointer, k)
        f.restore(mark)
        if done:
            f.jump(done)
    f.stored(s.buffer)


def _are_apart(index: Expr) -> bool:
    form = affine(index)
    return form is not None and [isinstance(v.stride, int) and v.stride != 0 for v in form[1]] == [True]


def _own_load(s: Store) -> Load | None:
    """The Load of the very element that `s` stores to."""
    found, seen, stack = None, set(), [s.value]
    while stack:
        e = stack.pop()
        if e in seen:
            continue
        seen.add(e)
        if isinstance(e, Load) and e.buffer is s.buffer and e.index is s.index:
            found = e
        else:
            stack += CHILDREN[type(e)](e)
    return found


def _reads(e: Expr, load: Load) -> bool:
    seen, stack = set(), [e]
    while stack:
        e = stack.pop()
        if e is load:
            return True
        if e not in seen:
            seen.add(e)
            stack += CHILDREN[type(e)](e)
    return False


def _operand(s: Store, old: Load) -> Expr | None:
    """x, if the value is `op(old, x)` with an op that is one instruction."""
    e = s.value
    if not isinstance(e, Op) or len(e.args) != 2 or e.type.is_float or e.type.is_bool or old not in e.args:
        return None
    other = e.args[1] if e.args[0] is old else e.args[0]
    if _reads(other, old) or (e.name == "sub" and e.args[0] is not old):
        return None
    return other if e.name in _INSTRUCTIONS or e.name in ("min", "max") else None


def _pointer(f: Function, s: Store, index: str, k: int) -> str:
    if s.index.lanes == 1:
        return address(f, s.buffer, s.index)
    at = permute(f, "i64", [(index, s.index.lanes)], [k])
    return f.new(f"getelementptr {MEMORY[s.buffer.type.name]}, ptr {f.pointer(s.buffer)}, i64 {at}")


def _instruction(f: Function, s: Store, operand: Expr, pointer: str, k: int) -> None:
    e, type = s.value, MEMORY[s.buffer.type.name]
    assert isinstance(e, Op)
    name = _INSTRUCTIONS.get(e.name) or ("" if e.type.kind == "int" else "u") + e.name
    x = permute(f, type, [(f.value(operand), operand.lanes)], [k]) if operand.lanes > 1 else f.value(operand)
    f.do(f"atomicrmw {name} ptr {pointer}, {type} {x} monotonic, align {s.buffer.type.bytes}{f.access(s.buffer)}")


def _swap(f: Function, s: Store, old: Load, pointer: str, k: int) -> None:
    """Until nobody came between: read, compute, and write if memory still holds what was read."""
    size, access = s.buffer.type.bytes, f.access(s.buffer)
    bits, again, done = f"i{8 * size}", f.label(), f.label()
    first = f.new(f"load atomic {bits}, ptr {pointer} monotonic, align {size}{access}")
    before = f.block
    f.do(f"br label %{again}")
    f.begin(again)
    at = len(f.lines)
    seen = f.new("")
    value = _bits(f, s.buffer, _compute(f, s, old, _of_bits(f, s.buffer, seen), k))
    pair = f.new(f"cmpxchg weak ptr {pointer}, {bits} {seen}, {bits} {value} monotonic monotonic, align {size}{access}")
    now = f.new(f"extractvalue {{ {bits}, i1 }} {pair}, 0")
    f.lines[at] = f"{seen} = phi {bits} [ {first}, %{before} ], [ {now}, %{f.block} ]"
    f.do(f"br i1 {f.new(f'extractvalue {{ {bits}, i1 }} {pair}, 1')}, label %{done}, label %{again}")
    f.begin(done)


def _plain(f: Function, s: Store, old: Load | None, pointer: str, k: int) -> None:
    type, align, access = MEMORY[s.buffer.type.name], s.buffer.type.bytes, f.access(s.buffer)
    before = f.new(f"load {type}, ptr {pointer}, align {align}{access}") if old is not None else ""
    value = pack(f, s.buffer.type, 1, _compute(f, s, old, before and unpack(f, s.buffer.type, 1, before), k))
    f.do(f"store {type} {value}, ptr {pointer}, align {align}{access}")


def _compute(f: Function, s: Store, old: Load | None, value: str, k: int) -> str:
    """Lane k of the value, were `old` to read `value`."""
    f.stored(s.buffer)
    if old is not None:
        f.bind(old, value if old.lanes == 1 else splat(f, value, REGISTER[old.type.name], old.lanes))
        f.remember(old, f.reads_of(old))
    result, lanes = f.value(s.value), s.value.lanes
    f.stored(s.buffer)
    return permute(f, REGISTER[s.value.type.name], [(result, lanes)], [k]) if lanes > 1 else result


def _bits(f: Function, buffer: Buffer, v: str) -> str:
    type, bits = MEMORY[buffer.type.name], f"i{8 * buffer.type.bytes}"
    v = pack(f, buffer.type, 1, v)
    return v if type == bits else f.new(f"bitcast {type} {v} to {bits}")


def _of_bits(f: Function, buffer: Buffer, v: str) -> str:
    type, bits = MEMORY[buffer.type.name], f"i{8 * buffer.type.bytes}"
    return unpack(f, buffer.type, 1, v if type == bits else f.new(f"bitcast {bits} {v} to {type}"))

"""Locks: an update of a tuple whose elements depend on each other, from many threads.

Each call has a table of spin locks, a byte each, and every element of memory one of them. A thread holds one lock at a
time, while it loads, computes and stores, and waits for nothing else meanwhile; whatever does not read the memory that
is updated was computed before.
"""

from __future__ import annotations

from ..ir.expr import CHILDREN, Expr
from ..ir.stmt import Atomic, Block, Let, Store
from .emit_function import LOCK_COUNT, Function

__all__ = ["lock"]


def lock(f: Function, s: Atomic) -> bool:
    """Take the lock of what `s` updates, held until `f.release()`. False if no other thread sees that memory."""
    if not f.threaded or s.buffer in f.owned:
        return False
    values, stored, body = [], 0, s.body
    while isinstance(body, Let):
        values.append(body.value)
        body = body.body
    for t in body.stmts if isinstance(body, Block) else (body,):
        assert isinstance(t, Store)
        stored |= f.module.bit(t.buffer)
        f.stored(t.buffer)
    _ahead(f, values, stored)
    slot = f.new(f"and i64 {f.value(s.index)}, {LOCK_COUNT - 1}")
    pointer = f.new(f"getelementptr i8, ptr {f.locks()}, i64 {slot}")
    _acquire(f, pointer)
    f.hold(f"store atomic i8 0, ptr {pointer} release, align 1")
    return True


def _ahead(f: Function, roots: list[Expr], stored: int) -> None:
    """Compute what `roots` are made of, as far as it reads none of the `stored` buffers."""
    seen, stack = set(), roots
    while stack:
        e = stack.pop()
        if e in seen:
            continue
        seen.add(e)
        if f.reads_of(e) & stored:
            stack += CHILDREN[type(e)](e)
        else:
            f.value(e)


def _acquire(f: Function, pointer: str) -> None:
    """Try until the lock was free; in between only look, so that the cache line stays where it is."""
    again, wait, held = f.label(), f.label(), f.label()
    f.jump(again)
    taken = f.new(f"atomicrmw xchg ptr {pointer}, i8 1 acquire, align 1")
    f.do(f"br i1 {f.new(f'icmp eq i8 {taken}, 0')}, label %{held}, label %{wait}")
    f.begin(wait)
    if f.module.target.is_x86:
        f.do("call void @llvm.x86.sse2.pause()")
    seen = f.new(f"load atomic i8, ptr {pointer} monotonic, align 1")
    f.do(f"br i1 {f.new(f'icmp eq i8 {seen}, 0')}, label %{again}, label %{wait}")
    f.begin(held)

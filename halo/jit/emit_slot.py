"""Slots: memory on the "stack" of a size that only a call knows (Halide's pseudostack).

A slot is a pointer and a size on the stack of one function. Storage takes a slot where it begins and leaves it where it
ends; what is not there at the same time takes the same one in turn. Only where more is needed than a slot holds is it
exchanged for more, so that loops ask the pool in their first iterations alone. It all goes back when the function ends.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir.expr import Buffer
from .emit_function import Function

__all__ = ["Slot", "take"]


class Slot(NamedTuple):
    """Where a function keeps the address and the size of memory. `scope` is the alias scope of all that lies there."""

    address: str
    size: str
    scope: int


def take(f: Function, buffer: Buffer, bytes: str) -> tuple[Slot, str]:
    """A slot for `buffer` with at least `bytes`, and the address there."""
    slot = f.free_slots.pop() if f.free_slots else _made(f)
    f.scopes[buffer] = slot.scope
    grow, ready = f.label(), f.label()
    room = f.new(f"load i64, ptr {slot.size}")
    f.do(f"br i1 {f.new(f'icmp ugt i64 {bytes}, {room}')}, label %{grow}, label %{ready}, !prof !1")
    f.begin(grow)
    f.do(f"call void @halo_release(ptr {slot.address})")
    f.do(f"store i64 0, ptr {slot.size}")
    pointer = f.new(f"call noalias ptr @halo_malloc(i64 {bytes})")
    f.fail_if(f.new(f"icmp eq ptr {pointer}, null"), "-1")
    f.do(f"store ptr {pointer}, ptr {slot.address}")
    f.do(f"store i64 {bytes}, ptr {slot.size}")
    f.jump(ready)
    return slot, f.new(f"load ptr, ptr {slot.address}")


def _made(f: Function) -> Slot:
    address, size = f.at_entry("alloca ptr"), f.at_entry("alloca i64")
    f.head += [f"store ptr null, ptr {address}", f"store i64 0, ptr {size}"]
    f.last.append(f"call void @halo_release(ptr {address})")
    return Slot(address, size, f.scopes.setdefault(address, len(f.scopes)))

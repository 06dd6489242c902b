"""Memoized stages: a digest of what their values follow from, an entry of the cache for it, and values that are kept.

An entry is held until its Recall ends, whatever is evicted meanwhile; one that nobody kept goes back to the pool then.
The elements of a tuple follow each other in it, from 128 bytes on, each aligned to 64. `@memo.owner` is the number that
the runtime gives this kernel, so that no two kernels ever mean the same entry.
"""

from __future__ import annotations

from typing import Any

from ..ir.stmt import Keep, Recall
from .emit_effect import report
from .emit_function import Function
from .emit_memory import told, view_words, wanted

__all__ = ["keep", "recall"]

_HEADER, _ALIGN = 128, 64
_DECLARATIONS = (
    "declare void @halo_memo_key(ptr, ptr, ptr, i64)",
    "declare void @halo_memo_read(ptr, ptr, i64, i64)",
    "declare ptr @halo_memo_find(ptr, i64, i64, i64)",
    "declare void @halo_memo_keep(ptr)",
    "declare void @halo_memo_release(ptr)",
)


def recall(f: Function, s: Recall, work: list[Any]) -> None:
    for declaration in _DECLARATIONS:
        f.module.declare(declaration)
    f.module.globals["@memo.owner"] = "internal global i64 0"
    mark = f.mark()
    sizes = [wanted(f, s.size, b.type) for b in s.buffers]
    if s.when is None:
        entry, missed = _found(f, s, sizes)
    else:
        entry, missed = _found_if(f, s, sizes)
    f.bind(s.missed, missed)
    f.bind((Keep, s.missed), entry)
    offset = str(_HEADER)
    for b, size in zip(s.buffers, sizes, strict=True):
        f.bind(b, f.new(f"getelementptr i8, ptr {entry}, i64 {offset}"))
        f.owned.add(b)
        offset = _after(f, offset, size)
    f.stored_all()
    f.hold(f"call void @halo_memo_release(ptr {entry})")

    def end() -> None:
        f.release()
        f.restore(mark)

    work += [end, s.body]


def keep(f: Function, s: Keep, work: list[Any]) -> None:
    f.do(f"call void @halo_memo_keep(ptr {f.values[Keep, s.missed]})")


def _found(f: Function, s: Recall, sizes: list[str]) -> tuple[str, str]:
    """The entry, and whether its values are still to be computed."""
    key = f.at_entry("alloca [5 x i64], align 8")
    words = [str(s.stage), *(report(f, e.type, f.value(e)) for e in s.values)]
    f.do(f"call void @halo_memo_key(ptr {key}, ptr @memo.owner, ptr {told(f, words)}, i64 {len(words)})")
    for v in s.views:
        view = told(f, view_words(f, v))
        f.do(f"call void @halo_memo_read(ptr {key}, ptr {view}, i64 {len(v.extents)}, i64 {v.buffer.type.bytes})")
    bytes = _bytes(f, sizes)
    evict = "0, i64 0" if s.key is None else f"1, i64 {report(f, s.key.type, f.value(s.key))}"
    entry = f.new(f"call ptr @halo_memo_find(ptr {key}, i64 {bytes}, i64 {evict})")
    f.fail_if(f.new(f"icmp eq ptr {entry}, null"), "-1")
    kept = f.new(f"load i64, ptr {f.new(f'getelementptr i64, ptr {entry}, i64 1')}, align 8")
    return entry, f.new(f"icmp eq i64 {kept}, 0")


def _found_if(f: Function, s: Recall, sizes: list[str]) -> tuple[str, str]:
    """As `_found`; where the values are not needed, memory that is never an entry of the cache: an arm of a select that is
    not taken may still be read."""
    look, leave, done = f.label(), f.label(), f.label()
    assert s.when is not None
    needed = f.value(s.when)
    f.do(f"br i1 {needed}, label %{look}, label %{leave}")
    f.begin(look)
    mark = f.mark()
    entry, missed = _found(f, s, sizes)
    f.restore(mark)
    found = f.block
    f.do(f"br label %{done}")
    f.begin(leave)
    mark = f.mark()
    f.module.declare("declare noalias align 64 ptr @halo_malloc(i64)")
    bytes = f.new(f"call i64 @llvm.uadd.sat.i64(i64 {_bytes(f, sizes)}, i64 {_HEADER})")
    scratch = f.new(f"call ptr @halo_malloc(i64 {bytes})")
    f.fail_if(f.new(f"icmp eq ptr {scratch}, null"), "-1")
    f.do(f"store i64 1, ptr {scratch}, align 8")  # who holds it
    f.restore(mark)
    left = f.block
    f.jump(done)
    entry = f.new(f"phi ptr [ {entry}, %{found} ], [ {scratch}, %{left} ]")
    return entry, f.new(f"phi i1 [ {missed}, %{found} ], [ false, %{left} ]")


def _bytes(f: Function, sizes: list[str]) -> str:
    bytes = "0"
    for size in sizes:
        bytes = _after(f, bytes, size)
    return bytes


def _after(f: Function, start: str, size: str) -> str:
    """Where what begins at `start` and has `size` bytes ends, aligned; as far as there are numbers for it."""
    if start.isdecimal() and size.isdecimal():
        return str((int(start) + int(size) + _ALIGN - 1) // _ALIGN * _ALIGN)
    sum = f.new(f"call i64 @llvm.uadd.sat.i64(i64 {start}, i64 {size})")
    padded = f.new(f"call i64 @llvm.uadd.sat.i64(i64 {sum}, i64 {_ALIGN - 1})")
    return f.new(f"and i64 {padded}, {-_ALIGN}")

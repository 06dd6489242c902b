"""Hints about caches: what is asked for before it is read, and what is stored past them.

Stores past the caches of an x86 reach other threads in no particular order: an `sfence` ends each stage that has any,
and each task, on the thread that made them, and comes before what lets other threads go on. They need aligned
addresses, which are tested where they are not known.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import algebra as A
from ..ir.expr import Const
from ..ir.stmt import Fetch
from .emit_address import Place, address
from .emit_function import Function, vec
from .emit_vector import permute

__all__ = ["FENCE", "ONE", "fence", "fetch", "is_streamed", "store_streamed"]

FENCE = "call void @llvm.x86.sse.sfence()"
ONE = 4  # the metadata node of the number 1, which marks what passes the caches

LINE = 64
FEW = 4  # lines that are asked for one by one, without a loop
PART = 16  # bytes that are stored at a time: neighbours fill a line in the processor's buffers, whatever their width


def fetch(f: Function, s: Fetch) -> None:
    """Ask for each line from the first element to the last one."""
    span = A.sub(s.last, s.first)
    if isinstance(span, Const) and 0 <= span.value * s.buffer.type.bytes < FEW * LINE:
        apart = LINE // s.buffer.type.bytes
        for k in sorted({*range(0, span.value, apart), span.value}):
            _ask(f, address(f, s.buffer, A.add(s.first, Const(k, s.first.type))))
        return
    first, last = address(f, s.buffer, s.first), address(f, s.buffer, s.last)
    start = f.new(f"and i64 {f.new(f'ptrtoint ptr {first} to i64')}, {-LINE}")
    end = f.new(f"ptrtoint ptr {last} to i64")
    before, body, done = f.block, f.label(), f.label()
    f.jump(body)
    at = len(f.lines)
    line = f.new("")
    following = f.new(f"add i64 {line}, {LINE}")
    f.lines[at] = f"{line} = phi i64 [ {start}, %{before} ], [ {following}, %{body} ]"
    _ask(f, f.new(f"inttoptr i64 {line} to ptr"))
    f.do(f"br i1 {f.new(f'icmp ule i64 {following}, {end}')}, label %{body}, label %{done}")
    f.begin(done)


def _ask(f: Function, pointer: str) -> None:
    f.do(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 3, i32 1)")


def is_streamed(f: Function, place: Place, lanes: int) -> bool:
    """Whether `lanes` neighbours at `place` are stored past the caches if they are aligned."""
    bytes = lanes * place.buffer.type.bytes
    return place.buffer in f.streamed_stores and f.module.target.streams and bytes % PART == 0


def store_streamed(f: Function, place: Place, value: str, lanes: int, plainly: Callable[[], None]) -> None:
    """Store a vector past the caches where its address is aligned, else `plainly`: whole registers, or parts of them."""
    n = min(lanes, f.module.target.natural_lanes(place.buffer.type))

    def store(align: int) -> None:
        for first in range(0, lanes, n):
            part = permute(f, place.type, [(value, lanes)], range(first, min(first + n, lanes)))
            to = place.moved(f, first)
            f.do(f"store {vec(place.type, min(n, lanes - first))} {part}, ptr {to.pointer}, align {max(to.align, align)}"
                 f"{f.access(place.buffer)}, !nontemporal !{ONE}")  # fmt: skip

    f.unfenced |= f.module.target.is_x86
    bytes = n * place.buffer.type.bytes
    _where_aligned(f, place, sorted({bytes & -bytes, PART}, reverse=True), store, plainly)


def _where_aligned(f: Function, place: Place, sizes: list[int], store: Callable[[int], None],
                   plainly: Callable[[], None]) -> None:  # fmt: skip
    """`store` of the first of `sizes` that the address is a multiple of, else `plainly`."""
    if not sizes:
        plainly()
        return
    size, *smaller = sizes
    if place.align % size == 0:
        store(size)
        return
    off = f.same(f"and i64 {f.same(f'ptrtoint ptr {place.pointer} to i64')}, {size - 1}")
    near, far, done = f.label(), f.label(), f.label()
    f.do(f"br i1 {f.new(f'icmp eq i64 {off}, 0')}, label %{near}, label %{far}, !prof !2")
    f.begin(near)
    mark = f.mark()
    store(size)
    f.restore(mark)
    f.do(f"br label %{done}")
    f.begin(far)
    _where_aligned(f, place, smaller, store, plainly)
    f.restore(mark)
    f.jump(done)


def fence(f: Function) -> None:
    """What was stored past the caches since the present stage began is there for all threads from here on."""
    if f.unfenced:
        f.do(FENCE)

"""The way into a driver: machine code holds the arrays of a call against the shapes that the program has, and runs it.

    i32 expect(slots)         the inputs are held against their shapes; writes the extents that the outputs must have
    i32 call(slots, error)    so are the outputs; takes a frame that no other call has, and runs `main` on it

`slots` are those of a kernel (see `layout`), inputs before outputs; after them come the extents that shapes name, then those
of the outputs. Both give 0, or ELSEWHERE for what Python is to serve: arrays that do not fit, or are not packed, extents that
no frame is made for, a check of a kernel that failed. Frames wait in a table: `take` and `give` are atomic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..ir.shapes import told
from .extents import Writer
from .layout import array_slots

__all__ = ["FRAMES", "Shapes"]

FRAMES = 32  # that wait for calls, at most: so many calls at once are fast
ELSEWHERE = 1
Shape = tuple[Any, ...]


@dataclass(frozen=True)
class Shapes:
    """Those of the inputs and outputs of a program, and the names of the extents in them, in the order that frames have them."""

    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    dims: tuple[str, ...]

    @property
    def offsets(self) -> tuple[int, ...]:
        """The first slot of each array, then that of the extents."""
        given = (array_slots(len(shape), output=False) for shape in self.inputs)
        made = (array_slots(len(shape), output=True) for shape in self.outputs)
        return tuple(accumulate((*given, *made), initial=0))

    @property
    def extents(self) -> tuple[tuple[int, ...], ...]:
        """The slots of the extents that `expect` writes, of each output."""
        found, at = [], self.offsets[-1] + len(self.dims)
        for shape in self.outputs:
            found.append(tuple(range(at, at + len(shape))))
            at += len(shape)
        return tuple(found)

    @property
    def slots(self) -> int:
        return self.offsets[-1] + len(self.dims) + sum(map(len, self.outputs))

    def text(self) -> str:
        """The functions in the language of LLVM."""
        return _FRAMES + self._expect() + self._call()

    def _expect(self) -> str:
        first = self.offsets[-1]
        head, where = [f"  %dims = getelementptr i64, ptr %slots, i64 {first}"], told(self.inputs)
        for k, name in enumerate(self.dims):
            t = where[name]
            head += [
                f"  %from{k} = getelementptr i64, ptr %slots, i64 {self.offsets[t.shape] + 1 + t.axis}",
                f"  %extent{k} = load i64, ptr %from{k}",
                f"  %rest{k} = sub i64 %extent{k}, {t.offset}",
                f"  %n{k} = sdiv i64 %rest{k}, {t.scale}",
                f"  %to{k} = getelementptr i64, ptr %dims, i64 {k}",
                f"  store i64 %n{k}, ptr %to{k}",
            ]
        w = _Checks(self.dims)
        for name in self.dims:
            w.check(f"icmp sge i64 {w.known[name]}, 0")
        for at, shape in zip(self.offsets, self.inputs, strict=False):
            w.packed(at, [w.value(n) for n in shape])
        for slots, shape in zip(self.extents, self.outputs, strict=True):
            for slot, n in zip(slots, shape, strict=True):
                w.lines.append(f"  store i64 {w.value(n)}, ptr {w.at(slot)}")
        body = "\n".join((*head, *w.lines, f"  %bad = xor i1 {w.good}, true", "  %status = zext i1 %bad to i32"))
        return f"define i32 @expect(ptr %slots) {{\nentry:\n{body}\n  ret i32 %status\n}}\n"

    def _call(self) -> str:
        first, count = self.offsets[-1], len(self.inputs)
        w = _Checks(())
        for at, slots in zip(self.offsets[count:], self.extents, strict=False):
            w.packed(at, [w.load(k) for k in slots])
        w.lines += [
            f"  br i1 {w.good}, label %take, label %elsewhere",
            "take:",
            "  %frame = call ptr @take()",
            "  %none = icmp eq ptr %frame, null",
            "  br i1 %none, label %elsewhere, label %fit",
            "fit:",
        ]
        w.good = "true"
        for k in range(len(self.dims)):
            has = w.new(f"load i64, ptr {w.new(f'getelementptr i64, ptr %frame, i64 {k + 1}')}")
            w.check(f"icmp eq i64 {has}, {w.load(first + k)}")
        w.lines += [
            f"  br i1 {w.good}, label %run, label %unfit",
            "unfit:",
            "  call void @give(ptr %frame)",
            "  br label %elsewhere",
            "run:",
        ]
        for k, at in enumerate(self.offsets[:-1]):
            w.lines.append(f"  store i64 {w.load(at)}, ptr {w.new(f'getelementptr i64, ptr %outside, i64 {k}')}")
        w.lines += [
            "  %own = load ptr, ptr %frame",
            "  %status = call i64 @main(ptr %own, ptr %outside, ptr %error)",
            "  call void @give(ptr %frame)",
            "  %fine = icmp eq i64 %status, 0",
            "  br i1 %fine, label %done, label %elsewhere",
            "done:",
            "  ret i32 0",
            "elsewhere:",
            f"  ret i32 {ELSEWHERE}",
        ]
        body = "\n".join(w.lines)
        size = max(len(self.offsets) - 1, 1)
        head = f"define i32 @call(ptr %slots, ptr %error) {{\nentry:\n  %outside = alloca [{size} x i64]\n"
        return f"{head}{body}\n}}\n"


class _Checks(Writer):
    """`good` is the register that says whether all checks so far hold."""

    def __init__(self, dims: Sequence[str]) -> None:
        super().__init__(dims)
        self.good = "true"

    def at(self, slot: int) -> str:
        return self.new(f"getelementptr i64, ptr %slots, i64 {slot}")

    def load(self, slot: int) -> str:
        return self.new(f"load i64, ptr {self.at(slot)}")

    def check(self, holds: str) -> None:
        self.good = self.new(f"and i1 {self.good}, {self.new(holds)}")

    def packed(self, first: int, shape: Sequence[str]) -> None:
        """The array whose slots begin at `first` has that shape, and no gaps; the stride of an axis of one entry may be any."""
        stride, ndim = "1", len(shape)
        for axis in reversed(range(ndim)):
            extent = self.load(first + 1 + axis)
            self.check(f"icmp eq i64 {extent}, {shape[axis]}")
            dense = self.new(f"icmp eq i64 {self.load(first + 1 + ndim + axis)}, {stride}")
            self.check(f"or i1 {dense}, {self.new(f'icmp eq i64 {extent}, 1')}")
            stride = self.new(f"mul i64 {stride}, {extent}")


_FRAMES = f"""
@frames = external global [{FRAMES} x ptr] ; each begins with the address of its slots, then the extents that it is made for

; A frame, from now on the caller's; null if there is none.
define ptr @take() {{
entry:
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %at = getelementptr ptr, ptr @frames, i64 %k
  %seen = load atomic ptr, ptr %at monotonic, align 8
  %empty = icmp eq ptr %seen, null
  br i1 %empty, label %next, label %try
try:
  %frame = atomicrmw xchg ptr %at, ptr null acq_rel
  %gone = icmp eq ptr %frame, null
  br i1 %gone, label %next, label %done
next:
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, {FRAMES}
  br i1 %more, label %head, label %none
done:
  ret ptr %frame
none:
  ret ptr null
}}

; There are no more frames than places, so that one is free, at the latest when another call has put its own back.
define void @give(ptr %frame) {{
entry:
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %at = getelementptr ptr, ptr @frames, i64 %k
  %seen = load atomic ptr, ptr %at monotonic, align 8
  %free = icmp eq ptr %seen, null
  br i1 %free, label %try, label %next
try:
  %swapped = cmpxchg ptr %at, ptr null, ptr %frame acq_rel monotonic
  %put = extractvalue {{ ptr, i1 }} %swapped, 1
  br i1 %put, label %done, label %next
next:
  %k.up = add i64 %k, 1
  %k.next = and i64 %k.up, {FRAMES - 1}
  br label %head
done:
  ret void
}}
"""

"""The IR as text: indented nests, minimal parentheses, names made unique within their scope.

    for yo in 0..(h + 7)//8 parallel:
      alloc blur_x[4 of 10, w]
      for yi in 0..8:
        y = 8*yo + yi
        for x in 0..w:
          out[y, x] = blur_x[y % 4, x] + 1

A range `lo..hi` is half open. A bare number has the type of its neighbours, else `index`; any other carries its type:
`u8(3)`. `alloc f[4 of n]` keeps 4 of n elements, in a circle; `at` gives the first coordinates where they are not 0.
A `let` or an `alloc` holds to the end of its block, or, closed by a colon, for the lines indented under it.
Expressions are written in Python's grammar, with Python's precedence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from ..types import Type, f32, index
from .expr import (
    Array,
    Broadcast,
    Buffer,
    Cast,
    Const,
    Expr,
    Instruction,
    Lin,
    Load,
    Op,
    Ramp,
    Read,
    Reduce,
    Shuffle,
    Var,
    children,
    walk,
)
from .linear import parts
from .linked import functions
from .stmt import (
    Acquire,
    Allocate,
    Atomic,
    Block,
    CallExtern,
    Check,
    Evaluate,
    Extern,
    Fetch,
    For,
    Fork,
    Free,
    Hoist,
    If,
    Keep,
    Let,
    Memoize,
    Prefetch,
    Produce,
    Provide,
    Realize,
    Recall,
    Release,
    Semaphore,
    Stmt,
    Store,
    Stream,
    substmts,
)

__all__ = ["loops_text", "printed_name", "to_text"]

# Python's precedences, loosest first.
_OR, _AND, _NOT, _COMPARE, _BITOR, _XOR, _BITAND, _SHIFT, _ADD, _MUL, _UNARY, _ATOM = range(12)
_INFIX = {
    "add": (_ADD, " + "), "sub": (_ADD, " - "), "mul": (_MUL, "*"), "div": (_MUL, "/"), "floordiv": (_MUL, "//"),
    "mod": (_MUL, " % "), "shl": (_SHIFT, " << "), "shr": (_SHIFT, " >> "), "and": (_BITAND, " & "),
    "xor": (_XOR, " ^ "), "or": (_BITOR, " | "), "eq": (_COMPARE, " == "), "ne": (_COMPARE, " != "),
    "lt": (_COMPARE, " < "), "le": (_COMPARE, " <= "),
}  # fmt: skip
_LOGIC = {"and": (_AND, " and "), "or": (_OR, " or "), "xor": (_COMPARE, " != ")}
_FLIPPED = {"lt": " > ", "le": " >= ", "eq": " == ", "ne": " != "}
_LONG = 24  # nodes of a size that a reader follows
_MIXED = {"random", "print", "require", "call"}  # operations whose operands need not have one type


def to_text(program: Stmt | Expr) -> str:
    """`program` as text, without a newline at the end.

    >>> from halo.ir import algebra as A
    >>> from halo.ir.expr import Var
    >>> x, y = Var("x"), Var("y")
    >>> to_text(A.add(A.mul(A.const(8), y), A.sub(x, A.const(1))))
    'x + 8*y - 1'
    """
    printer = _Printer()
    if isinstance(program, Expr):
        return printer.expr(program)
    return "\n".join(printer.lines(program, 0, last=True))


def loops_text(nest: Stmt) -> str:
    """The loops, allocations and stages of `nest`, with `f[...] = ...` for what the innermost loops do, and what functions
    they call there."""
    return "\n".join(_LoopPrinter(nest).lines(nest, 0, last=True))


def printed_name(thing: Var | Array | Buffer | Semaphore) -> str:
    """The name of `thing` as it is written: element 0 of a tuple, `f.0`, is `f_0`."""
    return re.sub(r"\.(\d)", r"_\1", thing.name)


class _Printer:
    def __init__(self) -> None:
        self.names: dict[object, str] = {}
        self.used: set[tuple[str, str]] = set()

    # Names ---------------------------------------------------------------------------------------------------------

    def name(self, thing: Var | Array | Buffer | Semaphore) -> str:
        return self.names.get(thing) or self.bind(thing)

    def bind(self, thing: Var | Array | Buffer | Semaphore) -> str:
        """A name for `thing` that nothing else in scope has, but that an array and its buffer share."""
        self.release(thing)
        base = name = printed_name(thing)
        rivals = {Array: ("Var", "Array"), Buffer: ("Var", "Buffer")}.get(
            type(thing), ("Var", "Array", "Buffer", "Semaphore")
        )
        k = 0
        while any((kind, name) in self.used for kind in rivals):
            k += 1
            name = f"{base}_{k}"
        self.used.add((type(thing).__name__, name))
        self.names[thing] = name
        return name

    def release(self, thing: object) -> None:
        name = self.names.pop(thing, None)
        if name is not None:
            self.used.discard((type(thing).__name__, name))

    # Expressions ---------------------------------------------------------------------------------------------------

    def expr(self, e: Expr, least: int = 0, expected: Type | None = index) -> str:
        """The text of `e`, in parentheses if it binds looser than `least`; a constant of type `expected` is bare."""
        level, text = self._expr(e, expected)
        return text if level >= least else f"({text})"

    def _expr(self, e: Expr, expected: Type | None) -> tuple[int, str]:
        match e:
            case Const():
                return _constant(e, expected)
            case Var():
                return _ATOM, self.name(e)
            case Lin():
                return self._sum(e.terms, e.const)
            case Op():
                return self._op(e, expected)
            case Cast():
                return _ATOM, f"{e.type.name}({self.expr(e.value, expected=None)})"
            case Read():
                item = f"[{e.item}]" if len(e.array.types) > 1 else ""
                return _ATOM, self._guarded(f"{self.name(e.array)}[{self._subscript(e.indices)}]{item}", e.pred)
            case Load():
                return _ATOM, self._guarded(f"{self.name(e.buffer)}[{self.expr(e.index)}]", e.pred)
            case Ramp():
                return _ATOM, f"ramp({self._list((e.base, e.stride), e.type)}, {e.n})"
            case Broadcast():
                return _ATOM, f"broadcast({self.expr(e.value, expected=expected)}, {e.n})"
            case Shuffle():
                vectors = self._list(e.vectors, None) + ("," if len(e.vectors) == 1 else "")
                return _ATOM, f"shuffle(({vectors}), {e.picks})"
            case Reduce():
                return _ATOM, f"reduce_{e.name}({self.expr(e.value, expected=expected)}, {e.n})"
            case Instruction():
                return _ATOM, f"{e.code.name}({self._list(e.args, None)})"
        return _ATOM, repr(e)

    def _guarded(self, read: str, pred: Expr | None) -> str:
        return read if pred is None else f"where({self.expr(pred)}, {read})"

    def _subscript(self, indices: Sequence[Expr]) -> str:
        return ", ".join(self.expr(i) for i in indices) or "()"

    def _list(self, es: Iterable[Expr], expected: Type | None) -> str:
        return ", ".join(self.expr(e, expected=expected) for e in es)

    def _sum(self, terms: tuple[tuple[Expr, int], ...], constant: int) -> tuple[int, str]:
        """`constant + sum(coef * atom)` (the parts of a `Lin`), what is subtracted last."""
        ordered = sorted(terms, key=lambda term: term[1] < 0)
        if len(ordered) == 1 and not constant:
            level = _UNARY if ordered[0][1] == -1 else _ATOM if ordered[0][1] == 1 else _MUL
        else:
            level = _ADD
        text = ""
        if not ordered or (constant > 0 and ordered[0][1] < 0):
            text, constant = str(constant), 0
        for atom, k in ordered:
            sign = (" - " if k < 0 else " + ") if text else ("-" if k < 0 else "")
            coefficient = "" if abs(k) == 1 else f"{abs(k)}*"
            text += sign + coefficient + self.expr(atom, _UNARY if coefficient or sign == "-" else _MUL)
        if constant:
            text += f" {'-' if constant < 0 else '+'} {abs(constant)}"
        return level, text

    def _op(self, e: Op, expected: Type | None) -> tuple[int, str]:
        operands = e.args[1:] if e.name in ("select", "rare") else e.args
        kind = next((a.type for a in operands if not _is_literal(a)), expected if expected is e.type else None)
        if e.name in _MIXED:
            kind = index
        logical = all(a.type.is_bool for a in e.args)
        if e.name in ("min", "max") and len(e.args) == 2:
            return _ATOM, f"{e.name}({self._list(_flattened(e), kind)})"
        if e.name in ("neg", "not") and not logical:
            return _UNARY, ("-" if e.name == "neg" else "~") + self.expr(e.args[0], _UNARY, kind)
        if e.name == "not":
            return _NOT, f"not {self.expr(e.args[0], _NOT, kind)}"
        if e.name in _INFIX and len(e.args) == 2:
            level, sign = (_LOGIC if logical else _INFIX).get(e.name, _INFIX[e.name])
            return level, self._infix(e, level, sign, kind)
        name = e.name if e.data is None else f"{e.name}[{e.data!r}]"
        result = [] if e.type is (kind or e.type) or e.type.is_bool else [e.type.name]
        arguments = ", ".join(self.expr(a, expected=kind) for a in e.args)
        return _ATOM, f"{name}({', '.join(filter(None, [arguments, *result]))})"

    def _infix(self, e: Op, level: int, sign: str, kind: Type | None) -> str:
        left, right = e.args
        if level == _COMPARE:
            if _is_literal(left) and e.name in _FLIPPED:
                left, right, sign = right, left, _FLIPPED[e.name]
            if e.name == "le" and isinstance(left, Lin) and left.const == 1 and sign == " <= ":
                # what the index algebra writes for left - 1 < right
                return f"{self._sum(left.terms, 0)[1]} < {self.expr(right, level + 1, kind)}"
            return self.expr(left, level + 1, kind) + sign + self.expr(right, level + 1, kind)
        if level == _MUL and e.type is not index and sign in ("//", "/"):
            sign = f" {sign} "
        return self.expr(left, level, kind) + sign + self.expr(right, level + 1, kind)

    # Statements ----------------------------------------------------------------------------------------------------

    def lines(self, s: Stmt, depth: int, last: bool) -> list[str]:
        """The lines of `s`. What follows a `let` or an `alloc` that is not the `last` of its block is not under it."""
        out: list[str] = []
        bound: list[object] = []
        while isinstance(s, Let | Realize | Allocate):  # a chain of these is as deep as the pipeline is long
            thing, head = self.opening(s)
            bound.append(thing)
            out.append("  " * depth + head + ("" if last else ":"))
            depth, s, last = depth + (not last), s.body, True
        out += self.rest(s, depth)
        for thing in reversed(bound):
            self.release(thing)
        return out

    def opening(self, s: Let | Realize | Allocate) -> tuple[object, str]:
        if isinstance(s, Let):
            value = self.expr(s.value)
            return s.var, f"{self.bind(s.var)} = {value}"
        if isinstance(s, Allocate):
            size, bound = self.expr(s.size), "" if s.bound is None else f" at most {s.bound}"
            shared = "" if s.shared is None else f" in {self.name(s.shared[0])} if {self.expr(s.shared[1])}"
            return s.buffer, f"alloc {s.buffer.type.name} {self.bind(s.buffer)}[{size}{bound}] {s.buffer.kind}{shared}"
        fold = dict(s.fold)
        sizes = self.sizes(s)
        axes = [f"{fold[d]} of {n}" if d in fold else n for d, n in enumerate(sizes)]
        memory = "" if s.memory == "auto" else f" {s.memory}"
        slot = "" if s.slot is None else f" slot {self.expr(s.slot)}"
        slot += "" if s.ahead is None else f" ahead {s.ahead}"
        return s.what, f"alloc {self.bind(s.what)}[{', '.join(axes) or '()'}]{self.corner(s)}{memory}{slot}"

    def sizes(self, s: Realize) -> list[str]:
        return [self.expr(n) for _, n in s.bounds]

    def corner(self, s: Realize) -> str:
        los = [lo for lo, _ in s.bounds]
        return "" if all(map(_is_zero, los)) else f" at [{self._list(los, index)}]"

    def rest(self, s: Stmt, depth: int) -> list[str]:
        pad = "  " * depth
        match s:
            case Block():
                if not s.stmts:
                    return [pad + "pass"]
                end = len(s.stmts) - 1
                return [line for k, child in enumerate(s.stmts) for line in self.lines(child, depth, last=k == end)]
            case For():
                span = self.span(s)
                head = f"for {self.bind(s.var)}{span}{self.marks(s)}:"
                body = self.lines(s.body, depth + 1, last=True)
                self.release(s.var)
                return [pad + head, *body]
            case If():
                return self.conditional(s, depth, "if")
            case Hoist():
                room = f"[{self._list(s.extents, index)}]" if s.extents else ""
                ring = "" if s.ring == 1 else f" ring {s.ring}"
                return [f"{pad}hoist {self.name(s.what)}{room}{ring}:", *self.lines(s.body, depth + 1, last=True)]
            case Fork():
                return self.fork(s, depth)
            case Acquire():
                return [f"{pad}acquire {self.name(s.semaphore)}"]
            case Release():
                return [f"{pad}release {self.name(s.semaphore)}"]
            case Produce():
                return [f"{pad}produce {self.name(s.what)}:", *self.lines(s.body, depth + 1, last=True)]
            case Memoize():
                return self.looked_up(s.missed, (), self.memoized(s), s, depth)
            case Recall():
                return self.looked_up(s.missed, s.buffers, self.recalled(s), s, depth)
            case Keep():
                return [f"{pad}keep {self.name(s.missed)}"]
            case Provide():
                return [pad + self.provide(s)]
            case Store():
                target = f"{self.name(s.buffer)}[{self.expr(s.index)}]"
                return [pad + self.stored(target, self.expr(s.value, expected=s.value.type), s.pred, s.atomic)]
            case Atomic():
                head = f"{pad}atomic {self.name(s.buffer)}[{self.expr(s.index)}]:"
                return [head, *self.lines(s.body, depth + 1, last=True)]
            case Check():
                arguments = self._list(s.args, index)
                return [f"{pad}check {self.expr(s.cond)} else {s.code}" + (f", {arguments}" if arguments else "")]
            case Evaluate():
                return [pad + self.expr(s.value)]
            case Free():
                return [f"{pad}free {self.name(s.buffer)}"]
            case Prefetch():
                return [pad + self.prefetch(s)]
            case Fetch():
                name = self.name(s.buffer)
                return [f"{pad}fetch {name}[{self.expr(s.first)}] .. {name}[{self.expr(s.last)}]"]
            case Stream():
                stores, loads = (", ".join(map(self.name, things)) for things in (s.stores, s.loads))
                head = " ".join(filter(None, ["stream", stores, f"from {loads}" if loads else ""]))
                return [f"{pad}{head}:", *self.lines(s.body, depth + 1, last=True)]
            case CallExtern():
                views = (f"{self.name(v.buffer)}[{self.expr(v.index)}]" for v in s.views)
                return [f"{pad}call {s.symbol}({', '.join(views)})"]
            case Extern():
                inputs = ", ".join(self.name(a) for a in s.inputs)
                box = ", ".join(self.bounds(lo, n) for lo, n in s.box)
                function = getattr(s.function, "__name__", "extern")
                return [f"{pad}extern {self.name(s.outputs)}[{box}] = {function}({inputs})"]
        return [pad + repr(s)]

    def fork(self, s: Fork, depth: int) -> list[str]:
        """The two halves, and what does both."""
        pad = "  " * depth
        counts = ", ".join(f"{self.bind(semaphore)} = {n}" for semaphore, n in s.semaphores)
        out = [f"{pad}fork {counts}:", *self.lines(s.producer, depth + 1, last=True)]
        out += [f"{pad}beside:", *self.lines(s.consumer, depth + 1, last=True)]
        for semaphore, _ in s.semaphores:
            self.release(semaphore)
        return out + self.alone(s, depth)

    def alone(self, s: Fork, depth: int) -> list[str]:
        return [f"{'  ' * depth}alone:", *self.lines(s.alone, depth + 1, last=True)]

    def memoized(self, s: Memoize) -> str:
        boxes = [f"{self.name(a)}[{self.slices(box)}]" for a, box in zip(s.inputs, s.boxes, strict=True)]
        what = f"{self.name(s.what)}[{self.slices(s.region)}]"
        return f"memoize({', '.join([what, str(s.stage), f'by({self._list(s.values, None)})', *boxes])}"

    def recalled(self, s: Recall) -> str:
        buffers = [f"{b.type.name}({self.bind(b)}[{self.expr(s.size)}])" for b in s.buffers]
        views = [f"view({self.name(v.buffer)}[{self.expr(v.index)}], ({self._tuple(v.extents)}), "
                 f"({self._tuple(v.strides)}))" for v in s.views]  # fmt: skip
        of, by = f"of({', '.join(buffers)})", f"by({self._list(s.values, None)})"
        return f"recall({', '.join([of, str(s.stage), by, *views])}"

    def looked_up(self, missed: Var, more: tuple[Buffer, ...], head: str, s: Memoize | Recall, depth: int) -> list[str]:
        options = [f", {name}={self.expr(e)}" for name, e in (("key", s.key), ("when", s.when)) if e is not None]
        line = f"{'  ' * depth}{self.bind(missed)} = {head}{''.join(options)}):"
        body = self.lines(s.body, depth + 1, last=True)
        for thing in (missed, *more):
            self.release(thing)
        return [line, *body]

    def slices(self, box: tuple[tuple[Expr, Expr], ...]) -> str:
        return ", ".join(self.bounds(lo, n).replace("..", ":") for lo, n in box) or "()"

    def _tuple(self, es: Sequence[Expr]) -> str:
        return "".join(f"{self.expr(e)}, " for e in es).rstrip()

    def prefetch(self, s: Prefetch) -> str:
        box = ", ".join(self.bounds(lo, n) for lo, n in s.box or ()) or "()"
        items = "" if s.items == (0,) else f" items {', '.join(map(str, s.items))}"
        return f"prefetch {self.name(s.what)}[{box}]{items} {s.strategy}"

    def span(self, s: For) -> str:
        return f" in {self.bounds(s.lo, s.extent)}"

    def bounds(self, lo: Expr, extent: Expr) -> str:
        """`lo..hi`, with hi = lo + extent in canonical form."""
        coefs: dict[Expr, int] = {}
        (left, a), (right, b) = parts(lo), parts(extent)
        for atom, k in (*left, *right):
            coefs[atom] = coefs.get(atom, 0) + k
        live = tuple(sorted(((x, k) for x, k in coefs.items() if k), key=lambda term: term[0].uid))
        return f"{self.expr(lo)}..{self._sum(live, a + b)[1]}"

    def marks(self, s: For) -> str:
        kind = "" if s.kind == "serial" else f" {s.kind}" + (f" {s.intrinsic.name}" if s.intrinsic else "")
        return kind + ("" if s.partition == "auto" else f" partition {s.partition}")

    def conditional(self, s: If, depth: int, word: str) -> list[str]:
        pad = "  " * depth
        cond = f"likely({self.expr(s.cond)})" if s.likely else self.expr(s.cond)
        out = [f"{pad}{word} {cond}:", *self.lines(s.then, depth + 1, last=True)]
        if isinstance(s.orelse, If):
            return out + self.conditional(s.orelse, depth, "elif")
        if s.orelse is not None:
            out += [f"{pad}else:", *self.lines(s.orelse, depth + 1, last=True)]
        return out

    def provide(self, s: Provide) -> str:
        values = ["..." if v is None else self.expr(v, expected=v.type) for v in s.values]
        return self.stored(f"{self.name(s.what)}[{self._subscript(s.indices)}]", ", ".join(values), s.pred, s.atomic)

    def stored(self, target: str, value: str, pred: Expr | None, atomic: bool) -> str:
        where = "" if pred is None else f" where {self.expr(pred)}"
        return f"{'atomic ' if atomic else ''}{target} = {value}{where}"


class _LoopPrinter(_Printer):
    """Leaves out the arithmetic: values, checks, guards of tails, the corners of regions, and the lets that nothing
    printed needs. A loop over all that is computed of an axis has no bounds: `for y:`. A long size is `f.shape[0]`."""

    def __init__(self, nest: Stmt) -> None:
        super().__init__()
        self.needed: set[Expr] = set()
        self.lengths: dict[Expr, int] = {}
        self.regions: dict[Expr, Expr] = {}  # the extent that goes with a lower end
        todo, outside_in = [nest], []
        while todo:
            outside_in.append(todo.pop())
            todo += _shown(outside_in[-1])
        for s in outside_in:
            if isinstance(s, Produce | Realize):
                self.regions.update(zip(s.what.mins, s.what.extents, strict=True))
        for s in reversed(outside_in):
            self._need(s)
        self.needed -= {*self.regions, *self.regions.values()}

    def _need(self, s: Stmt) -> None:
        match s:
            case For() if not self._is_whole(s):
                self._use(s.lo, s.extent)
            case Realize():
                self._use(*(n for _, n in s.bounds if self._length(n) <= _LONG), *(() if s.slot is None else (s.slot,)))
            case If(likely=False):
                self._use(s.cond)
            case Prefetch():
                self._use(*(n for _, n in s.box or () if self._length(n) <= _LONG))
            case Let() if s.var in self.needed:
                self._use(s.value)

    def _use(self, *es: Expr) -> None:
        todo = list(es)
        while todo:
            e = todo.pop()
            if e not in self.needed:
                self.needed.add(e)
                todo += children(e)

    def _length(self, e: Expr) -> int:
        """How many nodes the text of `e` shows."""
        if e not in self.lengths:
            self.lengths[e] = 1 + sum(map(self._length, children(e)))
        return self.lengths[e]

    def sizes(self, s: Realize) -> list[str]:
        return [self.expr(n if self._length(n) <= _LONG else s.what.extents[d]) for d, (_, n) in enumerate(s.bounds)]

    def prefetch(self, s: Prefetch) -> str:
        sizes = (self.expr(n) if self._length(n) <= _LONG else "..." for _, n in s.box or ())
        return f"prefetch {self.name(s.what)}[{', '.join(sizes) or '()'}]"

    def _is_whole(self, s: For) -> bool:
        return self.regions.get(s.lo) is s.extent

    def span(self, s: For) -> str:
        return "" if self._is_whole(s) else super().span(s)

    def corner(self, s: Realize) -> str:
        return ""

    def alone(self, s: Fork, depth: int) -> list[str]:
        return []

    def lines(self, s: Stmt, depth: int, last: bool) -> list[str]:
        while (isinstance(s, Let) and s.var not in self.needed) or (
            isinstance(s, If) and s.likely and s.orelse is None
        ):
            s = s.body if isinstance(s, Let) else s.then
        return super().lines(s, depth, last)

    def rest(self, s: Stmt, depth: int) -> list[str]:
        match s:
            case Let() | If(likely=True, orelse=None):
                return self.lines(s, depth, last=True)
            case Memoize():
                names = ", ".join(self.name(x) for x in (*s.values, *s.inputs) if isinstance(x, Var | Array))
                self.bind(s.missed)
                body = self.lines(s.body, depth + 1, last=True)
                self.release(s.missed)
                return [f"{'  ' * depth}memoize {self.name(s.what)} by {names or 'nothing'}:", *body]
            case Block():
                kept = [c for c in s.stmts if not isinstance(c, Check | Evaluate | Keep)]
                return super().rest(Block(tuple(kept)), depth)
            case Provide():
                target = f"{self.name(s.what)}[{', '.join(['...'] * bool(s.indices)) or '()'}]"
                return [f"{'  ' * depth}{target} = ...{_calls(s)}"]
        return super().rest(s, depth)


def _calls(s: Provide) -> str:
    """What says which functions of another compiler's are called for each value."""
    calls = (e for e in walk((*s.indices, *s.values, s.pred)) if isinstance(e, Op) and e.name == "call")
    names = list(dict.fromkeys(functions()[e.data].__name__ for e in calls))
    return f"  # calls {', '.join(names)} lane by lane" if names else ""


def _constant(e: Const, expected: Type | None) -> tuple[int, str]:
    if e.type.is_bool:
        return _ATOM, str(bool(e.value))
    if e.type is f32:
        text = str(np.float32(e.value))
    else:
        text = repr(e.value)
    if expected is not e.type:
        return _ATOM, f"{e.type.name}({text})"
    return (_UNARY if text.startswith("-") else _ATOM), text


def _is_literal(e: Expr) -> bool:
    """Whether the text of `e` does not show its type."""
    return isinstance(e, Const) or (isinstance(e, Broadcast | Reduce) and _is_literal(e.value))


def _is_zero(e: Expr) -> bool:
    return isinstance(e, Const) and e.value == 0


def _flattened(e: Op) -> list[Expr]:
    """The operands of a `min` of `min`s (or `max` of `max`es) that lean to the left."""
    first, second = e.args
    if isinstance(first, Op) and first.name == e.name:
        return [*_flattened(first), second]
    return [first, second]


def _shown(s: Stmt) -> tuple[Stmt, ...]:
    """The statements directly inside of `s` that are printed: of what is forked, both threads'."""
    return (s.producer, s.consumer) if isinstance(s, Fork) else substmts(s)

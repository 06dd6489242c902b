"""Text back into IR: parse(to_text(s)) prints as s does. For tests of passes, text in and text out.

    parse("for x in 0..w:\n  out[x] = img[x] + 1", [img, out])

Arrays and buffers are looked up by name among those given; a buffer that the text allocates is made. A name that
nothing binds is a free `index` variable, unless one of that name is given. Index arithmetic takes its canonical form.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from .. import types
from ..types import Type, as_type, bool_, index
from . import algebra as A
from .expr import Array, Broadcast, Buffer, Cast, Const, Expr, Load, Op, Ramp, Read, Reduce, Shuffle, Var
from .intrinsic import Tensor, declared
from .stmt import (
    Acquire,
    Allocate,
    Atomic,
    Check,
    Evaluate,
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
    View,
    block,
)
from .text import printed_name

__all__ = ["parse", "parse_expr"]

Thing = Var | Array | Buffer | Semaphore

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.LShift: "shl", ast.RShift: "shr", ast.BitAnd: "and", ast.BitXor: "xor", ast.BitOr: "or",
}  # fmt: skip
_UNARY = {ast.USub: "neg", ast.Invert: "not", ast.Not: "not"}
_COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_INDEX: dict[str, Callable[..., Expr]] = {
    "add": A.add, "sub": A.sub, "mul": A.mul, "floordiv": A.floordiv, "mod": A.mod, "neg": A.neg, "min": A.minimum,
    "max": A.maximum, "eq": A.eq, "ne": A.ne, "lt": A.lt, "le": A.le, "gt": A.gt, "ge": A.ge,
}  # fmt: skip
_FLIPPED = {"gt": "lt", "ge": "le"}


def parse(text: str, things: Iterable[Thing] = ()) -> Stmt:
    """The statement that `text` shows. Errors are `SyntaxError`s."""
    lines = [(len(s) - len(s.lstrip()), s.strip()) for s in text.splitlines() if s.strip()]
    return _Statements(lines, _Scope(things)).block(lines[0][0] if lines else 0)


def parse_expr(text: str, things: Iterable[Thing] = (), type: Type = index) -> Expr:
    """The expression that `text` shows, of the given type if nothing in it tells."""
    return _Scope(things).expr(text, type)


class _Scope:
    """What names mean, and expressions in terms of them."""

    def __init__(self, things: Iterable[Thing]) -> None:
        self.things: dict[str, Thing] = {}
        self.arrays: dict[str, Array] = {}  # beside: a buffer may have the name of its array
        for t in things:
            if isinstance(t, Array):
                self.arrays[printed_name(t)] = t
            else:
                self.things[printed_name(t)] = t

    @contextmanager
    def binding(self, name: str, thing: Thing) -> Iterator[None]:
        outer = self.things.get(name)
        self.things[name] = thing
        try:
            yield
        finally:
            del self.things[name]
            if outer is not None:
                self.things[name] = outer

    def variable(self, name: str) -> Expr:
        found = self.things.setdefault(name, Var(name)) if name not in self.things else self.things[name]
        if not isinstance(found, Var) or name in self.arrays:
            raise SyntaxError(f"{name} is an array: subscript it")
        return found

    def memory(self, name: str) -> Array | Buffer:
        found = self.things.get(name)
        return found if isinstance(found, Buffer) else self.array(name)

    def array(self, name: str) -> Array:
        if name not in self.arrays:
            raise SyntaxError(f"no array is called {name}")
        return self.arrays[name]

    def expr(self, text: str, expected: Type = index) -> Expr:
        return self.node(ast.parse(text, mode="eval").body, expected)

    def exprs(self, text: str, expected: Type = index) -> tuple[Expr, ...]:
        return tuple(self.node(n, expected) for n in _elements(text))

    def node(self, n: ast.expr, expected: Type) -> Expr:
        match n:
            case ast.Constant(value=bool(value)):
                return Const(int(value), bool_)
            case ast.Constant(value=int() | float() as value):
                return Const(value, expected)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return Const(-value, expected)
            case ast.Name(id="inf" | "nan"):
                return Const(float(n.id), expected)
            case ast.Name():
                return self.variable(n.id)
            case ast.BinOp():
                return self.op(_BINARY[type(n.op)], [n.left, n.right], expected)
            case ast.UnaryOp():
                return self.op(_UNARY[type(n.op)], [n.operand], expected)
            case ast.BoolOp():
                name = "and" if isinstance(n.op, ast.And) else "or"
                result = self.node(n.values[0], bool_)
                for operand in n.values[1:]:
                    result = Op(name, (result, self.node(operand, bool_)), bool_)
                return result
            case ast.Compare(ops=[op], comparators=[right]):
                return self.op(_COMPARE[type(op)], [n.left, right], expected)
            case ast.Subscript():
                return self.subscript(n)
            case ast.Call(func=ast.Name(id=name)):
                return self.call(name, n.args, expected)
        raise SyntaxError(f"no expression of the IR: {ast.unparse(n)}")

    def operands(self, nodes: list[ast.expr], expected: Type) -> list[Expr]:
        """The expressions; those that do not show their type take the type of the first that does."""
        typed = {k: self.node(n, expected) for k, n in enumerate(nodes) if not _is_literal(n)}
        kind = next((e.type for e in typed.values()), expected)
        return [typed[k] if k in typed else self.node(n, kind) for k, n in enumerate(nodes)]

    def op(self, name: str, nodes: list[ast.expr], expected: Type) -> Expr:
        args = self.operands(nodes, expected)
        if args[0].type is index and name in _INDEX and all(a.lanes == 1 for a in args):
            return _INDEX[name](*args)
        if name in _FLIPPED:
            name, args = _FLIPPED[name], args[::-1]
        return Op(name, tuple(args), bool_ if name in ("eq", "ne", "lt", "le") else args[0].type)

    def subscript(self, n: ast.Subscript) -> Expr:
        if isinstance(n.value, ast.Attribute):  # img.shape[0]
            return self.variable(ast.unparse(n))
        if isinstance(n.value, ast.Subscript):  # element of a tuple
            read = self.subscript(n.value)
            assert isinstance(read, Read)
            return Read(read.array, read.indices, ast.literal_eval(n.slice), read.pred)
        memory = self.memory(ast.unparse(n.value))
        indices = [self.node(i, index) for i in (n.slice.elts if isinstance(n.slice, ast.Tuple) else [n.slice])]
        return Load(memory, indices[0]) if isinstance(memory, Buffer) else Read(memory, tuple(indices))

    def box(self, n: ast.expr) -> tuple[Array, tuple[tuple[Expr, Expr], ...]]:
        """An array, and of each axis the first index and the number of them: `img[lo:end, ...]`."""
        assert isinstance(n, ast.Subscript)
        ends: list[tuple[Expr, Expr]] = []
        for axis in n.slice.elts if isinstance(n.slice, ast.Tuple) else [n.slice]:
            assert isinstance(axis, ast.Slice) and axis.lower is not None and axis.upper is not None
            lo, end = self.node(axis.lower, index), self.node(axis.upper, index)
            ends.append((lo, A.sub(end, lo)))
        return self.array(ast.unparse(n.value)), tuple(ends)

    def view(self, n: ast.expr) -> View:
        """`view(buffer[index], (extents...), (strides...))`."""
        match n:
            case ast.Call(args=[ast.Subscript() as first, ast.Tuple(elts=extents), ast.Tuple(elts=strides)]):
                memory = self.memory(ast.unparse(first.value))
                assert isinstance(memory, Buffer)
                sizes, steps = (tuple(self.node(e, index) for e in es) for es in (extents, strides))
                return View(memory, self.node(first.slice, index), sizes, steps)
        raise SyntaxError(f"no view of memory: {ast.unparse(n)}")

    def option(self, options: list[ast.keyword], name: str) -> Expr | None:
        return next((self.node(o.value, index) for o in options if o.arg == name), None)

    def call(self, name: str, nodes: list[ast.expr], expected: Type) -> Expr:
        if name in _TYPES:
            literal = _is_literal(nodes[0])
            return self.node(nodes[0], _TYPES[name]) if literal else Cast(self.node(nodes[0], index), _TYPES[name])
        if name == "where":
            read = self.node(nodes[1], expected)
            return read.replace(pred=self.node(nodes[0], bool_))
        if name == "ramp":
            base, stride = self.operands(nodes[:2], expected)
            return Ramp(base, stride, ast.literal_eval(nodes[2]))
        if name == "broadcast":
            return Broadcast(self.node(nodes[0], expected), ast.literal_eval(nodes[1]))
        if name == "shuffle":
            assert isinstance(nodes[0], ast.Tuple)
            return Shuffle(tuple(self.operands(nodes[0].elts, expected)), ast.literal_eval(nodes[1]))
        if name.startswith("reduce_"):
            return Reduce(name.removeprefix("reduce_"), self.node(nodes[0], expected), ast.literal_eval(nodes[1]))
        result = None
        if isinstance(nodes[-1], ast.Name) and nodes[-1].id in _TYPES:
            result = _TYPES[nodes[-1].id]
            nodes = nodes[:-1]
        if name in ("select", "rare"):
            arms = self.operands(nodes[1:], expected)
            return Op(name, (self.node(nodes[0], bool_), *arms), arms[0].type)
        args = self.operands(nodes, expected)
        if name in ("min", "max"):
            first, *others = args
            for other in others:
                first = _INDEX[name](first, other) if first.type is index else Op(name, (first, other), first.type)
            return first
        return Op(name, tuple(args), result or (bool_ if name.startswith("is") else args[0].type))


_TYPES = {t.name: t for t in (*types.ALL, index)}


class _Statements:
    """Indented lines into statements."""

    def __init__(self, lines: list[tuple[int, str]], scope: _Scope) -> None:
        self.lines, self.scope, self.at = lines, scope, 0

    def block(self, depth: int) -> Stmt:
        """The statements at `depth`, up to the first line further out."""
        found: list[Stmt] = []
        while self.at < len(self.lines) and self.lines[self.at][0] == depth:
            found.append(self.statement(depth))
        return block(*found)

    def body(self, depth: int, flat: bool = False) -> Stmt:
        """What is indented under the line just read, or, `flat`, what follows it."""
        return self.block(depth if flat else self.lines[self.at][0])

    def statement(self, depth: int) -> Stmt:
        line = self.lines[self.at][1]
        self.at += 1
        for pattern, read in _FORMS:
            found = re.fullmatch(pattern, line)
            if found:
                return read(self, depth, **found.groupdict())
        return Evaluate(self.scope.expr(line))

    def loop(
        self, depth: int, var: str, bounds: str, kind: str | None, intrinsic: str | None, partition: str | None
    ) -> Stmt:
        lo, hi = map(self.scope.expr, bounds.split("..", 1))
        v = Var(var)
        with self.scope.binding(var, v):
            body = self.body(depth)
        tensor = Tensor(var, declared[intrinsic], declared[intrinsic].code(lambda _: True)) if intrinsic else None
        return For(v, lo, A.sub(hi, lo), kind or "serial", body, partition or "auto", intrinsic=tensor)

    def realize(
        self, depth: int, name: str, sizes: str, at: str | None, memory: str | None, slot: str | None, ahead: str | None,
        colon: str,
    ) -> Stmt:  # fmt: skip
        what = self.scope.array(name)
        axes = [re.sub(r"^\d+ of ", "", n) for n in sizes.split(", ")] if what.ndim else []
        fold = tuple((d, int(m[1])) for d, n in enumerate(sizes.split(", ")) if (m := re.match(r"(\d+) of ", n)))
        los = self.scope.exprs(at) if at else tuple(Const(0, index) for _ in axes)
        bounds = tuple(zip(los, (self.scope.expr(n) for n in axes), strict=True))
        of_ring = self.scope.expr(slot) if slot else None
        body = self.body(depth, not colon)
        return Realize(what, bounds, body, memory or "auto", fold, of_ring, int(ahead) if ahead else None)

    def free(self, depth: int, name: str) -> Stmt:
        memory = self.scope.memory(name)
        assert isinstance(memory, Buffer)
        return Free(memory)

    def allocate(self, depth: int, type: str, name: str, size: str, bound: str | None, kind: str,
                 output: str | None, same: str | None, colon: str) -> Stmt:  # fmt: skip
        buffer = self.scope.things.get(name) or Buffer(name, as_type(type), kind)
        assert isinstance(buffer, Buffer)
        shared = None
        if output is not None and same is not None:
            within = self.scope.memory(output)
            assert isinstance(within, Buffer)
            shared = within, self.scope.expr(same)
        with self.scope.binding(name, buffer):
            body = self.body(depth, not colon)
        return Allocate(buffer, self.scope.expr(size), body, int(bound) if bound else None, shared)

    def let(self, depth: int, name: str, value: str, colon: str) -> Stmt:
        v = self.scope.expr(value)
        var = Var(name, v.type)
        with self.scope.binding(name, var):
            return Let(var, v, self.body(depth, not colon))

    def conditional(self, depth: int, word: str, likely: str | None, cond: str | None) -> Stmt:
        condition = self.scope.expr(likely or cond or "", bool_)
        then, orelse = self.body(depth), None
        if self.at < len(self.lines) and self.lines[self.at][0] == depth:
            following = self.lines[self.at][1]
            if following.startswith("elif "):
                orelse = self.statement(depth)
            elif following == "else:":
                self.at += 1
                orelse = self.body(depth)
        return If(condition, then, orelse, likely is not None)

    def produce(self, depth: int, name: str) -> Stmt:
        return Produce(self.scope.array(name), self.body(depth))

    def hoist(self, depth: int, name: str, extents: str | None, ring: str | None) -> Stmt:
        room = self.scope.exprs(extents) if extents else ()
        return Hoist(self.scope.array(name), self.body(depth), room, int(ring or 1))

    def fork(self, depth: int, counts: str) -> Stmt:
        semaphores = [(Semaphore(name), int(n)) for name, n in re.findall(r"(\w+) = (\d+)", counts)]
        with ExitStack() as stack:
            for semaphore, _ in semaphores:
                stack.enter_context(self.scope.binding(semaphore.name, semaphore))
            producer = self.body(depth)
            consumer = self.part("beside:", depth)
        return Fork(tuple(semaphores), producer, consumer, self.part("alone:", depth))

    def part(self, head: str, depth: int) -> Stmt:
        """What is indented under the line `head`, which follows."""
        if self.at == len(self.lines) or self.lines[self.at] != (depth, head):
            raise SyntaxError(f"a fork without {head}")
        self.at += 1
        return self.body(depth)

    def waiting(self, depth: int, word: str, name: str) -> Stmt:
        semaphore = self.scope.things.get(name)
        if not isinstance(semaphore, Semaphore):
            raise SyntaxError(f"no semaphore is called {name}")
        return Acquire(semaphore) if word == "acquire" else Release(semaphore)

    def check(self, depth: int, cond: str, code: str, args: str | None) -> Stmt:
        return Check(self.scope.expr(cond, bool_), int(code), self.scope.exprs(args) if args else ())

    def store(self, depth: int, atomic: str | None, name: str, indices: str, values: str, pred: str | None) -> Stmt:
        memory, where = self.scope.memory(name), self.scope.expr(pred, bool_) if pred else None
        if isinstance(memory, Buffer):
            value = self.scope.expr(values, memory.type)
            return Store(memory, self.scope.expr(indices), value, where, bool(atomic))
        at = self.scope.exprs(indices) if memory.ndim else ()
        right = tuple(None if isinstance(n, ast.Constant) and n.value is ... else self.scope.node(n, t)
                      for n, t in zip(_elements(values), memory.types, strict=True))  # fmt: skip
        return Provide(memory, at, right, where, bool(atomic))

    def atomic(self, depth: int, name: str, at: str) -> Stmt:
        memory = self.scope.memory(name)
        assert isinstance(memory, Buffer)
        return Atomic(memory, self.scope.expr(at), self.body(depth))

    def memoize(self, depth: int, name: str, arguments: str) -> Stmt:
        call = ast.parse(f"memoize({arguments})", mode="eval").body
        match call:
            case ast.Call(args=[what, stage, ast.Call(args=values), *inputs], keywords=options):
                (array, region), *boxes = map(self.scope.box, (what, *inputs))
                missed, told = Var(name, bool_), [self.scope.node(v, index) for v in values]
                key, when = (self.scope.option(options, which) for which in ("key", "when"))
                with self.scope.binding(name, missed):
                    body = self.body(depth)
                return Memoize(array, missed, ast.literal_eval(stage), region, tuple(told), tuple(a for a, _ in boxes),
                               tuple(box for _, box in boxes), body, key, when)  # fmt: skip
        raise SyntaxError(f"no memoize: {arguments}")

    def recall(self, depth: int, name: str, arguments: str) -> Stmt:
        call = ast.parse(f"recall({arguments})", mode="eval").body
        match call:
            case ast.Call(args=[ast.Call(args=typed), stage, ast.Call(args=values), *views], keywords=options):
                buffers: list[Buffer] = []
                size: Expr = Const(0, index)
                missed, told = Var(name, bool_), [self.scope.node(v, index) for v in values]
                seen = tuple(map(self.scope.view, views))
                key, when = (self.scope.option(options, which) for which in ("key", "when"))
                with ExitStack() as inside:
                    for n in typed:
                        assert isinstance(n, ast.Call) and isinstance(n.args[0], ast.Subscript)
                        own, size = ast.unparse(n.args[0].value), self.scope.node(n.args[0].slice, index)
                        buffer = self.scope.things.get(own) or Buffer(own, as_type(ast.unparse(n.func)), "heap")
                        assert isinstance(buffer, Buffer)
                        buffers.append(buffer)
                        inside.enter_context(self.scope.binding(own, buffer))
                    inside.enter_context(self.scope.binding(name, missed))
                    body = self.body(depth)
                return Recall(tuple(buffers), size, missed, ast.literal_eval(stage), tuple(told), seen, body, key, when)
        raise SyntaxError(f"no recall: {arguments}")

    def keep(self, depth: int, name: str) -> Stmt:
        missed = self.scope.variable(name)
        assert isinstance(missed, Var)
        return Keep(missed)

    def prefetch(self, depth: int, name: str, box: str, items: str | None, strategy: str) -> Stmt:
        what = self.scope.array(name)
        ends = self.scope.exprs(box.replace("..", ", ")) if what.ndim else ()
        numbers = tuple(map(int, items.split(", "))) if items else (0,)
        return Prefetch(
            what, strategy, tuple((lo, A.sub(hi, lo)) for lo, hi in zip(ends[::2], ends[1::2], strict=True)), numbers
        )

    def fetch(self, depth: int, name: str, first: str, last: str) -> Stmt:
        memory = self.scope.memory(name)
        assert isinstance(memory, Buffer)
        return Fetch(memory, self.scope.expr(first), self.scope.expr(last))

    def stream(self, depth: int, stores: str | None, loads: str | None) -> Stmt:
        stored, loaded = (
            tuple(map(self.scope.memory, names.split(", "))) if names else () for names in (stores, loads)
        )
        return Stream(stored, loaded, self.body(depth))

    def nothing(self, depth: int) -> Stmt:
        return block()


_FORMS: tuple[tuple[str, Callable[..., Stmt]], ...] = (
    (r"pass", _Statements.nothing),
    (r"free (?P<name>\S+)", _Statements.free),
    (r"for (?P<var>\S+) in (?P<bounds>.+?)(?: (?P<kind>parallel|vectorize|unroll|tensorize)(?: (?P<intrinsic>(?!partition )\w+))?)?"
     r"(?: partition (?P<partition>\w+))?:",
     _Statements.loop),
    (r"alloc (?P<type>[a-z]\w*) (?P<name>\S+?)\[(?P<size>.*?)(?: at most (?P<bound>\d+))?\] (?P<kind>\w+)"
     r"(?: in (?P<output>\S+) if (?P<same>.*?))?(?P<colon>:?)",
     _Statements.allocate),
    (r"alloc (?P<name>\S+?)\[(?P<sizes>.*?)\](?: at \[(?P<at>.*)\])?(?: (?P<memory>heap|stack|register))?"
     r"(?: slot (?P<slot>.+?))?(?: ahead (?P<ahead>\d+))?(?P<colon>:?)", _Statements.realize),
    (r"produce (?P<name>\S+):", _Statements.produce),
    (r"prefetch (?P<name>[^[]+)\[(?P<box>.*)\](?: items (?P<items>[\d, ]+))? (?P<strategy>\w+)", _Statements.prefetch),
    (r"fetch (?P<name>\w+)\[(?P<first>.*)\] \.\. \w+\[(?P<last>.*)\]", _Statements.fetch),
    (r"stream(?: (?!from )(?P<stores>[\w, ]+?))?(?: from (?P<loads>[\w, ]+))?:", _Statements.stream),
    (r"hoist (?P<name>\w+)(?:\[(?P<extents>.*)\])?(?: ring (?P<ring>\d+))?:", _Statements.hoist),
    (r"fork (?P<counts>.*):", _Statements.fork),
    (r"(?P<word>acquire|release) (?P<name>\w+)", _Statements.waiting),
    (r"atomic (?P<name>\w+)\[(?P<at>.*)\]:", _Statements.atomic),
    (r"(?P<word>if|elif) (?:likely\((?P<likely>.+)\)|(?P<cond>.+)):", _Statements.conditional),
    (r"check (?P<cond>.+) else (?P<code>\d+)(?:, (?P<args>.+))?", _Statements.check),
    (r"keep (?P<name>\S+)", _Statements.keep),
    (r"(?P<name>\S+) = memoize\((?P<arguments>.*)\):", _Statements.memoize),
    (r"(?P<name>\S+) = recall\((?P<arguments>.*)\):", _Statements.recall),
    (r"(?P<name>[A-Za-z_][\w.]*) = (?P<value>.+?)(?P<colon>:?)", _Statements.let),
    (r"(?P<atomic>atomic )?(?P<name>\w+)\[(?P<indices>.*?)\] = (?P<values>.+?)(?: where (?P<pred>.+))?",
     _Statements.store),
)  # fmt: skip


def _elements(text: str) -> list[ast.expr]:
    node = ast.parse(f"({text},)", mode="eval").body
    assert isinstance(node, ast.Tuple)
    return node.elts


def _is_literal(n: ast.expr) -> bool:
    """Whether `n` does not show its type."""
    match n:
        case ast.Constant():
            return not isinstance(n.value, bool)
        case ast.Name():
            return n.id in ("inf", "nan")
        case ast.UnaryOp():
            return _is_literal(n.operand)
        case ast.BinOp():
            return _is_literal(n.left) and _is_literal(n.right)
        case ast.Call(func=ast.Name(id=name)):
            return (name == "broadcast" or name.startswith("reduce_")) and _is_literal(n.args[0])
    return False

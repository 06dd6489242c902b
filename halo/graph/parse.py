"""Reading back what `text` writes: `parse(str(module), constants(module))` is the same program."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from halo.errors import ArgumentError, HaloError, here
from halo.ir.shapes import Dim, DimExpr, as_extents
from halo.nn import OPS, TensorType
from halo.types import as_type

from .arguments import by_name, names
from .control import checked
from .ir import Call, Constant, Expr, Function, Global, If, Item, Let, Loop, Tuple, Var
from .module import Bound, Module
from .symbolic import of_type

__all__ = ["parse"]

DEEPEST = 64  # bodies in bodies
LONGEST = 400  # letters of a line that an error shows

_TOKEN = re.compile(
    r"\s*(?:(?P<value>[%@](?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[\w.]+))|(?P<string>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<number>-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)(?!\w))|(?P<name>[A-Za-z_]\w*)|(?P<mark>->|[-(){}\[\],:;=.<>+*/%]))"
)


def parse(text: str, constants: Mapping[str, Any] | None = None, outputs: tuple[str, ...] = ()) -> Module:
    """The Module that `text` describes. `constants` are the arrays that it refers to, by name. Raises ArgumentError with
    the line of what is no program, or names an unknown operator, value or constant.

    >>> from halo.graph import parse
    >>> print(parse("def main(%x: f32[n, 3]) -> f32[n, 3] { %0 = relu(%x); %0 }"))
    def main(%x: f32[n, 3]) -> f32[n, 3] {
      %0 = relu(%x);
      %0
    }
    """
    if not isinstance(text, str):
        raise ArgumentError(f"a program is text, not {type(text).__name__}", loc=here(), hint="str(module)")
    m = _Parser(text, by_name("constants", constants)).module(names("outputs", outputs))
    if len(m.outputs) > len(m.main.outputs):
        raise ArgumentError(f"the program has {len(m.main.outputs)} outputs, not {len(m.outputs)}", loc=here())
    return m


class _Parser:
    def __init__(self, text: str, constants: Mapping[str, Any]) -> None:
        self.text, self.at, self.arrays = text, 0, constants
        self.made: dict[str, Constant] = {}
        self.functions: dict[str, Function] = {}
        self.extents: dict[str, Any] = {}  # those that were read, by what they are called
        self.kind, self.word, self.depth = "", "", 0
        self.advance()

    # Tokens

    def advance(self) -> str:
        """The current token, and on to the next."""
        word = self.word
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            if self.text[self.at :].strip():
                self.fail("this is no part of the language")
            self.kind, self.word = "end", ""
        else:
            self.at = found.end()
            self.kind = str(found.lastgroup)
            self.word = found.group(self.kind)
        return word

    def fail(self, why: str, nest: str = "") -> NoReturn:
        line = self.text.count("\n", 0, self.at) + 1
        shown = self.text.split("\n")[line - 1].strip()
        shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} ..."
        raise ArgumentError(f"line {line} of the program: {why}, at {self.word!r}\n  {shown}", nest=nest)

    def take(self, word: str) -> bool:
        if self.word == word and self.kind in ("mark", "name"):
            self.advance()
            return True
        return False

    def want(self, word: str) -> None:
        if not self.take(word):
            self.fail(f"{word!r} is wanted")

    def named(self, kind: str) -> str:
        if self.kind != kind:
            self.fail(f"a {kind} is wanted")
        return self.advance()

    # Programs

    def module(self, outputs: tuple[str, ...]) -> Module:
        try:
            return self.program(outputs)
        except HaloError as error:
            if not error.message.startswith("line "):
                self.fail(error.message, error.nest)
            raise
        except Exception as error:  # a text says anything
            self.fail(f"this is no program: {type(error).__name__}: {error}")

    def program(self, outputs: tuple[str, ...]) -> Module:
        bounds = self.bounds() if self.take("where") else ()
        while self.kind != "end":
            primitive = self.take("primitive")
            self.want("def")
            name = self.named("name")
            self.functions[name] = self.function(primitive)
        if "main" not in self.functions:
            self.fail("there is no main")
        return Module(self.functions, outputs, bounds=bounds)

    def bounds(self) -> tuple[Bound, ...]:
        found = []
        while True:
            least = int(self.named("number"))
            n = self.at_most("<")
            most = self.at_most(",;")
            if not isinstance(n, DimExpr) or type(most) is not int:
                self.fail("integer <= extent <= integer is wanted")
            found.append(Bound(n, least, most))
            if self.take(";"):
                return tuple(found)
            self.want(",")

    def at_most(self, ends: str) -> Any:
        self.want("<")
        self.want("=")
        return self.extent(ends)

    def function(self, primitive: bool) -> Function:
        params = self.params()
        self.want("->")
        declared = self.type()
        f = Function(tuple(params.values()), self.body(params), primitive)
        if f.type != declared:
            self.fail(f"the function gives {f.type}, and says {declared}")
        return f

    def params(self) -> dict[str, Var]:
        """By what the text calls them: `%0` is a value, `%'0'` a parameter named so."""
        params: dict[str, Var] = {}
        self.want("(")
        while not self.take(")"):
            word = self.named("value")
            self.want(":")
            params[word] = Var(_name(word), self.type())
            self.take(",")
        return params

    def body(self, params: Mapping[str, Var]) -> Expr:
        if self.depth == DEEPEST:
            self.fail(f"bodies are {DEEPEST} deep at most")
        self.depth += 1
        self.want("{")
        known: dict[str, Expr] = dict(params)
        while True:
            word = self.named("value")
            if self.take("}"):
                self.depth -= 1
                return self.lookup(word, known)
            self.want("=")
            known[word] = self.expr(known)
            self.want(";")

    def inner(self, word: str) -> Function:
        """One body of an If or a Loop."""
        self.want(word)
        params = self.params()
        return Function(tuple(params.values()), self.body(params))

    def lookup(self, word: str, known: Mapping[str, Expr]) -> Expr:
        if word[0] == "%":
            if word not in known:
                self.fail(f"there is no value {word}")
            return known[word]
        name = _name(word)
        if name not in self.made:
            if name not in self.arrays:
                self.fail(f"there is no constant @{name}")
            self.made[name] = Constant(self.arrays[name], name)
        return self.made[name]

    def values(self, known: Mapping[str, Expr]) -> tuple[Expr, ...]:
        self.want("(")
        found = []
        while not self.take(")"):
            found.append(self.lookup(self.named("value"), known))
            self.take(",")
        return tuple(found)

    def control(self, known: Mapping[str, Expr]) -> Expr:
        """An If or a Loop, the word of which is taken."""
        if self.kind == "value":
            condition = self.lookup(self.advance(), known)
            args = self.values(known)
            self.want("->")
            result = self.type()
            return checked(If(condition, args, self.inner("then"), self.inner("else"), result))
        trip = self.lookup(self.named("value"), known) if self.take("trip") else None
        test = self.lookup(self.named("value"), known) if self.take("while") else None
        self.want("carry")
        carried = self.values(known)
        self.want("with")
        args = self.values(known)
        self.want("->")
        result = self.type()
        return checked(Loop(trip, test, carried, args, self.inner("do"), result))

    def expr(self, known: Mapping[str, Expr]) -> Expr:
        if self.word == "(" and self.kind == "mark":
            return Tuple(self.values(known))
        if self.kind == "value":
            name, _, index = self.advance().rpartition(".")  # %3.0 is one token
            return Item(self.lookup(name, known), int(index))
        if self.take("let"):
            dim = Dim(self.named("name"))
            self.want("=")
            value = self.lookup(self.named("value"), known)
            self.want("in")
            return Let(dim, value, self.lookup(self.named("value"), known))
        if self.take("if") or self.take("loop"):
            return self.control(known)
        own = self.take("call")
        return self.call(self.named("name"), own, known)

    def call(self, name: str, own: bool, known: Mapping[str, Expr]) -> Expr:
        args: list[Expr | None] = []
        attrs: dict[str, Any] = {}
        self.want("(")
        while not self.take(")"):
            if self.take("_"):
                args.append(None)
            elif self.kind == "value":
                args.append(self.lookup(self.advance(), known))
            else:
                key = self.named("name")
                self.want("=")
                if key in attrs:
                    self.fail(f"{key} is given twice")
                attrs[key] = self.literal()
            self.take(",")
        if own:
            if name not in self.functions:
                self.fail(f"there is no function {name}")
            return Call(Global(name, of_type(self.functions[name].type, attrs)), tuple(args), tuple(attrs.items()))
        if name not in OPS:
            self.fail(f"there is no operator {name} (one from outside is there when its module is imported)")
        op = OPS[name]
        tensors, attributes = op.bound(tuple(args), attrs)
        return Call(op, tensors, tuple(attributes.items()))

    def literal(self) -> Any:
        if self.word == "<" and self.kind == "mark":
            return self.extent(">")
        if self.take("("):
            items = []
            while not self.take(")"):
                items.append(self.literal())
                self.take(",")
            return tuple(items)
        if self.kind == "name":
            known = {"True": True, "False": False, "None": None}
            if self.word not in known:
                self.fail("a value is wanted")
            return known[self.advance()]
        word = self.advance()
        return float(word) if word.lstrip("-") in ("inf", "nan") else ast.literal_eval(word)

    def type(self) -> Any:
        if self.take("("):
            fields = []
            while not self.take(")"):
                fields.append(self.type())
                self.take(",")
            return tuple(fields)
        dtype = as_type(self.named("name"))
        self.want("[")
        shape: list[Any] = []
        while not self.take("]"):
            shape.append(self.extent(",]"))
            self.take(",")
        return TensorType(as_extents(tuple(shape)) or (), dtype)

    def extent(self, ends: str) -> Any:
        """An integer, or arithmetic over Dims, up to one of the marks `ends`; ">" is taken, as is "<" before it."""
        if self.take("<"):
            pass
        start, depth = self.at - len(self.word), 0
        while self.kind != "end" and (depth or self.word not in tuple(ends)):
            depth += (self.word == "(") - (self.word == ")")
            self.advance()
        text = self.text[start : self.at - len(self.word)].strip()
        if ends == ">":
            self.want(">")
        if text.isdigit():
            return int(text)
        if text not in self.extents:
            (self.extents[text],) = as_extents((text,)) or ()
        return self.extents[text]


def _name(word: str) -> str:
    return str(ast.literal_eval(word[1:])) if word[1:2] in "'\"" else word[1:]

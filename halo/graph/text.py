"""Programs as text: stable, readable, and read back by `parse` to the same program. Constants are named references.

def main(%x: f32[1, 3, 8, 8]) -> f32[1, 4, 8, 8] {
  %0 = conv2d(%x, @w, padding=1);
  %1 = relu(%0);
  %1
}

Before it, `where 1 <= n <= 64, 8 <= 8*w + 8 <= 512;` says which extents a call may have.

A value that is used twice has a name, as all have. `%2 = let n = %0 in %1` is %1, where the extent n is
what %0 gives. If and Loop have their bodies below them, each with names of its own:

  %0 = if %c (%x) -> f32[4]
    then (%a: f32[4]) {
      ...
    }
    else (%a: f32[4]) {
      ...
    };
  %1 = loop trip %n while %c carry (%0) with (@w) -> f32[4]
    do (%i: i64[], %s: f32[4], %w: f32[3]) {
      ...
    };
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from halo.ir.shapes import DimExpr
from halo.types import Type

from .ir import Call, Constant, Expr, Function, Global, If, Item, Let, Loop, Tuple, Var, every, walk
from .module import Module

__all__ = ["constant_names", "constants", "function_text", "marked", "module_text", "type_text"]

SHOWN = 6  # lines, and parameters, of a program round a call that is wrong


def constants(m: Module) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays that the text of `m` refers to, by name: what `parse` wants beside it."""
    names = constant_names(m)
    return {names[id(e)]: e.data for f in m.functions.values() for e in every(f) if isinstance(e, Constant)}


def constant_names(m: Module) -> dict[int, str]:
    """What the text of `m` calls each constant, by its id."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for f in m.functions.values():
        for e in every(f):
            if isinstance(e, Constant) and id(e) not in names:
                name, k = e.name, 0
                while name in taken:
                    k += 1
                    name = f"{e.name}.{k}"
                taken.add(name)
                names[id(e)] = name
    return names


def module_text(m: Module) -> str:
    """The bounds and the functions of `m`, `main` last."""
    names = constant_names(m)
    order = [*(n for n in m.functions if n != "main"), "main"]
    bounds = ", ".join(map(str, m.bounds))
    head = [f"where {bounds};"] if bounds else []
    return "\n".join((*head, *(function_text(name, m.functions[name], names) for name in order)))


def function_text(name: str, f: Function, names: Mapping[int, str]) -> str:
    """One function; `names` are those of its constants by id."""
    head = f"{'primitive ' if f.primitive else ''}def {name}({_params(f)}) -> {type_text(f.type)} {{"
    return "\n".join((head, *_body(f, names), "}"))


def marked(call: Call) -> str:
    """The end of the program that a call which is wrong belongs to, with that call marked, and the types that it is given."""
    names = constant_names(Module({"main": Function((), Tuple(call.children))}))
    params = tuple(e for e in walk(*call.children) if isinstance(e, Var))
    *before, last = _lines(call, params, names)[0]
    types = ", ".join("nothing" if a is None else type_text(a.type) for a in call.args)
    skipped = ["    ..."] if len(before) > SHOWN else []
    shown = [f"  {line}" for line in before[-SHOWN:]]
    head = f"  def main({', '.join(f'%{_quoted(p.name)}: {type_text(p.type)}' for p in params[:SHOWN])}"
    head += ", ...) {" if len(params) > SHOWN else ") {"
    mark = f"    {'^' * len(last.strip())} of {types}"
    return "\n".join((head, *skipped, *shown, f"  {last}", mark))


def _params(f: Function) -> str:
    return ", ".join(f"%{_quoted(p.name)}: {type_text(p.type)}" for p in f.params)


def _body(f: Function, names: Mapping[int, str]) -> list[str]:
    """The lines between the braces."""
    lines, known = _lines(f.body, f.params, names)
    return [*lines, f"  {known[id(f.body)]}"]


def _lines(root: Expr, params: tuple[Var, ...], names: Mapping[int, str]) -> tuple[list[str], dict[int, str]]:
    """A line for each value of `root`, and what each is called, by its id."""
    known: dict[int, str] = {id(p): f"%{_quoted(p.name)}" for p in params}
    lines, count = list[str](), 0
    for e in walk(root):
        if isinstance(e, Constant):
            known[id(e)] = f"@{_quoted(names[id(e)])}"
        elif not isinstance(e, Var):
            known[id(e)] = f"%{count}"
            inner = [
                line
                for word, body in zip(("then", "else") if isinstance(e, If) else ("do",), e.bodies, strict=False)
                for line in (f"{word} ({_params(body)}) {{", *_body(body, names), "}")
            ]
            lines += [f"  %{count} = {_expr_text(e, known)}", *(f"    {line}" for line in inner)]
            lines[-1] += ";"
            count += 1
    return lines, known


def _expr_text(e: Expr, known: Mapping[int, str]) -> str:
    match e:
        case Call():
            args = ["_" if a is None else known[id(a)] for a in e.args]
            callee = f"call {e.op.name}" if isinstance(e.op, Global) else e.op.name
            attrs = [f"{n}={_literal(v)}" for n, v in e.attributes]
            if not isinstance(e.op, Global):
                defaults = {n: p.default for n, p in e.op.signature.parameters.items()}
                attrs = [
                    f"{n}={_literal(v)}"
                    for n, v in e.attributes
                    if v != defaults[n] or type(v) is not type(defaults[n])
                ]
                while args and args[-1] == "_":
                    args.pop()
            return f"{callee}({', '.join((*args, *attrs))})"
        case Tuple():
            return f"({', '.join(known[id(f)] for f in e.fields)},)"
        case Item():
            return f"{known[id(e.value)]}.{e.index}"
        case Let():
            return f"let {e.dim} = {known[id(e.value)]} in {known[id(e.body)]}"
        case If():
            return f"if {known[id(e.condition)]} {_list(e.args, known)} -> {type_text(e.type)}"
        case Loop():
            trip = "" if e.trip is None else f" trip {known[id(e.trip)]}"
            condition = "" if e.condition is None else f" while {known[id(e.condition)]}"
            values = f"carry {_list(e.carried, known)} with {_list(e.args, known)}"
            return f"loop{trip}{condition} {values} -> {type_text(e.type)}"
    raise AssertionError(e)


def _list(values: tuple[Expr, ...], known: Mapping[int, str]) -> str:
    return f"({', '.join(known[id(v)] for v in values)})"


def _literal(v: Any) -> str:
    """An attribute; extents are in angle brackets."""
    if isinstance(v, tuple):
        return f"({', '.join(map(_literal, v))}{',' if len(v) == 1 else ''})"
    if isinstance(v, Type):
        return repr(v.name)
    return f"<{v}>" if isinstance(v, DimExpr) else repr(v)


def type_text(t: Any) -> str:
    return f"({', '.join(map(type_text, t))},)" if isinstance(t, tuple) else repr(t)


def _quoted(name: str) -> str:
    plain = name.replace("_", "a").replace(".", "a").isalnum() and name.isascii()
    return name if plain and not name[:1].isdigit() else repr(name)

"""Instructions of the machine: the LLVM IR that an intrinsic declares, with values in the place of its operands' names."""

from __future__ import annotations

import re

from ..errors import DefinitionError
from ..ir.expr import Instruction
from ..ir.intrinsic import Code
from ..types import Type
from .emit_cast import pack, unpack
from .emit_function import REGISTER, Function, vec
from .target import Target
from .trial import refusal

__all__ = ["instruction"]

_LOCAL = re.compile(r"%([\w.]+)")
_NAMED = re.compile(r"%[\w.]+ = ")
_SHORT = {"bf16": "bfloat", "f16": "half"}  # in memory and here; registers hold them as floats


def instruction(f: Function, e: Instruction) -> str:
    types, result = [_type(a.type, a.lanes) for a in e.args], _type(e.type, e.lanes)
    lines = _lines(e.code, types, result)
    _check(f.module.target, e.code, lines, types, result)
    names = dict(zip(e.code.names, (_given(f, a.type, a.lanes, f.values[a]) for a in e.args), strict=True))
    for line in lines[:-1]:
        target, _, text = line.partition(" = ")
        names[target.removeprefix("%")] = f.new(_LOCAL.sub(lambda m: names[m[1]], text))
    returned = _LOCAL.sub(lambda m: names[m[1]], lines[-1].removeprefix(f"ret {result} "))
    return _taken(f, e.type, e.lanes, returned)


def _check(target: Target, code: Code, lines: list[str], types: list[str], result: str) -> None:
    """DefinitionError for what is not straight code from the operands to the result, or what LLVM does not take."""
    head = f"define {result} @{code.name}({', '.join(f'{t} %{n}' for t, n in zip(types, code.names, strict=True))})"
    why = next((f"{line!r} is not `%name = ...`" for line in lines[:-1] if not _NAMED.match(line)), "")
    if not why and not (lines and lines[-1].startswith(f"ret {result} ")):
        why = f"the last line is not `ret {result} ...`"
    if not why:
        attributes = f'attributes #0 = {{ "target-features"="{target.features}" }}'
        text = "\n".join([f'target triple = "{target.triple}"', f"{head} #0 {{", *lines, "}", attributes, ""])
        why = refusal(text, target, not code.built_in) or ""
    if why:
        raise DefinitionError(f"the LLVM IR of {code.name}, {head}: {why}", loc=code.loc)


def _lines(code: Code, types: list[str], result: str) -> list[str]:
    """The instructions; of a bare name its call."""
    if " " not in code.text.strip():
        args = ", ".join(f"{t} %{n}" for t, n in zip(types, code.names, strict=True))
        return [f"%result = call {result} @{code.text.strip()}({args})", f"ret {result} %result"]
    return [line.strip() for line in code.text.splitlines() if line.strip()]


def _type(t: Type, lanes: int) -> str:
    return vec(_SHORT.get(t.name, REGISTER[t.name]), lanes)


def _given(f: Function, t: Type, lanes: int, value: str) -> str:
    if t.name not in _SHORT:
        return value
    return f.new(f"bitcast {vec('i16', lanes)} {pack(f, t, lanes, value)} to {_type(t, lanes)}")


def _taken(f: Function, t: Type, lanes: int, value: str) -> str:
    if t.name not in _SHORT:
        return value
    return unpack(f, t, lanes, f.new(f"bitcast {_type(t, lanes)} {value} to {vec('i16', lanes)}"))

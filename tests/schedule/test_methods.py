"""The stub of the chained methods, which type checkers and editors read, follows from the directive classes."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path

import pytest

import halo
from halo.func.func import Func
from halo.schedule.control import Within
from halo.schedule.directive import Directive, registry
from halo.schedule.nesting import Tile

STUB = Path(halo.__file__).parent / "schedule" / "methods.pyi"
HEAD = '''"""The chained methods of Funcs and their stages. Written by tests/schedule/test_methods.py from the directives."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

from typing_extensions import Self

from ..func.func import Func
from ..func.schedulable import Schedulable, Stage
from ..ir.intrinsic import Intrinsic
from ..ir.surface import Expr, Input

# ruff: noqa
# fmt: off
'''
LOOP = "str | Expr"


def stub() -> str:
    parts = [HEAD]
    for on, head in (("stage", "class StageMethods:"), ("func", "class FuncMethods:")):
        parts.append(head)
        parts += [textwrap.indent(method(c), "    ") for c in registry.values() if c.on == on and c is not Within]
    return "\n".join(parts) + "\n"


def method(cls: type[Directive]) -> str:
    made = cls.signature().return_annotation
    doc = textwrap.indent(f'"""{inspect.cleandoc(cls.__doc__ or "")}\n"""', "    ")
    if cls is Tile:
        four = ", ".join(f"{n}: Sequence[{LOOP}]" for n in ("old", "outer", "inner"))
        loops = ", ".join(f"{n}: {LOOP}" for n in ("y", "x", "yo", "xo", "yi", "xi"))
        short = ", ".join(f"{n}: {LOOP}" for n in ("y", "x", "yi", "xi"))
        forms = [f"{four}, factors: Sequence[int | Expr]", f"{loops}, fy: int | Expr, fx: int | Expr",
                 f"{short}, fy: int | Expr, fx: int | Expr"]  # fmt: skip
        return "\n".join(f"@overload\ndef tile(self, {f}, tail: str = ...) -> Self:\n{doc}" for f in forms)
    parameters = ["self"]
    for p in cls.signature().parameters.values():
        annotation = p.annotation
        if p.kind is p.VAR_POSITIONAL:
            annotation = annotation.removeprefix("Sequence[").removesuffix("]")
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        default = "" if p.default is p.empty else " = ..."
        parameters.append(f"{star}{p.name}: {annotation}{default}")
    return f"def {cls.name}({', '.join(parameters)}) -> {made}:\n{doc}"


def test_the_stub_is_that_of_the_directives(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        STUB.write_text(stub(), encoding="utf-8")
    assert STUB.read_text(encoding="utf-8") == stub()


@pytest.mark.parametrize("name", [n for n in registry if n != "within"])
def test_every_directive_is_a_method(name: str) -> None:
    method = getattr(Func, name)
    assert method.__name__ == name
    assert method.__doc__ == registry[name].__doc__
    assert next(iter(inspect.signature(method).parameters)) == "self"


@pytest.mark.parametrize("name", ["reorder", "never_partition", "always_partition", "reorder_storage"])
def test_any_number_of_loops_is_at_least_one(name: str) -> None:
    f, x = halo.Func("f"), halo.Var("x")
    f[x] = x
    with pytest.raises(halo.ScheduleError, match=rf"f\.{name}: no (loops|axes) are named"):
        getattr(f, name)()

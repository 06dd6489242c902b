"""What editors show: a docstring and a complete signature for whatever is public, and completion that finds it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import halo
from halo import Expr, graph, nn, show
from halo.schedule.directive import registry


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The functions of a module, and the methods and properties of its classes, by their dotted names."""
    for name in module.__all__:
        thing = getattr(module, name)
        path = f"{module.__name__}.{name}"
        if inspect.ismodule(thing):
            yield from public(thing) if hasattr(thing, "__all__") and thing not in (nn, graph, show) else ()
        elif inspect.isclass(thing) and not issubclass(thing, Exception):
            yield path, thing
            for member in dir(thing):
                own = inspect.getattr_static(thing, member)
                method = callable(own) or isinstance(
                    own, (property, functools.cached_property, classmethod, staticmethod)
                )
                if method and not member.startswith("_") and of_halo(thing, member):
                    yield f"{path}.{member}", own
        elif callable(thing) and not isinstance(thing, halo.Type) and not inspect.isclass(thing):
            yield path, thing


def of_halo(cls: type, member: str) -> bool:
    owner = next(c for c in cls.__mro__ if member in vars(c))
    return owner.__module__.startswith("halo") and member not in getattr(owner, "__dataclass_fields__", {})


THINGS = dict(entry for module in (halo, nn, graph, show) for entry in public(module))


@pytest.mark.parametrize("path", sorted(THINGS))
def test_it_says_what_it_does_and_takes(path: str) -> None:
    thing = THINGS[path]
    function = thing
    if not inspect.isclass(thing):
        function = getattr(thing, "fget", None) or getattr(thing, "func", None) or getattr(thing, "__func__", thing)
    owner, _, member = path.rpartition(".")
    of = THINGS.get(owner)
    said = [vars(c)[member].__doc__ for c in of.__mro__ if member in vars(c)] if inspect.isclass(of) else []
    assert inspect.getdoc(function) or any(said), "no docstring"
    if inspect.isclass(function):
        return
    if isinstance(function, Expr):  # halo.undef, of which == is no bool
        function = type(function).__call__
    signature = inspect.signature(function)
    for p in signature.parameters.values():
        assert p.name in ("self", "cls") or p.annotation is not p.empty, f"{p.name} has no type"
    assert signature.return_annotation is not signature.empty, "nothing says what it returns"


@pytest.mark.parametrize("name", sorted(set(registry) - {"within"}))
def test_the_docstring_of_a_directive_names_each_parameter(name: str) -> None:
    doc = inspect.getdoc(registry[name]) or ""
    assert [p for p in registry[name].signature().parameters if not re.search(rf"\b{p}\b", doc)] == []


def test_completion_shows_the_directives() -> None:
    """As IPython asks for it: in a cell whose names are there already."""
    jedi = pytest.importorskip("jedi", reason="comes with IPython")
    f = halo.Func("f")
    found = {c.name: c for c in jedi.Interpreter("f.", [{"f": f}]).complete()}
    for name in set(registry) - {"within"}:
        assert name in found
        assert (inspect.getdoc(registry[name]) or "").splitlines()[0] in found[name].docstring()
    (call,) = jedi.Interpreter("f.prefetch(", [{"f": f}]).get_signatures()
    assert [p.name for p in call.params] == list(registry["prefetch"].signature().parameters)


def test_completion_without_running_anything() -> None:
    """As an editor asks for it: from the text alone."""
    jedi = pytest.importorskip("jedi", reason="comes with IPython")
    text = 'import halo\nf = halo.Func("f")\nf.'
    found = {c.name for c in jedi.Script(text).complete()}
    assert set(registry) - {"within"} <= found

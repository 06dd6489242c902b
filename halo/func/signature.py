"""The types of a call: from arrays and numbers, or from the types that `compile` is given."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, here
from ..frontend.graph import Argument
from ..frontend.promotion import Weak
from ..jit.arrays import as_array, element_type
from ..types import ArrayType, Type, as_type, bool_, f32, i32, i64

__all__ = ["Signature", "named", "signature", "sizes"]


@dataclass(frozen=True)
class Signature:
    """The types of all inputs by name: what, beside definitions and schedule, a compiled variant depends on.
    `contiguous`: the inputs whose calls are promised to be, beside those that are annotated so. `assumed`: nothing says
    the types, and these are only to look at loops."""

    arrays: tuple[tuple[str, Type], ...]
    scalars: tuple[tuple[str, Type | Weak], ...]
    contiguous: frozenset[str] = frozenset()
    assumed: bool = False


def named(
    owner: str, arguments: Mapping[str, Argument], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a call by input name. ArgumentError where they do not fit the inputs of `owner`."""
    names = tuple(arguments)
    if len(args) > len(names):
        raise ArgumentError(f"{owner} takes {_count(len(names))}, and {len(args)} are given by position", loc=here(),
                            legal=names)  # fmt: skip
    values = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in arguments:
            near = difflib.get_close_matches(name, names, 1)
            raise ArgumentError(f"{owner} has no input {name!r}", loc=here(), legal=names,
                                hint=f"{near[0]}=..." if near else "")  # fmt: skip
        if name in values:
            raise ArgumentError(f"{owner} is given {name!r} twice", loc=here())
        values[name] = value
    return values


def _count(n: int) -> str:
    return {0: "no inputs", 1: "one input"}.get(n, f"{n} inputs")


def signature(arguments: Mapping[str, Argument], values: Mapping[str, Any], types: bool = False,
              complete: bool = True) -> Signature:  # fmt: skip
    """The types of `values`: arrays and numbers, or where `types` are allowed also types and their names. Inputs that are
    left out have their declared types, or, unless the signature must be `complete`, f32 and i32."""
    arrays: list[tuple[str, Type]] = []
    scalars: list[tuple[str, Type | Weak]] = []
    for name, a in arguments.items():
        found: Type | Weak
        if name in values and not types and _is_type(values[name]):
            raise ArgumentError(f"{name} is called with {values[name]!r}, which is no value", loc=here())
        if name in values:
            found = _scalar(a, values[name]) if a.ndim is None else _array(a, values[name])
        elif a.ndim is None and a.default is not None:
            found = a.type or _number(a.default)
        elif a.type is None and complete:
            what = "scalar" if a.ndim is None else "array"
            raise ArgumentError(f"the {what} {name} is missing", loc=here(), hint=f"{name}=...")
        else:
            found = a.type or (i32 if a.ndim is None else f32)
        if isinstance(found, Type) and a.ndim is not None:
            arrays.append((name, found))
        else:
            scalars.append((name, found))
    promised = frozenset(name for name, v in values.items() if isinstance(v, ArrayType) and v.contiguous)
    return Signature(tuple(arrays), tuple(scalars), promised)


def sizes(arguments: Mapping[str, Argument], values: Mapping[str, Any]) -> dict[str, Any]:
    """The shapes of the arrays among `values`, and the scalars, by name; nothing for what is a type."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if not _is_type(value):
            array = name not in arguments or arguments[name].ndim is not None
            found[name] = as_array(value, name).shape if array else np.asarray(value).item()
    return found


def _array(a: Argument, value: Any) -> Type:
    ndim: int | None = a.ndim
    if isinstance(value, ArrayType):
        found, ndim = value.type, value.ndim
    elif _is_type(value):
        found = as_type(value)
    else:
        array = as_array(value, a.name)
        element, ndim = element_type(array), array.ndim
        if element is None:
            raise ArgumentError(f"{a.name} is an array of {array.dtype}, which is no type of the language", loc=here())
        found = element
    if ndim != a.ndim:
        related = () if a.loc is None else ((a.loc, f"subscripted by {a.ndim} indices"),)
        raise ArgumentError(f"{a.name} has {a.ndim} axes, and the argument has {ndim}", loc=here(), related=related)
    if a.type is not None and found is not a.type:
        raise ArgumentError(f"{a.name} is annotated {a.type!r}, and the argument is of {found!r}", loc=here(),
                            hint=f"{a.name}=array.astype({a.type.dtype.name!r})")  # fmt: skip
    return found


def _scalar(a: Argument, value: Any) -> Type | Weak:
    found: Type | Weak
    if _is_type(value):
        found = as_type(value)
    elif isinstance(value, (bool, int, float, np.generic)) or (isinstance(value, np.ndarray) and value.ndim == 0):
        found = _number(value)
    else:
        raise ArgumentError(f"{a.name} is a scalar, and the argument is a {type(value).__name__}", loc=here())
    if a.type is None:
        return found
    if _is_type(value):
        if found is not a.type:
            raise ArgumentError(f"{a.name} is annotated {a.type!r}, and compiled for {found!r}", loc=here())
    elif not _fits(value, a.type):
        raise ArgumentError(f"{a.name} is annotated {a.type!r}, which {value!r} does not fit", loc=here())
    return a.type


def _is_type(value: Any) -> bool:
    return isinstance(value, (Type, ArrayType, str, np.dtype)) or (
        isinstance(value, type) and issubclass(value, np.generic)
    )


def _fits(value: Any, type: Type) -> bool:
    number = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    if type.is_float:
        return True
    if isinstance(number, float):
        return False
    return type.is_bool is isinstance(number, bool) if type.is_bool else type.holds(number)


def _number(value: Any) -> Type | Weak:
    """The type of a number as an argument: Python's floats are weak, its ints i32 (or i64)."""
    if isinstance(value, (np.generic, np.ndarray)):
        return as_type(value.dtype)
    if isinstance(value, bool):
        return bool_
    if isinstance(value, float):
        return Weak.FLOAT
    if i32.holds(value):
        return i32
    if i64.holds(value):
        return i64
    raise ArgumentError(f"{value!r} fits no integer type", loc=here())

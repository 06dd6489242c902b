"""`@nn.op`: an operator is its type rule, with strategies that compute it, its fusion kind and its reference, in one place.

    @op(Kind.ELEMENTWISE, reference=lambda x: np.maximum(x, 0))
    def relu(x: TensorType) -> TensorType: ...          # the rule: from types and attributes to the type of the result

    @relu.strategy("direct")
    def _(x: Tensor) -> Tensor: ...                     # the computation, on Tensors

A call dispatches on its arguments, once, here: one that has `__halo_op__(op, args, attrs)` is asked; else a Tensor, Input or
Func makes the result a Tensor; else all are arrays, and it computes now.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from halo import Dim, Func, Input
from halo.errors import ArgumentError, here
from halo.ir.shapes import DimExpr
from halo.jit.extents import Condition
from halo.jit.target import Target

from .shapes import assumptions
from .tensor import Tensor, TensorType, array_of, tensor, type_of

__all__ = ["OPS", "Kind", "Op", "Strategy", "Types", "any_extent", "op", "scheduled"]


class Kind(enum.IntEnum):
    """How an operator fuses: Relay's pattern kinds, in its order."""

    ELEMENTWISE = 0  # each value from the values at its own index
    BROADCAST = 1  # the same, with axes of extent 1 repeated
    INJECTIVE = 2  # each value from one value of each argument
    REDUCTION = 3
    ANCHOR = 4  # elementwise operators fuse onto its result: Relay's OutEWiseFusable
    OPAQUE = 8


Types = tuple[TensorType | None, ...]
C = TypeVar("C", bound=Callable[..., Any])
General = Callable[[Types, Mapping[str, Any], TensorType], tuple[Types, Mapping[str, Any]]]


def _is_integer(value: Any) -> bool:
    return isinstance(value, (Integral, DimExpr))


def _are_integers(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        _is_integer(v) or isinstance(v, str) for v in value
    )  # a name of an extent


_ANNOTATED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_is_integer, "an integer"),
    "tuple[int, ...]": (_are_integers, "a tuple of integers"),
    "tuple[int, ...] | None": (lambda v: v is None or _are_integers(v), "a tuple of integers"),
    "float": (lambda v: isinstance(v, Real), "a number"),
    "str": (lambda v: isinstance(v, str), "a text"),
}
"""What an attribute that is annotated so may be, and how an error says it."""


def _always(types: Types, attrs: Mapping[str, Any], target: Target) -> bool:
    return True


@dataclass(frozen=True)
class Strategy:
    """One way to compute an operator: `compute` on Tensors; `schedule(out, target, types, attrs)`, of the group whose last
    stage is `out`, for these arguments of the operator (None: halo's default schedule); `when` it can be used. One that is
    `composed` calls other operators on whatever it is given: arrays, Tensors, or expressions of a graph, which has these
    calls in place of the operator then."""

    name: str
    compute: Callable[..., Tensor]
    schedule: Callable[[Tensor, Target, Types, Mapping[str, Any]], None] | None = None
    when: Callable[[Types, Mapping[str, Any], Target], bool] = _always
    composed: bool = False


OPS: dict[str, Op] = {}
"""Every operator by its name."""


class Op:
    """An operator. Call it with arrays, or with Tensors, Inputs and graph variables."""

    def __init__(self, rule: Callable[..., TensorType], kind: Kind, reference: Callable[..., Any] | None,
                 follows: bool, view: bool, general: General | None,
                 once: Callable[[Mapping[str, Any]], bool]) -> None:  # fmt: skip
        self.name, self.kind, self.reference, self.follows, self.view = rule.__name__, kind, reference, follows, view
        self.general, self.once = general, once
        self.strategies: list[Strategy] = []
        self.rule, self.__doc__, self.__module__ = rule, rule.__doc__, rule.__module__
        self.signature = inspect.signature(rule)
        parameters = self.signature.parameters.values()
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.params = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.attributes = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self._annotated = {n: inspect.formatannotation(self.signature.parameters[n].annotation).strip("'")
                           for n in self.attributes}  # fmt: skip
        self._kernels: dict[Any, Any] = {}

    @property
    def built_in(self) -> bool:
        """Whether all of it is in halo's own sources."""
        parts = (f for s in self.strategies for f in (s.compute, s.schedule, s.when) if f is not None)
        modules = (getattr(f, "__module__", None) for f in (self.rule, *parts))  # none where a text was executed
        return all(m is not None and m.startswith("halo.nn.") for m in modules)

    def strategy(
        self, name: str, *, schedule: Any = None, when: Any = _always, composed: bool = False
    ) -> Callable[[C], C]:
        """Add a way to compute this operator, as a `Strategy` says; those added first are preferred."""

        def add(compute: C) -> C:
            self.strategies.append(Strategy(name, compute, schedule, when, composed))
            return compute

        return add

    # Calls -----------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, strategy: str | None = None, **attrs: Any) -> Any:
        tensors, attrs = self.bound(args, attrs)
        for a in tensors:
            if hasattr(a, "__halo_op__"):
                if strategy is not None:
                    raise ArgumentError(
                        f"{self.name}: the strategies in a program are chosen by its passes", loc=here()
                    )
                return a.__halo_op__(self, tensors, attrs)
        if any(isinstance(a, (Tensor, Func, Input)) for a in tensors):
            return self.compute(tuple(None if a is None else tensor(a) for a in tensors), attrs, strategy)
        return self.eager(tensors, attrs, strategy)

    def bound(self, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The tensor arguments in the order of the signature (None for one left out), and all the attributes."""
        try:
            found = self.signature.bind(*args, **attrs)
        except TypeError as error:
            raise ArgumentError(f"{self.name}: {error}", loc=here(), hint=f"{self.name}{self.signature}") from error
        found.apply_defaults()
        tensors: list[Any] = []
        for name in self.params:
            value = found.arguments[name]
            tensors += value if self.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL else (value,)
        given = {name: found.arguments[name] for name in self.attributes}
        for name, value in given.items():
            wanted = _ANNOTATED.get(self._annotated[name])
            if wanted is not None and not wanted[0](value):
                raise ArgumentError(f"{self.name}: {name} is {wanted[1]}, not {value!r}", loc=here(),
                                    hint=f"{self.name}{self.signature}")  # fmt: skip
        return tuple(tensors), given

    def infer(self, types: Types, attrs: Mapping[str, Any]) -> TensorType:
        """The type of the result. Raises ArgumentError where the arguments do not fit."""
        found: TensorType = self.rule(*types, **attrs)
        if any(isinstance(n, int) and n < 0 for n in found.shape):
            raise ArgumentError(f"{self.name} gives {found}, and no extent is negative", loc=here())
        return found

    def assumed(self, types: Types, attrs: Mapping[str, Any], says: str) -> tuple[Condition, ...]:
        """What the rule takes for granted of symbolic extents; `says` is who does."""
        with assumptions() as found:
            self.infer(types, attrs)
        return tuple(Condition(*what, says) for what in found)

    def chosen(self, types: Types, attrs: Mapping[str, Any], target: Target, name: str | None = None) -> Strategy:
        """The first strategy that can be used, or the one of that name."""
        for s in self.strategies:
            if s.name == name or (name is None and s.when(types, attrs, target)):
                return s
        legal = tuple(s.name for s in self.strategies)
        what = "for these types" if name is None else f"named {name!r}"
        raise ArgumentError(f"{self.name} has no strategy {what}", loc=here(), legal=legal)

    def compute(self, args: tuple[Tensor | None, ...], attrs: Mapping[str, Any], strategy: str | None = None) -> Tensor:
        """The result as a Tensor, not scheduled."""
        types = tuple(None if a is None else a.type for a in args)
        with assumptions() as assumed:
            result = self.infer(types, attrs)
        chosen = self.chosen(types, attrs, Target.host(), strategy)
        made = chosen.compute(*args, **attrs)
        if not isinstance(made, Tensor):
            raise ArgumentError(f"strategy {chosen.name!r} of {self.name} gives {made!r}, and not an nn.Tensor", loc=here(),
                                hint="nn.tensor(f, shape=...)")  # fmt: skip
        if made.type != result:
            raise ArgumentError(f"{self.name} gives {result} by its rule, {made.type} by its strategy {chosen.name!r}",
                                loc=here())  # fmt: skip
        own = (Condition(*what, self.name) for what in assumed)
        known = (c for t in (*args, made) if t is not None for c in t.conditions)
        return replace(made, conditions=tuple(dict.fromkeys((*known, *own))))

    def eager(self, args: tuple[Any, ...], attrs: Mapping[str, Any], strategy: str | None = None) -> Any:
        """The result on arrays."""
        arrays = tuple(
            None if a is None else array_of(a, name) for a, name in zip(args, self._input_names(args), strict=True)
        )
        types = tuple(None if a is None else type_of(a) for a in arrays)
        result = self.infer(types, attrs)
        if self.view:
            return np.reshape(np.asarray(arrays[0]), result.static)
        if any(s.composed for s in self.strategies):
            chosen = self.chosen(types, attrs, Target.host(), strategy)
            if chosen.composed:
                return chosen.compute(*arrays, **attrs)
        if 0 in result.shape:
            return np.empty(result.static, result.dtype.dtype)
        names = self._input_names(arrays)
        if self.general is not None:
            types, attrs = self.general(types, attrs, result)
        key = _hashable((types, tuple(attrs.items()), strategy))
        kernel = self._kernels.get(key)
        if kernel is None:
            inputs = tuple(None if t is None else tensor(Input(n, t.dtype, shape=t.shape))
                           for n, t in zip(names, types, strict=True))  # fmt: skip
            out = scheduled(self, self.compute(inputs, attrs, strategy), Target.host(), strategy, types, attrs)
            kernel = self._kernels[key] = out.func.compile()
        given = {n: a for n, a in zip(names, arrays, strict=True) if a is not None}
        return kernel(shape=result.static, **{n: a for n, a in given.items() if n in kernel.binder.order})

    def _input_names(self, args: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple(f"{self.params[-1]}{k}" for k in range(len(args))) if self.variadic else self.params

    def __repr__(self) -> str:
        return f"nn.{self.name}"


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


def any_extent(types: Types, attrs: Mapping[str, Any], result: TensorType) -> tuple[Types, Mapping[str, Any]]:
    """`types` with all extents but 1 symbolic, those that meet in one axis of the result the same."""

    def general(t: TensorType) -> TensorType:
        first = result.ndim - t.ndim
        return TensorType(tuple(1 if n == 1 else Dim(f"n{first + d}") for d, n in enumerate(t.shape)), t.dtype)

    return tuple(None if t is None else general(t) for t in types), attrs


def scheduled(
    op: Op, out: Tensor, target: Target, strategy: str | None, types: Types, attrs: Mapping[str, Any]
) -> Tensor:
    """`out`, in whose pipeline `op` is the anchor, scheduled by the anchor's strategy."""
    chosen = op.chosen(types, attrs, target, strategy)
    if chosen.schedule is not None and 0 not in out.shape:  # what has no entries is computed in any order
        chosen.schedule(out, target, types, attrs)
    return out


def op(kind: Kind, *, reference: Callable[..., Any] | None = None, follows: bool = False, view: bool = False,
       general: General | None = None, once: Callable[[Mapping[str, Any]], bool] = lambda attrs: False,
       ) -> Callable[[Callable[..., TensorType]], Op]:  # fmt: skip
    """Make a type rule an operator, and register it under its name.

    `reference` computes the same on NumPy arrays. `follows`: it works on blocked layouts as it does on plain ones. `view`:
    the result is the argument's memory in another shape. `once`: whether, with these attributes, an anchor reads each entry
    of its argument once at most, so that what is elementwise before it is computed where it is read.
    `general` gives the types and attributes that a kernel for arrays is made for, from those at hand and the type of the
    result: with `any_extent` one serves all extents, which is right where they need not be constants of the code.

    >>> from halo import nn
    >>> @nn.op(nn.Kind.ELEMENTWISE, reference=lambda x: x * x, general=nn.any_extent)
    ... def square(x):
    ...     return x
    >>> @square.strategy("direct")
    ... def _(x):
    ...     return nn.elementwise("square", lambda v: v * v, x)
    >>> square(np.array([1.0, 3.0], np.float32))
    array([1., 9.], dtype=float32)
    """

    def register(rule: Callable[..., TensorType]) -> Op:
        made = Op(rule, kind, reference, follows, view, general, once)
        if made.name in OPS and OPS[made.name].built_in and not made.built_in:
            raise ArgumentError(f"{made.name} is an operator of halo.nn", loc=here(), hint="another name")
        OPS[made.name] = made
        return made

    return register

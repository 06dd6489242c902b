"""The graph language: variables, constants, calls, tuples, functions, If, Loop and Let, one immutable class a construct.

An expression is a DAG: what is shared is one object. Its type is known from the moment it is made. An operator of
`halo.nn` called on graph expressions makes a Call, so a program is built by calling operators:

    x = Var("x", TensorType((1, 3), f32))
    main = Function((x,), nn.relu(x))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from halo.errors import ArgumentError, HaloError, here
from halo.ir.shapes import Dim
from halo.nn import Op, TensorType
from halo.nn.tensor import array_of
from halo.types import as_type, i64

from .arithmetic import Arithmetic

__all__ = [
    "Call",
    "Constant",
    "Expr",
    "Function",
    "Global",
    "If",
    "Item",
    "Key",
    "Let",
    "Loop",
    "Tuple",
    "Var",
    "constant",
    "every",
    "key_of",
    "rewrite",
    "rewrite_once_read",
    "sources_of",
    "walk",
]

MOST_NAMES = 40  # that an error lists
Key = tuple[int, int]
Type = Any  # a TensorType, or a tuple of types
_source: ContextVar[str] = ContextVar("source", default="")


@contextmanager
def from_node(name: str) -> Iterator[None]:
    """Calls that are made inside are called `name`, that of the node that they come from."""
    token = _source.set(name)
    try:
        yield
    finally:
        _source.reset(token)


class Expr(Arithmetic):
    """A value of a program. `type` is a TensorType, or a tuple of types."""

    @property
    def children(self) -> tuple[Expr, ...]:
        """The expressions directly under this one."""
        return ()

    @property
    def bodies(self) -> tuple[Function, ...]:
        """The functions inside of it. They are closed: what they read of outside is an argument."""
        return ()

    def __halo_op__(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Expr:
        given = tuple(None if a is None else constant(a) for a in args)
        return Call(op, given, tuple(attrs.items()), _source.get())


@dataclass(frozen=True, eq=False)
class Var(Expr):
    """A parameter of a function."""

    name: str
    annotation: TensorType

    @property
    def type(self) -> TensorType:
        return self.annotation


@dataclass(frozen=True, eq=False)
class Constant(Expr):
    """An array that is part of the program. `name` is what it is called in text and files."""

    data: np.ndarray[Any, Any]
    name: str = "c"

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", np.asarray(self.data))  # of a number, too

    @cached_property
    def type(self) -> TensorType:
        return TensorType(self.data.shape, as_type(self.data.dtype))


@dataclass(frozen=True, eq=False)
class Global(Expr):
    """A function of the module, by its name, as what a Call calls."""

    name: str
    result: Type


@dataclass(frozen=True, eq=False)
class Call(Expr):
    """`op(*args, **attrs)`: an operator, or a Global, applied. `name` is for people: of the ONNX node that it came from."""

    op: Op | Global
    args: tuple[Expr | None, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    name: str = field(default="", compare=False)
    sources: tuple[str, ...] = field(default=(), compare=False)  # the names of what fused into it

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes by name."""
        return dict(self.attributes)

    @property
    def children(self) -> tuple[Expr, ...]:
        return tuple(a for a in self.args if a is not None)

    @property
    def types(self) -> tuple[Type, ...]:
        """Those of the arguments, None for one that is left out."""
        return tuple(None if a is None else a.type for a in self.args)

    @cached_property
    def type(self) -> Type:
        if isinstance(self.op, Global):
            return self.op.result
        return self.op.infer(self.types, self.attrs)

    def __post_init__(self) -> None:
        try:
            self.type  # a wrong program is refused where it is made  # noqa: B018
        except HaloError as error:
            from .text import marked

            error.nest = error.nest or marked(self)
            raise


@dataclass(frozen=True, eq=False)
class Tuple(Expr):
    """Several values as one."""

    fields: tuple[Expr, ...]

    @property
    def type(self) -> Type:
        return tuple(f.type for f in self.fields)

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.fields


@dataclass(frozen=True, eq=False)
class Item(Expr):
    """Element `index` of a tuple."""

    value: Expr
    index: int

    @property
    def type(self) -> Type:
        return self.value.type[self.index]

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.value,)


@dataclass(frozen=True, eq=False)
class Let(Expr):
    """`body`, in which the extent `dim` is what the i64[] `value` is, 0 if that is less: the match_cast of TVM's Relax."""

    dim: Dim
    value: Expr
    body: Expr

    def __post_init__(self) -> None:
        if self.value.type != TensorType((), i64):
            raise ArgumentError(f"an extent is an i64[], not {self.value.type}", loc=here())

    @property
    def type(self) -> Type:
        return self.body.type

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.value, self.body


@dataclass(frozen=True, eq=False)
class Function(Expr):
    """`body` as a function of `params`. A primitive one is compiled to one kernel."""

    params: tuple[Var, ...]
    body: Expr
    primitive: bool = False

    @property
    def type(self) -> Type:
        return self.body.type

    @property
    def outputs(self) -> tuple[Expr, ...]:
        """The fields of a body that is a tuple, or the body alone."""
        return self.body.fields if isinstance(self.body, Tuple) else (self.body,)


class Control(Expr):
    """An expression with functions inside of it, which says what type its value is of."""

    result: Type

    @property
    def type(self) -> Type:
        return self.result


@dataclass(frozen=True, eq=False)
class If(Control):
    """`then(*args)` where `condition`, a bool[], holds, else `otherwise(*args)`: ONNX If.

    `result` is its type. An extent that differs between the branches is a Dim of its own there.
    """

    condition: Expr
    args: tuple[Expr, ...]
    then: Function
    otherwise: Function
    result: Type
    name: str = ""

    @property
    def bodies(self) -> tuple[Function, ...]:
        return self.then, self.otherwise

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.condition, *self.args)


@dataclass(frozen=True, eq=False)
class Loop(Control):
    """`body` again and again: ONNX Loop and Scan, and Python's `while` and `for`.

    `body` takes the number of the iteration, an i64[], the `carried` values and `args`, which all iterations read. It
    gives whether there is another one, a bool[], if there is a `condition`; then the carried values; then what is stacked,
    an entry an iteration. There are `trip` iterations at most, an i64[] (None: as many as the condition allows), and none
    where `condition` does not hold at first. The value is what is carried in the end, and what was stacked.

    `result` is its type. An extent that only running tells is a Dim of its own there.
    """

    trip: Expr | None
    condition: Expr | None
    carried: tuple[Expr, ...]
    args: tuple[Expr, ...]
    body: Function
    result: Type
    name: str = ""

    @property
    def children(self) -> tuple[Expr, ...]:
        first = tuple(e for e in (self.trip, self.condition) if e is not None)
        return (*first, *self.carried, *self.args)

    @property
    def bodies(self) -> tuple[Function, ...]:
        return (self.body,)

    @property
    def stacked(self) -> tuple[Expr, ...]:
        """What the body gives to be stacked."""
        return self.body.outputs[len(self.carried) + (self.condition is not None) :]


def constant(value: Any) -> Expr:
    """`value` as an expression: an array becomes a Constant."""
    if isinstance(value, Expr):
        return value
    array = array_of(value, legal=("arrays", "graph expressions"))
    if array.dtype == np.float64 and isinstance(value, (float, list, tuple)) and not isinstance(value, np.generic):
        array = array.astype(np.float32)
    return Constant(array)


def walk(*roots: Expr) -> Iterator[Expr]:
    """Every expression under `roots` once, those that others use first. It does not recurse: graphs are deep."""
    done: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        e, ready = stack.pop()
        if id(e) in done:
            continue
        if ready:
            done.add(id(e))
            yield e
        else:
            stack.append((e, True))
            stack.extend((c, False) for c in reversed(e.children) if id(c) not in done)


def key_of(e: Expr) -> Key:
    """Of values, where an Item is the same as another one of the same tuple."""
    return (id(e.value), e.index) if isinstance(e, Item) else (id(e), 0)


def rewrite(root: Expr, change: Callable[[Expr, Expr], Expr]) -> Expr:
    """`root` with `change(new, old)` in place of every expression, those that others use first; `new` is `old` over what
    became of its children."""
    new: dict[int, Expr] = {}
    with from_node(""):
        for e in walk(root):
            _source.set(e.name if isinstance(e, Call) else "")
            new[id(e)] = change(with_children(e, tuple(new[id(c)] for c in e.children)), e)
    return new[id(root)]


def rewrite_once_read(f: Function, change: Callable[[Expr, set[int]], Expr]) -> Function:
    """`f` with `change(e, once)` in place of every expression, whose children are already changed; `once`: the ids of those
    new ones that nothing else reads."""
    readers = Counter(id(c) for e in walk(f.body) for c in e.children)
    once: set[int] = set()

    def step(e: Expr, old: Expr) -> Expr:
        e = change(e, once)
        if readers[id(old)] == 1:
            once.add(id(e))
        return e

    return replace(f, body=rewrite(f.body, step))


def with_children(e: Expr, children: tuple[Expr, ...]) -> Expr:
    """`e` over these; itself where they are those it has."""
    if all(a is b for a, b in zip(children, e.children, strict=True)):
        return e
    if isinstance(e, Call):
        given = iter(children)
        args = tuple(None if a is None else next(given) for a in e.args)
        if any(a.type != b.type for a, b in zip(children, e.children, strict=True)):
            return replace(e, args=args)
        made = copy(e)  # of the type that it has: nothing that tells it is another
        object.__setattr__(made, "args", args)
        return made
    if isinstance(e, Tuple):
        return Tuple(children)
    if isinstance(e, If):
        return replace(e, condition=children[0], args=children[1:])
    if isinstance(e, Loop):
        rest = iter(children)
        trip, condition = (None if c is None else next(rest) for c in (e.trip, e.condition))
        return replace(
            e, trip=trip, condition=condition, carried=tuple(next(rest) for _ in e.carried), args=tuple(rest)
        )
    if isinstance(e, Let):
        return Let(e.dim, *children)
    assert isinstance(e, Item)
    return Item(children[0], e.index)


def sources_of(*calls: Call) -> tuple[str, ...]:
    """The names of the nodes that these come from, each once."""
    return tuple(dict.fromkeys(name for c in calls for name in c.sources or (c.name,) if name))


def with_bodies(e: Expr, bodies: tuple[Function, ...]) -> Expr:
    """The If or Loop `e` over these; itself where they are those it has."""
    if all(a is b for a, b in zip(bodies, e.bodies, strict=True)):
        return e
    if isinstance(e, If):
        return replace(e, then=bodies[0], otherwise=bodies[1])
    assert isinstance(e, Loop)
    return replace(e, body=bodies[0])


def every(f: Function) -> Iterator[Expr]:
    """Every expression of `f`, with those of the bodies in it, which come before what they are in."""
    for e in walk(f.body):
        for body in e.bodies:
            yield from every(body)
        yield e

"""The `@node` decorator: immutable records with slots, interned expressions, children and `map`.

To a type checker a node is a frozen dataclass. At run time its `__new__` is generated: an *interned* node with the
same fields as one made before in the same table **is** that one, so equality is `is` and hashing is identity.
One compilation owns one table (`with interning():`) and drops it.
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        return lambda f: f


T = TypeVar("T", bound=type)
N = TypeVar("N", bound="Node")
F = TypeVar("F", bound=Callable[..., object])


class _Local(threading.local):
    def __init__(self) -> None:
        self.table: dict[Any, Any] = {}
        self.count = 0


_local = _Local()


@contextmanager
def interning() -> Iterator[None]:
    """A fresh table for the nodes made inside (per thread; nests)."""
    saved, _local.table = _local.table, {}
    try:
        yield
    finally:
        _local.table = saved


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Room for expressions thousands of operations deep. (Before Python 3.11 every call takes of the machine's stack.)"""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 30_000 if sys.version_info >= (3, 11) else 7_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class _Collector:
    """How many threads have the garbage collector paused, and whether it is to run again after the last of them."""

    def __init__(self) -> None:
        self.lock, self.pauses, self.enabled = threading.Lock(), 0, False

    def pause(self) -> None:
        with self.lock:
            self.pauses += 1
            if self.pauses == 1:
                self.enabled = gc.isenabled()
                gc.disable()

    def resume(self) -> None:
        with self.lock:
            self.pauses -= 1
            if self.pauses == 0 and self.enabled:
                gc.enable()

    def in_child(self) -> None:
        """The threads that would resume are not there."""
        if self.pauses and self.enabled:
            gc.enable()
        self.__init__()  # type: ignore[misc]  # an object as new, in place


_collector = _Collector()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _collector.in_child())


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: nearly all that a compilation makes lives to its end, and to look at it again and
    again takes a tenth of the time."""
    _collector.pause()
    try:
        yield
    finally:
        _collector.resume()


def node_count() -> int:
    """Interned nodes made so far by this thread: the tests' measure of compile time."""
    return _local.count


def remembered(f: F) -> F:
    """A function of nodes that gives, for the same ones, what it gave before: one dictionary serves it and the nodes."""

    @functools.wraps(f)
    def recall(*args: Any) -> Any:
        table, key = _local.table, (f, args)
        found = table.get(key)
        if found is None:
            found = table[key] = f(*args)
        return found

    return recall  # type: ignore[return-value]  # the same signature, without keywords


_INTERNED = """
def __new__(cls, {params}):
    key = (cls, {key})
    self = _local.table.get(key)
    if self is None:
        self = _new(cls)
        {assign}
        _local.count = self.uid = _local.count + 1
        {post}
        _local.table[key] = self
    return self
"""

_PLAIN = """
def __new__(cls, {params}):
    self = _new(cls)
    {assign}
    {post}
    return self
"""


@dataclass_transform(frozen_default=True)
def node(cls: T) -> T:
    """Make `cls` a plain (statement) node: slots, positional construction, default values, `replace`."""
    built: T = _build(cls, interned=False)
    return built


@dataclass_transform(frozen_default=True)
def expr_node(cls: T) -> T:
    """Make `cls` an interned (expression) node. `__derive__`, if there, computes the other slots once."""
    built: T = _build(cls, interned=True)
    return built


def _build(cls: Any, interned: bool) -> Any:
    own = [n for n in inspect.get_annotations(cls) if not n.startswith("_")]
    fields = tuple(own)
    defaults = {n: cls.__dict__[n] for n in fields if n in cls.__dict__}
    body = {k: v for k, v in cls.__dict__.items() if k not in (*fields, "__dict__", "__weakref__")}
    inherited = {s for base in cls.__mro__[1:] for s in getattr(base, "__slots__", ())}
    body["__slots__"] = tuple(n for n in fields if n not in inherited)
    body["__match_args__"] = body["fields"] = fields
    scope: dict[str, Any] = {"_new": object.__new__, "_local": _local, **{f"_d_{n}": d for n, d in defaults.items()}}
    source = (_INTERNED if interned else _PLAIN).format(
        params=", ".join(f"{n}=_d_{n}" if n in defaults else n for n in fields),
        key=", ".join(fields) + ",",
        assign="; ".join(f"self.{n} = {n}" for n in fields) or "pass",
        post="self.__derive__()" if hasattr(cls, "__derive__") else "pass",
    )
    exec(source, scope)
    body["__new__"] = scope["__new__"]
    body["__qualname__"] = cls.__qualname__
    return type(cls)(cls.__name__, cls.__bases__, body)


class Node:
    """What every node has: its field names, `replace`, and a structural repr."""

    __slots__ = ()
    fields: tuple[str, ...] = ()

    def replace(self: N, **changes: Any) -> N:
        """This node with some fields changed."""
        return type(self)(*(changes.get(n, getattr(self, n)) for n in self.fields))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(getattr(self, n)) for n in self.fields)})"

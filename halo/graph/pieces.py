"""Pieces: programs where only running tells an extent. They are cut there, into nets with Python in between.

An If or a Loop is open where an extent of its result is none of its arguments': rows of a Loop that ends when a condition
does, a value that grows. So is a Let: how many entries are not zero, say. What comes before it, its bodies, and what comes
after it are nets each, compiled once for all extents; the open ones are carried out by Python. All else runs in machine
code, as in any net.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.ir.shapes import Dim, DimExpr, dims_of
from halo.nn import TensorType
from halo.types import bool_

from .control import is_open
from .interface import Interface
from .ir import (
    Constant,
    Expr,
    Function,
    If,
    Item,
    Let,
    Loop,
    Module,
    Tuple,
    Var,
    every,
    rewrite,
    walk,
    with_children,
)
from .net import Group, Memory, Net
from .symbolic import extents_of

__all__ = ["Pieces"]

Array = np.ndarray[Any, Any]
Compile = Callable[[Module], Any]


class Pieces(Interface):
    """A program in pieces: called as a `Net` is. It cannot be saved, and its groups are not scheduled anew.

    >>> from halo.graph import parse
    >>> net = parse(\"\"\"def main(%x: f32[1]) -> f32[n] {
    ...   %0 = loop trip @two carry (%x) with () -> f32[n]
    ...     do (%i: i64[], %s: f32[n]) { %0 = concatenate(%s, %s); %0 };
    ...   %0
    ... }\"\"\", {"two": np.array(2)}).compile()
    >>> net(np.array([3], np.float32))
    array([3., 3., 3., 3.], dtype=float32)
    """

    def __init__(self, module: Module, compile: Compile) -> None:
        super().__init__(module)
        self._script = _Script(module.main, compile)

    def __call__(self, *args: Any, out: Any = None, taps: Sequence[str] | None = None, **inputs: Any) -> Any:
        """Compute: see `Net`."""
        if taps is not None:
            return self.tapped(args, out, tuple(taps), inputs)
        arrays, _ = self.arrays(args, inputs)
        found = self._script.run(arrays)
        given = [None] * len(found) if out is None else list(out) if self.several else [out]
        for a, made, name in zip(given, found, self.outputs, strict=True):
            if a is not None:
                if not isinstance(a, np.ndarray) or a.dtype != made.dtype or a.shape != made.shape:
                    raise ArgumentError(f"out for {name} is an array of {made.dtype}{list(made.shape)}", loc=here())
                a[...] = made
        results = tuple(made if a is None else a for a, made in zip(given, found, strict=True))
        return results if self.several else results[0]

    @property
    def nets(self) -> tuple[Net, ...]:
        """What is machine code in one piece each, as it is written down."""
        return tuple(self._script.nets())

    @property
    def groups(self) -> tuple[Group, ...]:
        """The kernels of all the pieces."""
        return tuple(g for net in self.nets for g in net.groups)

    @property
    def memory(self) -> Memory:
        """Of all the pieces together."""
        each = [net.memory for net in self.nets]
        return Memory(sum(m.arena for m in each), sum(m.constants for m in each))

    def save(self, path: Any) -> None:
        """Refused: an artefact is one net."""
        raise ArgumentError("a program in pieces cannot be saved", loc=here(), hint="str(module), constants(module)")

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {t}" for name, t in self.inputs.items())
        outputs = ", ".join(map(repr, self.outputs.values()))
        return f"<halo.graph.Pieces ({inputs}) -> {outputs}: {len(self.nets)} nets>"


@dataclass(frozen=True, eq=False)
class _Extent(Expr):
    """What stands for a Let: no entries, in as many rows as `value` says."""

    dim: Dim
    value: Expr

    @property
    def type(self) -> TensorType:
        return TensorType((self.dim, 0), bool_)

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.value,)


def _with_extents(f: Function) -> tuple[Function, tuple[_Extent, ...]]:
    """`f` without its Lets, and what stands for them."""
    made: dict[str, _Extent] = {}

    def step(new: Expr, old: Expr) -> Expr:
        if not isinstance(new, Let):
            return new
        made[str(new.dim)] = _Extent(new.dim, new.value)
        return new.body

    return replace(f, body=rewrite(f.body, step)), tuple(made.values())


def _is_cut(e: Expr) -> bool:
    return isinstance(e, _Extent) or is_open(e)


@dataclass(frozen=True)
class _Piece:
    """A net: it reads these values, and makes those."""

    net: Net
    reads: tuple[tuple[int, int], ...]
    makes: tuple[tuple[int, int], ...]


def _key(e: Expr) -> tuple[int, int]:
    return (id(e.value), e.index) if isinstance(e, Item) else (id(e), 0)


def _is_given(e: Expr) -> bool:
    """Whether no piece makes it."""
    return isinstance(e, (Var, Constant, Tuple)) or _is_cut(e) or (isinstance(e, Item) and is_open(e.value))


def _results(e: Expr) -> list[Expr]:
    return [Item(e, k) for k in range(len(e.type))] if isinstance(e.type, tuple) else [e]


def _levels(order: Sequence[Expr]) -> dict[int, int]:
    """Of each expression how many open ones, each after the other, run before it: for its arguments, or to tell an extent
    that it has."""
    makers: dict[str, Expr] = {}
    for e in filter(_is_cut, order):
        given = {name for c in e.children for n in c.type.shape for name in dims_of(n)}
        own = (name for r in _results(e) for n in r.type.shape for name in dims_of(n))
        makers |= {name: e for name in own if name not in given and name not in makers}
    waits = {id(e): [makers[name] for n in extents_of(e) for name in dims_of(n) if name in makers] for e in order}
    level = dict.fromkeys(waits, -1)
    before: dict[int, int] = {}
    while level != before:
        before = dict(level)
        for e in order:
            others = (x for x in waits[id(e)] if x is not e and not isinstance(e, (Item, Tuple)))
            level[id(e)] = max((level[id(x)] + _is_cut(x) for x in (*e.children, *others)), default=0)
    return level


class _Script:
    """A function: its pieces and the open Ifs and Loops, in the order of their `level`, which counts the open ones that
    something waits for."""

    def __init__(self, f: Function, compile: Compile) -> None:
        self.f, extents = _with_extents(f)
        self.steps: list[Any] = []
        self.bodies: dict[int, tuple[_Script, ...]] = {}
        order = tuple(walk(self.f.body, *extents))
        level = _levels(order)
        for e in order:
            if is_open(e):
                self.bodies[id(e)] = tuple(_Script(body, compile) for body in e.bodies)
        given: list[Expr] = list(f.params)  # what is there before a piece
        for k in range(max(level.values()) + 1):
            there = [e for e in order if level[id(e)] == k]
            own = [e for e in there if not _is_given(e)]
            later = [e for e in order if level[id(e)] > k or _is_cut(e)]
            wanted = {_key(c) for e in later for c in e.children} | set(map(_key, self.f.outputs))
            makes = [e for e in own if _key(e) in wanted and not isinstance(e.type, tuple)]
            if makes:
                self.steps.append(_piece(own, makes, given, compile))
            ran = list(filter(_is_cut, there))
            self.steps += ran
            given += [*makes, *(r for e in ran for r in _results(e))]

    def nets(self) -> Sequence[Net]:
        own = [s.net for s in self.steps if isinstance(s, _Piece)]
        return [*own, *(net for scripts in self.bodies.values() for s in scripts for net in s.nets())]

    def run(self, args: Sequence[Array]) -> list[Array]:
        values = {_key(p): a for p, a in zip(self.f.params, args, strict=True)}

        def value(e: Expr) -> Array:
            return e.data if isinstance(e, Constant) else values[_key(e)]

        for step in self.steps:
            if isinstance(step, _Piece):
                found = step.net(*(values[key] for key in step.reads))
                found = found if isinstance(found, tuple) else (found,)
                values |= zip(step.makes, found, strict=True)
            elif isinstance(step, _Extent):
                values[_key(step)] = np.empty((max(value(step.value).item(), 0), 0), np.bool_)
            else:
                made = self._branch(step, value) if isinstance(step, If) else self._loop(step, value)
                values |= {(id(step), k): a for k, a in enumerate(made)}
        results: list[Array] = []
        for e in self.f.outputs:  # each one memory of its own
            a = value(e)
            results.append(a.copy() if isinstance(e, (Var, Constant)) or any(a is b for b in results) else a)
        return results

    def _branch(self, e: If, value: Callable[[Expr], Array]) -> list[Array]:
        then, otherwise = self.bodies[id(e)]
        return (then if value(e.condition).item() else otherwise).run([value(a) for a in e.args])

    def _loop(self, e: Loop, value: Callable[[Expr], Array]) -> list[Array]:
        (body,) = self.bodies[id(e)]
        trip = None if e.trip is None else int(value(e.trip).item())
        again = e.condition is None or bool(value(e.condition).item())
        state, args = [value(c).copy() for c in e.carried], [value(a) for a in e.args]
        rows: list[list[Array]] = []
        while again and (trip is None or len(rows) < trip):
            found = body.run([np.array(len(rows), np.int64), *state, *args])
            if e.condition is not None:
                again = bool(found.pop(0).item())
            state = found[: len(state)]
            rows.append(found[len(state) :])
        return [*state, *(_stacked([r[k] for r in rows], row.type) for k, row in enumerate(e.stacked))]


def _stacked(rows: list[Array], t: Any) -> Array:
    shape = rows[0].shape if rows else tuple(0 if isinstance(n, DimExpr) else n for n in t.shape)
    if any(r.shape != shape for r in rows):
        raise ArgumentError(f"the rows {' and '.join(str(r.shape) for r in rows)} do not stack", loc=here())
    found = np.empty((len(rows), *shape), t.dtype.dtype)
    for k, row in enumerate(rows):
        found[k] = row
    return found


def _piece(own: list[Expr], makes: list[Expr], given: Sequence[Expr], compile: Compile) -> _Piece:
    """The net of `own`, from values that are `given`."""
    made: dict[int, Expr] = {}
    reads: dict[tuple[int, int], Var] = {}

    def read(e: Expr) -> Expr:
        if id(e) in made or isinstance(e, Constant):
            return made.get(id(e), e)
        return reads.setdefault(_key(e), Var(f"v{len(reads)}", e.type))

    for e in own:
        made[id(e)] = with_children(e, tuple(read(c) for c in e.children))
    body = Tuple(tuple(made[id(e)] for e in makes)) if len(makes) > 1 else made[id(makes[0])]
    known = {str(n) for v in reads.values() for n in v.type.shape if isinstance(n, Dim)}
    inside = Function((), body)
    used = {name for e in every(inside) for n in extents_of(e) for name in dims_of(n)}
    for e in given:  # what is read for its extents alone
        own_dims = {str(n) for n in e.type.shape if isinstance(n, Dim)}
        if own_dims & (used - known):
            read(e)
            known |= own_dims
    m = Module({"main": Function(tuple(reads.values()), body)})
    return _Piece(compile(m), tuple(reads), tuple(map(_key, makes)))

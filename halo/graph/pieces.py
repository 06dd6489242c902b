"""Pieces: programs where only running tells an extent. They are cut there, into functions with Python in between.

An If or a Loop is open where an extent of its result is none of its arguments': rows of a Loop that ends when a condition
does, a value that grows. So is a Let: how many entries are not zero, say. What comes before it, its bodies, and what comes
after it are functions each, compiled once for all extents; the open ones are carried out by Python. All else runs in machine
code, as in any net.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from halo import nn
from halo.errors import ArgumentError, here
from halo.ir.shapes import Dim, dims_of, told
from halo.jit.entry import slow_path
from halo.nn import TensorType
from halo.types import bool_

from .control import is_open
from .evaluate import Evaluator
from .ir import (
    Call,
    Constant,
    Expr,
    Function,
    Global,
    If,
    Item,
    Key,
    Let,
    Loop,
    Tuple,
    Var,
    every,
    key_of,
    rewrite,
    walk,
    with_bodies,
    with_children,
)
from .module import Module
from .net import Net, Source
from .passes.simplify import simplify
from .symbolic import evaluated, inlined, names_in

if TYPE_CHECKING:
    from halo.jit.kernel import Kernel

    from .plan import Plan

__all__ = ["Pieces", "cut"]

Array = np.ndarray[Any, Any]


class Pieces(Net):
    """A program in pieces, which is used as any `Net` is.

    >>> from halo.graph import parse
    >>> net = parse(\"\"\"def main(%x: f32[1]) -> f32[n] {
    ...   %0 = loop trip @two carry (%x) with () -> f32[n]
    ...     do (%i: i64[], %s: f32[n]) { %0 = concatenate(%s, %s); %0 };
    ...   %0
    ... }\"\"\", {"two": np.array(2)}).compile()
    >>> net(np.array([3], np.float32))
    array([3., 3., 3., 3.], dtype=float32)
    """

    def __init__(
        self, plans: Mapping[str, Plan], outputs: tuple[str, ...], kernels: Mapping[str, Kernel],
        constants: Mapping[str, Array], source: Source,
    ) -> None:  # fmt: skip
        main = source.module.main
        super(Net, self).__init__(
            {p.name: p.type for p in main.params}, dict(zip(outputs, (e.type for e in main.outputs), strict=True))
        )
        self._call = functools.partial(slow_path(self), 0)
        self._nets = {name: Net(plan, kernels, constants, source) for name, plan in plans.items()}
        self._source, self._constants = source, constants
        self._fixed = {id(e.data) for e in every(main) if isinstance(e, Constant)}

    @property
    def nets(self) -> Mapping[str, Net]:
        return self._nets

    def _results(self, arrays: list[Array], dims: Mapping[str, int], out: Any = None) -> list[Any]:
        found = self._run(arrays)[0]
        if out is None:
            return found
        for a, made in zip(self.written(out, [made.shape for made in found]), found, strict=True):
            a[...] = made
        return self.given(out)

    def calls(self, arrays: list[Array], dims: Mapping[str, int]) -> dict[str, tuple[list[Array], list[Array]]]:
        return self._run(arrays)[1]

    def _run(self, arrays: list[Array]) -> tuple[list[Array], dict[str, tuple[list[Array], list[Array]]]]:
        run = _Run(self._nets)
        taken, results = set(map(id, arrays)) | self._fixed, list[Array]()
        for a in run.function(self._source.module.main, arrays):  # each one memory of its own
            results.append(a.copy() if id(a) in taken else a)
            taken.add(id(a))
        return results, run.calls


class _Run(Evaluator):
    """One call; `calls` are the last arrays of each net."""

    def __init__(self, nets: Mapping[str, Net]) -> None:
        super().__init__({}, {})
        self.nets, self.calls = nets, dict[str, tuple[list[Array], list[Array]]]()

    def called(self, e: Call, args: list[Array]) -> list[Array]:
        assert isinstance(e.op, Global)
        name = e.op.name
        net = self.nets[name]
        arrays, dims = net.arrays(tuple(args), {})
        outs = net.outs(None, dims)
        net.run(arrays, outs, dims)
        self.calls[name] = arrays, outs
        return outs

    def computed(self, e: Call, args: tuple[Array | None, ...]) -> Array:
        """What stands for an extent has no entries."""
        return np.empty(evaluated(e.type.shape, self.dims), e.type.dtype.dtype)


# Cutting -------------------------------------------------------------------------------------------------------------


def cut(m: Module) -> Module:
    """The program with all that is not open in functions of its own, `piece0`, `piece1`, ..., that `main` calls. An extent that
    it computes is there as that of a value without entries."""
    pieces: dict[str, Function] = {}
    main = _Cutter(m.main, pieces).whole()
    return replace(m, functions={**pieces, "main": main}, tensors={})


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


def _is_given(e: Expr) -> bool:
    """Whether no piece makes it."""
    return isinstance(e, (Var, Constant, Tuple)) or _is_cut(e) or (isinstance(e, Item) and is_open(e.value))


def _results(e: Expr) -> list[Expr]:
    return [Item(e, k) for k in range(len(e.type))] if isinstance(e.type, tuple) else [e]


def _inside(e: Expr) -> Iterator[Expr]:
    """All that is in the bodies of `e`."""
    return (x for body in e.bodies for x in every(body))


def _levels(order: Sequence[Expr]) -> dict[int, int]:
    """Of each expression how many open ones, each after the other, run before it: for its arguments, or to tell an extent
    that it has. Raises ArgumentError where an extent is told by what has it."""
    makers: dict[str, Expr] = {}
    for e in filter(_is_cut, order):
        given = {name for c in e.children for n in c.type.shape for name in dims_of(n)}
        own = (name for r in _results(e) for n in r.type.shape for name in dims_of(n))
        makers |= {name: e for name in own if name not in given and name not in makers}
    level: dict[int, int] = {}
    before: dict[int, list[Expr]] = {}  # what has to be there, of those that were come to
    stack = [*reversed(order)]
    while stack:
        e = stack[-1]
        again = id(e) in before
        if not again:
            names = () if isinstance(e, (Item, Tuple)) else [n for n in names_in((e, *_inside(e))) if n in makers]
            before[id(e)] = [*e.children, *(makers[n] for n in names if makers[n] is not e)]
        todo = [x for x in before[id(e)] if id(x) not in level]
        if todo and again:
            raise ArgumentError(f"what tells an extent of {e.type} has that extent", loc=here())
        stack += todo
        if not todo:
            level[id(e)] = max((level[id(x)] + _is_cut(x) for x in before[id(e)]), default=0)
            stack.pop()
    return level


def _merged(f: Function) -> Function:
    """`f` with one extent for all that are told by the same value."""
    while True:
        f = simplify(Module({"main": f})).main
        first: dict[int, Dim] = {}
        lets = [e for e in walk(f.body) if isinstance(e, Let)]
        same = {str(e.dim): dim for e in lets if (dim := first.setdefault(id(e.value), e.dim)) != e.dim}
        if not same:
            return f
        f = replace(f, body=inlined(f, f.params, same))


def _told(e: Expr, given: Sequence[Expr]) -> Expr:
    """The If or Loop `e` with arguments for the extents that are used in its bodies: of what is `given`."""
    params = e.bodies[0].params
    stem, known = "n", {*told(p.type.shape for p in params)}
    while any(p.name.startswith(stem) for body in e.bodies for p in body.params):
        stem += "_"
    more, used = list[Expr](), set(names_in(_inside(e)))
    for x in given:
        own = {*told((x.type.shape,))} - known
        if own & used:
            more.append(x)
            known |= own
    extra = [tuple(Var(f"{stem}{k}", x.type) for k, x in enumerate(more)) for _ in e.bodies]
    bodies = tuple(replace(f, params=(*f.params, *new)) for f, new in zip(e.bodies, extra, strict=True))
    assert isinstance(e, (If, Loop))
    return with_bodies(replace(e, args=(*e.args, *more)), bodies)


class _Cutter:
    """Of a function: what is not open is cut by its level."""

    def __init__(self, f: Function, pieces: dict[str, Function]) -> None:
        self.f, self.extents = _with_extents(_merged(f))
        self.pieces = pieces
        self.made: dict[Key, Expr] = {key_of(p): p for p in f.params}

    def whole(self) -> Function:
        f, order = self.f, tuple(walk(self.f.body, *self.extents))
        level = _levels(order)
        given: list[Expr] = list(f.params)  # what is there before a piece
        for k in range(max(level.values()) + 1):
            there = [e for e in order if level[id(e)] == k]
            own = [e for e in there if not _is_given(e)]
            later = [e for e in order if level[id(e)] > k or _is_cut(e)]
            wanted = {key_of(c) for e in later for c in e.children} | set(map(key_of, f.outputs))
            makes = [e for e in own if key_of(e) in wanted and not isinstance(e.type, tuple)]
            if makes:
                self.piece(own, makes, given)
            ran = list(filter(_is_cut, there))
            for e in ran:
                self.run(e, given)
            given += [*makes, *(r for e in ran for r in _results(e))]
        outputs = tuple(map(self.now, f.outputs))
        return replace(f, body=Tuple(outputs) if isinstance(f.body, Tuple) else outputs[0])

    def now(self, e: Expr) -> Expr:
        """What `e` is in the new function."""
        return e if isinstance(e, Constant) else self.made[key_of(e)]

    def run(self, e: Expr, given: Sequence[Expr]) -> None:
        """What Python carries out."""
        if isinstance(e, _Extent):
            none = nn.broadcast_to(Constant(np.zeros((), np.bool_), "none"), shape=(e.dim, 0))
            self.made[key_of(e)] = Let(e.dim, self.now(e.value), none)
            return
        told = _told(e, given)
        bodies = tuple(_Cutter(body, self.pieces).whole() for body in told.bodies)
        new = with_bodies(with_children(told, tuple(map(self.now, told.children))), bodies)
        results = enumerate(_results(new))
        self.made |= {(id(e), k): r for k, r in results}

    def piece(self, own: list[Expr], makes: list[Expr], given: list[Expr]) -> None:
        """A function that makes `makes` of what is `given`, and its call."""
        inner: dict[int, Expr] = {}
        reads: dict[Key, Var] = {}

        def read(e: Expr) -> Expr:
            if id(e) in inner or isinstance(e, Constant):
                return inner.get(id(e), e)
            return reads.setdefault(key_of(e), Var(f"v{len(reads)}", e.type))

        for e in own:
            inner[id(e)] = with_children(e, tuple(read(c) for c in e.children))
        results = tuple(inner[id(e)] for e in makes)
        body = Tuple(results) if len(results) > 1 else results[0]
        known = {*told(v.type.shape for v in reads.values())}
        used = set(names_in(every(Function((), body))))
        for e in given:  # what is read for its extents alone
            own_dims = {*told((e.type.shape,))}
            if own_dims & (used - known):
                read(e)
                known |= own_dims
        name = f"piece{len(self.pieces)}"
        f = self.pieces[name] = Function(tuple(reads.values()), body)
        call = Call(Global(name, f.type), tuple(self.made[key] for key in reads))
        for k, e in enumerate(makes):
            self.made[key_of(e)] = Item(call, k) if len(makes) > 1 else call

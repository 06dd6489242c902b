"""Trace stages: say when the memory and the values of a stage come and go, and write to a file what was computed.

alloc f[n]:  produce f: s   ->   print "begin realization of f[0..n - 1]"
                                 alloc f[n]:  print "begin production of f[...]"; produce f: s
                                              print "end production of f[...]"; write f to "f.npy"
                                 print "end realization of f[...]"
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentError, Location, ScheduleError
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Op
from ..ir.pipeline import Function, Pipeline
from ..ir.stmt import Block, Evaluate, Extern, Let, Produce, Realize, Stmt, block
from ..types import as_type, bf16, i64
from .boxes import last_of
from .walk import map_stmt

Box = tuple[tuple[Expr, Expr], ...]


def trace_stages(s: Stmt, p: Pipeline) -> Stmt:
    traced = {f.array: f for f in p.functions if f.trace_realizations or f.debug_file}
    tags = [_said(f"tag of {f.name}: {tag}", ()) for f in p.functions for tag in f.trace_tags]
    return _first(tags, _visit(s, traced) if traced else s)


def _first(tags: list[Stmt], s: Stmt) -> Stmt:
    """`tags`, then `s`, inside the definitions of the root's regions."""
    return s.replace(body=_first(tags, s.body)) if isinstance(s, Let) else block(*tags, s)


def _visit(s: Stmt, traced: dict[Array, Function]) -> Stmt:
    if isinstance(s, Block):
        return _site(s.stmts, traced)
    if isinstance(s, Produce):
        return _site((s,), traced)
    s = map_stmt(s, lambda t: _visit(t, traced))
    f = traced.get(s.what) if isinstance(s, Realize) else None
    return s if f is None or not isinstance(s, Realize) else _realized(s, f)


def _site(stmts: tuple[Stmt, ...], traced: dict[Array, Function]) -> Stmt:
    """Productions, each followed by what is to come after it; those that `compute_with` joins end together."""
    done: list[Stmt] = []
    ends: list[Stmt] = []
    for t in stmts:
        if not isinstance(t, Produce):
            done.append(_visit(t, traced))
            continue
        f, inner = traced.get(t.what), t.replace(body=_visit(t.body, traced))
        if f is not None:
            done += _begun(f)
            ends += _ended(f)
        done.append(inner)
        if not (isinstance(t.body, Block) and not t.body.stmts):
            done += ends
            ends = []
    return block(*done, *ends)


def _realized(s: Realize, f: Function) -> Stmt:
    if f.debug_file and s.fold:
        raise ScheduleError(f"debug_to_file: {f.name} is folded, so that it is never there as one array",
                            loc=f.debug_file[1], hint="debug_to_file without fold_storage")  # fmt: skip
    if not f.trace_realizations:
        return s
    return block(_said(f"begin realization of {f.name}", s.bounds), s, _said(f"end realization of {f.name}", s.bounds))


def _begun(f: Function) -> Iterator[Stmt]:
    if f.trace_realizations:
        yield _said(f"begin production of {f.name}", _region(f))


def _ended(f: Function) -> Iterator[Stmt]:
    if f.trace_realizations:
        yield _said(f"end production of {f.name}", _region(f))
    if f.debug_file:
        yield Extern(_File(*f.debug_file, len(f.types)), f.array, (), _region(f))


def _region(f: Function) -> Box:
    return tuple(zip(f.array.mins, f.array.extents, strict=True))


def _said(what: str, box: Box) -> Stmt:
    ends = tuple(A.cast(e, i64) for lo, n in box for e in (lo, last_of(lo, n)))
    text = what.replace("{", "{{").replace("}", "}}")
    if box:
        text += f"[{', '.join('{}..{}' for _ in box)}]"
    return Evaluate(Op("print", ends or (Const(0, i64),), i64, text))


@dataclass(frozen=True, eq=False)
class _File:
    """An extern stage that computes nothing: it writes the values in its box to files in NumPy's format."""

    name: str
    loc: Location | None
    items: int
    symbol: ClassVar[str] = "file"
    arrays: ClassVar[tuple[Array, ...]] = ()

    @property
    def __name__(self) -> str:
        return "debug_to_file"

    def required(self, box: Box) -> tuple[Box, ...]:
        return ()

    @property
    def function(self) -> Callable[..., None]:
        return self._write

    def _write(self, *values: np.ndarray[Any, Any]) -> None:
        stem = self.name.removesuffix(".npy")
        for k, a in enumerate(values):
            path = f"{stem}.npy" if self.items == 1 else f"{stem}.{k}.npy"
            own = as_type(a.dtype)
            plain = a.astype(
                np.float32 if own is bf16 else own.computed.dtype
            )  # NumPy has no names for ml_dtypes' types
            try:
                with open(f"{path}.part", "wb") as file:
                    np.save(file, plain)
                os.replace(f"{path}.part", path)
            except OSError as error:
                raise ArgumentError(
                    f"debug_to_file: {path} cannot be written: {error.strerror}", loc=self.loc
                ) from None

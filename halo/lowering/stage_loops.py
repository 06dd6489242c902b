"""The loops of one stage as ranges, and its index variables as functions of them: what `split` and `fuse` mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..ir import algebra as A
from ..ir.expr import Const, Expr, Var, is_true
from ..ir.pipeline import Definition, Function, RVar
from ..ir.stmt import If, Let, Stmt
from ..schedule.loops import Dim, FuseOp, Loops, SplitOp
from ..types import index


@dataclass(frozen=True)
class LoopRange:
    """One loop of a stage: `var` runs over lo..lo+extent."""

    var: Var
    lo: Expr
    extent: Expr

    @property
    def end(self) -> Expr:
        return A.add(self.lo, self.extent)


@dataclass(frozen=True)
class _Derived:
    """A variable of the plain nest (or of an earlier op): `var = value`, meant only where `guard` holds."""

    var: Var
    value: Expr
    guard: Expr | None
    needs: frozenset[Var]


class StageLoops:
    """The loops of one definition, outermost first: `dims[k]` is their kind, `ranges[k]` their range."""

    def __init__(self, f: Function, d: Definition, loops: Loops) -> None:
        self.by_name: dict[str, LoopRange] = {}
        self.derived: list[_Derived] = []
        self.update = d is not f.definitions[0]
        for v, lo, n in zip(f.vars, f.array.mins, f.array.extents, strict=True):
            self.by_name[v.name] = LoopRange(v, lo, n)
        for r in d.rvars:
            self.by_name[r.var.name] = _needed(f, d, r) if f.states else LoopRange(r.var, r.lo, r.extent)
        self.own = {r.var for r in self.by_name.values()}
        for op in loops.ops:
            if isinstance(op, SplitOp):
                self._split(op)
            elif isinstance(op, FuseOp):
                self._fuse(op)
            else:
                self.by_name[op.new] = self.by_name.pop(op.old)
        self.dims: tuple[Dim, ...] = loops.dims
        self.tensor, self.hints = loops.tensor, loops.hints
        self.ranges = [self.by_name[dim.name] for dim in loops.dims]

    def _split(self, op: SplitOp) -> None:
        old = self._unbounded(self.by_name.pop(op.old))
        factor = Const(op.factor, index) if isinstance(op.factor, int) else A.cast(op.factor, index)
        tiles = A.floordiv(A.add(old.extent, A.sub(factor, Const(1, index))), factor)
        inner = Var(op.inner, index, 0, op.factor - 1 if isinstance(op.factor, int) else None)
        outer = Var(op.outer, index, 0, tiles.value - 1 if isinstance(tiles, Const) else None)
        self.by_name[op.outer] = LoopRange(outer, Const(0, index), tiles)
        self.by_name[op.inner] = LoopRange(inner, Const(0, index), factor)
        base = A.mul(outer, factor)
        if op.tail == "shift_inwards":  # the last tile slides back over the one before; a short loop keeps its guard
            base = A.maximum(A.minimum(base, A.sub(old.extent, factor)), Const(0, index))
        value = A.add(A.add(base, inner), old.lo)
        beyond = op.tail == "round_up" and not self.update  # an update may not run twice, nor read what is not there
        fits = beyond or is_true(A.lt(value, old.end))
        guard = None if fits else A.lt(old.var, old.end)
        self.derived.append(_Derived(old.var, value, guard, frozenset((outer, inner))))

    def _unbounded(self, r: LoopRange) -> LoopRange:
        """`r` with a variable of which nothing is known: in the last tile of a split it runs beyond its range."""
        if r.var.lo is None and r.var.hi is None:
            return r
        var = Var(r.var.name)
        self.derived = [
            replace(
                d, value=A.substitute(d.value, {r.var: var}), needs=frozenset(var if v is r.var else v for v in d.needs)
            )
            for d in self.derived
        ]
        if r.var in self.own:  # the definition mentions it, inside the guard
            self.derived.insert(0, _Derived(r.var, var, None, frozenset((var,))))
        return LoopRange(var, r.lo, r.extent)

    def _fuse(self, op: FuseOp) -> None:
        outer, inner = self.by_name.pop(op.outer), self.by_name.pop(op.inner)
        fused = Var(op.fused, index, 0)
        zero = Const(0, index)  # the extents of two empty loops may both be negative
        count = A.mul(A.maximum(outer.extent, zero), A.maximum(inner.extent, zero))
        self.by_name[op.fused] = LoopRange(fused, zero, count)
        made, width = frozenset((fused,)), A.maximum(inner.extent, Const(1, index))
        self.derived.append(_Derived(outer.var, A.add(A.floordiv(fused, width), outer.lo), None, made))
        self.derived.append(_Derived(inner.var, A.add(A.mod(fused, width), inner.lo), None, made))

    def define(self, depth: int, body: Stmt) -> Stmt:
        """`body` in the definitions (and guards) that become possible once the loop at `depth` is entered."""
        have, before = self._known(depth + 1), self._known(depth)
        for d in self.derived:  # an op's value uses what later ops define, so later ones end up outermost
            if d.var in have and d.var not in before:
                if d.guard is not None:
                    body = If(d.guard, body, likely=True)
                body = Let(d.var, d.value, body)
        return body

    def _known(self, depth: int) -> set[Var]:
        """The variables that the `depth` outermost loops determine."""
        have = {r.var for r in self.ranges[:depth]}
        for d in reversed(self.derived):
            if d.needs <= have:
                have.add(d.var)
        return have


def _needed(f: Function, d: Definition, r: RVar) -> LoopRange:
    """The steps of a scan whose values are in the region of the state `f`."""
    first: Expr = f.array.mins[0]
    n, zero = f.array.extents[0], Const(0, index)
    if d.indices[0] is not r.var:  # the last step is the first
        first = A.sub(r.extent, A.add(first, n))
    lo = A.maximum(first, zero)
    return LoopRange(r.var, lo, A.sub(A.minimum(A.add(first, n), r.extent), lo))

"""Lowering: a typed, scheduled Pipeline becomes loops over flat memory. `PASSES` is the compiler's table of contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..ir import algebra as A
from ..ir.expr import Buffer, Const, Expr, Var
from ..ir.pipeline import CheckInfo, Lowered, Pipeline, Port
from ..ir.stmt import Check, Let, Stmt, block
from ..types import index
from .build_nest import build_nest
from .expand_math import expand_math
from .flatten import flatten
from .fold_storage import fold_storage
from .guard_reads import guard_reads
from .infer_bounds import Boxes, infer_bounds, unbounded
from .inline import inline
from .inline_lets import inline_lets
from .outputs import stage_outputs
from .partition import partition
from .slide import slide
from .unroll import unroll
from .vectorize import vectorize

__all__ = ["PASSES", "Pass", "State", "lower"]


@dataclass(frozen=True)
class State:
    """What goes through the passes: the pipeline, its nest so far, and the signature of the kernel."""

    pipeline: Pipeline
    lanes: int  # of f32 in a vector of the target
    dense: bool  # the fast variant: last axes are contiguous, tails and bounds fit
    stmt: Stmt | None = None
    nest: Stmt | None = None
    boxes: Boxes | None = None
    ports: tuple[Port, ...] = ()
    checks: tuple[CheckInfo, ...] = ()

    def on_stmt(self, f: Callable[..., Stmt], *args: Any) -> State:
        return replace(self, stmt=f(self.stmt, *args))


@dataclass(frozen=True)
class Pass:
    """One step: `run` takes the State to the next; `says` is its line in the table of contents."""

    name: str
    says: str
    run: Callable[[State], State]


def _on_pipeline(f: Callable[[Pipeline], Pipeline]) -> Callable[[State], State]:
    return lambda s: replace(s, pipeline=f(s.pipeline))


def _on_stmt(f: Callable[[Stmt], Stmt]) -> Callable[[State], State]:
    return lambda s: s.on_stmt(f)


def _with_pipeline(f: Callable[[Stmt, Pipeline], Stmt]) -> Callable[[State], State]:
    return lambda s: s.on_stmt(f, s.pipeline)


def _infer(s: State) -> State:
    assert s.stmt is not None
    stmt, boxes = infer_bounds(s.stmt, s.pipeline)
    return replace(s, stmt=stmt, boxes=boxes)


def _checked(s: State) -> State:
    """Every check of the call comes first, inside the definitions of the regions that it is about."""
    assert s.stmt is not None and s.boxes is not None
    checks, infos = _checks(s)
    return replace(s, stmt=_innermost(s.stmt, checks), checks=infos)


def _innermost(s: Stmt, checks: list[Stmt]) -> Stmt:
    return s.replace(body=_innermost(s.body, checks)) if isinstance(s, Let) else block(*checks, s)


PASSES = (
    Pass("inline", "Functions computed inline are replaced by their definitions", _on_pipeline(inline)),
    Pass("guard_reads", "accesses in one arm of a select happen only there", _on_pipeline(guard_reads)),
    Pass("stage_outputs", "outputs that are read again are computed in scratch and copied",
         lambda s: replace(s, pipeline=stage_outputs(s.pipeline, s.lanes))),
    Pass("signature", "the arrays and scalars of a call", lambda s: replace(s, ports=_ports(s.pipeline))),
    Pass("build_nest", "one loop nest per stage, in schedule order", lambda s: replace(s, stmt=build_nest(s.pipeline))),
    Pass("infer_bounds", "how much of each stage its readers need", _infer),
    Pass("fold_storage", "keep only what later iterations read", _with_pipeline(fold_storage)),
    Pass("slide", "compute only what the last iteration did not", _with_pipeline(slide)),
    Pass("checks", "what is needed of every input is there, or nothing is written", _checked),
    Pass("nest", "the nest that is shown, and that the reference backends run", lambda s: replace(s, nest=s.stmt)),
    Pass("expand_math", "transcendentals become polynomials", _on_stmt(expand_math)),
    Pass("inline_lets", "definitions inside loops are replaced by their values", _on_stmt(inline_lets)),
    Pass("partition", "prologue, steady state and epilogue of every loop", _on_stmt(partition)),
    Pass("unroll", "one copy of the body an iteration", _on_stmt(unroll)),
    Pass("flatten", "flat buffers and strides", lambda s: s.on_stmt(flatten, s.pipeline, s.ports, s.dense)),
    Pass("vectorize", "vectorised loops become lanes", _on_stmt(vectorize)),
)  # fmt: skip


def lower(p: Pipeline, lanes: int = 16, dense: bool = True,
          observe: Callable[[Pass, State], None] | None = None) -> Lowered:  # fmt: skip
    """The loops, memory and signature of `p`. `dense=False` is the variant that any strides and sizes may call.

    `observe` is called after every pass: printing, timing and verifying are observers.
    """
    state = State(p, lanes, dense)
    for step in PASSES:
        state = step.run(state)
        if observe is not None:
            observe(step, state)
    return Lowered(state.nest, state.stmt, state.ports, p.params, state.checks)


def _ports(p: Pipeline) -> tuple[Port, ...]:
    ports = [Port(a.name, "input", a.types[0], a.ndim, a, 0, Buffer(a.name, a.types[0], "input"), a.extents, a.strides)
             for a in p.inputs]  # fmt: skip
    for name in p.outputs:
        a = p[name].array
        for k, t in enumerate(a.types):
            label = a.name if len(a.types) == 1 else f"{a.name}.{k}"
            strides = tuple(Var(f"{label}.strides[{d}]") for d in range(a.ndim))
            ports.append(Port(label, "output", t, a.ndim, a, k, Buffer(label, t, "output"), a.extents, strides, a.mins))
    return tuple(ports)


def _checks(s: State) -> tuple[list[Stmt], tuple[CheckInfo, ...]]:
    assert s.boxes is not None
    checks: list[Stmt] = []
    infos: list[CheckInfo] = []

    def check(cond: Expr, info: CheckInfo, *args: Expr) -> None:
        if not (isinstance(cond, Const) and cond.value):
            infos.append(info)
            checks.append(Check(cond, len(infos), args))

    zero, one = Const(0, index), Const(1, index)
    for a in s.pipeline.inputs:
        box = s.boxes.get(("read", a))
        if box is None:
            continue
        ends = [(lo, hi) for lo, hi in box if lo is not None and hi is not None]
        if len(ends) < len(box):
            raise unbounded(s.pipeline, a, next(d for d, (lo, hi) in enumerate(box) if lo is None or hi is None))
        empty: Expr = A.false()
        for lo, hi in ends:
            empty = A.or_(empty, A.lt(hi, lo))
        for d, (lo, hi) in enumerate(ends):
            fits = A.and_(A.le(zero, lo), A.le(hi, A.sub(a.extents[d], one)))
            check(A.or_(fits, empty), CheckInfo("bounds", a.name, d), lo, hi, a.extents[d])
    for name in s.pipeline.outputs:
        a = s.pipeline[name].array
        box = s.boxes.get(("write", a))
        for d, (lo, hi) in enumerate(box or ()):
            assert lo is not None and hi is not None
            last = A.sub(A.add(a.mins[d], a.extents[d]), one)
            check(A.and_(A.le(a.mins[d], lo), A.le(hi, last)), CheckInfo("fallback", a.name, d))
    if s.dense:
        for port in s.ports:
            if port.ndim and not port.array.contiguous:
                check(A.eq(port.strides[-1], one), CheckInfo("fallback", port.name, port.ndim - 1))
    return checks, tuple(infos)

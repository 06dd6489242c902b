"""Lowering: a typed, scheduled Pipeline becomes loops over flat memory. `PASSES` is the compiler's table of contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..ir.expr import Buffer, Const, Expr, Var
from ..ir.node import deep_recursion
from ..ir.pipeline import CheckInfo, Lowered, Pipeline, Port
from ..ir.stmt import Stmt
from ..types import index
from .boxes import Boxes
from .build_nest import build_nest
from .check_tensors import check_tensors
from .checks import closed_boxes, entry_checks
from .choose_nests import choose_nests
from .deinterleave import deinterleave
from .dot_products import dot_products
from .expand_math import expand_math
from .expand_sorts import expand_sorts
from .expand_stored import expand_stored
from .flatten import flatten
from .fold_storage import fold_storage
from .fork_producers import fork_producers
from .guard_reads import guard_reads
from .infer_bounds import infer_bounds
from .inject_memoization import inject_memoization
from .inline import inline
from .inline_lets import inline_lets
from .interleave import interleave
from .lifetimes import lifetimes
from .outputs import stage_outputs
from .partition import partition
from .prefetch import prefetch
from .requirements import requirements
from .ring_buffers import ring_buffers
from .skip_stages import skip_stages
from .slide import slide
from .tasks import tasks
from .tensorize import tensorize
from .trace_stages import trace_stages
from .trim_no_ops import trim_no_ops
from .unroll import unroll
from .vectorize import vectorize

__all__ = ["PASSES", "Pass", "State", "lower"]


@dataclass(frozen=True)
class State:
    """What goes through the passes: the pipeline, its nest so far, and the signature of the kernel."""

    pipeline: Pipeline
    lanes: int  # of f32 in a vector of the target
    dense: bool  # the fast variant: last axes are contiguous, and promises hold
    has: Callable[[str], bool] = lambda _: False  # the features of the target
    plain: Pipeline | None = None  # the same without directives
    call: Mapping[str, Any] = field(default_factory=dict)  # the first: shapes and values of scalars, by name
    stmt: Stmt | None = None
    nest: Stmt | None = None
    boxes: Boxes | None = None
    ports: tuple[Port, ...] = ()
    assumed: tuple[Expr, ...] = ()  # of calls, for the nests that were chosen
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


def _chosen(s: State) -> State:
    assert s.stmt is not None
    if any(f.asynchronous for f in s.pipeline.functions):  # its readers are forked in every nest, or in none
        return s
    stmt, assumed = choose_nests(s.stmt, s.pipeline, _of_call(s))
    return replace(s, stmt=stmt, assumed=assumed)


def _of_call(s: State) -> dict[Var, Expr]:
    """What the variables of the kernel's signature are in the first call."""
    known: dict[Var, Expr] = {}
    for port in s.ports:
        shape = s.call.get(port.name, ())
        known.update(zip(port.extents, (Const(n, index) for n in shape), strict=bool(shape)))
        if shape:
            known.update((v, Const(0, index)) for v in port.mins)
    for p in s.pipeline.params:
        if p.name in s.call:
            number = float if p.var.type.is_float else int
            known[p.var] = Const(number(s.call[p.name]), p.var.type)
    return known


def _folded(s: State) -> State:
    assert s.stmt is not None and s.boxes is not None
    stmt, room = fold_storage(s.stmt, s.pipeline)
    return replace(s, stmt=stmt, boxes=s.boxes.merge(room))


def _checked(s: State) -> State:
    assert s.stmt is not None and s.boxes is not None
    stmt, infos = entry_checks(s.stmt, s.boxes, s.pipeline, s.ports, s.dense, _plain_boxes(s), s.assumed)
    return replace(s, stmt=stmt, checks=infos)


def _checked_tensors(s: State) -> State:
    if not s.dense or s.pipeline.assumed:  # promised bounds do not hold, or nothing is known of types
        return s
    return s.on_stmt(check_tensors)


def _required(s: State) -> State:
    assert s.stmt is not None
    stmt, infos = requirements(s.stmt, s.checks)
    return replace(s, stmt=stmt, checks=infos)


def _plain_boxes(s: State) -> Boxes | None:
    """What the unscheduled pipeline reads of the inputs: whether a call is legal does not depend on the schedule."""
    if s.plain is None:
        return None
    plain = State(s.plain, s.lanes, s.dense, s.has)
    for step in PASSES:
        plain = step.run(plain)
        if step.name == "infer_bounds":
            break
    assert plain.stmt is not None and plain.boxes is not None
    renamed: dict[Var, Expr] = {}
    for mine, theirs in zip(s.pipeline.outputs, plain.pipeline.outputs, strict=True):
        a, b = s.pipeline[mine].array, plain.pipeline[theirs].array
        renamed.update(zip((*b.mins, *b.extents), (*a.mins, *a.extents), strict=True))
    return closed_boxes(plain.stmt, plain.boxes).let(renamed)


PASSES = (
    Pass("inline", "Functions computed inline are replaced by their definitions", _on_pipeline(inline)),
    Pass("guard_reads", "accesses in one arm of a select happen only there", _on_pipeline(guard_reads)),
    Pass("stage_outputs", "outputs that are read again are computed in scratch and copied",
         lambda s: replace(s, pipeline=stage_outputs(s.pipeline, s.lanes))),
    Pass("signature", "the arrays and scalars of a call", lambda s: replace(s, ports=_ports(s.pipeline))),
    Pass("build_nest", "one loop nest per stage, in schedule order", lambda s: replace(s, stmt=build_nest(s.pipeline))),
    Pass("check_tensors", "loops that an instruction is to replace compute what it means", _checked_tensors),
    Pass("infer_bounds", "how much of each stage its readers need", _infer),
    Pass("choose_nests", "of specialised nests those that the first call asks for", _chosen),
    Pass("fold_storage", "keep only what later iterations read", _folded),
    Pass("ring_buffers", "iterations in turns keep their values apart", _on_stmt(ring_buffers)),
    Pass("inject_memoization", "what is memoized is computed only if no call before left it",
         _with_pipeline(inject_memoization)),
    Pass("skip_stages", "what no reader will use is not computed", _with_pipeline(skip_stages)),
    Pass("slide", "compute only what the last iteration did not", _with_pipeline(slide)),
    Pass("prefetch", "which memory later iterations will read", _with_pipeline(prefetch)),
    Pass("trace_stages", "tracing and files that the schedule asks for", _with_pipeline(trace_stages)),
    Pass("checks", "what is needed of every input is there, or nothing is written", _checked),
    Pass("requirements", "what definitions require gets a status each", _required),
    Pass("fork_producers", "asynchronous stages run beside what reads them", _with_pipeline(fork_producers)),
    Pass("expand_stored", "values of types that only store are bits", _on_stmt(expand_stored)),
    Pass("nest", "the nest that is shown, and that the reference backends run", lambda s: replace(s, nest=s.stmt)),
    Pass("expand_math", "transcendentals become polynomials", _on_stmt(expand_math)),
    Pass("inline_lets", "definitions inside loops are replaced by their values", _on_stmt(inline_lets)),
    Pass("trim_no_ops", "loops run only where their body does anything", _on_stmt(trim_no_ops)),
    Pass("tasks", "parallel iterations grouped into tasks of enough work", _on_stmt(tasks)),
    Pass("partition", "prologue, steady state and epilogue of every loop", _on_stmt(partition)),
    Pass("unroll", "one copy of the body an iteration", lambda s: s.on_stmt(unroll, s.dense)),
    Pass("flatten", "flat buffers and strides", lambda s: s.on_stmt(flatten, s.pipeline, s.ports, s.dense)),
    Pass("tensorize", "tiles become instructions of the machine", _on_stmt(tensorize)),
    Pass("vectorize", "vectorised loops become lanes", _on_stmt(vectorize)),
    Pass("dot_products", "sums of products of small integers become instructions of the machine",
         lambda s: s.on_stmt(dot_products, s.has)),
    Pass("interleave", "neighbouring strided stores become one dense store", _on_stmt(interleave)),
    Pass("deinterleave", "strided loads side by side share dense loads", lambda s: s.on_stmt(deinterleave, s.lanes)),
    Pass("expand_sorts", "short rows are sorted by rank, long ones by radix", lambda s: s.on_stmt(expand_sorts, s.lanes)),
    Pass("lifetimes", "memory is taken before its first use and goes back after its last", _on_stmt(lifetimes)),
)  # fmt: skip


def lower(
    p: Pipeline,
    lanes: int = 16,
    dense: bool = True,
    plain: Pipeline | None = None,
    call: Mapping[str, Any] | None = None,
    observe: Callable[[Pass, State], None] | None = None,
    has: Callable[[str], bool] = lambda _: False,
) -> Lowered:
    """The loops, memory and signature of the scheduled pipeline `p` for vectors of `lanes` f32.

    `dense=False` is the variant that takes any strides. `plain` is the same pipeline without directives, in plain nests:
    what it reads is what a call must provide; where `p` would touch more, a `fallback` check fails. `call` has shapes of
    arrays and values of scalars: of specialised nests only what such a call runs is there, and a `specialize` check fails
    for others. `has` says what features the target has (by LLVM's names). `observe` is called after every pass: printing,
    timing and verifying are observers.
    """
    state = State(p, lanes, dense, has, plain, call or {})
    with deep_recursion():
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
        for v in a.extents:  # unlike regions, arrays are never less than empty
            v.bounded(0, 2**31 - 1)
        for k, t in enumerate(a.types):
            label = a.name if len(a.types) == 1 else f"{a.name}.{k}"
            strides = tuple(Var(f"{label}.strides[{d}]") for d in range(a.ndim))
            align = next((n.value for what, _, n, item in p[name].promised
                          if (what, item) == ("alignment", k) and isinstance(n, Const)), 1)  # fmt: skip
            address = Var(f"{label}.address", index, 0) if align > t.bytes else None
            buffer = Buffer(label, t, "output", align=align)
            ports.append(Port(label, "output", t, a.ndim, a, k, buffer, a.extents, strides, a.mins, address))
    return tuple(ports)

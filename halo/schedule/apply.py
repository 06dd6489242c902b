"""Carry out a schedule: directives by name on a typed Pipeline give the Pipeline that lowering takes.

Functions are taken from the outputs back, each with its own directives in the order given, so that `f.in_(g)` meets all
that `g` has become (its `g_intm` too). Whatever has no directive gets the default schedule, then the whole is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..errors import ScheduleError
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Var
from ..ir.pipeline import ROOT, Definition, Function, Pipeline
from ..types import Type, bool_, index
from .associativity import prove, stores_constant
from .check import Marks, check_function, check_places
from .control import Specialize, Within
from .copies import CloneIn, EagerInline, In, Structural, inlined, wrapper
from .default import schedule_default
from .directive import Directive, Stage, label, nearest
from .hints import MOST, check_hints
from .loops import Facts, Fetching, Loops, SplitOp, Streaming
from .nesting import TAILS_OF_ANY_CALL
from .placement import ComputeWith, Placement
from .reductions import Rfactor, rfactor
from .retype import ChangeType, retyped
from .rewrite import copied, read_by, redirected
from .scalar import Scalar
from .scans import in_steps, together
from .storage import PROMISES, Bound, BoundExtent, PromiseOutput, Storage
from .tensorize import check_tensor
from .traces import Trace, TraceLoads, TraceStores, traced_loads, traced_stores

__all__ = ["Entries", "apply"]

Entries = Mapping[str, Sequence[tuple[int, Directive]]]


class VectorTarget(Protocol):
    """What a schedule asks of a target."""

    @property
    def vector_bits(self) -> int: ...

    def has(self, feature: str) -> bool: ...


def apply(p: Pipeline, directives: Entries, target: VectorTarget | None = None, *, promises: bool = True) -> Pipeline:
    """`p` with the loops and places that `directives` give its Functions: {name: [(stage, directive), ...]}.

    `target` decides natural vector widths (None: 512 bits). With `promises=False`, bounds, folds and tails that only
    some calls fit are left out: the copy for the calls that they do not fit. Raises ScheduleError.
    """
    run = _Run(p, target, promises)
    run.check_names(directives)
    for name in (*reversed([f.name for f in p.functions]), *(a.name for a in p.inputs)):
        run.give(name, directives)
    return run.result()


@dataclass
class _Stage:
    """A stage while its directives are carried out: its loops, what marked them, and its specialisations."""

    loops: Loops
    marks: Marks = field(default_factory=dict)
    branches: list[tuple[Specialize, _Stage]] = field(default_factory=list)

    def copy(self) -> _Stage:
        return _Stage(self.loops, dict(self.marks), [(c, b.copy()) for c, b in self.branches])

    def leaves(self) -> Iterable[_Stage]:
        yield self
        for _, b in self.branches:
            yield from b.leaves()


class _Run:
    def __init__(self, p: Pipeline, target: VectorTarget | None, promises: bool) -> None:
        self.p, self.promises = p, promises
        self.target, self.bits = target, 512 if target is None else target.vector_bits
        self.functions = {f.name: f for f in p.functions}
        self.order = [f.name for f in p.functions]
        self.stages: dict[str, list[_Stage]] = {}
        self.given: dict[str, list[tuple[int, Directive]]] = {}
        self.wrappers: dict[Array, set[str]] = {}  # of an Array, by `in_`
        self.pieces: dict[str, set[str]] = {}  # of a Function, by `rfactor`
        self.traces: list[tuple[str, Trace]] = []

    # Directives ------------------------------------------------------------------------------------------------------

    def check_names(self, directives: Entries) -> None:
        """Refuse directives of stages that neither are in the pipeline nor are made by a directive."""
        known = {*self.order, *(a.name for a in self.p.inputs)}
        known |= {d.made for entries in directives.values() for _, d in entries if isinstance(d, Structural)}
        for name, entries in directives.items():
            if entries and name not in known:
                near = nearest(name, sorted(known - {None}))
                raise ScheduleError(f"{name} is not a stage of this pipeline", loc=entries[0][1].loc,
                                    legal=tuple(sorted(known - {None})), hint=near)  # fmt: skip

    def give(self, name: str, directives: Entries) -> None:
        """Carry out the directives of Function or input `name`, then those of the Functions that they make."""
        entries = list(directives.get(name, ()))
        made: list[str] = []
        if name in self.functions:
            stages = self._stages_of(name)
            extents = tuple(self._promised_extents(name, (d for _, d in entries)))
            if extents and self.promises:
                for stage in stages:
                    facts = stage.loops.facts
                    stage.loops = replace(stage.loops, facts=replace(facts, extents=(*facts.extents, *extents)))
        for k, d in entries:
            if isinstance(d, Structural):
                made.append(self._structural(name, k, d))
            else:
                self._plain(name, k, d)
            self.given.setdefault(name, []).append((k, d))
        for other in made:
            self.give(other, directives)

    def _promised_extents(self, name: str, directives: Iterable[Directive]) -> Iterator[tuple[str, int]]:
        """The axes of Function `name` whose extents are constants by promise."""
        for d in directives:
            if isinstance(d, (Bound, BoundExtent)) and isinstance(d.n, int):
                yield d.v, d.n
            elif (
                isinstance(d, PromiseOutput) and d.what == "extent" and name in self.p.outputs and isinstance(d.n, int)
            ):
                yield self.functions[name].vars[d.axis].name, d.n

    def _plain(self, name: str, k: int, d: Directive) -> None:
        if name not in self.functions:
            raise ScheduleError(f"{name}.{d}: {name} is an input, which is not computed", loc=d.loc,
                                legal=("in_", "clone_in"), hint=f"{name}.in_()")  # fmt: skip
        f = self.functions[name]
        stage = self._stage(name, k, d)
        at = Stage(label(name, k), stage.loops, tuple(v.name for v in f.vars))
        if isinstance(d, Within):
            self._within(name, k, stage, d, at)
        elif isinstance(d, Specialize):
            self._specialize(stage, d, at)
        elif isinstance(d, EagerInline):
            self._inline(name, k, stage, d, at)
        elif isinstance(d, (Placement, Storage, Trace)):
            d.check(at)
            if isinstance(d, Placement):
                self.functions[name] = d.place(f)
            elif isinstance(d, Trace):
                self.functions[name] = d.mark(f)
                self.traces.append((name, d))
            elif self.promises or not isinstance(d, PROMISES):
                self.functions[name] = d.store(f, self.p)
        else:
            _reshape(stage, d, at)
            if isinstance(d, ComputeWith):
                entry = (k, d.f.name, d.f.stage or 0, d.v)
                kept = tuple(e for e in f.compute_with if e[0] != k)
                aligned = tuple(e for e in f.align_with if e[0] != k)
                if d.align != "none":
                    aligned = (*aligned, (k, d.align))
                self.functions[name] = replace(f, compute_with=(*kept, entry), align_with=aligned)

    def _inline(self, name: str, k: int, stage: _Stage, d: EagerInline, at: Stage) -> None:
        chosen = []
        for t in d.funcs:
            g = self.functions.get(t.name)
            if g is None:
                d.refuse(at, f"{t.name} is not a stage of this pipeline", legal=[n for n in self.order if n != name])
            if len(g.definitions) > 1 or g.extern is not None or None in g.definitions[0].values:
                d.refuse(at, f"{g.name} is not computed by one pure definition")
            chosen.append(g)
        f = self.functions[name]
        definitions = [*f.definitions]
        definitions[k] = inlined(definitions[k], chosen)
        self.functions[name] = f = replace(f, definitions=tuple(definitions))
        stage.loops = self._proven(stage.loops, definitions[k], f)

    def _specialize(self, stage: _Stage, d: Specialize, at: Stage) -> None:
        d.check(at)
        if all(c.condition != d.condition for c, _ in stage.branches):
            branch = stage.copy()
            branch.branches = []
            stage.branches.append((d, branch))

    def _within(self, name: str, k: int, stage: _Stage, d: Within, at: Stage) -> None:
        text = at.label
        for condition in d.path:
            text += f".specialize({condition})"
            found = [b for c, b in stage.branches if c.condition == condition]
            if not found:
                d.refuse(at, "there is no such specialisation")
            stage = found[0]
        at = replace(at, label=text, loops=stage.loops)
        inner = d.directive
        if isinstance(inner, Specialize):
            self._specialize(stage, inner, at)
        elif inner.on != "stage" or isinstance(inner, (Structural, ComputeWith)):
            inner.refuse(at, "it concerns the whole Func, not one specialisation", hint=f"{label(name, k)}.{inner}")
        else:
            _reshape(stage, inner, at)

    def _stage(self, name: str, k: int, d: Directive) -> _Stage:
        stages = self._stages_of(name)
        if k >= len(stages):
            legal = tuple(label(name, j) for j in range(len(stages)))
            raise ScheduleError(f"{label(name, k)}.{d}: there is no such stage", loc=d.loc, legal=legal)
        return stages[k]

    def _stages_of(self, name: str) -> list[_Stage]:
        if name not in self.stages:
            f = self.functions[name]
            self.stages[name] = [_Stage(Loops.of(d, f, self._facts(d, f))) for d in f.definitions]
        return self.stages[name]

    def _facts(self, d: Definition, f: Function) -> Facts:
        widest = max((_bits(t) for t, v in zip(f.types, d.values, strict=True) if v is not None), default=32)
        facts = Facts(natural=max(self.bits // widest, 1))
        if d is f.definitions[0]:
            return facts
        if f.states and d.rvars:
            return replace(facts, order="fixed", reason="the steps of a scan come one after another")
        found = prove(d, f)
        if isinstance(found, str):
            constant = stores_constant(d, f)
            return replace(facts, order="free" if constant else "fixed", reason=found, constant=constant)
        exact = found.exact or f.fastmath
        return replace(facts, order="kept" if not found.commutative else "free" if exact else "rounds")

    # Directives that make Functions ----------------------------------------------------------------------------------

    def _structural(self, name: str, k: int, d: Structural) -> str:
        made = d.made or self._unused(d.made_name(name))
        if isinstance(d, Rfactor):
            self._rfactor(name, k, d, made)
        elif isinstance(d, ChangeType):
            self._retype(name, d, made)
        elif isinstance(d, (In, CloneIn)):
            self._copy(name, d, made)
        return made

    def _retype(self, name: str, d: ChangeType, made: str) -> None:
        inner, outer = retyped(self.functions[name], d, made)
        self.stages[made] = [replace(s, loops=self._proven(s.loops, u, inner))
                             for s, u in zip(self._stages_of(name), inner.definitions, strict=True)]  # fmt: skip
        self.functions |= {name: outer, made: inner}
        self.stages[name] = [_Stage(Loops.of(u, outer, self._facts(u, outer))) for u in outer.definitions]
        self.order.insert(self.order.index(name), made)
        given = self.given.get(name, [])
        self.given[made] = [e for e in given if not isinstance(e[1], Structural)]
        self.given[name] = [e for e in given if isinstance(e[1], Structural)]

    def _unused(self, name: str) -> str:
        taken = {*self.order, *(a.name for a in self.p.inputs)}
        return next(n for n in (name, *(f"{name}_{k}" for k in range(1, len(taken) + 2))) if n not in taken)

    def _rfactor(self, name: str, k: int, d: Rfactor, made: str) -> None:
        if name not in self.functions:
            d.refuse(name, "an input is not computed")
        f, stage = self.functions[name], self._stage(name, k, d)
        at = Stage(label(name, k), stage.loops, tuple(v.name for v in f.vars))
        d.check(at)
        if stage.branches:
            d.refuse(at, "the stage is specialised already", hint="give rfactor before specialize")
        op = prove(f.definitions[k], f)
        assert not isinstance(op, str)  # checked above
        parts = rfactor(f, f.definitions[k], self._typed_loops(stage.loops, at.label), dict(d.vars), op, made)
        definitions = (*f.definitions[:k], parts.definition, *f.definitions[k + 1 :])
        self.functions[name] = f = replace(f, definitions=definitions)
        self.functions[made] = parts.intermediate
        self.order.insert(self.order.index(name), made)
        self.pieces.setdefault(name, set()).add(made)
        start = parts.intermediate.definitions[0]
        inner = self._proven(parts.inner_loops, parts.intermediate.definitions[1], parts.intermediate)
        marks = {dict(d.vars).get(n, n): m for n, m in stage.marks.items()}
        self.stages[made] = [_Stage(Loops.of(start, parts.intermediate, self._facts(start, parts.intermediate))),
                             _Stage(inner, marks)]  # fmt: skip
        stage.loops = self._proven(parts.outer_loops, parts.definition, f)

    def _proven(self, loops: Loops, d: Definition, f: Function) -> Loops:
        facts, proven = loops.facts, self._facts(d, f)
        return replace(loops, facts=replace(proven, update=facts.update, extents=facts.extents, atomic=facts.atomic))

    def _copy(self, name: str, d: In | CloneIn, made: str) -> None:
        array, like = self._array(name), self.functions.get(name)
        d.check(Stage(name, Loops(())))
        consumers = self._consumers(name, array, d)
        if isinstance(d, CloneIn):
            if like is None:
                d.refuse(name, "an input is not computed", hint=f"{name}.in_({', '.join(map(str, d.consumer))})")
            copy = copied(like, made)
            self.stages[made] = [s.copy() for s in self._stages_of(name)]
            if name in self.given:
                self.given[made] = [e for e in self.given[name] if not isinstance(e[1], Structural)]
        else:
            names = like.vars if like is not None else tuple(Var(f"i{k}", index) for k in range(array.ndim))
            copy = wrapper(made, array, names, like)
            self.wrappers.setdefault(array, set()).add(made)
        self.functions[made] = copy
        self.order.insert(self.order.index(name) + 1 if like is not None else 0, made)
        for c in consumers:
            self.functions[c] = redirected(self.functions[c], array, copy.array)

    def _array(self, name: str) -> Array:
        if name in self.functions:
            return self.functions[name].array
        return next(a for a in self.p.inputs if a.name == name)

    def _consumers(self, name: str, array: Array, d: In | CloneIn) -> list[str]:
        """The Functions that are to read the copy."""
        own = self.wrappers.get(array, set()) | self.pieces.get(name, set()) | {name}
        readers = [n for n in self.order if n not in own and array in read_by(self.functions[n])]
        if d.consumer is None:
            return readers
        chosen: list[str] = []
        for t in d.consumer:
            found = [n for n in readers if n == t.name or n in self.pieces.get(t.name, ())]
            if not found:
                through = [w for w in self.wrappers.get(array, ()) if self._reads(t.name, w)]
                reason = f"{t.name} does not read {name}" + (f" but {through[0]}" if through else "")
                d.refuse(name, reason, legal=readers, hint=f"{through[0]}.in_({t.name})" if through else "")
            chosen += found
        return chosen

    def _reads(self, reader: str, what: str) -> bool:
        return reader in self.functions and self.functions[what].array in read_by(self.functions[reader])

    # The result ------------------------------------------------------------------------------------------------------

    def result(self) -> Pipeline:
        functions = [self._finished(name) for name in self.order]
        given = {name: [d for _, d in entries] for name, entries in self.given.items()}
        p = schedule_default(in_steps(replace(self.p, functions=tuple(functions)), given))
        check_places(p, given)
        check_hints(p)
        p = together(p)
        return replace(p, functions=tuple(_without_facts(self._traced(f)) for f in p.functions))

    def _traced(self, f: Function) -> Function:
        for name, d in self.traces:
            if isinstance(d, TraceLoads):
                f = traced_loads(f, self.functions[name].array)
            elif isinstance(d, TraceStores) and name == f.name:
                f = traced_stores(f)
        return f

    def _finished(self, name: str) -> Function:
        """Function `name` with the loops that its directives gave it, checked."""
        f, stages = self.functions[name], self._stages_of(name)
        given = [d for _, d in self.given.get(name, ())]
        output = name in self.p.outputs
        for k, stage in enumerate(stages):
            for leaf in stage.leaves():
                check_function(label(name, k), leaf.loops, leaf.marks)
                check_tensor(label(name, k), leaf.loops, self.promises)
        definitions = tuple(self._definition(d, s, label(name, k))
                            for k, (d, s) in enumerate(zip(f.definitions, stages, strict=True)))  # fmt: skip
        f = replace(f, definitions=definitions, scheduled=bool(given))
        plain = replace(f, compute=ROOT, store=None, hoist=None, asynchronous=False)
        return plain if output and not self._placed_inside(f) else f

    def _placed_inside(self, f: Function) -> bool:
        """Whether an output was placed at a loop that there is: an error that `check_places` tells of."""
        return any(q is not None and q.kind == "at" and q.func in self.functions for q in (f.compute, f.store, f.hoist))

    def _definition(self, d: Definition, s: _Stage, label: str) -> Definition:
        special = tuple(self._specializations(s, None, label))
        return replace(d, loops=self._typed_loops(s.loops, label), specializations=special, atomic=s.loops.facts.atomic)

    def _specializations(self, s: _Stage, outer: Expr | None, label: str) -> Iterable[tuple[Expr, Loops]]:
        """(condition, loops) of each branch, those inside it first."""
        for specialize, branch in s.branches:
            with specialize.blamed(label):
                cond = specialize.condition.typed(self.p)
            if cond.type is not bool_:
                specialize.refuse(label, f"{specialize.condition} is not true or false")
            cond = cond if outer is None else A.and_(outer, cond)
            yield from self._specializations(branch, cond, f"{label}.{specialize}")
            yield cond, self._typed_loops(branch.loops, label)

    def _typed_hint(self, h: Fetching | Streaming, label: str) -> Fetching | Streaming:
        if not isinstance(h, Fetching) or not isinstance(h.distance, Scalar):
            return h
        with h.by.blamed(label):
            distance = A.cast(h.distance.typed(self.p), index)
        return replace(h, distance=A.clamp(distance, Const(-MOST, index), Const(MOST, index)))

    def _typed_loops(self, loops: Loops, label: str) -> Loops:
        tensor = loops.tensor
        if tensor is not None and self.target is not None:
            tensor = replace(tensor, code=tensor.intrinsic.code(self.target.has))
        ops, hints = tuple(map(self._typed_op, loops.ops)), tuple(self._typed_hint(h, label) for h in loops.hints)
        return replace(loops, ops=ops, hints=hints, tensor=tensor)

    def _typed_op(self, op: Any) -> Any:
        if not isinstance(op, SplitOp):
            return op
        factor = A.cast(op.factor.typed(self.p), index) if isinstance(op.factor, Scalar) else op.factor
        tail = op.tail if self.promises or op.tail in TAILS_OF_ANY_CALL else "guard"
        return replace(op, factor=factor, tail=tail)


def _reshape(stage: _Stage, d: Directive, at: Stage) -> None:
    """Carry out `d`, and note it for the loops that it marked; what it cut or renamed stays marked by what did that."""
    old, marks = stage.loops, dict(stage.marks)
    stage.loops = d.run(at).loops
    consumed = [n for op in stage.loops.ops[len(old.ops) :] for n in op.consumed if n in old]
    for dim in stage.loops.dims:
        if dim.name not in old or old.dim(dim.name).kind != dim.kind:
            earlier = [marks[n] for n in consumed if n in marks and old.dim(n).kind == dim.kind != "serial"]
            stage.marks[dim.name] = earlier[0] if earlier else d


def _without_facts(f: Function) -> Function:
    """`f` with loops that hold nothing but what lowering reads."""

    def bare(loops: Loops) -> Loops:
        return replace(loops, facts=Facts(update=loops.facts.update))

    definitions = (replace(d, loops=bare(d.loops), specializations=tuple((c, bare(ls)) for c, ls in d.specializations))
                   for d in f.definitions)  # fmt: skip
    return replace(f, definitions=tuple(definitions))


def _bits(t: Type) -> int:
    return 8 * t.bytes

"""Surface definitions -> the typed Pipeline.

One pass over the stages, producers first. Each definition's expressions are typed bottom-up, once per surface node, by
the rules of `operators`; `boundaries` turns pad views into index arithmetic; `reductions` has run before.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DefinitionError, HaloError, Location, TypeMismatchError
from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Op, Read, Var, is_true, reads
from ..ir.facts import free_vars
from ..ir.pipeline import Definition, Param, Pipeline, RVar
from ..ir.pipeline import Function as Typed
from ..ir.place import at
from ..ir.surface import (
    Access,
    Call,
    Define,
    Definitions,
    Extent,
    Function,
    Indexable,
    IndexVar,
    Input,
    Literal,
    Pad,
    RDom,
    RVarRef,
    Table,
    Undef,
)
from ..ir.surface import Expr as Surface
from ..ir.surface import Param as ParamRef
from ..ir.surface_walk import operands, roots, walk
from ..types import Type, bool_, f32, f64, i32, index
from .boundaries import inside, inward
from .externs import ExternCall, Sorting, typed_call
from .graph import Argument, Graph, regions
from .njit import RULES
from .operators import MOVES
from .promotion import (
    Value,
    Weak,
    as_bool,
    as_index,
    computed,
    convert,
    counted,
    data,
    float_kind,
    join,
    lossless,
    number,
    resolve,
    weak,
)

__all__ = ["build_pipeline"]


def build_pipeline(outputs: Sequence[Function], input_types: Mapping[str, Type] | None = None,
                   param_types: Mapping[str, Type | Weak] | None = None, fma: bool = True,
                   graph: Graph | None = None, contiguous: Collection[str] = ()) -> Pipeline:  # fmt: skip
    """The typed pipeline that ends in `outputs`, in the table of `interning()` that is open.

    An input whose type neither its declaration nor `input_types` says is f32. A parameter of type `Weak.FLOAT` is a
    Python float: kept as f64, it takes the type of what it meets. `fma`: contract `a*b + c` (the target has it).
    `contiguous` names inputs that are promised to be, as an annotation `[:, ::1]` does.
    """
    return _Builder(graph or Graph(outputs), input_types or {}, param_types or {}, fma, contiguous).pipeline()


class _Builder:
    """What the stages of one pipeline share."""

    def __init__(self, graph: Graph, input_types: Mapping[str, Type], param_types: Mapping[str, Type | Weak],
                 fma: bool, contiguous: Collection[str]) -> None:  # fmt: skip
        self.graph, self.fma = graph, fma
        self.arrays: dict[str, Array] = {}
        self.params: dict[str, tuple[Param, Value]] = {}
        self.tables: dict[Table, Array] = {}
        self.typed: dict[Function, Typed] = {}
        self.typers: dict[Function, _FunctionTyper] = {}
        self.requirements: list[tuple[Expr, str]] = []
        self.places: dict[Read, Access] = {}
        for name, a in graph.arguments.items():
            if a.ndim is None:
                self.params[name] = _parameter(a, param_types.get(name) or a.type or _of_default(a.default))
            else:
                type = input_types.get(name, a.type) or f32
                promised = a.contiguous or name in contiguous
                shape = None if a.shape is None else tuple(n if isinstance(n, int) else str(n) for n in a.shape)
                self.arrays[name] = Array(name, (type,), a.ndim, "input", contiguous=promised, shape=shape)

    def pipeline(self) -> Pipeline:
        for f in self.graph.functions:
            self.typed[f] = self._typer(f).typed()
        names = tuple(self.graph.names[f] for f in self.graph.outputs)
        params = tuple(p for p, _ in self.params.values())
        return Pipeline(
            tuple(self.typed.values()),
            names,
            tuple(self.arrays.values()),
            params,
            tuple(self.requirements),
            self.places,
        )

    def _typer(self, f: Function) -> _FunctionTyper:
        if f not in self.typers:
            self.typers[f] = _FunctionTyper(self, f)
        return self.typers[f]

    def array(self, target: Indexable) -> Array:
        """The array of an input, of a stage typed before, or of a table."""
        if isinstance(target, Input):
            return self.arrays[target.name]
        if isinstance(target, Function):
            return self.typed[target].array if target in self.typed else self._typer(target).declared()
        assert isinstance(target, Table)
        if target not in self.tables:
            name = self.graph.bound.get(target)
            if name is None:
                self.tables[target] = Array(target.name, (target.type,), target.data.ndim, "table", _dense(target.data))
            else:
                self.tables[target] = self.arrays[name] = Array(name, (target.type,), target.data.ndim, "input")
        return self.tables[target]


def _dense(data: Any) -> Any:
    return np.ascontiguousarray(data).reshape(data.shape)


def _of_default(default: Any) -> Type | Weak:
    """The type of a parameter that only its default value tells: i32 where nothing does."""
    if isinstance(default, bool):
        return bool_
    return Weak.FLOAT if isinstance(default, float) else i32


def _parameter(a: Argument, kind: Type | Weak) -> tuple[Param, Value]:
    if isinstance(kind, Type):
        if kind.is_stored:
            raise TypeMismatchError(f"{a.name} is a scalar, and {kind!r} only stores values in arrays",
                                    loc=a.loc, hint=repr(kind.computed))  # fmt: skip
        var = Var(a.name, kind)
        return Param(a.name, var, a.default), data(var, A.cast(var, index) if kind.is_int else None)
    var = Var(a.name, f64)
    return Param(a.name, var, a.default), Value(Weak.FLOAT, make=lambda t: A.cast(var, t))


class _FunctionTyper:
    """Types one Func: its stages share the index variables."""

    def __init__(self, builder: _Builder, f: Function) -> None:
        self.builder, self.f, self.name = builder, f, builder.graph.names[f]
        d = f.definitions
        self.pure, self.updates = _normal(f, d)
        if len(set(d.vars)) < len(d.vars):
            raise DefinitionError(f"{f.name} has two index variables of one name", loc=self.pure.loc)
        self.vars = {v: Var(v) for v in d.vars}
        self.streams = 0
        self.array: Array | None = None

    def declared(self) -> Array:
        """Its array, which the steps of a scan read before the state itself is typed."""
        if self.array is not None:
            return self.array
        self.first = first = _StageTyper(self, self.pure)
        self.later = later = [_StageTyper(self, u) for u in self.updates]
        size = len(self.pure.values)
        for u in self.updates:
            if len(u.values) != size:
                raise DefinitionError(f"{self.f.name} has {size} values a point, and this update {len(u.values)}",
                                      loc=u.loc, related=_note(self.pure.loc, "the first definition"))  # fmt: skip
        types = tuple(self._type(k, first, later) for k in range(size))
        self.array = Array(self.name, types, len(self.vars))
        return self.array

    def typed(self) -> Typed:
        array, first, later = self.declared(), self.first, self.later
        definitions = (first.definition(), *(s.definition() for s in later))
        extern = self._extern(first)
        domain: tuple[tuple[int, Expr, Expr], ...] = ()
        if isinstance(self.f.external, Sorting):
            assert extern is not None
            held = extern.arrays[0].types[0]
            if held.is_stored:
                raise TypeMismatchError(f"a sort compares its values, and {held!r} only stores them", loc=self.f.loc,
                                        hint=f"sort a Func of {held.computed!r}(...)")  # fmt: skip
            axis = self.f.external.function.axis
            domain = ((axis, *extern.reads[0][axis]),)
        states: tuple[str, ...] = ()
        if self.f.scan is not None:
            states = tuple(self.builder.graph.names[s] for s in self.f.scan.states)
            domain = ((0, Const(0, index), definitions[-1].rvars[0].extent),)
        return Typed(self.name, tuple(self.vars.values()), array.types, array, definitions, extern=extern,
                     domain=domain, states=states,
                     fastmath=self.f.fastmath, innermost=getattr(self.f, "innermost", False), loc=self.f.loc)  # fmt: skip

    def _extern(self, stage: _StageTyper) -> ExternCall | None:
        external = self.f.external
        if external is None:
            return None
        arrays = tuple(self.builder.array(t) for t in external.inputs)
        return typed_call(self.f, external, arrays, regions(self.f), stage.bound)

    def _type(self, k: int, pure: _StageTyper, updates: list[_StageTyper]) -> Type:
        """The type of element `k`: that of its pure value, or of what the first update folds or stores."""
        start = self.pure.values[k]
        if isinstance(start, Undef) and start.type is not None:
            return start.type
        if isinstance(start, Call) and start.op == "identity":
            like = self.updates[0].values[k]
            assert isinstance(like, Call)
            kind = updates[0].value(like.args[1]).kind
            if start.args:
                kind = join(kind, pure.value(start.args[0]).kind)
            return _folded(start.data, kind)
        if start is not None and not isinstance(start, Undef):
            return resolve(pure.value(start))
        for stage in updates:
            value = stage.stage.values[k]
            if value is not None:
                folded = isinstance(value, Call) and len(value.args) == 2 and _is_self(value.args[0], self.f)
                found = stage.value(value.args[1] if folded else value)  # type: ignore[attr-defined]  # `folded` says that it is a Call
                return resolve(computed(found) if folded else found)
        raise DefinitionError(
            f"nothing says what type {self.f.name} has", loc=self.pure.loc, hint="halo.undef(halo.f32)"
        )


def _folded(op: str, kind: Type | Weak) -> Type:
    """The type that a fold by `op` of values of `kind` accumulates in."""
    kind = kind.computed if isinstance(kind, Type) else kind
    if op == "mean":
        kind = float_kind(counted(kind))
        return f64 if kind is f64 else f32
    if op in ("sum", "prod", "add", "mul", "sub"):
        kind = counted(kind)
    if op == "div":
        kind = float_kind(counted(kind))
    return resolve(Value(kind))


_IDENTITY = {"add": 0, "sub": 0, "sum": 0, "mean": 0, "mul": 1, "div": 1, "prod": 1, "any": 0, "all": 1}


def _identity(op: str, type: Type) -> Const:
    if op in _IDENTITY:
        return number(_IDENTITY[op], type)
    if type.is_bool:
        return number(op == "min", type)
    return number(type.max if op == "min" else type.min, type)


def _normal(f: Function, d: Definitions) -> tuple[Define, tuple[Define, ...]]:
    """The pure stage, made up where it is left out, and the updates with `+=` spelt out."""
    updates = tuple(_spelt_out(f, u) for u in d.updates)
    if d.pure is not None:
        return d.pure, updates
    if not updates:
        raise DefinitionError(f"{f.name} is not defined", loc=f.loc, hint=f"{f.name}[y, x] = ...")
    first = d.updates[0]
    if first.op not in ("add", "sub", "mul", "div") or any(v is None for v in first.values):
        raise DefinitionError(f"{f.name} has an update before its pure definition", loc=first.loc,
                              hint="define it at every point first: only += and *= know their start")  # fmt: skip
    with at(first.loc):
        args = tuple(IndexVar(v) for v in d.vars)
        return Define(args, tuple(Call("identity", (), first.op) for _ in first.values), loc=first.loc), updates


def _spelt_out(f: Function, u: Define) -> Define:
    if u.op is None:
        return u
    with at(u.loc):
        items = (None,) if len(u.values) == 1 else range(len(u.values))
        values = tuple(None if v is None else Call(u.op, (Access(f, u.args, k), v))
                       for k, v in zip(items, u.values, strict=True))  # fmt: skip
    return Define(u.args, values, u.rdom, u.pred, None, u.loc)


def _is_self(e: Surface, f: Function) -> bool:
    return isinstance(e, Access) and e.target is f


def _note(loc: Location | None, text: str) -> tuple[tuple[Location, str], ...]:
    return () if loc is None else ((loc, text),)


class _StageTyper:
    """Types the expressions of one stage."""

    def __init__(self, owner: _FunctionTyper, stage: Define) -> None:
        self.owner, self.stage, self.builder = owner, stage, owner.builder
        self.fma, self.fast = self.builder.fma, owner.f.fastmath
        self.is_pure = stage is owner.pure
        self._memo: dict[Surface, Value] = {}
        self.rvars = () if stage.rdom is None else self._domain(stage.rdom)

    @property
    def coordinates(self) -> tuple[Var, ...]:
        """The loops of this stage, as `random` needs them."""
        return (*self.owner.vars.values(), *(r.var for r in self.rvars))

    def require(self, condition: Expr, message: str) -> bool:
        """Test `condition` once, before anything is computed, if it depends on the call alone."""
        known = {p.var for p, _ in self.builder.params.values()}
        known.update(v for a in self.builder.arrays.values() for v in a.extents)
        if any(True for _ in reads((condition,))) or not free_vars(condition) <= known:
            return False
        self.builder.requirements.append((condition, message))
        return True

    def stream(self, seeded: bool) -> int:
        """The number of a stream of random numbers: one for each call, the same in each compilation."""
        if seeded:
            return 0
        self.owner.streams += 1
        return zlib.crc32(f"{self.owner.name}:{self.owner.streams}".encode())

    def definition(self) -> Definition:
        array, loc = self.owner.array, self.stage.loc
        assert array is not None
        values = tuple(self._stored(v, t) for v, t in zip(self.stage.values, array.types, strict=True))
        pred = None if self.stage.pred is None else as_bool(self.value(self.stage.pred))
        if self.is_pure:
            return Definition(tuple(self.owner.vars.values()), values, loc=loc)
        indices = tuple(self._place(a) for a in self.stage.args)
        self._check_variables(indices)
        _check_scatter((*indices, *(v for v in values if v is not None)), self.stage.loc)
        return Definition(indices, values, self.rvars, None if pred is None or is_true(pred) else pred, loc=loc)

    def _stored(self, e: Surface | None, type: Type) -> Expr | None:
        if e is None or isinstance(e, Undef):
            return None
        if isinstance(e, Call) and e.op == "identity":
            return convert(self.value(e.args[0]), type) if e.args else _identity(e.data, type)
        if isinstance(e, Call) and e.op == "gather" and not self.is_pure:
            return Op("gather", tuple(self._stored(v, type) for v in e.args), type)  # type: ignore[misc]  # a gather stores no None
        value = self.value(e)
        if self.is_pure or value.kind is type:
            return convert(value, type)
        source = resolve(value)
        weakly = value.kind is Weak.INT or value.kind is Weak.BOOL or (value.kind is Weak.FLOAT and type.is_float)
        if value.kind is Weak.INDEX and type.is_float:
            weakly = True
        if not (weakly and not type.is_bool) and not lossless(source, type):
            message = f"{self.owner.f.name} is {type!r}, and this update stores {value.kind!r}"
            raise TypeMismatchError(message, loc=self._place_of(e), hint=f"{type!r}(...) converts",
                                    related=_note(self.owner.pure.loc, "its first definition"))  # fmt: skip
        return convert(value, type)

    def _place(self, e: Surface) -> Expr:
        """A subscript on the left: a mathematical integer, or several (a scatter)."""
        if isinstance(e, Call) and e.op == "scatter":
            return Op("scatter", tuple(map(self._index, e.args)), index)
        return self._index(e)

    def _index(self, e: Surface) -> Expr:
        try:
            return as_index(self.value(e))
        except HaloError as error:
            error.loc = error.loc or self._place_of(e)
            raise

    def bound(self, e: Surface, variables: dict[str, Var]) -> Expr:
        """`e`, of other variables than this stage's, as a mathematical integer."""
        for v in walk((e,)):
            if isinstance(v, IndexVar) and v.name in variables:
                self._memo[v] = _integer(variables[v.name])
        return self._index(e)

    def _check_variables(self, indices: tuple[Expr, ...]) -> None:
        """A pure variable of an update is one of its loops: it stands in its own place on the left."""
        loops = {v.name for v, e in zip(self.owner.vars.values(), indices, strict=True) if v is e}
        nodes = list(walk(roots(self.stage)))
        for e in nodes:
            if isinstance(e, IndexVar) and e.name not in loops:
                message = f"{e.name} does not stand in its own place on the left, so it is no loop of this update"
                raise DefinitionError(message, loc=self._place_of(e, nodes), legal=tuple(loops))

    def _domain(self, rdom: RDom) -> tuple[RVar, ...]:
        rvars = []
        for name, (lo, n) in zip(rdom.names, rdom.axes, strict=True):
            if name in self.owner.vars:
                raise DefinitionError(f"{name} is an index variable of {self.owner.f.name} and of its reduction domain",
                                      loc=rdom.loc, hint="names= of halo.rdom, or another loop target")  # fmt: skip
            for e in walk((lo, n)):
                if isinstance(e, (Access, IndexVar, RVarRef)):
                    raise DefinitionError(
                        "the bounds of a domain are made of constants, shapes and parameters", loc=e.loc
                    )
            start, count = self._index(lo), self._index(n)
            constant = isinstance(start, Const) and isinstance(count, Const) and count.value > 0
            ends = (start.value, start.value + count.value - 1) if constant else (None, None)  # type: ignore[attr-defined]  # `constant` says that they are Consts
            rvars.append(RVar(Var(name, index, *ends), start, count))
        for k, r in enumerate(rvars):
            self._memo[rdom[k]] = _integer(r.var)
        return tuple(rvars)

    # Expressions -----------------------------------------------------------------------------------------------------

    def value(self, root: Surface) -> Value:
        """The value of `root`; without recursion, because definitions may be deep."""
        memo, stack = self._memo, [root]
        while stack:
            e = stack[-1]
            if e in memo:
                stack.pop()
                continue
            missing = [x for x in operands(e) if x not in memo]
            if missing:
                stack += missing[::-1]
                continue
            try:
                memo[e] = self._typed(e)
            except HaloError as error:
                error.loc = error.loc or self._place_of(e, stack)
                raise
        return memo[root]

    def _typed(self, e: Surface) -> Value:
        if isinstance(e, Call):
            rule = RULES.get(e.op)
            if rule is None:
                raise DefinitionError(f"{e.op} has no meaning here")
            args = [self._memo[a] for a in e.args]
            return rule(self, e, tuple(args if e.op in MOVES else map(computed, args)))
        if isinstance(e, Access):
            return self._read(e.target, tuple([self._subscript(i, e) for i in e.indices]), e)
        if isinstance(e, Literal):
            if e.type is None:
                return weak(e.value)
            constant = number(e.value, e.type)
            return data(constant, Const(constant.value, index) if e.type.is_int else None)
        if isinstance(e, IndexVar):
            return _integer(self._variable(e))
        if isinstance(e, RVarRef):
            rdom = self.stage.rdom
            if rdom is None or rdom is not e.rdom:
                raise DefinitionError(f"{e.name} is the variable of another reduction domain than this stage runs over",
                                      hint="halo.sum(e, r), or f[x] += e")  # fmt: skip
            return self._memo[rdom[e.axis]]
        if isinstance(e, Extent):
            return _integer(self._extent(e.target, e.axis))
        if isinstance(e, ParamRef):
            return self.builder.params[e.name][1]
        if isinstance(e, Undef):
            raise DefinitionError("undef is a whole value of a definition, not part of one")
        raise DefinitionError(f"{e!r} has no meaning here")

    def _place_of(self, e: Surface, around: Sequence[Surface] = ()) -> Location | None:
        """Where `e` is used: variables and parameters are made elsewhere, so it is the one of `around` that they are in."""
        if isinstance(e, (IndexVar, RVarRef, ParamRef)):
            user = next((u for u in reversed(around) if any(x is e for x in operands(u))), None)
            return self.stage.loc if user is None or user.loc is None else user.loc
        return e.loc or self.stage.loc

    def _subscript(self, e: Surface, access: Access) -> Expr:
        try:
            return as_index(self._memo[e])
        except HaloError as error:
            error.loc = error.loc or self._place_of(e, (access,))
            raise

    def _variable(self, e: IndexVar) -> Var:
        var = self.owner.vars.get(e.name)
        if var is None:
            raise DefinitionError(
                f"{e.name} is not an index variable of {self.owner.f.name}", legal=tuple(self.owner.vars)
            )
        return var

    def _read(self, target: Indexable, indices: tuple[Expr, ...], access: Access) -> Value:
        item = access.item
        if isinstance(target, Pad):
            box = self._box(target)
            value = self._read(target.target, inward(target.mode, indices, box), access)
            if target.mode != "constant":
                return value
            type = resolve(value)
            return data(A.select(inside(indices, box), convert(value, type), convert(self.value(target.value), type)))
        if target is self.owner.f:
            array = self.owner.array
            if array is None:
                raise DefinitionError(f"the type of {target.name} is not known where it reads itself",
                                      hint="give it a pure definition first")  # fmt: skip
        else:
            array = self.builder.array(target)
        if item is None and len(array.types) > 1:
            raise DefinitionError(f"{target.name} has {len(array.types)} values a point: pick one",
                                  hint=f"{target.name}[...][0]")  # fmt: skip
        if len(indices) != array.ndim:
            raise DefinitionError(f"{target.name} has {array.ndim} axes and is subscripted by {len(indices)}")
        if item is not None and item >= len(array.types):
            raise DefinitionError(f"{target.name} has no element {item}")
        read = Read(array, indices, item or 0)
        self.builder.places.setdefault(read, access)
        return data(read)

    def _box(self, pad: Pad) -> list[tuple[Expr, Expr] | None]:
        """(lo, extent) of each axis of what `pad` pads; None where it leaves the axis alone."""
        if pad.bounds is not None:
            return [None if b is None else (self._index(b[0]), self._index(b[1])) for b in pad.bounds]
        ndim = pad.ndim if pad.ndim is not None else self.builder.array(_bottom(pad)).ndim
        return [(Const(0, index), self._extent(pad.target, d)) for d in range(ndim)]

    def _extent(self, target: Indexable, axis: int) -> Expr:
        if isinstance(target, Pad):
            bound = None if target.bounds is None else target.bounds[axis]
            return self._extent(target.target, axis) if bound is None else self._index(bound[1])
        if isinstance(target, Table):
            return Const(target.data.shape[axis], index)
        if isinstance(target, Function):
            raise DefinitionError(f"{target.name} is a Func and has no extents of its own",
                                  hint=f"halo.pad({target.name}, mode, bounds=[(lo, n), ...])")  # fmt: skip
        array = self.builder.array(target)
        if axis >= array.ndim:
            raise DefinitionError(f"{target.name} has {array.ndim} axes, so no axis {axis}")
        return array.extents[axis]


def _check_scatter(exprs: tuple[Expr, ...], loc: Location | None) -> None:
    """The scatters and gathers of one update have one length."""
    sizes = {len(e.args) for e in exprs if isinstance(e, Op) and e.name in ("scatter", "gather")}
    if len(sizes) > 1:
        raise DefinitionError("the scatters and gathers of one update have different lengths", loc=loc)
    if sizes and not any(isinstance(e, Op) and e.name == "scatter" for e in exprs):
        raise DefinitionError(
            "a gather has no scatter to go to", loc=loc, hint="f[halo.scatter(a, b)] = halo.gather(c, d)"
        )


def _bottom(pad: Pad) -> Indexable:
    target = pad.target
    return _bottom(target) if isinstance(target, Pad) else target


def _integer(e: Expr) -> Value:
    return Value(Weak.INDEX, A.cast(e, i32), e)

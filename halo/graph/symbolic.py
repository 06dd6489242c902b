"""Functions over other values than their parameters: extents fixed to integers, a model inside of a program, a branch in place
of its If."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from halo.errors import ArgumentError, here
from halo.ir.shapes import SYMBOLIC, Dim, DimExpr, as_extents, dims_of, values_of, within
from halo.nn import TensorType

from .ir import Call, Control, Expr, Function, Let, Tuple, Var, constant, walk, with_bodies, with_children
from .module import Bound, Module

__all__ = [
    "USUAL",
    "applied",
    "evaluated",
    "extents_of",
    "fixed",
    "inlined",
    "names_in",
    "of_type",
    "renamed",
    "substituted",
    "with_extents",
]

USUAL = 64  # what extents are taken for that only a call knows


def evaluated(shape: tuple[Any, ...], dims: Mapping[str, int]) -> tuple[int, ...]:
    """The extents where the Dims have the values `dims`."""
    return tuple(n.evaluate(dims) if isinstance(n, DimExpr) else n for n in shape)


def extents_of(e: Expr) -> list[DimExpr]:
    """The extents that are no integers in the type of `e`, and in its attributes."""
    found = [n for t in (e.type if isinstance(e.type, tuple) else (e.type,)) for n in t.shape]
    for _, v in e.attributes if isinstance(e, Call) else ():
        found += v if isinstance(v, tuple) else (v,)
    return [n for n in found if isinstance(n, DimExpr)]


def names_in(values: Iterable[Expr]) -> tuple[str, ...]:
    """The names of the extents that these have, in the order in which they come."""
    return tuple(dict.fromkeys(name for e in values for n in extents_of(e) for name in dims_of(n)))


def substituted(value: Any, of: Mapping[str, Any]) -> Any:
    """An extent, or a tuple with extents in it, with `of` in place of the Dims that it names."""
    if isinstance(value, (tuple, list)):
        return type(value)(substituted(v, of) for v in value)
    if isinstance(value, DimExpr):
        return value.evaluate(lambda name: of.get(name, Dim(name)), SYMBOLIC)
    return value


def fixed(m: Module, shapes: Mapping[str, Any]) -> Module:
    """`m` with the extents of inputs, by name, that `shapes` has integers, ranges or arithmetic over other Dims for; what
    follows from them is inferred anew."""
    asked: list[tuple[str, Any, Any]] = []
    bounds: list[Bound] = []
    for name, given in shapes.items():
        t = m.inputs.get(name)
        if t is None:
            raise ArgumentError(f"{name} is no input of the program", loc=here(), legal=tuple(m.inputs))
        entries = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if len(entries) != t.ndim:
            raise ArgumentError(f"{name} is a tensor of {t}, not of {len(entries)} axes", loc=here())
        spans = [(k, n) for k, n in enumerate(entries) if isinstance(n, range)]
        opened = {k: _from_range(f"the extent {t.shape[k]} of {name}", t.shape[k], n) for k, n in spans}
        shape = as_extents(tuple(opened.get(k, n) for k, n in enumerate(entries))) or ()
        bounds += (Bound(opened[k], n[0], n[-1]) for k, n in spans if isinstance(opened[k], DimExpr))
        asked += ((name, n, extent) for n, extent in zip(t.shape, shape, strict=True) if n != extent)
    of = values_of(((n,) for _, n, _ in asked), [(extent,) for *_, extent in asked])
    for name, n, extent in asked:  # arithmetic over Dims is what they make it
        if substituted(n, of) != extent or not within((n,), (extent,)):
            raise ArgumentError(f"the extent {n} of {name} is not {extent}", loc=here())
    m = with_extents(m, of)
    return replace(m, bounds=_met((*m.bounds, *bounds)))


def with_extents(m: Module, of: Mapping[str, Any]) -> Module:
    """`m` with the extents `of` in place of the Dims that it names. Raises ArgumentError for integers that it does not take."""
    return replace(m.with_main(renamed(m.main, of)), bounds=_bounds(m, of))


def _bounds(m: Module, of: Mapping[str, Any]) -> tuple[Bound, ...]:
    """Those of `m` for the extents `of`. Raises ArgumentError for integers that it does not take."""
    found = []
    for bound in m.bounds:
        n = substituted(bound.extent, of)
        if isinstance(n, DimExpr):
            found.append(replace(bound, extent=n))
        elif not bound.least <= n <= bound.most:
            raise ArgumentError(f"the program takes {bound}, and {bound.extent} is {n}", loc=here())
    return _met(found)


def _met(bounds: Iterable[Bound]) -> tuple[Bound, ...]:
    """Each extent once."""
    found: dict[DimExpr, Bound] = {}
    for b in bounds:
        own = found.setdefault(b.extent, b)
        found[b.extent] = Bound(b.extent, max(b.least, own.least), min(b.most, own.most))
    return tuple(found.values())


def _from_range(what: str, n: Any, span: range) -> Any:
    """The extent that is one of `span`, over the Dim that `n` has: the number of steps, or any extent, which may be repeated."""
    if not span or span.step < 0 or span.start < 0:
        raise ArgumentError(f"{what} is of no {span}", loc=here(), hint="range(32, 513, 32): 32, 64, and so on to 512")
    if len(span) == 1:
        return span[0]
    if isinstance(n, int):
        if n in span:
            return n
        raise ArgumentError(f"{what} is none of {span}", loc=here())
    dim = Dim(next(dims_of(n)))
    return dim if span.start < 2 and span.step == 1 else span.start + span.step * dim


def applied(m: Module, args: tuple[Any, ...], named: Mapping[str, Any]) -> Expr | tuple[Expr, ...]:
    """What the main function of `m` gives for these values: its body over them, with their extents for its Dims."""
    if len(args) > len(m.inputs) or not {*named} <= {*list(m.inputs)[len(args) :]}:
        raise ArgumentError("the program is given what is none of its inputs, or one of them twice", loc=here(),
                            legal=tuple(m.inputs))  # fmt: skip
    given = {name: constant(a) for name, a in (dict(zip(m.inputs, args, strict=False)) | dict(named)).items()}
    for name, t in m.inputs.items():
        if name not in given:
            raise ArgumentError(f"the program is called without {name}", loc=here(), hint=f"model({name}=...)")
        own = given[name].type
        if isinstance(own, tuple) or own.ndim != t.ndim:
            raise ArgumentError(f"{name} is a tensor of {t}, not of {own}", loc=here())
    of = values_of((t.shape for t in m.inputs.values()), [given[name].type.shape for name in m.inputs])
    for name, t in m.inputs.items():
        own = given[name].type
        if not within(t.shape, own.shape):
            raise ArgumentError(f"{name} is a tensor of {t}, not of {own}", loc=here())
        if (wanted := of_type(t, of)) != own:
            raise ArgumentError(f"{name} is a tensor of {wanted}, not of {own}", loc=here())
    _bounds(m, of)  # those of open extents are for calls from outside: here they may be any
    found = inlined(m.main, [given[p.name] for p in m.main.params], of)
    return found.fields if isinstance(found, Tuple) else found


def inlined(f: Function, args: Sequence[Expr], of: Mapping[str, Any] | None = None) -> Expr:
    """The body of `f` over `args`, with the extents `of` in place of the Dims that it names; what depends on neither is what it
    was."""
    of = of or {}
    made: dict[int, Expr] = dict(zip(map(id, f.params), args, strict=True))
    for e in (e for e in walk(f.body) if id(e) not in made):
        children = tuple(made[id(c)] for c in e.children)
        if of and isinstance(e, Call):
            given = iter(children)
            over = tuple(None if a is None else next(given) for a in e.args)
            made[id(e)] = replace(e, args=over, attributes=tuple((k, substituted(v, of)) for k, v in e.attributes))
        elif of and isinstance(e, Control):
            inner: Any = with_bodies(with_children(e, children), tuple(renamed(body, of) for body in e.bodies))
            made[id(e)] = replace(inner, result=of_type(e.result, of))
        elif isinstance(e, Let) and isinstance(dim := substituted(e.dim, of), Dim):
            made[id(e)] = Let(dim, *children)
        else:
            made[id(e)] = with_children(e, children)
    return made[id(f.body)]


def renamed(f: Function, of: Mapping[str, Any]) -> Function:
    """`f` with the extents `of` in place of the Dims that it names."""
    params = tuple(Var(p.name, of_type(p.type, of)) for p in f.params)
    return replace(f, params=params, body=inlined(f, params, of))


def of_type(t: Any, of: Mapping[str, Any]) -> Any:
    """A type with the extents `of` in place of the Dims that it names."""
    if isinstance(t, tuple):
        return tuple(of_type(x, of) for x in t)
    return TensorType(substituted(t.shape, of), t.dtype)

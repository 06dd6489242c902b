"""Evaluate: a program value by value, each operator by itself, with no graph compiler in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.ir.shapes import dims_of, values_of

from .ir import Call, Constant, Expr, Function, Global, If, Item, Let, Loop, Tuple, Var, walk
from .module import Module
from .symbolic import evaluated, fixed, substituted

__all__ = ["Evaluator", "evaluate"]

Array = np.ndarray[Any, Any]


def evaluate(m: Module, inputs: Mapping[str, Array], by: type[Evaluator] | None = None) -> list[Array]:
    """The outputs of `main` for arrays by name, at any stage of the passes; `by`: an Evaluator with operators of its own.

    >>> from halo.graph import parse
    >>> m = parse("def main(%x: f32[n]) -> f32[n] { %0 = relu(%x); %0 }")
    >>> evaluate(m.run_passes(), {"x": np.array([-1, 2], np.float32)})
    [array([0., 2.], dtype=float32)]
    """
    params = m.main.params
    dims: dict[str, int] = values_of((p.type.shape for p in params), [inputs[p.name].shape for p in params])
    if not any(f.primitive for f in m.functions.values()):
        m = fixed(m, {p.name: inputs[p.name].shape for p in m.main.params})
    return (by or Evaluator)(m.functions, dims).function(m.main, [inputs[p.name] for p in m.main.params])


class Evaluator:
    """Python in place of the code that drives a program: If, Loop and what calls each other, for the extents `dims`."""

    def __init__(self, functions: Mapping[str, Function], dims: Mapping[str, int]) -> None:
        self.functions, self.dims = functions, dict(dims)

    def called(self, e: Call, args: list[Array]) -> list[Array]:
        """What the function gives that `e` calls."""
        assert isinstance(e.op, Global)
        own = {n: k for n, v in e.attributes for k in evaluated((v,), self.dims)}
        return type(self)(self.functions, {**self.dims, **own}).function(self.functions[e.op.name], args)

    def computed(self, e: Call, args: tuple[Array | None, ...]) -> Array:
        """What an operator gives."""
        assert not isinstance(e.op, Global)
        return np.asarray(e.op.eager(args, {name: substituted(v, self.dims) for name, v in e.attributes}))

    def function(self, f: Function, args: Sequence[Array]) -> list[Array]:
        """The outputs of `f`."""
        made: dict[int, Any] = {id(p): a for p, a in zip(f.params, args, strict=True)}
        lets = {id(e.value): str(e.dim) for e in walk(f.body) if isinstance(e, Let)}
        for e in walk(f.body):
            if not isinstance(e, Var):
                made[id(e)] = self._value(e, made)
            if id(e) in lets:
                self.dims[lets[id(e)]] = max(made[id(e)].item(), 0)
        return [made[id(e)] for e in f.outputs]

    def _value(self, e: Expr, made: Mapping[int, Any]) -> Any:
        match e:
            case Constant():
                return e.data
            case Tuple():
                return [made[id(x)] for x in e.fields]
            case Item():
                return made[id(e.value)][e.index]
            case Call():
                if isinstance(e.op, Global):
                    return self._results(e, self.called(e, [made[id(a)] for a in e.children]))
                return self.computed(e, tuple(None if a is None else made[id(a)] for a in e.args))
            case Let():
                return made[id(e.body)]
            case If():
                taken = e.then if made[id(e.condition)].item() else e.otherwise
                return self._results(e, self.function(taken, [made[id(a)] for a in e.args]))
            case Loop():
                return self._results(e, self._loop(e, made))
        raise AssertionError(e)

    def _results(self, e: Expr, found: list[Array]) -> Any:
        return found if isinstance(e.type, tuple) else found[0]

    def _loop(self, e: Loop, made: Mapping[int, Any]) -> list[Array]:
        trip = None if e.trip is None else made[id(e.trip)].item()
        again = e.condition is None or made[id(e.condition)].item()
        state, rows = [made[id(c)] for c in e.carried], list[list[Array]]()
        types, given = [x.type for x in e.stacked], [np.array(0), *state, *(made[id(a)] for a in e.args)]
        first = values_of([p.type.shape for p in e.body.params], [a.shape for a in given])
        while again and (trip is None or len(rows) < trip):
            found = self.function(e.body, [np.array(len(rows), np.int64), *state, *(made[id(a)] for a in e.args)])
            if e.condition is not None:
                again = found.pop(0).item()
            state = found[: len(state)]
            rows.append(found[len(state) :])
        return [*state, *(_stacked([r[k] for r in rows], t, first) for k, t in enumerate(types))]


def _stacked(rows: list[Array], t: Any, dims: Mapping[str, int]) -> Array:
    """The rows as one array. Where there are none they are as long as `dims` tell, or of no entries."""
    known = (n if isinstance(n, int) or all(dims.get(name, -1) >= 0 for name in dims_of(n)) else 0 for n in t.shape)
    shape = rows[0].shape if rows else evaluated(tuple(known), dims)
    if any(r.shape != shape for r in rows):
        raise ArgumentError(f"the rows {' and '.join(str(r.shape) for r in rows)} do not stack", loc=here())
    return np.array(rows, t.dtype.dtype).reshape(len(rows), *shape)

"""`halo.scan`: Funcs that step together along an ordered axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DefinitionError, here
from ..frontend.graph import inputs_along
from ..frontend.scans import Scan
from ..ir.place import at
from ..ir.surface import (
    Access,
    Define,
    Definitions,
    Expr,
    Extent,
    Function,
    Indexable,
    IndexVar,
    Literal,
    RDom,
    Table,
    Undef,
    as_expr,
)
from .func import Func

__all__ = ["scan"]


def scan(state: Any, init: Any, step: Any, length: Any = None, reverse: bool = False) -> Any:
    """Define `state`, a Func without a definition, as what `step` makes of it step after step (TE's scan).

    `step` is a Func whose first index variable is the step, t. It, and any Funcs between, reductions included, read
    `state[t - 1, ...]`: the values of the step before, and in the first step those of `init`: a Func, Input or array with
    an axis less, or a number. Afterwards `state[t, ...]` is `step[t, ...]` for t in 0..`length`: an integer expression of
    shapes and parameters, or the extent of the first input that the steps read at t. With `reverse` the steps run from
    the last to the first, and read `state[t + 1, ...]`. Several states, of any shapes, step together where `state`,
    `init` and `step` are tuples of one length: all of them read what all of them were. The states have the types of
    `init`. Returns `state`.

    What depends on a state is computed in its step, by default at the loop over t, once; what does not (the projection
    of all inputs, say) is computed before, as any Func. `state.update(1)` are the steps: its outermost loop t is serial
    and stays outermost, the others take all directives; `state.update(0)` stores `init`. The Funcs of a step are placed
    at `compute_at(state, "t")` (of several states: the last one), or further in. Where only the last step is read, two
    are kept.

    DefinitionError: a state that is defined, or read at another step than the one before; a Func of a step that is read
    outside of it. BoundsError: the state is needed outside of 0..`length`.

    A recurrent layer h[t] = tanh(x[t] + u h[t-1]):

    >>> import halo, numpy as np
    >>> h = halo.Func("h")
    >>> @halo.func
    ... def step(t, b, j, *, x, u):
    ...     return halo.tanh(x[t, b, j] + sum(u[j, k] * h[t - 1, b, k] for k in halo.rdom(u.shape[0])))
    >>> _ = halo.scan(h, init=0.0, step=step)
    >>> rng = np.random.default_rng(0)
    >>> x, u = rng.standard_normal((5, 2, 3), np.float32), rng.standard_normal((3, 3), np.float32)
    >>> want, now = [], np.zeros((2, 3), np.float32)
    >>> for xt in x:
    ...     now = np.tanh(xt + now @ u.T)
    ...     want.append(now)
    >>> np.allclose(h(x=x, u=u), want, atol=1e-6)
    True

    Two states, in the object form: the numbers of Fibonacci.

    >>> a, b, i, j, t = halo.Func("a"), halo.Func("b"), halo.Func("i"), halo.Func("j"), halo.Var("t")
    >>> i[t], j[t] = b[t - 1], a[t - 1] + b[t - 1]
    >>> _ = halo.scan((a, b), init=(0, 1), step=(i, j), length=10)
    >>> a(shape=10)
    array([ 1,  1,  2,  3,  5,  8, 13, 21, 34, 55], dtype=int32)
    """
    several = isinstance(state, (tuple, list))
    states, inits, steps = (tuple(v) if isinstance(v, (tuple, list)) else (v,) for v in (state, init, step))
    if not several and isinstance(init, (tuple, list)):
        inits = (init,)
    if not states or not len(states) == len(inits) == len(steps):
        raise DefinitionError(f"{len(states)} states, {len(inits)} inits and {len(steps)} steps", loc=here(),
                              hint="scan((h, c), init=(h0, c0), step=(h1, c1), length=n)")  # fmt: skip
    if len(set(states)) < len(states):
        raise DefinitionError("a state is given twice", loc=here())
    for s in states:
        _check_state(s)
    for s in steps:
        _check_step(s)
    count = _length(states, steps) if length is None else as_expr(length)
    made = Scan(states, steps, count, bool(reverse))
    for s, first, one in zip(states, inits, steps, strict=True):
        stepping(s, one, _initial(first, one), made)
    return tuple(states) if several else state


def _check_state(s: Any) -> None:
    if not isinstance(s, Func):
        raise DefinitionError(f"a state of a scan is a halo.Func, not a {type(s).__name__}", loc=here(),
                              hint='h = halo.Func("h")')  # fmt: skip
    if s._is_defined:
        raise DefinitionError(f"{s.name} is defined already: a scan defines its states", loc=here(),
                              hint='a new halo.Func("h")')  # fmt: skip


def _check_step(s: Any) -> None:
    if not isinstance(s, Func) or not s._is_defined:
        raise DefinitionError("a step of a scan is a Func that is defined", loc=here())
    if not s.ndim:
        raise DefinitionError(f"{s.name} has no axis for the steps", loc=s.loc, hint=f"def {s.name}(t, ...)")
    if s.size != 1:
        raise DefinitionError(f"{s.name} has {s.size} values a point, and a state one", loc=s.loc,
                              hint="a Func for each state")  # fmt: skip


def _length(states: tuple[Func, ...], steps: tuple[Func, ...]) -> Expr:
    """The extent of the first input that is read at the plain step."""
    for s in steps:
        for i, axis in inputs_along(s, s.definitions.vars[0], states):
            return Extent(i, axis)
    raise DefinitionError(f"nothing says how many steps there are: no input is read at {steps[0].definitions.vars[0]}",
                          loc=here(), hint="length=n")  # fmt: skip


def _initial(init: Any, step: Func) -> Expr:
    """The value before the first step, in terms of the variables of `step`."""
    point = tuple(map(IndexVar, step.definitions.vars[1:]))
    if isinstance(init, (np.ndarray, list, tuple)) and np.ndim(init):
        init = Table(np.asarray(init), "init")
    if not isinstance(init, Indexable):
        return as_expr(init)
    target = init.at_rank(len(point)) if isinstance(init, Func) else init
    if target.ndim is not None and target.ndim != len(point):
        raise DefinitionError(f"{target.name} has {target.ndim} axes, and {step.name} {len(point)} beside that of the steps",
                              loc=here())  # fmt: skip
    if isinstance(target, Function):
        target.freeze()
    return Access(target, point)


def stepping(state: Func, step: Func, init: Expr, s: Scan) -> None:
    """Define `state` as the state of `s` that `step` gives."""
    t, *rest = step.definitions.vars
    state._where = here() or state._where
    point = tuple(map(IndexVar, rest))
    with at(state.loc):
        r = RDom(((Literal(0), s.length),), (t,))
        now: Expr = s.length - 1 - r[0] if s.reverse else r[0]
        before: Expr = s.length if s.reverse else Literal(-1)
        first = Define((before, *point), (init,), loc=state.loc)
        steps = Define((now, *point), (Access(step, (now, *point)),), r, loc=state.loc)
    axis = f"{t}_"
    while axis in rest:
        axis += "_"
    state.scan = s
    pure = Define((IndexVar(axis), *point), (Undef(),), loc=state.loc)
    state.settle(Definitions((axis, *rest), pure, (first, steps)))

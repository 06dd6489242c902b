"""If and Loop: made from functions that build their bodies, typed by unification, and put in place where all is known.

Where two types meet, equal extents stay; one that differs becomes a Dim of its own, which only running tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halo.errors import ArgumentError, UnknownValueError, here
from halo.ir.shapes import Dim, dim_max, dim_min, dims_of
from halo.nn import TensorType
from halo.types import bool_, i64

from .ir import Constant, Expr, Function, If, Item, Let, Loop, Tuple, Type, Var, constant, walk
from .shape_arithmetic import shape_vector, values
from .symbolic import inlined
from .trips import counted

__all__ = ["checked", "if_", "is_open", "loop", "unified"]

FOREVER = 2**31  # iterations: an extent is less
Values = Sequence[Expr]


def unified(a: Type, b: Type, stem: str) -> Type:
    """The type that both are of: with a Dim `stem`_k for each extent that differs. Raises UnknownValueError for types
    that differ in more.

    >>> from halo.types import f32
    >>> unified(TensorType((2, 3), f32), TensorType((2, 4), f32), "if0")
    f32[2, if0_1]
    """
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(unified(x, y, f"{stem}_{k}") for k, (x, y) in enumerate(zip(a, b, strict=True)))
    if isinstance(a, tuple) or isinstance(b, tuple) or a.dtype is not b.dtype or a.ndim != b.ndim:
        hint = "shapes and values of inputs that decide the condition: from_onnx(model, shapes={...}, values={...})"
        raise UnknownValueError(f"{_shown(a)} and {_shown(b)} are no values of one type", loc=here(), hint=hint)
    shape = (m if m == n else Dim(f"{stem}_{d}") for d, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)))
    return TensorType(tuple(shape), a.dtype)


def _shown(t: Type) -> str:
    return f"({', '.join(map(_shown, t))})" if isinstance(t, tuple) else repr(t)


def if_(condition: Expr, args: Values, then: Callable[..., Values], otherwise: Callable[..., Values], name: str = "if",
        ) -> tuple[Expr, ...]:  # fmt: skip
    """The values of `then(*vars)` where `condition` holds, else those of `otherwise(*vars)`: each is called once, with a Var
    for each of `args`, and other Vars that it uses become arguments. `name` is unique in the program. Where the condition is
    a constant there is no If. One entry is of as many axes in both branches as in the one that has more.

    Raises ArgumentError for a condition that is no bool[], and for branches whose values are of different types.

    >>> from halo import nn
    >>> from halo.types import f32
    >>> c, x = Var("c", TensorType((), bool_)), Var("x", TensorType((2,), f32))
    >>> if_(c, [x], lambda x: [nn.relu(x)], lambda x: [nn.exp(x)])[0].type
    f32[2]
    """
    condition = _scalar(condition, bool_, "the condition of an If")
    if isinstance(condition, Constant):
        return tuple((then if condition.data.item() else otherwise)(*args))
    params = _vars(args)
    results = [tuple(map(constant, branch(*params))) for branch in (then, otherwise)]
    if len(results[0]) != len(results[1]):
        raise ArgumentError(f"the branches of an If give {len(results[0])} and {len(results[1])} values", loc=here())
    pairs = [_of_one_rank(a, b) for a, b in zip(*results, strict=True)]
    results = [tuple(pair[k] for pair in pairs) for k in range(2)]
    types = [tuple(e.type for e in r) for r in results]
    result = unified(types[0], types[1], name)
    bodies, more = _closed([Function(params, _packed(r)) for r in results])
    given = (*args, *more)
    made = If(condition, given, bodies[0], bodies[1], result if len(result) != 1 else result[0], name)
    return _unpacked(made, len(result))


def loop(trip: Expr | None, condition: Expr | None, carried: Values, args: Values,
         body: Callable[..., tuple[Expr | None, Values, Values]], name: str = "loop") -> tuple[Expr, ...]:  # fmt: skip
    """The values carried in the end, then the stacked ones. `body(i, *carried, *args)` builds an iteration: whether there is
    another one (None: that is not asked), what is carried, what is stacked; Vars of outside that it uses become arguments.
    It is called again where what it carries is of another type than before, and where it carries a value unchanged: that is
    an argument then, or a constant. A condition that counts up to what shapes decide is a trip count.

    Raises ArgumentError for a trip count that is no i64[], and for values whose type changes in more than extents.

    >>> from halo import nn
    >>> from halo.types import f32
    >>> x, n = Var("x", TensorType((2,), f32)), Var("n", TensorType((), i64))
    >>> [v.type for v in loop(n, None, [x], [], lambda i, x: (None, [nn.exp(x)], [x]))]
    [f32[2], f32[loop_trips, 2]]
    """
    trip = None if trip is None else _scalar(trip, i64, "the trip count of a Loop")
    condition = None if condition is None else _scalar(condition, bool_, "the condition of a Loop")
    if isinstance(condition, Constant) and not condition.data.item():
        trip, condition = Constant(np.array(0, np.int64)), None
    types: Any = tuple(e.type for e in carried)
    while True:
        i = Var("i", TensorType((), i64))
        own = tuple(Var(f"s{k}", t) for k, t in enumerate(types))
        more = _vars(args, start=len(own))
        again, next_, stacked = body(i, *own, *more)
        next_, stacked = [*map(constant, next_)], [*map(constant, stacked)]
        if len(next_) != len(own):
            raise ArgumentError(f"a Loop carries {len(own)} values, and its body gives {len(next_)}", loc=here())
        kinds = [(e.type.ndim, e.type.dtype) for e in own]
        if kinds != [(e.type.ndim, e.type.dtype) for e in next_] and _runs(trip, condition):
            return _peeled(trip, carried, args, body, name)
        wider = tuple(unified(a, e.type, f"{name}_{k}") for k, (a, e) in enumerate(zip(types, next_, strict=True)))
        if wider == types:
            break
        types = wider
    held = {k for k, (a, e) in enumerate(zip(own, next_, strict=True)) if a is e}
    if held:
        return _holding(held, trip, condition, carried, args, body, name)
    if again is not None:
        most = counted(i, own, carried, next_, dict(zip(more, args, strict=True)), condition, again)
        if most is not None:
            trip, condition, again = _fewer(trip, most), None, None
    always = again is None or (isinstance(again, Constant) and bool(again.data.item()))
    if always and (condition is None or isinstance(condition, Constant)):
        again = condition = None
    else:
        again = Constant(np.array(True)) if again is None else _scalar(again, bool_, "the condition of a Loop")
        condition = Constant(np.array(True)) if condition is None else condition
    length: Any = Dim(f"{name}_trips")
    known = None if trip is None or condition is not None else values(trip)
    if known is not None:
        length = dim_max(known.item(), 0)
    rows = tuple(TensorType((length, *e.type.shape), e.type.dtype) for e in stacked)
    result = (*types, *rows)
    given = tuple(e for e in (again, *next_, *stacked) if e is not None)
    (f,), others = _closed([Function((i, *own, *more), _packed(given))])
    made = Loop(trip, condition, tuple(carried), (*args, *others), f, result if len(result) != 1 else result[0], name)
    return _unpacked(made, len(result))


def _runs(trip: Expr | None, condition: Expr | None) -> bool:
    """Whether there is a first iteration for sure."""
    known = None if trip is None else values(trip)
    often = trip is None or (known is not None and dim_max(1 - known.item(), 0) == 0)
    return often and (condition is None or isinstance(condition, Constant))


def _peeled(trip: Expr | None, carried: Values, args: Values,
            body: Callable[..., tuple[Expr | None, Values, Values]], name: str) -> tuple[Expr, ...]:  # fmt: skip
    """The loop with its first iteration before it, after which what it carries is of another rank or type."""
    from halo import nn

    one = Constant(np.array(1, np.int64))
    again, first, row = body(Constant(np.array(0, np.int64)), *carried, *args)
    first = [*map(constant, first)]

    def rest(i: Expr, *own: Expr) -> tuple[Expr | None, Values, Values]:
        return body(nn.add(i, one), *own)

    found = loop(None if trip is None else nn.subtract(trip, one), again, first, args, rest, f"{name}_rest")
    stacked = (nn.reshape(r, shape=(1, *r.type.shape)) for r in map(constant, row))
    rows = [nn.concatenate(r, more, axis=0) for r, more in zip(stacked, found[len(first) :], strict=True)]
    return (*found[: len(first)], *rows)


def _holding(held: set[int], trip: Expr | None, condition: Expr | None, carried: Values, args: Values,
             body: Callable[..., tuple[Expr | None, Values, Values]], name: str) -> tuple[Expr, ...]:  # fmt: skip
    """The loop with those of the `carried` values that no iteration changes, by number, as what all iterations read."""
    moved = [k for k in range(len(carried)) if k not in held]
    given = [k for k in sorted(held) if not isinstance(carried[k], Constant)]

    def rest(i: Expr, *own: Expr) -> tuple[Expr | None, Values, Values]:
        now = list(carried)
        for k, e in zip((*moved, *given), own, strict=False):
            now[k] = e
        again, next_, stacked = body(i, *now, *own[len(moved) + len(given) :])
        return again, [next_[k] for k in moved], stacked

    args = [*(carried[k] for k in given), *args]
    found = iter(loop(trip, condition, [carried[k] for k in moved], args, rest, name))
    last = [carried[k] if k in held else next(found) for k in range(len(carried))]
    return (*last, *found)


def _fewer(trip: Expr | None, most: Any) -> Expr:
    """The trip count, `most` at the most."""
    known = None if trip is None else values(trip)
    if trip is None or (known is not None and isinstance(known.item(), int) and known.item() >= FOREVER):
        return shape_vector((most,), ())
    if known is not None:
        return shape_vector((dim_min(known.item(), most),), ())
    from halo import nn

    return nn.minimum(trip, shape_vector((most,), ()))  # type: ignore[no-any-return]  # of expressions, one


def _closed(bodies: list[Function]) -> tuple[list[Function], tuple[Var, ...]]:
    """The functions with what they read of outside as further parameters, the same for all; and what that is."""
    free: dict[int, Var] = {}
    for f in bodies:
        own = set(map(id, f.params))
        free |= {id(e): e for e in walk(f.body) if isinstance(e, Var) and id(e) not in own}
    if not free:
        return bodies, ()
    found = []
    for f in bodies:
        more = _vars(tuple(free.values()), len(f.params))
        found.append(Function((*f.params, *more), inlined(Function(tuple(free.values()), f.body), more)))
    return found, tuple(free.values())


def _vars(args: Values, start: int = 0) -> tuple[Var, ...]:
    return tuple(Var(f"a{k}", e.type) for k, e in enumerate(args, start))


def _of_one_rank(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """Both, the one of fewer axes with more of them, where each is one entry."""
    from halo import nn

    if any(isinstance(e.type, tuple) or any(n != 1 for n in e.type.shape) for e in (a, b)):
        return a, b
    shape = (1,) * max(a.type.ndim, b.type.ndim)
    found = (e if e.type.shape == shape else nn.reshape(e, shape=shape) for e in (a, b))
    return next(found), next(found)


def _packed(values: Values) -> Expr:
    return values[0] if len(values) == 1 else Tuple(tuple(values))


def _unpacked(e: Expr, count: int) -> tuple[Expr, ...]:
    return (e,) if count == 1 else tuple(Item(e, k) for k in range(count))


def _scalar(e: Expr, dtype: Any, what: str) -> Expr:
    """`e` without axes."""
    from halo import nn

    if isinstance(e.type, tuple) or e.type.dtype is not dtype or any(n != 1 for n in e.type.shape):
        raise ArgumentError(f"{what} is a {dtype.name}[], not {_shown(e.type)}", loc=here())
    if isinstance(e, Constant):
        return Constant(e.data.reshape(()), e.name)
    return e if not e.type.shape else nn.reshape(e, shape=())


def checked(e: If | Loop) -> If | Loop:
    """`e`, of a text. Raises ArgumentError where its parts do not fit together."""
    result = e.result if isinstance(e.result, tuple) else (e.result,)
    if isinstance(e, If):
        _scalar(e.condition, bool_, "the condition of an If")
        for body in e.bodies:
            _fit(e.args, body.params)
            _fit(body.outputs, result)
        return e
    for value, dtype in ((e.trip, i64), (e.condition, bool_)):
        if value is not None:
            _scalar(value, dtype, f"what says how often a Loop runs, a {dtype.name}[],")
    _fit((Constant(np.array(0, np.int64)), *e.carried, *e.args), e.body.params)
    test = (TensorType((), bool_),) if e.condition is not None else ()
    own = tuple(p.type for p in e.body.params[1 : 1 + len(e.carried)])
    rows = result[len(own) :]
    if result[: len(own)] != own or not all(t.ndim for t in rows):
        raise ArgumentError(f"a Loop that carries {_shown(own)} does not give {_shown(result)}", loc=here())
    _fit(e.body.outputs, (*test, *own, *(TensorType(t.shape[1:], t.dtype) for t in rows)))
    return e


def _fit(values: Sequence[Expr], wanted: Sequence[Any]) -> None:
    """Raises ArgumentError unless each value is of the type wanted, or of one with other extents for its Dims."""
    types = [t.type if isinstance(t, Var) else t for t in wanted]
    if len(types) != len(values):
        raise ArgumentError(f"{len(values)} values are not the {len(types)} that are wanted", loc=here())
    for e, t in zip(values, types, strict=True):
        same = not isinstance(e.type, tuple) and e.type.dtype is t.dtype and e.type.ndim == t.ndim
        if not same or any(m != n and not isinstance(n, Dim) for m, n in zip(e.type.shape, t.shape, strict=True)):
            raise ArgumentError(f"a value of {_shown(e.type)} is none of {t}", loc=here())


def is_open(e: Expr) -> bool:
    """Whether only running tells the extents of what is computed in the If, Loop or Let `e`, or in a body of it."""
    if isinstance(e, Let):
        return True
    if isinstance(e, (If, Loop)):
        result = e.result if isinstance(e.result, tuple) else (e.result,)
        given = {name for a in e.children for n in a.type.shape for name in dims_of(n)}
        if isinstance(e, Loop) and e.trip is not None and (trip := values(e.trip)) is not None:
            given |= set(dims_of(trip.item()))
        if any(name not in given for t in result for n in t.shape for name in dims_of(n)):
            return True
    return any(is_open(x) for body in e.bodies for x in walk(body.body))

"""`halo.sort`, `halo.argsort`: the values along one axis in order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DefinitionError, here
from ..frontend.externs import Sorting
from ..ir.sorting import Sorter
from ..ir.surface import Access, Call, Define, Definitions, Expr, Function, Indexable, IndexVar, Input, Table, as_expr
from ..types import i32
from .func import Func

__all__ = ["argsort", "sort"]


def sort(f: Any, axis: int = -1, descending: bool = False, *, bounds: Any = None, name: str | None = None) -> Func:
    """A Func whose values are those of `f` (a Func, an Input, a pad view or an array) sorted along `axis`, as numpy.sort.

    Of the type of `f`, any of the language's. The order is stable and NaNs come last, also where it is `descending`:
    that of the values falls then, equal ones stay in the order of their indices, and NaNs are last still (what
    `numpy.sort` has no word for, and `numpy.sort(x)[::-1]` is not). The two zeros are equal.

    The sorted axis is that of the input, `0..n`; of a Func it is as long as the first input that `f` has it from, as in a
    call of `f`; or `bounds` says (lo, n). Reading it anywhere else is a BoundsError. The other axes are loops as those of
    any Func: `sort(f).parallel("y")`; along the sorted one there is no loop, and all of it is needed of `f` for each
    row, which costs O(n) in memory of the row's length and O(n log n) time at most.

    DefinitionError: an axis that is not there, a Func with several values a point, a length that nothing says.

    >>> import halo, numpy as np
    >>> img = halo.Input("img", halo.f32, ndim=2)
    >>> rows = halo.sort(img)
    >>> rows(img=np.array([[3, np.nan, 1], [2, 0, 2]], np.float32))
    array([[ 1.,  3., nan],
           [ 0.,  2.,  2.]], dtype=float32)
    >>> @halo.func
    ... def median(y, *, img: halo.f32[:, :]):
    ...     return halo.sort(img)[y, img.shape[1] // 2]
    >>> median(np.array([[3, 7, 1], [2, 0, 2]], np.float32))
    array([3., 2.], dtype=float32)
    """
    return _made(f, axis, descending, False, bounds, name)


def argsort(f: Any, axis: int = -1, descending: bool = False, *, bounds: Any = None, name: str | None = None) -> Func:
    """A Func of the indices (i32) that sort `f` along `axis`: the values of `sort`, of which see, are `f` at these.

    As `numpy.argsort(f, axis, kind="stable")`. With `bounds=(lo, n)` they are indices of `f`: lo..lo+n.

    >>> import halo, numpy as np
    >>> x = halo.Input("x", halo.i32, ndim=1)
    >>> halo.argsort(x, descending=True)(x=np.array([3, 1, 3, 2], np.int32))
    array([0, 2, 3, 1], dtype=int32)
    """
    return _made(f, axis, descending, True, bounds, name)


# the names of inputs, in a definition that subscripts them nowhere else, mean arrays here
sort.takes_array = argsort.takes_array = True  # type: ignore[attr-defined]  # an attribute that functions do not declare


def _made(f: Any, axis: int, descending: bool, indices: bool, bounds: Any, name: str | None) -> Func:
    target = f if isinstance(f, Indexable) else _array(f)
    what = "argsort" if indices else "sort"
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise DefinitionError(f"the axis of a sort is a number, not {axis!r}", loc=here())
    if not isinstance(descending, (bool, np.bool_)):
        raise DefinitionError(f"descending is True or False, not {descending!r}", loc=here())
    whole = None if bounds is None else _pair(bounds)
    made = Sorted(name or f"{target.name}_{what}", target, int(axis), bool(descending), indices, whole)
    return made if target.ndim is None else made.at_rank(target.ndim)


def _array(value: Any) -> Indexable:
    if isinstance(value, Expr):
        raise DefinitionError("a sort takes a Func, an Input or an array, not a value at one point", loc=here(),
                              hint="define a halo.Func of the values, and sort that")  # fmt: skip
    try:
        array = np.asarray(value)
    except (BufferError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise DefinitionError(f"a sort takes a Func, an Input or an array: {error}", loc=here()) from None
    if array.ndim == 0:
        raise DefinitionError("a sort takes a Func, an Input or an array", loc=here())
    return Table(array)


def _pair(bounds: Any) -> tuple[Expr, Expr]:
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise DefinitionError(f"the bounds of a sorted axis are a pair (lo, n), not {bounds!r}", loc=here())
    lo, n = bounds
    return as_expr(lo), as_expr(n)


class Sorted(Func):
    """A sort whose rank is that of its use: `sort(img)[y, x]` of an input that nothing else says the rank of."""

    def __init__(self, name: str, target: Indexable, axis: int, descending: bool, indices: bool,
                 whole: tuple[Expr, Expr] | None) -> None:  # fmt: skip
        super().__init__(name)
        self.sorted, self._how, self._whole = target, (axis, descending, indices), whole

    def at_rank(self, n: int) -> Func:
        if n not in self._ranked:
            self._ranked[n] = self._of_rank(n)
        return self._ranked[n]

    def _of_rank(self, n: int) -> Func:
        axis, descending, indices = self._how
        if not -n <= axis < n:
            raise DefinitionError(f"{self.sorted.name} has {n} axes, and no axis {axis}", loc=self.loc)
        target = self.sorted
        if isinstance(target, Func):
            target = target.at_rank(n)
        if (target.size or 1) > 1:
            raise DefinitionError(f"{target.name} has {target.size} values a point: a sort takes one", loc=self.loc,
                                  hint=f"a Func of {target.name}[...][0]")  # fmt: skip
        if isinstance(target, Function):
            target.freeze()
        sorter = Sorter(axis % n, descending, indices)
        return sorting(self.blank(), target, sorter, self._whole, target.definitions.vars if isinstance(target, Function) else
                       tuple(f"i{k}" for k in range(n)))  # fmt: skip


def sorting(f: Func, target: Indexable, how: Sorter, whole: tuple[Expr, Expr] | None, vars: tuple[str, ...]) -> Func:
    """`f` as the stage that sorts `target`. What is no array in memory is copied row by row."""
    point = tuple(map(IndexVar, vars))
    if not isinstance(target, (Input, Function)):
        if whole is None:
            whole = as_expr(0), target.shape[how.axis]
        rows = f.blank()
        rows.name, rows.innermost = f"{f.name}_row", True
        rows.settle(Definitions(vars, Define(point, (Access(target, point),), loc=f.loc)))
        target = rows
    value: Expr = Access(target, point)
    if how.indices:
        value = Call("cast", (value,), i32)
    f.external = Sorting(how, (target,), (), None, whole)
    f.settle(Definitions(vars, Define(point, (value,), loc=f.loc)))
    return f

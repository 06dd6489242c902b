"""Shape rules that several operators share: broadcasting, and windows that slide over spatial axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import halo
from halo.errors import ArgumentError, UnknownValueError, here
from halo.ir.shapes import Dim, DimExpr, Extents, dim_join, dim_min, dims_of, met, shown
from halo.ir.surface import as_expr

__all__ = [
    "Window",
    "assume",
    "assumptions",
    "axes_of",
    "axis_of",
    "broadcast",
    "broadcasts_to",
    "decided",
    "equal",
    "indices",
    "places",
    "same_type",
    "takes",
    "unravelled",
]

KINDS = {
    "float": "floats",
    "int": "integers",
    "number": "numbers",
    "bool": "truth values",
    "bits": "integers and truth values",
}
OF = {"float": ("float",), "int": ("int", "uint"), "number": ("float", "int", "uint"), "bool": ("bool",),
      "bits": ("int", "uint", "bool")}  # fmt: skip


def takes(name: str, kind: str, *types: Any) -> None:
    """Refuse tensors of other element types than `kind`: a key of `KINDS`. Raises ArgumentError."""
    for t in types:
        if t is None or kind == "any":
            continue
        if t.dtype.is_stored:
            raise ArgumentError(f"{name} computes, and {t.dtype.name} only stores values", loc=here(),
                                hint=f"nn.cast(x, dtype={t.dtype.computed.name!r})")  # fmt: skip
        if t.dtype.kind not in OF[kind]:
            raise ArgumentError(f"{name} takes {KINDS[kind]}, not {t}", loc=here(), hint="nn.cast(x, dtype=...)")


def axis_of(name: str, axis: Any, ndim: int) -> int:
    """`axis`, counted from the end if it is negative, of so many. Raises ArgumentError if there is no such."""
    if isinstance(axis, bool) or not hasattr(axis, "__index__") or not -ndim <= axis.__index__() < ndim:
        raise ArgumentError(f"{name} of {ndim} axes has no axis {axis}", loc=here())
    return int(axis.__index__() % ndim)


def axes_of(name: str, axes: Any, ndim: int) -> tuple[int, ...]:
    """All of the axes for None, else those given, in ascending order. Raises ArgumentError for one given twice."""
    if axes is None:
        return tuple(range(ndim))
    given = axes if isinstance(axes, (tuple, list)) else (axes,)
    found = sorted(axis_of(name, a, ndim) for a in given)
    if len({*found}) < len(found):
        raise ArgumentError(f"{name} takes each axis once, not {tuple(given)}", loc=here())
    return tuple(found)


def indices(ndim: int, name: str = "i") -> tuple[Any, ...]:
    """Index variables, one an axis."""
    return tuple(halo.vars(" ".join(f"{name}{d}" for d in range(ndim)))) if ndim else ()


_assumed: ContextVar[list[tuple[str, Any, Any]] | None] = ContextVar("assumed", default=None)


@contextmanager
def assumptions() -> Iterator[list[tuple[str, Any, Any]]]:
    """Collect what rules take for granted of symbolic extents inside: (relation, extent, extent), the relation ==, >= or ~."""
    found: list[tuple[str, Any, Any]] = []
    token = _assumed.set(found)
    try:
        yield found
    finally:
        _assumed.reset(token)


def assume(relation: str, a: Any, b: Any) -> None:
    """`a == b`, `a >= b`, or `a ~ b` (they are equal, or a is 1), which a call is to check."""
    found = _assumed.get()
    if found is not None:
        found.append((relation, a, b))


def equal(a: Any, b: Any) -> bool:
    """Whether two extents may be equal: those that only a call knows are taken to be, which it checks."""
    if a == b:
        return True
    if isinstance(a, int) and isinstance(b, int):
        return False
    assume("==", a, b)
    return True


def decided(what: str, extent: Any, wanted: Any) -> None:
    """Raises UnknownValueError where `extent` is symbolic, and has to be the integer `wanted`: it has both."""
    if isinstance(extent, DimExpr) and isinstance(wanted, int):
        error = UnknownValueError(f"{what} takes {wanted} entries where there are {extent}, which only a call tells",
                                  loc=here(), hint=f"an input of which {extent} is {wanted}")  # fmt: skip
        error.extent = str(extent), wanted
        raise error


def broadcast(*shapes: Extents) -> Extents:
    """The common shape, as NumPy finds it. Of extents that only a call knows, one that is a name of its own may be 1 or not,
    and what it meets too: a `join`, which the call checks. Others are taken to be equal. Raises ArgumentError."""
    ndim = max(map(len, shapes), default=0)
    result: list[Any] = []
    for d in range(ndim):
        extents = {s[d - ndim] for s in shapes if len(s) >= ndim - d} - {1}
        ordered = sorted(extents, key=lambda n: (not isinstance(n, int), len(str(n)), str(n)))
        found = ordered[0] if ordered else 1
        for n in ordered[1:]:
            found = dim_join(found, n) if _may_differ(n, found) else found
        if not all(_stretches(n, found) for n in ordered):
            raise ArgumentError(f"{' and '.join(map(shown, shapes))} do not broadcast along axis {d}", loc=here())
        result.append(found)
    return tuple(result)


def _stretches(n: Any, of: Any) -> bool:
    """Whether an axis of extent `n` is read as one of extent `of`: they are equal, or it is 1 and repeated. What only a call
    knows it checks."""
    if n == 1 or not _may_differ(n, of):
        return n == 1 or equal(n, of)
    assume("~", n, of)
    return True


def broadcasts_to(own: Extents, of: Extents) -> bool:
    """Whether a tensor of the extents `own` is read as one of the extents `of`, as NumPy broadcast_to does."""
    return len(own) <= len(of) and all(map(_stretches, own, of[len(of) - len(own) :]))


def _may_differ(n: Any, of: Any) -> bool:
    """Whether a call may tell two extents that meet which are not equal."""
    return n != of and of != 1 and (_is_own(n, of) or _is_own(of, n) or {*met(n)} <= {*met(of)})


def _is_own(a: Any, b: Any) -> bool:
    return isinstance(a, Dim) and a.name not in dims_of(b)


def places(i: Sequence[Any], of: Extents, own: Extents) -> tuple[Any, ...]:
    """Where a tensor of the extents `own` is read for the entry `i` of the ones that it is broadcast to: an axis of 1 through
    stride 0, which a call may be the first to know."""
    first = len(of) - len(own)
    return tuple(_place(*axis) for axis in zip(i[first:], of[first:], own, strict=True))


def _place(i: Any, of: Any, n: Any) -> Any:
    if n == 1:
        return 0
    return i * halo.select(as_expr(n) == 1, 0, 1) if _may_differ(n, of) else i


def same_type(name: str, *types: Any) -> Any:
    """The one element type of `types`. Raises ArgumentError where they differ."""
    found = {t.dtype for t in types if t is not None}
    if len(found) > 1:
        raise ArgumentError(
            f"{name} takes tensors of one type, not {' and '.join(sorted(t.name for t in found))}", loc=here()
        )
    return found.pop()


@dataclass(frozen=True)
class Window:
    """A window over spatial axes: `padding` has the entries before each axis, then those after."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @staticmethod
    def of(kernel: Any, strides: Any, padding: Any, dilation: Any = 1, ndim: int = 2) -> Window:
        """`kernel`, `strides`, `dilation`: one integer, or one an axis. `padding`: one integer, one an axis, or two an
        axis (all of those before, then all of those after)."""
        pads = _integers("padding", padding, (1, ndim, 2 * ndim), 0)
        pads = pads * (2 * ndim // len(pads))
        one = (
            _integers(n, v, (1, ndim), 1) for n, v in (("kernel", kernel), ("strides", strides), ("dilation", dilation))
        )
        k, s, d = (v * (ndim // len(v)) for v in one)
        return Window(k, s, pads, d)

    @property
    def before(self) -> tuple[int, ...]:
        return self.padding[: len(self.kernel)]

    @property
    def padded(self) -> bool:
        return any(self.padding)

    def reach(self, axis: int) -> int:
        """How many entries one window covers."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def extents(self, spatial: Sequence[Any], ceil: bool = False) -> tuple[Any, ...]:
        """How many windows fit. `ceil`: also those that start inside but end behind the padding. Raises ArgumentError."""
        n = len(self.kernel)
        found = []
        for d, extent in enumerate(spatial):
            room = extent + self.padding[d] + self.padding[n + d] - self.reach(d)
            if not isinstance(room, int):
                assume(">=", room, 0)
            elif room < 0:
                raise ArgumentError(
                    f"a window of {self.reach(d)} entries is larger than the axis of {extent}", loc=here()
                )
            stride = self.strides[d]
            last = room // stride
            if ceil:
                last = dim_min((room + stride - 1) // stride, (extent + self.padding[d] - 1) // stride)
            found.append(last + 1)
        return tuple(found)


def _integers(name: str, value: Any, lengths: tuple[int, ...], least: int) -> tuple[int, ...]:
    found = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(found) not in lengths or not all(isinstance(v, int) and v >= least for v in found):
        counts = ", ".join(map(str, lengths[:-1])) + f" or {lengths[-1]}"
        raise ArgumentError(f"{name} is {counts} integers from {least} on, not {value!r}", loc=here())
    return found


def unravelled(flat: Any, extents: tuple[Any, ...]) -> tuple[Any, ...]:
    """The coordinates of entry `flat` of a tensor with these extents: NumPy unravel_index."""
    found: list[Any] = []
    for n in reversed(extents[1:]):
        at = flat % n if isinstance(n, int) else halo.clamp(flat % n, 0, n - 1)
        found.append(at if n != 1 else 0)
        flat = flat // n
    if not extents:
        return ()
    # it is less than that in any case, but where reshapes follow each other nobody sees it
    known = all(isinstance(n, int) for n in extents)
    first = halo.min(flat, extents[0] - 1) if known else halo.clamp(flat, 0, extents[0] - 1)
    return (first if extents[0] != 1 else 0, *reversed(found))

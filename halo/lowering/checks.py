"""Checks: what a call must provide is tested before anything is written.

* `bounds`: every input has what the *unscheduled* pipeline reads of it, so that no schedule changes which calls are legal;
* `fallback`: what this variant assumes beyond that (contiguous axes, bounds, tails that touch no more) holds, or a
  more cautious variant runs;
* `require`: the user's own requirements.
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Array, Const, Expr, Var, is_true
from ..ir.pipeline import CheckInfo, Function, Pipeline, Port
from ..ir.stmt import Check, Let, Stmt, block
from ..types import i64, index
from .boxes import Boxes, last_of
from .flatten import PIXEL, is_pixels, packed_strides, promised_strides
from .infer_bounds import closed, unbounded
from .outputs import reads_of


def entry_checks(
    s: Stmt,
    boxes: Boxes,
    p: Pipeline,
    ports: tuple[Port, ...],
    dense: bool,
    plain: Boxes | None,
    assumed: tuple[Expr, ...] = (),
) -> tuple[Stmt, tuple[CheckInfo, ...]]:
    """`s` after its checks, and what each of them (by its status, from 1) is about."""
    checks = _Checks()
    mine = closed_boxes(s, boxes)
    lets = _check_shapes(checks, p)
    for cond, message in p.requirements:
        checks.add(cond, CheckInfo("require", message=message))
    for a in p.inputs:
        needed = (mine if plain is None else plain).get(("read", a))
        if needed is not None:
            _check_input(checks, a, needed, p, "bounds")
        scheduled = mine.get(("read", a))
        if scheduled is not None and scheduled != needed:
            _check_input(checks, a, scheduled, p, "fallback")
    for f in p.functions:
        _check_domain(checks, f, mine if plain is None else plain, f.name in p.outputs)
    lets += _check_promises(checks, mine, p)
    lets += _check_outputs(checks, p, ports, {var for var, _ in lets})
    if dense:
        for port in ports:
            if port.ndim and not port.array.contiguous and port.ndim - 1 not in promised_strides(port, p):
                checks.add(A.eq(port.strides[-1], Const(1, index)), CheckInfo("fallback", port.name, port.ndim - 1))
            if port.array.shape is not None:
                _check_packed(checks, port)
            if is_pixels(port, p):
                channels = port.extents[-1]
                packed = A.or_(A.lt(Const(PIXEL, index), channels), A.eq(port.strides[-2], channels))
                checks.add(packed, CheckInfo("fallback", port.name, port.ndim - 2))
    for cond in assumed:
        checks.add(cond, CheckInfo("specialize"))
    for var, value in reversed(lets):
        s = Let(var, value, s)
    return block(*checks.stmts, s), tuple(checks.infos)


class _Checks:
    def __init__(self) -> None:
        self.stmts: list[Stmt] = []
        self.infos: list[CheckInfo] = []

    def add(self, cond: Expr, info: CheckInfo, *args: Expr) -> None:
        if not is_true(cond):
            self.infos.append(info)
            self.stmts.append(Check(cond, len(self.infos), args))


def closed_boxes(s: Stmt, boxes: Boxes) -> Boxes:
    """The boxes of the root in terms of the call's variables alone."""
    lets: list[tuple[Var, Expr]] = []
    while isinstance(s, Let):
        lets.append((s.var, s.value))
        s = s.body
    return boxes.let(closed(lets))


def _check_input(
    checks: _Checks, a: Array, box: tuple[tuple[Expr | None, Expr | None], ...], p: Pipeline, kind: str
) -> None:
    empty: Expr = A.false()
    for d, (lo, hi) in enumerate(box):
        if lo is None or hi is None:
            raise unbounded(p, a, d)
        empty = A.or_(empty, A.lt(hi, lo))
    reader = next((d.loc for f in p.functions for d in f.definitions if any(r.array is a for r in reads_of(d))), None)
    for d, (lo, hi) in enumerate(box):
        assert lo is not None and hi is not None
        fits = A.and_(A.le(Const(0, index), lo), A.lt(hi, a.extents[d]))
        checks.add(A.or_(fits, empty), CheckInfo(kind, a.name, d, loc=reader), lo, hi, a.extents[d])


def _check_shapes(checks: _Checks, p: Pipeline) -> list[tuple[Var, Expr]]:
    """Inputs have the shapes that they are declared with; what is then known of extents, as definitions."""
    lets: list[tuple[Var, Expr]] = []
    named: dict[str, tuple[Array, int]] = {}
    for a in p.inputs:
        for d, n in enumerate(a.shape or ()):
            if isinstance(n, int):
                other: Expr = Const(n, index)
                message = f"{a.name} is declared with {n} entries along axis {d}, and has {{}}"
            elif n in named:
                b, e = named[n]
                other, message = (
                    b.extents[e],
                    f"axis {d} of {a.name} and axis {e} of {b.name} are both {n}: {{}} and {{}}",
                )
            else:
                named[n] = a, d
                continue
            info = CheckInfo("require", message=message, types=(i64, i64, i64))
            same = A.eq(a.extents[d], other)
            checks.add(same, info, a.extents[d], a.extents[d], other)
            lets.append((a.extents[d], other))
    return lets


def _check_packed(checks: _Checks, port: Port) -> None:
    """The strides of an input of declared shape are those that `flatten` takes them for."""
    for d, n in enumerate(packed_strides(port.array)[:-1]):
        if n is not None:
            short = A.le(port.extents[d], Const(1, index))  # nothing is read at another index
            packed = A.or_(short, A.eq(port.strides[d], Const(n, index)))
            checks.add(packed, CheckInfo("fallback", port.name, d))


def _check_domain(checks: _Checks, f: Function, boxes: Boxes, output: bool) -> None:
    """What is needed of `f` lies where it has values."""
    box = boxes.get(("domain", f.array))
    if output:
        box = tuple((m, last_of(m, n)) for m, n in zip(f.array.mins, f.array.extents, strict=True))
    if box is None:
        return
    empty = A.not_(A.all_of(A.le(lo, hi) for lo, hi in box if lo is not None and hi is not None))
    for d, first, n in f.domain:
        lo, hi = box[d]
        assert lo is not None and hi is not None  # the box has a size
        last = last_of(first, n)
        fits = A.and_(A.le(first, lo), A.le(hi, last))
        checks.add(A.or_(fits, empty), CheckInfo("domain", f.name, d, loc=f.loc), lo, hi, first, last)


def _check_promises(checks: _Checks, boxes: Boxes, p: Pipeline) -> list[tuple[Var, Expr]]:
    """Outputs are written nowhere else, and bounds fit; what is then known of the outputs' shape, as definitions."""
    lets: list[tuple[Var, Expr]] = []
    for f in p.functions:
        a = f.array
        if f.name in p.outputs:
            for d, (lo, hi) in enumerate(boxes.get(("write", a), ())):
                if lo is None or hi is None:
                    checks.add(A.false(), CheckInfo("fallback", a.name, d))
                    continue
                inside = A.and_(A.le(a.mins[d], lo), A.le(hi, last_of(a.mins[d], a.extents[d])))
                checks.add(inside, CheckInfo("fallback", a.name, d))
            for d, lo, n in f.bound:
                same = A.eq(a.extents[d], n)
                if lo is not None:
                    same = A.and_(A.eq(a.mins[d], lo), same)
                    lets.append((a.mins[d], lo))
                checks.add(same, CheckInfo("fallback", a.name, d))
                lets.append((a.extents[d], n))
            for d, m in (*((d, m) for d, m, _ in f.align_bounds), *f.align_extent):
                whole = A.mul(A.floordiv(a.extents[d], Const(m, index)), Const(m, index))
                checks.add(A.eq(a.extents[d], whole), CheckInfo("fallback", a.name, d))
                lets.append((a.extents[d], whole))
            continue
        for d, lo, n in f.bound:
            if ("bound", a) in boxes:
                low, high = boxes[("bound", a)][d]
                checks.add(_holds(low if lo is None else lo, low, high, n), CheckInfo("fallback", a.name, d))
        for d, n in f.bound_storage:
            if ("room", a) in boxes:
                _, most = boxes[("room", a)][d]
                checks.add(A.false() if most is None else A.le(most, n), CheckInfo("fallback", a.name, d))
        for d, size, _ in f.fold:
            if ("fold", a) in boxes:
                _, most = boxes[("fold", a)][d]
                fits = A.false() if most is None else A.le(most, Const(size, index))
                checks.add(fits, CheckInfo("fallback", a.name, d))
    return lets


def _check_outputs(checks: _Checks, p: Pipeline, ports: tuple[Port, ...], known: set[Var]) -> list[tuple[Var, Expr]]:
    """The promises of outputs hold; what is then known beside those `known`, as definitions (strides `flatten` knows)."""
    lets: dict[Var, Expr] = {}
    promised = {f.array: f.promised for f in p.functions}
    for port in ports:
        for what, axis, n, item in promised.get(port.array, ()):
            if item != port.item:
                continue
            if what == "alignment":
                if port.address is not None:
                    checks.add(A.eq(A.mod(port.address, n), Const(0, index)), CheckInfo("fallback", port.name))
            else:
                var = {"stride": port.strides, "min": port.mins, "extent": port.extents}[what][axis]
                checks.add(A.eq(var, n), CheckInfo("fallback", port.name, axis))
                if what != "stride" and var not in known:
                    lets.setdefault(var, n)
    return list(lets.items())


def _holds(lo: Expr | None, low: Expr | None, high: Expr | None, n: Expr) -> Expr:
    """Whether low..high is among the `n` entries from `lo` on."""
    if lo is None or low is None or high is None:
        return A.false()
    return A.and_(A.le(lo, low), A.lt(high, A.add(lo, n)))

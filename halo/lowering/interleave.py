"""Interleave: k neighbouring stores, each of every k-th element, become one dense store of a shuffle.

out[ramp(3*i, 3, 16)] = r; out[ramp(3*i + 1, 3, 16)] = g; out[ramp(3*i + 2, 3, 16)] = b
->  out[ramp(3*i, 1, 48)] = shuffle(r, g, b)        (an unrolled loop over colours round a vectorised one)
"""

from __future__ import annotations

from ..ir import algebra as A
from ..ir.expr import Broadcast, Const, Expr, Load, Ramp, Shuffle, walk
from ..ir.stmt import Block, Stmt, Store, Stream, block
from ..types import index
from .walk import map_stmt

MOST = 8  # elements of a pixel


def interleave(s: Stmt) -> Stmt:
    s = map_stmt(s, interleave)
    if not isinstance(s, Block):
        return s
    s = _joined(s)
    if not isinstance(s, Block):
        return s
    done: list[Stmt] = []
    rest = list(s.stmts)
    while rest:
        k = _stride(rest[0])
        merged = _merged(rest[:k]) if k and len(rest) >= k else None
        if merged is None:
            done.append(rest.pop(0))
        else:
            done.append(merged)
            del rest[:k]
    return block(*done)


def _joined(s: Block) -> Stmt:
    """Streams that follow each other as one."""
    done: list[Stmt] = []
    for t in s.stmts:
        last = done[-1] if done else None
        if isinstance(t, Stream) and isinstance(last, Stream) and (t.stores, t.loads) == (last.stores, last.loads):
            done[-1] = last.replace(body=block(last.body, t.body))
        else:
            done.append(t)
    joined = (
        t.replace(body=interleave(t.body)) if isinstance(t, Stream) and isinstance(t.body, Block) else t for t in done
    )
    return block(*joined)


def _stride(s: Stmt) -> int:
    """The stride of a store of a vector, if it is one that neighbours could fill; else 0."""
    if isinstance(s, Store) and not s.atomic and isinstance(s.index, Ramp) and s.index.base.lanes == 1:
        stride = s.index.stride
        if isinstance(stride, Const) and 2 <= stride.value <= MOST:
            return int(stride.value)
    return 0


def _merged(stmts: list[Stmt]) -> Store | None:
    k = len(stmts)
    stores = [s for s in stmts if isinstance(s, Store) and _stride(s) == k]
    first = stores[0]
    if len(stores) < k or any(s.buffer is not first.buffer or s.index.lanes != first.index.lanes for s in stores):
        return None
    if any(s.pred is not first.pred for s in stores) or any(_loads(s.value, first) for s in stores[1:]):
        return None
    offsets = [A.sub(_base(s), _base(first)) for s in stores]
    if not all(isinstance(o, Const) for o in offsets):
        return None
    by_place = {o.value: s for o, s in zip(offsets, stores, strict=True) if isinstance(o, Const)}
    start = min(by_place)
    if sorted(by_place) != list(range(start, start + k)):
        return None
    n = first.index.lanes
    picks = tuple(c * n + lane for lane in range(n) for c in range(k))
    values: list[Expr] = [by_place[start + c].value for c in range(k)]
    pred = None if first.pred is None else Shuffle((_wide(first.pred, n),) * k, picks)
    at = Ramp(A.add(_base(first), Const(start, index)), Const(1, index), n * k)
    return Store(first.buffer, at, Shuffle(tuple(_wide(v, n) for v in values), picks), pred)


def _wide(e: Expr, lanes: int) -> Expr:
    return e if e.lanes == lanes else Broadcast(e, lanes)


def _base(s: Store) -> Expr:
    assert isinstance(s.index, Ramp)
    return s.index.base


def _loads(e: Expr, s: Store) -> bool:
    """Whether `e` reads the buffer that `s` writes: then the order of the stores matters."""
    return any(isinstance(x, Load) and x.buffer is s.buffer for x in walk((e,)))

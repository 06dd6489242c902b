"""Recurrent layers: the projection of all inputs is one product, the steps are a scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import halo
from halo import Func, RDom
from halo.errors import ArgumentError, here
from halo.jit.target import Target

from .lines import extent
from .matrix import panel
from .op import Kind, op
from .schedule import by_height, tiled
from .shapes import decided, equal, indices, same_type, takes
from .tensor import Tensor, TensorType
from .tiles import CACHED

__all__ = ["gru", "lstm", "rnn"]


def _sigmoid(v: Any) -> Any:
    return 1 / (1 + halo.exp(-v))


LAYOUTS = ("OI", "IO")
STEPS = 8  # rows of weights, at most, that are added to sums in cache at a time
FEW = 12  # rows of sums that fit into registers beside a vector of weights
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": halo.tanh,
    "sigmoid": _sigmoid,
    "relu": lambda v: halo.max(v, 0),
    "softsign": lambda v: v / (1 + halo.abs(v)),
    "softplus": lambda v: halo.max(v, 0) + halo.log1p(halo.exp(-halo.abs(v))),
}
_NUMPY: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "relu": lambda v: np.maximum(v, 0),
    "softsign": lambda v: v / (1 + abs(v)),
    "softplus": lambda v: np.logaddexp(v, 0),
}


def _check(name: str, gates: int, functions: tuple[str, ...], kernel_layout: str, x: TensorType, w: TensorType, r: TensorType,
           bias: TensorType | None, lengths: TensorType | None, *states: TensorType | None) -> tuple[Any, int]:  # fmt: skip
    """How many sequences there are and the size of the state, of arguments that fit."""
    takes(name, "float", x)
    same_type(name, x, w, r, bias, *states)
    if kernel_layout not in LAYOUTS:
        raise ArgumentError(f"{name} has no kernel layout {kernel_layout!r}", loc=here(), legal=LAYOUTS)
    turn = 1 if kernel_layout == "OI" else -1
    hidden = r.shape[::turn][-1] if r.ndim == 2 else 0
    decided(name, x.shape[-1] if x.ndim else None, w.shape[::turn][-1] if w.ndim else None)
    wanted = (gates * hidden, x.shape[-1]), (gates * hidden, hidden)
    fits = x.ndim == 3 and (w.shape[::turn], r.shape[::turn]) == wanted
    if not fits or (bias is not None and bias.shape != (2 * gates * hidden,)):
        raise ArgumentError(f"{name} of {x} does not take weights {w} and {r} and a bias {bias}", loc=here())
    if lengths is not None:
        takes(f"the lengths of {name}", "int", lengths)
        if lengths.ndim != 1 or not equal(lengths.shape[0], x.shape[1]):
            raise ArgumentError(f"{name} of {x} takes {x.shape[1]} lengths, not {lengths}", loc=here())
    if any(
        s is not None and not (s.ndim == 2 and equal(s.shape[0], x.shape[1]) and s.shape[1] == hidden) for s in states
    ):
        raise ArgumentError(f"a state of {name} has {x.shape[1]} rows of {hidden} values, not {states}", loc=here())
    for f in functions:
        if f not in FUNCTIONS:
            raise ArgumentError(f"{name} has no function {f!r}", loc=here(), legal=tuple(FUNCTIONS))
    return _batch(x, *states), int(hidden)


def _batch(x: Tensor | TensorType, *states: Tensor | TensorType | None) -> Any:
    """How many sequences there are: an integer, if one of them says so."""
    known = (s.shape[0] for s in states if s is not None and isinstance(s.shape[0], int))
    return next(known, x.shape[1])


def _rows(x: Tensor, *states: Tensor | None) -> Any:
    """As many, as a number or an expression."""
    n = _batch(x, *states)
    return n if isinstance(n, int) else extent(x, 1)


def _projected(x: Tensor, w: Tensor, bias: Tensor | None, kernel_layout: str, only: int | None = None) -> Func:
    """What the inputs alone give each gate: x @ w.T + bias, with the recurrent bias of the gates before `only`."""
    gates = w.type.static[0 if kernel_layout == "OI" else 1]
    columns = _columns(w, kernel_layout, "inputs")

    def start(t: Any, b: Any, g: Any) -> Any:
        if bias is None:
            return x.dtype(0)
        if only is None:
            return bias.func[g] + bias.func[g + gates]
        own = bias.func[halo.clamp(g + gates, 0, 2 * gates - 1)]
        return bias.func[g] + halo.select(g < only, own, x.dtype(0))

    f, sums = _summed("projected", start, lambda t, b, g, k: x.func[t, b, k] * columns[k, g], extent(x, 2))
    _in_tiles(f.compute_root(), sums, "t", extent(x, 0), gates, x.shape[2], x.dtype)
    return f


def _columns(w: Tensor, kernel_layout: str, name: str) -> Func:
    """`w` with the gates side by side: a vector of sums then needs one value of the input or state at a time."""
    f, (k, g) = Func(name), halo.vars("k g")
    if kernel_layout == "IO":
        return w.func  # type: ignore[no-any-return]  # a Func, or an Input
    f[k, g] = w.func[g, k]
    return f.compute_root()


def _summed(name: str, start: Callable[..., Any], value: Callable[..., Any], depth: Any) -> tuple[Func, Func]:
    """`start(t, b, j)` and the sum of `value(t, b, j, k)` over `depth` of k: as it is stored, and in registers."""
    f, sums, (t, b, j) = Func(name), Func(f"{name}_sums"), halo.vars("t b j")
    k: RDom = halo.rdom(depth, names="k")
    sums[t, b, j] = start(t, b, j)
    sums[t, b, j] += value(t, b, j, k.k)
    f[t, b, j] = sums[t, b, j]
    return f, sums


def _in_tiles(f: Func, sums: Func, row: str, rows: Any, units: int, depth: Any, dtype: Any) -> None:
    """Sums of tiles of `rows` along `row`, "t" or "b", and of `units` in registers. Of few rows, or one, those of all `units` stay
    in cache: the weights, which are not, are read from memory once, in the order that they have there."""
    target, other = Target.host(), "b" if row == "t" else "t"
    lanes = target.natural_lanes(dtype)
    update = sums.update(0)
    f.bound("j", 0, units)
    sums.vectorize("j", lanes)
    many = isinstance(depth, int) and depth * units * dtype.bytes > CACHED
    if isinstance(rows, int) and (rows == 1 or (many and rows <= FEW)):
        f.vectorize("j", lanes)
        sums.compute_at(f, other).bound(row, 0, rows)
        whole = next(n for n in range(STEPS, 0, -1) if n == 1 or (isinstance(depth, int) and depth % n == 0))
        update.split("k", "ko", "k", whole).reorder("ko", other, "j", "k", row).vectorize("j", lanes).unroll(
            "k"
        ).unroll(row)
        return
    tile = panel(target, rows, units, dtype)
    tiled(f, "j", "jo", tile.vectors * lanes, units)
    for stage, height in by_height(f, 0, rows, tile, n=rows):
        tiled(stage, row, "rows", height, rows)
        stage.reorder(other, "jo", "rows", row, "j").vectorize("j", lanes).unroll(row).unroll("j")
    sums.compute_at(f, "rows").unroll(row).unroll("j")
    update.reorder("k", "t", "b", "j").vectorize("j", lanes).unroll(row).unroll("j")


def _start(state: Tensor | None, dtype: Any) -> Func:
    f = Func("start")
    b, j = halo.vars("b j")
    f[b, j] = dtype(0) if state is None else state.func[b, j]
    return f


def _recurrent(start: Callable[..., Any], h: Func, r: Func, hidden: int, before: int, name: str, first: int = 0,
               scale: Any = None) -> tuple[Func, Func]:  # fmt: skip
    """`start(t, b, j)`, and the sum over the state before step `t` with column `first + j` of `r`."""

    def value(t: Any, b: Any, j: Any, k: Any) -> Any:
        state = h[t + before, b, k] if scale is None else h[t + before, b, k] * scale(t, b, k)
        return state * r[k, first + j]

    return _summed(name, start, value, hidden)


def _stepping(
    states: tuple[Func, ...], totals: Mapping[tuple[Func, Func], int], batch: Any, depth: int, dtype: Any
) -> None:
    """The loops of a scan: `totals`, each of so many units, in each step, in vectors, and the states behind them."""
    lanes = Target.host().natural_lanes(dtype)
    for (f, sums), units in totals.items():
        _in_tiles(f.compute_at(states[-1], "t"), sums, "b", batch, units, depth, dtype)
    for s in states:
        s.update(0).vectorize("j", lanes)
        s.update(1).vectorize("j", lanes)


def _held(lengths: Tensor | None, new: Any, old: Any, t: Any, b: Any) -> Any:
    """The state behind step `t`: what it was, where a sequence has no such step."""
    return new if lengths is None else halo.select(t < lengths.func[b], new, old)


def _steps(n: int, reverse: bool) -> range:
    return range(n - 1, -1, -1) if reverse else range(n)


def _kept(lengths: Any, t: int, new: Any, old: Any) -> Any:
    return new if lengths is None else np.where((t < lengths)[:, None], new, old)


def _rnn(
    x: Any,
    w: Any,
    r: Any,
    bias: Any = None,
    state: Any = None,
    lengths: Any = None,
    *,
    reverse: bool = False,
    activation: str = "tanh",
    kernel_layout: str = "OI",
) -> Any:
    w, r = (a if kernel_layout == "OI" else a.T for a in (w, r))
    hidden = r.shape[1]
    out = np.zeros((*x.shape[:2], hidden))
    h = np.zeros(out.shape[1:]) if state is None else state
    shift = 0 if bias is None else bias[:hidden] + bias[hidden:]
    for t in _steps(len(x), reverse):
        out[t] = h = _kept(lengths, t, _NUMPY[activation](x[t] @ w.T + h @ r.T + shift), h)
    return out.astype(x.dtype)


@op(Kind.OPAQUE, reference=_rnn)
def rnn(x: TensorType, w: TensorType, r: TensorType, bias: TensorType | None = None, state: TensorType | None = None,
        lengths: TensorType | None = None, *, reverse: bool = False, activation: str = "tanh",
        kernel_layout: str = "OI") -> TensorType:  # fmt: skip
    """h[t] = f(x[t] @ w.T + h[t - 1] @ r.T + bias), all steps of it: one direction of ONNX RNN. `x`: [T, B, I]; `w`: [H, I];
    `r`: [H, H]; `bias`: [2 H], of the input and of the state; `state`: [B, H], zeros if left out. The result: [T, B, H].

    `lengths`: [B], how many steps each sequence has, all of them if left out; the state stays what it is in the others.
    `reverse`: from the last step to the first. `kernel_layout`: "IO" where `w` and `r` are transposed, which saves doing it.
    `activation`: f, one of tanh, sigmoid, relu, softsign, softplus.

    >>> from halo import nn
    >>> one = np.ones((1, 1), np.float32)
    >>> nn.rnn(np.ones((3, 1, 1), np.float32), one, one, activation="relu").ravel()
    array([1., 2., 3.], dtype=float32)
    """
    batch, hidden = _check("rnn", 1, (activation,), kernel_layout, x, w, r, bias, lengths, state)
    return TensorType((x.shape[0], batch, hidden), x.dtype)


@rnn.strategy("scan")
def _(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor | None,
    state: Tensor | None,
    lengths: Tensor | None,
    *,
    reverse: bool,
    activation: str,
    kernel_layout: str,
) -> Tensor:
    before, hidden = 1 if reverse else -1, r.type.static[1 if kernel_layout == "OI" else 0]
    inputs, h, step = _projected(x, w, bias, kernel_layout), Func("h"), Func("step")
    t, b, j = halo.vars("t b j")
    total = _recurrent(lambda *at: inputs[at], h, _columns(r, kernel_layout, "columns"), hidden, before, "total")
    step[t, b, j] = _held(lengths, FUNCTIONS[activation](total[0][t, b, j]), h[t + before, b, j], t, b)
    halo.scan(h, _start(state, x.dtype), step, extent(x, 0), reverse)
    _stepping((h,), {total: hidden}, _rows(x, state), hidden, x.dtype)
    f, i = Func("rnn"), indices(3)
    f[i] = h[i]
    return Tensor(f, (x.shape[0], _batch(x, state), hidden), x.dtype)


def _gru(x: Any, w: Any, r: Any, bias: Any = None, state: Any = None, lengths: Any = None, *, reverse: bool = False,
         reset_after: bool = False, functions: tuple[str, ...] = ("sigmoid", "tanh"),
         kernel_layout: str = "OI") -> Any:  # fmt: skip
    w, r = (a if kernel_layout == "OI" else a.T for a in (w, r))
    n = r.shape[1]
    out = np.zeros((*x.shape[:2], n))
    h = np.zeros(out.shape[1:]) if state is None else state
    both = np.zeros(6 * n) if bias is None else bias
    inner, outer = (_NUMPY[f] for f in functions)
    for t in _steps(len(x), reverse):
        px, ph = x[t] @ w.T + both[: 3 * n], h @ r.T + both[3 * n :]
        z, s = inner(px[:, :n] + ph[:, :n]), inner(px[:, n : 2 * n] + ph[:, n : 2 * n])
        late = s * ph[:, 2 * n :] if reset_after else (s * h) @ r[2 * n :].T + both[5 * n :]
        out[t] = h = _kept(lengths, t, (1 - z) * outer(px[:, 2 * n :] + late) + z * h, h)
    return out.astype(x.dtype)


@op(Kind.OPAQUE, reference=_gru)
def gru(x: TensorType, w: TensorType, r: TensorType, bias: TensorType | None = None, state: TensorType | None = None,
        lengths: TensorType | None = None, *, reverse: bool = False, reset_after: bool = False,
        functions: tuple[str, ...] = ("sigmoid", "tanh"), kernel_layout: str = "OI") -> TensorType:  # fmt: skip
    """Gated recurrent units (Cho et al. 2014), all steps: one direction of ONNX GRU. Shapes as of `rnn`, with three gates in
    `w`: [3 H, I], `r`: [3 H, H] and `bias`: [6 H], in ONNX's order: update, reset, hidden.

    `lengths`, `kernel_layout`: as of `rnn`.
    `reset_after`: the reset gate is applied behind the product with the state (ONNX linear_before_reset). `functions`: that
    of the gates, and that of the hidden one.

    >>> from halo import nn
    >>> x, w, r = np.ones((1, 1, 1), np.float32), np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32)
    >>> nn.gru(x, w, r, state=np.ones((1, 1), np.float32)).ravel()
    array([0.5], dtype=float32)
    """
    batch, hidden = _check("gru", 3, functions, kernel_layout, x, w, r, bias, lengths, state)
    return TensorType((x.shape[0], batch, hidden), x.dtype)


@gru.strategy("scan")
def _(x: Tensor, w: Tensor, r: Tensor, bias: Tensor | None, state: Tensor | None, lengths: Tensor | None, *, reverse: bool,
      reset_after: bool, functions: tuple[str, ...], kernel_layout: str) -> Tensor:  # fmt: skip
    before, n = 1 if reverse else -1, r.type.static[1 if kernel_layout == "OI" else 0]
    inputs, h, gates, step = _projected(x, w, bias, kernel_layout, only=2 * n), Func("h"), Func("gates"), Func("step")
    inner, outer = (FUNCTIONS[f] for f in functions)
    columns = _columns(r, kernel_layout, "columns")
    t, b, j = halo.vars("t b j")
    first = _recurrent(lambda *at: inputs[at], h, columns, n, before, "first")  # update and reset, side by side
    gates[t, b, j] = inner(first[0][t, b, j])
    late = _recurrent(lambda t, b, j: x.dtype(0) if bias is None else bias.func[j + 5 * n], h, columns, n, before, "late",
                      2 * n, None if reset_after else lambda t, b, k: gates[t, b, k + n])  # fmt: skip
    z = gates[t, b, j]
    both = gates[t, b, j + n] * late[0][t, b, j] if reset_after else late[0][t, b, j]
    old = h[t + before, b, j]
    step[t, b, j] = _held(lengths, (1 - z) * outer(inputs[t, b, j + 2 * n] + both) + z * old, old, t, b)
    halo.scan(h, _start(state, x.dtype), step, extent(x, 0), reverse)
    _stepping((h,), {first: 2 * n, late: n}, _rows(x, state), n, x.dtype)
    gates.compute_at(h, "t").vectorize("j", Target.host().natural_lanes(x.dtype))
    f, i = Func("gru"), indices(3)
    f[i] = h[i]
    return Tensor(f, (x.shape[0], _batch(x, state), n), x.dtype)


def _lstm(x: Any, w: Any, r: Any, bias: Any = None, state: Any = None, cell: Any = None, peephole: Any = None,
          lengths: Any = None, *, reverse: bool = False, functions: tuple[str, ...] = ("sigmoid", "tanh", "tanh"),
          kernel_layout: str = "OI") -> Any:  # fmt: skip
    w, r = (a if kernel_layout == "OI" else a.T for a in (w, r))
    n = r.shape[1]
    out = np.zeros((len(x), 2, x.shape[1], n))
    h, c = (np.zeros(out.shape[2:]) if s is None else s for s in (state, cell))
    both = 0 if bias is None else bias[: 4 * n] + bias[4 * n :]
    p = np.zeros((3, n)) if peephole is None else peephole.reshape(3, n)
    gate, inner, outer = (_NUMPY[f] for f in functions)
    for t in _steps(len(x), reverse):
        i, o, f, g = np.split(x[t] @ w.T + h @ r.T + both, 4, axis=1)
        new = gate(f + p[2] * c) * c + gate(i + p[0] * c) * inner(g)
        h = _kept(lengths, t, gate(o + p[1] * new) * outer(new), h)
        c = _kept(lengths, t, new, c)
        out[t] = h, c
    return out.astype(x.dtype)


@op(Kind.OPAQUE, reference=_lstm)
def lstm(x: TensorType, w: TensorType, r: TensorType, bias: TensorType | None = None, state: TensorType | None = None,
         cell: TensorType | None = None, peephole: TensorType | None = None,
         lengths: TensorType | None = None, *, reverse: bool = False,
         functions: tuple[str, ...] = ("sigmoid", "tanh", "tanh"), kernel_layout: str = "OI") -> TensorType:  # fmt: skip
    """Long short-term memory (Hochreiter and Schmidhuber 1997), all steps: one direction of ONNX LSTM. Shapes as of `rnn`,
    with four gates in `w`: [4 H, I], `r`: [4 H, H] and `bias`: [8 H], in ONNX's order: input, output, forget, cell; `cell`:
    [B, H]; `peephole`: [3 H], of the first three gates. The result, [T, 2, B, H], has the states and the cells.

    `lengths`, `kernel_layout`: as of `rnn`. `functions`: that of the gates, that of the cell's input, that of its output.

    >>> from halo import nn
    >>> x, w, r = np.ones((1, 1, 1), np.float32), np.zeros((4, 1), np.float32), np.zeros((4, 1), np.float32)
    >>> nn.lstm(x, w, r, cell=np.ones((1, 1), np.float32))[0, 1]
    array([[0.5]], dtype=float32)
    """
    batch, hidden = _check("lstm", 4, functions, kernel_layout, x, w, r, bias, lengths, state, cell)
    if peephole is not None and peephole.shape != (3 * hidden,):
        raise ArgumentError(f"lstm of {hidden} units takes {3 * hidden} peepholes, not {peephole}", loc=here())
    return TensorType((x.shape[0], 2, batch, hidden), x.dtype)


@lstm.strategy("scan")
def _(x: Tensor, w: Tensor, r: Tensor, bias: Tensor | None, state: Tensor | None, cell: Tensor | None,
      peephole: Tensor | None, lengths: Tensor | None, *, reverse: bool, functions: tuple[str, ...],
      kernel_layout: str) -> Tensor:  # fmt: skip
    before, n = 1 if reverse else -1, r.type.static[1 if kernel_layout == "OI" else 0]
    inputs, h, c = _projected(x, w, bias, kernel_layout), Func("h"), Func("c")
    gate, inner, outer = (FUNCTIONS[f] for f in functions)
    t, b, j = halo.vars("t b j")
    gates = _recurrent(lambda *at: inputs[at], h, _columns(r, kernel_layout, "columns"), n, before, "gates")

    def open_(k: int, value: Any) -> Any:
        """Gate `k`, which may see the cell."""
        total = gates[0][t, b, j + k * n]
        return gate(total if peephole is None else total + peephole.func[j + k * n] * value)

    next_c, next_h = Func("next_c"), Func("next_h")
    old = c[t + before, b, j]
    forget = gates[0][t, b, j + 2 * n] + (x.dtype(0) if peephole is None else peephole.func[j + 2 * n] * old)
    next_c[t, b, j] = _held(lengths, gate(forget) * old + open_(0, old) * inner(gates[0][t, b, j + 3 * n]), old, t, b)
    new = open_(1, next_c[t, b, j]) * outer(next_c[t, b, j])
    next_h[t, b, j] = _held(lengths, new, h[t + before, b, j], t, b)
    starts = _start(state, x.dtype), _start(cell, x.dtype)
    halo.scan((h, c), starts, (next_h, next_c), extent(x, 0), reverse)
    _stepping((h, c), {gates: 4 * n}, _rows(x, state, cell), n, x.dtype)
    f, (t, s, b, j) = Func("lstm"), indices(4)
    f[t, s, b, j] = halo.select(s == 0, h[t, b, j], c[t, b, j])
    return Tensor(f, (x.shape[0], 2, _batch(x, state, cell), n), x.dtype)

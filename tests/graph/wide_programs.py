"""Random programs of all else that networks have: values of every type, indices, attention, recurrence, branches and loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import halo
from halo import nn
from halo.graph import Constant, Function, Module, Tuple, Var, if_, loop
from halo.graph.ir import Let, walk
from halo.graph.symbolic import names_in
from halo.nn import TensorType
from halo.types import bf16, bool_, f16, f32, f64, i8, i32, i64, u8

from .programs import MOST, Maker

INTEGERS = (i8, u8, i32, i64)


class WideMaker(Maker):
    """`exact` are the values whose bits are known, whatever order sums are taken in: integers, booleans, and what inputs
    become by moving. Only these are compared, cut off or looked up by, or else one rounding would be another result."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        super().__init__(pick)
        self.type = self.of(f32, f32, f32, f64, f16, bf16)
        self.error = {f32: 4e-4, f64: 1e-10, f16: 6e-2, bf16: 0.3}[self.type]
        self.exact: list[Any] = []
        self.lets: dict[str, tuple[Any, Any]] = {}
        self.count = 0

    def program(self, steps: int) -> tuple[Module, dict[str, tuple[Any, ...]]]:
        n, h, w = (
            self.of(k, k, halo.Dim(name))
            for k, name in ((self.of(1, 2), "n"), (self.of(5, 8, 13), "h"), (self.of(4, 9, 16), "w"))
        )
        c = self.of(3, 8, 16, 20)
        params = [Var("x", TensorType(self.of((n, c, h, w), (n, h, c), (h, n, c), (n, c)), self.type))]
        if self.pick(2):
            params.append(Var("y", TensorType(params[0].type.shape, self.type)))
        if self.pick(2):
            shape = self.of(params[0].type.shape, (c,), (3,), (), params[0].type.shape[-1:])
            params.append(Var("k", TensorType(shape, self.of(*INTEGERS, bool_))))
        self.pool = [p for p in params if p.type.dtype is self.type]
        self.exact = list(params)
        for _ in range(steps):
            self.step()
        made = [v for v in (*self.pool, *self.exact) if v not in params]
        read = {id(a) for v in made for e in walk(v) for a in e.children}
        ends = [v for v in made if id(v) not in read]
        ends += [made[self.pick(len(made))] for _ in range(self.pick(2)) if made]
        ends = list({id(v): v for v in ends}.values()) or [nn.relu(self.pool[0])]
        outputs = tuple(map(self.bound, ends))
        m = Module({"main": Function(tuple(params), outputs[0] if len(outputs) == 1 else Tuple(outputs))})
        return m, {p.name: p.type.shape for p in params}

    def bound(self, e: Any) -> Any:
        """`e` under the Lets of the extents that it has."""
        while True:
            done = {str(x.dim) for x in walk(e) if isinstance(x, Let)}
            free = [n for n in names_in(walk(e)) if n in self.lets and n not in done]
            if not free:
                return e
            e = Let(*self.lets[max(free, key=list(self.lets).index)], e)

    def step(self) -> None:
        match self.pick(4):
            case 0:
                super().step()
            case 1:
                self.keep(self.exactly(self.recent(self.exact)))
            case _:
                x = self.recent(self.pool)
                kinds = [self.gathered, self.scattered, self.branched, self.repeated, self.weighted, self.framed]
                kinds += [self.attended, self.attended, self.recurrent] * (x.type.ndim > 1)
                kinds += [self.pooled, self.sampled, self.spatial] * (x.type.ndim > 2)
                made = self.of(*kinds)(x)
                if made is not None and self.fits(made):
                    self.pool.append(made)

    def recent(self, values: list[Any]) -> Any:
        found = values[-3:] if self.pick(3) else values
        return found[self.pick(len(found))]

    def fits(self, e: Any) -> bool:
        shape = e.type.shape
        return all(not isinstance(k, int) or k > 0 for k in shape) and len(shape) < 7 and \
            math.prod(k if isinstance(k, int) else 12 for k in shape) <= MOST  # fmt: skip

    def keep(self, e: Any) -> None:
        if e is not None and self.fits(e):
            self.exact.append(e)
            if e.type.dtype is self.type:
                self.pool.append(e)

    # What is exact ---------------------------------------------------------------------------------------------------

    def exactly(self, x: Any) -> Any:
        t = x.type.dtype
        kinds: list[Callable[[Any], Any]] = [self.shifted, self.shifted, self.converted]
        if t is bool_:
            kinds += [self.logic, self.logic, self.positions]
        elif t.is_float:
            kinds += [self.compared, self.compared, self.best, self.windows]
        else:
            kinds += [
                self.compared,
                self.marked,
                self.arithmetic,
                self.arithmetic,
                self.folded,
                self.folded,
                self.best,
                self.released,
            ]
            kinds += [self.multiplied] * (x.type.ndim > 0)
        return self.of(*kinds)(x)

    def shifted(self, x: Any) -> Any:
        """Moved, joined or cut as floats are."""
        pool, self.pool = self.pool, [v for v in self.exact if v.type.dtype is x.type.dtype]
        try:
            return self.of(self.moved, self.joined, self.cut)(x)
        finally:
            self.pool = pool

    def like(self, x: Any, values: Any) -> Any:
        """Constants broadcast to `x`."""
        kept = self.pick(1 << x.type.ndim)
        shape = tuple(k if kept >> d & 1 and isinstance(k, int) else 1 for d, k in enumerate(x.type.shape))
        return Constant(np.asarray(values(shape)).astype(x.type.dtype.dtype))

    def beside(self, x: Any) -> Any:
        """Another value of the type and shape of `x`, or a constant."""
        same = [v for v in self.exact if v.type == x.type]
        if self.pick(2):
            return same[self.pick(len(same))]
        if x.type.dtype.is_float:
            return self.like(x, self.rng.standard_normal)
        return self.like(x, lambda shape: self.rng.integers(0, 2 if x.type.dtype is bool_ else 100, shape))

    def converted(self, x: Any) -> Any:
        to = self.of(*INTEGERS, bool_, i32)
        if x.type.dtype.is_float:
            x = nn.multiply(x, x.type.dtype.dtype.type(8))
        return nn.cast(x, dtype=to.name)

    def compared(self, x: Any) -> Any:
        op = self.of(nn.less, nn.less_equal, nn.greater, nn.greater_equal, nn.equal, nn.not_equal)
        return op(x, self.beside(x))

    def logic(self, x: Any) -> Any:
        match self.pick(5):
            case 0:
                return nn.logical_not(x)
            case 1:
                axes = tuple(d for d in range(x.type.ndim) if self.pick(2))
                return self.of(nn.any, nn.all)(x, axes=axes, keepdims=bool(self.pick(2))) if axes else None
            case 2:
                found = [v for v in self.exact if v.type.shape == x.type.shape and v.type.dtype is not bool_]
                if not found:
                    return None
                a = found[self.pick(len(found))]
                return nn.where(x, a, self.beside(a))
            case _:
                return self.of(nn.logical_and, nn.logical_or, nn.logical_xor)(x, self.beside(x))

    def positions(self, x: Any) -> Any:
        """Where it holds: only running tells how often."""
        if (
            not x.type.ndim
            or len(self.lets) > 1
            or math.prod(k if isinstance(k, int) else 12 for k in x.type.shape) > 3000
        ):
            return None
        dim = halo.Dim(f"hits{len(self.lets)}")
        self.lets[str(dim)] = dim, nn.sum(nn.cast(x, dtype="i64"), axes=tuple(range(x.type.ndim)), keepdims=False)
        return nn.nonzero(x, count=dim)

    def arithmetic(self, x: Any) -> Any:
        t = x.type.dtype
        match self.pick(8):
            case 0:
                return self.of(nn.negative, nn.absolute, nn.sign)(x) if t is not u8 else nn.bitwise_not(x)
            case 1:
                return self.of(nn.bitwise_and, nn.bitwise_or, nn.bitwise_xor)(x, self.beside(x))
            case 2:
                shift = self.of(nn.left_shift, nn.right_shift)
                return shift(x, self.like(x, lambda shape: self.rng.integers(0, 5, shape))) if t is u8 else None
            case 3:
                return self.of(nn.divide, nn.mod)(x, self.like(x, lambda shape: self.rng.integers(1, 9, shape)))
            case 4:
                return nn.clip(x, low=self.of(-3, 0), high=self.of(7, 90))
            case _:
                return self.of(nn.add, nn.subtract, nn.multiply, nn.maximum, nn.minimum)(x, self.beside(x))

    def folded(self, x: Any) -> Any:
        if not x.type.ndim:
            return None
        axes = tuple(d for d in range(x.type.ndim) if self.pick(2)) or (x.type.ndim - 1,)
        match self.pick(3):
            case 0:
                return nn.cumsum(x, axis=axes[0], exclusive=bool(self.pick(2)), reverse=bool(self.pick(2)))
            case _:
                if self.pick(2) and any(not isinstance(x.type.shape[d], int) for d in axes):
                    return None
                return self.of(nn.sum, nn.prod, nn.max, nn.min)(x, axes=axes, keepdims=bool(self.pick(2)))

    def best(self, x: Any) -> Any:
        """Which entries are the greatest or least, or all in order."""
        if not x.type.ndim:
            return None
        d = self.pick(x.type.ndim)
        k = x.type.shape[d]
        match self.pick(4):
            case 0:
                return nn.argsort(x, axis=d, descending=bool(self.pick(2)))
            case 1:
                return nn.sort(x, axis=d, descending=bool(self.pick(2)))
            case 2 if isinstance(k, int):
                return nn.topk(x, k=1 + self.pick(k), axis=d, largest=bool(self.pick(2)))
            case _:
                return self.of(nn.argmax, nn.argmin)(x, axis=d, keepdims=bool(self.pick(2)))

    def windows(self, x: Any) -> Any:
        """Where the largest values of windows are."""
        if x.type.ndim != 4 or any(not isinstance(k, int) or k < 3 for k in x.type.shape[2:]):
            return None
        return nn.max_pool_indices(x, kernel=self.of(2, 3), strides=self.of(1, 2), padding=self.of(0, 1))

    def marked(self, x: Any) -> Any:
        """A one among zeros, where an index says."""
        off, on = (Constant(np.asarray(v, self.type.dtype)) for v in (0, 0.5))
        return nn.one_hot(x, off, on, depth=self.of(3, 8), axis=self.pick(x.type.ndim + 1)) if x.type.ndim < 5 else None

    def multiplied(self, x: Any) -> Any:
        k = x.type.shape[-1]
        if not isinstance(k, int) or x.type.dtype not in (i32, i64):
            return None
        w = self.rng.integers(-9, 9, (k, self.of(1, 5, 16))).astype(x.type.dtype.dtype)
        return nn.matmul(x, Constant(w))

    def released(self, x: Any) -> Any:
        """Integers as floats of about one."""
        made = nn.tanh(nn.multiply(nn.cast(x, dtype=self.type.name), self.number(1 / 32)))
        if self.fits(made):
            self.pool.append(made)

    # What looks up ---------------------------------------------------------------------------------------------------

    def indices(self, shape: tuple[Any, ...], most: Any) -> Any:
        """Indices of 0 to most - 1 of that shape."""
        found = [v for v in self.exact if v.type.dtype in (i32, i64) and v.type.shape == shape]
        if isinstance(most, int) and found and self.pick(3):
            v = found[self.pick(len(found))]
            return nn.mod(v, np.array(most, v.type.dtype.dtype))
        if not isinstance(most, int) or not all(isinstance(k, int) for k in shape):
            return None
        return Constant(self.rng.integers(-most, most, shape))

    def gathered(self, x: Any) -> Any:
        if not x.type.ndim:
            return None
        d, shape = self.pick(x.type.ndim), x.type.shape
        match self.pick(4):
            case 0:
                ints = [v for v in self.exact if v.type.dtype in (i32, i64) and v.type.ndim + x.type.ndim < 6]
                if ints and isinstance(shape[d], int):
                    v = ints[self.pick(len(ints))]
                    return nn.take(x, nn.mod(v, np.array(shape[d], v.type.dtype.dtype)), axis=d)
                return None
            case 1:
                i = self.indices((*shape[:d], self.of(2, 5), *shape[d + 1 :]), shape[d])
                return None if i is None else nn.gather_elements(x, i, axis=d)
            case 2 if isinstance(shape[0], int) and (x.type.ndim == 1 or isinstance(shape[1], int)):
                deep = 1 + self.pick(min(x.type.ndim, 2))
                i = np.stack([self.rng.integers(0, shape[k], (3, 2)) for k in range(deep)], axis=-1)
                return nn.gather_nd(x, Constant(i))
            case _:
                flags = [v for v in self.exact if v.type.dtype is bool_ and v.type.shape == shape]
                return nn.where(flags[self.pick(len(flags))], x, nn.negative(x)) if flags else None

    def scattered(self, x: Any) -> Any:
        if not x.type.ndim:
            return None
        d, shape = self.pick(x.type.ndim), x.type.shape
        fold = self.of("none", "add", "max", "min")
        if self.pick(2):
            i = self.indices((*shape[:d], 3, *shape[d + 1 :]), shape[d])
            if i is None or not all(isinstance(k, int) for k in i.type.shape):
                return None
            return nn.scatter_elements(x, i, self.constant(*i.type.shape), axis=d, reduction=fold)
        if not all(isinstance(k, int) for k in shape):
            return None
        i = Constant(self.rng.integers(0, shape[0], (4, 1)))
        return nn.scatter_nd(x, i, self.constant(4, *shape[1:]), reduction=fold)

    # What is run again or not at all ---------------------------------------------------------------------------------

    def named(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def inside(self, x: Any) -> Any:
        """A few steps from `x`, in a body: nothing outside of it is read."""
        pool, exact, self.pool, self.exact = self.pool, self.exact, [x], []
        try:
            for _ in range(1 + self.pick(2)):
                Maker.step(self)
            return self.pool[-1]
        finally:
            self.pool, self.exact = pool, exact

    def branched(self, x: Any) -> Any:
        flags = [v for v in self.exact if v.type.dtype is bool_]
        if not flags:
            return None
        c = flags[self.pick(len(flags))]
        c = nn.any(c, axes=tuple(range(c.type.ndim)), keepdims=False) if c.type.ndim else c

        def then(v: Any) -> list[Any]:
            made = self.inside(v)
            return [made if made.type == v.type else nn.relu(v)]

        return if_(c, [x], then, lambda v: [nn.tanh(v)], self.named("if"))[0]

    def repeated(self, x: Any) -> Any:
        y = self.pool[self.pick(len(self.pool))]
        op = self.of(nn.tanh, nn.relu, lambda v: nn.softmax(v, axis=-1) if v.type.ndim else v)

        def body(i: Any, s: Any, a: Any) -> Any:
            s = op(nn.add(s, nn.multiply(nn.cast(i, dtype=self.type.name), self.number(0.125))))
            return None, [nn.add(s, nn.multiply(a, self.number(0.25))) if a.type == s.type else s], [nn.negative(s)]

        flags = [v for v in self.exact if v.type.dtype is bool_]
        if flags and self.pick(3):
            c = flags[self.pick(len(flags))]
            c = nn.all(c, axes=tuple(range(c.type.ndim)), keepdims=False) if c.type.ndim else c

            def until(i: Any, s: Any, a: Any, c: Any) -> Any:
                return nn.logical_and(c, nn.less(i, np.int64(2))), body(i, s, a)[1], []

            return loop(None, c, [x], [y, c], until, self.named("while"))[0]
        found = loop(Constant(np.array(self.of(0, 1, 3))), None, [x], [y], body, self.named("loop"))
        return found[self.pick(2)]

    def recurrent(self, x: Any) -> Any:
        if x.type.ndim != 3 or not isinstance(x.type.shape[2], int):
            return None
        deep, units = x.type.shape[2], self.of(1, 4, 8, 11)
        op, gates = self.of((nn.rnn, 1), (nn.gru, 3), (nn.lstm, 4))
        given = [
            self.constant(gates * units, deep, scale=deep**-0.5),
            self.constant(gates * units, units, scale=units**-0.5),
        ]
        if self.pick(2):
            given.append(self.constant(2 * gates * units))
        attrs = {"reverse": bool(self.pick(2))} | ({"reset_after": bool(self.pick(2))} if op is nn.gru else {})
        return op(x, *given, **attrs)

    # Attention -------------------------------------------------------------------------------------------------------

    def heads(self, x: Any, count: int) -> Any:
        """[B, T, C] as [B, heads, T, C / heads]."""
        b, t, c = x.type.shape
        return nn.transpose(nn.reshape(x, shape=(b, t, count, c // count)), axes=(0, 2, 1, 3))

    def attended(self, x: Any) -> Any:
        c = x.type.shape[-1]
        if not isinstance(c, int) or x.type.ndim not in (2, 3, 4):
            return None
        others = [v for v in self.pool if v.type.ndim == x.type.ndim and v.type.shape[:-2] == x.type.shape[:-2]
                  and v.type.shape[-1] == c]  # fmt: skip
        y, wide = others[self.pick(len(others))], self.of(c, 8, 12)
        q, k, v = (nn.dense(e, self.constant(wide, c, scale=c**-0.5)) for e in (x, y, y))
        many = self.of(1, 2, 4)
        split = x.type.ndim == 3 and wide % many == 0 and self.pick(2)
        if split:
            q, k, v = (self.heads(e, many) for e in (q, k, v))
        m, t = q.type.shape[-2], k.type.shape[-2]
        mask = None
        if isinstance(m, int) and isinstance(t, int) and self.pick(2):
            mask = self.of(
                Constant(np.where(self.rng.random((m, t)) < 0.3, -1e4, 0).astype(self.type.dtype)),
                Constant(np.triu(np.full((m, t), -1e4), 1).astype(self.type.dtype)),
                self.constant(1, t),
            )
        if self.pick(2):
            made = nn.attention(q, k, v, mask)
        else:
            order = (*range(k.type.ndim - 2), k.type.ndim - 1, k.type.ndim - 2)
            factor = self.number(q.type.shape[-1] ** -0.5)
            before = self.pick(2)
            scores = nn.matmul(nn.multiply(q, factor) if before else q, nn.transpose(k, axes=order))
            scores = scores if before else nn.multiply(scores, factor)
            made = nn.matmul(nn.softmax(scores if mask is None else nn.add(scores, mask), axis=-1), v)
        if split:
            b, _, t, _ = made.type.shape
            made = nn.reshape(nn.transpose(made, axes=(0, 2, 1, 3)), shape=(b, t, wide))
        return made

    # Windows and points ----------------------------------------------------------------------------------------------

    def spatial(self, x: Any) -> Any:
        """A transposed convolution with all its attributes."""
        c, n = x.type.shape[1], x.type.ndim - 2
        if not isinstance(c, int) or n > 3:
            return None
        groups, k = self.of(1, 1, c), [self.of(1, 2, 3, 4) for _ in range(n)]
        strides, dilation = self.of(1, 2, 3), self.of(1, 1, 2)
        more = self.pick(max(strides, dilation)) if strides > 1 else 0
        pads = tuple(self.pick((v - 1) * dilation + 1) // 2 for v in (*k, *k))
        weight = self.constant(c, self.of(1, 3, 8), *k, scale=(c // groups * math.prod(k)) ** -0.5)
        bias = self.constant(weight.type.shape[1] * groups) if self.pick(2) else None
        attrs = {"strides": strides, "padding": pads, "dilation": dilation, "output_padding": min(more, strides - 1)}
        return nn.conv_transpose(x, weight, bias, groups=groups, **attrs)

    def pooled(self, x: Any) -> Any:
        n = x.type.ndim - 2
        if n != 2:
            return None
        if self.pick(4) == 0:
            return nn.lrn(x, size=self.of(1, 3, 5)) if isinstance(x.type.shape[1], int) else None
        if any(isinstance(k, int) and k < 3 for k in x.type.shape[2:]):
            return None
        attrs = {"kernel": self.of(2, 3), "strides": self.of(1, 2), "padding": 1, "ceil": bool(self.pick(2))}
        op = self.of(nn.max_pool, nn.average_pool, nn.lp_pool)
        if self.pick(2):
            return nn.transpose(op(nn.transpose(x, axes=(0, 2, 3, 1)), layout="NHWC", **attrs), axes=(0, 3, 1, 2))
        return op(x, **attrs)

    def sampled(self, x: Any) -> Any:
        n, c, *size = x.type.shape
        if len(size) != 2 or not all(isinstance(k, int) for k in (n, *size)):
            return None
        if self.pick(2):
            theta = Constant((np.eye(2, 3) + self.rng.uniform(-0.2, 0.2, (n, 2, 3))).astype(self.type.dtype))
            grid = nn.affine_grid(theta, size=self.of(tuple(size), (5, 7)), align_corners=bool(self.pick(2)))
            return nn.grid_sample(x, grid, padding=self.of("border", "reflection"), align_corners=bool(self.pick(2)))
        size = [self.of(2 * k, k + 1, max(k // 2, 1)) for k in size]
        mode = self.of("linear", "cubic")
        return nn.resize(x, size=(n, c, *size), mode=mode, antialias=bool(self.pick(2)),
                         coordinates=self.of("half_pixel", "asymmetric", "align_corners"))  # fmt: skip

    def framed(self, x: Any) -> Any:
        """Parts of a signal, some the other way round, or its frequencies."""
        if not x.type.ndim or not isinstance(k := x.type.shape[-1], int):
            return None
        match self.pick(3):
            case 0:
                size = 1 + self.pick(k)
                return nn.frame(x, size=size, step=self.of(1, 2, 5))
            case 1 if x.type.ndim > 1 and isinstance(n := x.type.shape[0], int):
                lengths = Constant(self.rng.integers(0, k + 1, n))
                return nn.reverse_sequence(x, lengths, batch_axis=0, time_axis=x.type.ndim - 1)
            case _:
                column = nn.reshape(x, shape=(*x.type.shape, 1))
                found = nn.dft(column, length=self.of(k, k + 2), onesided=bool(self.pick(2)))
                return nn.multiply(found, self.number(0.2))

    def weighted(self, x: Any) -> Any:
        """Softmaxes and triangles."""
        if not x.type.ndim:
            return None
        match self.pick(3):
            case 0:
                return nn.log_softmax(x, axis=self.pick(x.type.ndim))
            case 1 if x.type.ndim > 1:
                return nn.trilu(x, k=self.pick(5) - 2, upper=bool(self.pick(2)))
            case _:
                return nn.cumprod(nn.tanh(x), axis=self.pick(x.type.ndim))

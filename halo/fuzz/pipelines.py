"""Random pipelines: each stage as a Func, and as a NumPy function of integer coordinates that shares nothing with it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import halo

Grid = tuple[np.ndarray[Any, Any], ...]
Meaning = Callable[..., Any]

INTEGERS = (halo.u8, halo.i8, halo.u16, halo.i16, halo.i32, halo.u32, halo.i64)
TYPES = (*INTEGERS, halo.f32, halo.f64, halo.f32, halo.u8)
MODES = {"edge": "edge", "reflect": "reflect", "symmetric": "symmetric", "wrap": "wrap", "constant": "constant"}


class Stage:
    """A Func with its meaning: `at(*coords)` gives its values at integer coordinates (arrays of one shape)."""

    def __init__(self, func: Any, at: Meaning, type: Any, ndim: int, exact: bool) -> None:
        self.func, self.at, self.type, self.ndim, self.exact = func, at, type, ndim, exact


class Case:
    """One random pipeline: `output`, its `inputs` by name, the `shape` and `origin` to compute, and `expected()`."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.inputs: dict[str, np.ndarray[Any, Any]] = {}
        self.stages: list[Stage] = []
        self.ndim = self.rng.choice((1, 2, 2, 2, 3))
        for _ in range(self.rng.choice((1, 1, 2))):
            self._input()
        for _ in range(self.rng.randint(1, 4)):
            self._stage()
        self.output = self.stages[-1]
        most = {1: 90, 2: 40, 3: 14}[self.output.ndim]
        self.shape = tuple(self.rng.randint(1, most) for _ in range(self.output.ndim))
        self.origin = tuple(self.rng.choice((0, 0, 0, 3, -2)) for _ in self.shape)

    def expected(self) -> np.ndarray[Any, Any]:
        """The result by NumPy."""
        axes = [np.arange(o, o + n) for o, n in zip(self.origin, self.shape, strict=True)]
        grid = np.meshgrid(*axes, indexing="ij")
        with np.errstate(all="ignore"):
            return np.asarray(self.output.at(*grid))

    # Inputs ----------------------------------------------------------------------------------------------------------

    def _input(self) -> None:
        rng, name = self.rng, f"in{len(self.inputs)}"
        type, most = rng.choice(TYPES), {1: 60, 2: 24, 3: 9}[self.ndim]
        shape = tuple(rng.randint(1, most) for _ in range(self.ndim))
        data = _data(np.random.default_rng(rng.randrange(2**32)), type, shape)
        mode = rng.choice(list(MODES))
        if mode == "reflect" and 1 in shape:
            mode = "edge"
        self.inputs[name] = data
        view = halo.pad(halo.Input(name, type, ndim=self.ndim), mode)

        def at(*coords: Any) -> Any:
            inside = [_padded(c, n, mode) for c, n in zip(coords, shape, strict=True)]
            values = data[tuple(i for i, _ in inside)]
            if mode == "constant":
                ok = np.logical_and.reduce([k for _, k in inside])
                values = np.where(ok, values, data.dtype.type(0))
            return values

        self.stages.append(Stage(view, at, type, self.ndim, True))

    # Stages ----------------------------------------------------------------------------------------------------------

    def _stage(self) -> None:
        kinds = [self._pointwise, self._stencil, self._stencil, self._resample, self._conditional, self._window]
        kinds += [self._scan, self._scatter, self._accumulate]
        self.rng.choice(kinds)()

    def _pick(self) -> Stage:
        return self.rng.choice(self.stages[-3:])

    def _new(
        self, build: Callable[[Any, tuple[Any, ...]], None], at: Meaning, type: Any, ndim: int, exact: bool
    ) -> None:
        f = halo.Func(f"f{len(self.stages)}")
        build(f, tuple(halo.Var(n) for n in "wzyx"[4 - ndim :]))
        self.stages.append(Stage(f, at, type, ndim, exact))

    def _pointwise(self) -> None:
        a, b, type = self._pick(), self._pick(), self.rng.choice(TYPES)
        if a.ndim != b.ndim:
            b = a
        op = self.rng.choice(("add", "sub", "mul", "min", "max"))
        symbolic, numeric = _OPS[op]

        def build(f: Any, v: tuple[Any, ...]) -> None:
            f[v] = symbolic(a.func[v].astype(type), b.func[v].astype(type))

        def at(*c: Any) -> Any:
            return numeric(_convert(a.at(*c), a.type, type), _convert(b.at(*c), b.type, type))

        self._new(build, at, type, a.ndim, a.exact and b.exact and not type.is_float)

    def _stencil(self) -> None:
        a, n = self._pick(), self.rng.randint(2, 4)
        offsets = [tuple(self.rng.randint(-2, 2) for _ in range(a.ndim)) for _ in range(n)]

        def build(f: Any, v: tuple[Any, ...]) -> None:
            total = None
            for o in offsets:
                term = a.func[tuple(x + d for x, d in zip(v, o, strict=True))]
                total = term if total is None else total + term
            f[v] = total

        def at(*c: Any) -> Any:
            total = None
            for o in offsets:
                term = a.at(*(x + d for x, d in zip(c, o, strict=True)))
                total = term if total is None else total + term
            return total

        self._new(build, at, a.type, a.ndim, a.exact and not a.type.is_float)

    def _resample(self) -> None:
        a, axis = self._pick(), self.rng.randrange(self.ndim) if self.ndim else 0
        axis = min(axis, a.ndim - 1)
        up, shift = self.rng.random() < 0.5, self.rng.randint(-1, 1)

        def move(x: Any) -> Any:
            return x // 2 + shift if up else 2 * x + shift

        def build(f: Any, v: tuple[Any, ...]) -> None:
            f[v] = a.func[tuple(move(x) if k == axis else x for k, x in enumerate(v))]

        def at(*c: Any) -> Any:
            return a.at(*(move(x) if k == axis else x for k, x in enumerate(c)))

        self._new(build, at, a.type, a.ndim, a.exact)

    def _conditional(self) -> None:
        a, axis, edge = self._pick(), self.rng.randrange(self.ndim), self.rng.randint(-1, 8)
        axis = min(axis, a.ndim - 1)
        data = self.rng.random() < 0.4

        def shifted(v: Any) -> tuple[Any, ...]:
            return tuple(x - 1 if k == axis else x for k, x in enumerate(v))

        def build(f: Any, v: tuple[Any, ...]) -> None:
            cond = a.func[v] > 3 if data else v[axis] > edge
            f[v] = halo.select(cond, a.func[shifted(v)], a.func[v])

        def at(*c: Any) -> Any:
            cond = a.at(*c) > 3 if data else c[axis] > edge
            return np.where(cond, a.at(*shifted(c)), a.at(*c))

        self._new(build, at, a.type, a.ndim, a.exact)

    # Reductions and updates ------------------------------------------------------------------------------------------

    def _window(self) -> None:
        a, n, lo = self._pick(), self.rng.randint(1, 4), self.rng.randint(-2, 1)
        least = self.rng.random() < 0.3

        def build(f: Any, v: tuple[Any, ...]) -> None:
            r = halo.rdom((lo, n))
            moved = (*v[:-1], v[-1] + r[0])
            f[v] = (halo.min if least else halo.sum)(a.func[moved], r)

        def at(*c: Any) -> Any:
            terms = [a.at(*c[:-1], c[-1] + k) for k in range(lo, lo + n)]
            total = terms[0]
            for t in terms[1:]:
                total = np.minimum(total, t) if least else total + t
            return total

        self._new(build, at, a.type, a.ndim, a.exact and not a.type.is_float)

    def _accumulate(self) -> None:
        a, n = self._pick(), self.rng.randint(1, 5)
        skip = self.rng.random() < 0.3

        def build(f: Any, v: tuple[Any, ...]) -> None:
            f[v] = a.func[v]
            r = halo.rdom(n)
            if skip:
                r = r.where(r[0] != 1)
            f[v] += a.func[(*v[:-1], v[-1] - r[0])]

        def at(*c: Any) -> Any:
            total = a.at(*c)
            for k in range(n):
                if not (skip and k == 1):
                    total = total + a.at(*c[:-1], c[-1] - k)
            return total

        self._new(build, at, a.type, a.ndim, a.exact and not a.type.is_float)

    def _scan(self) -> None:
        a, axis, n = self._pick(), self.rng.randrange(self.ndim), self.rng.randint(1, 20)
        axis = min(axis, a.ndim - 1)

        def build(f: Any, v: tuple[Any, ...]) -> None:
            f[v] = a.func[v]
            r = halo.rdom((1, n))
            here = tuple(r[0] if k == axis else x for k, x in enumerate(v))
            before = tuple(r[0] - 1 if k == axis else x for k, x in enumerate(v))
            f[here] = f[before] + a.func[here]

        def at(*c: Any) -> Any:
            t = c[axis]
            total = a.at(*(np.minimum(t, 0) if k == axis else x for k, x in enumerate(c)))
            total = np.where(t < 1, a.at(*c), total)
            total = np.where(
                (t >= 1) & (t <= n), a.at(*(np.zeros_like(t) if k == axis else x for k, x in enumerate(c))), total
            )
            for k in range(1, n + 1):
                term = a.at(*(np.full_like(t, k) if j == axis else x for j, x in enumerate(c)))
                total = np.where((t >= k) & (t <= n), total + term, total)
            return np.where(t > n, a.at(*c), total)

        self._new(build, at, a.type, a.ndim, a.exact and not a.type.is_float)

    def _scatter(self) -> None:
        a, n, size = self._pick(), self.rng.randint(1, 12), self.rng.choice((4, 7, 16))
        if a.type.is_float or a.ndim != 1:
            return self._stencil()

        def build(f: Any, v: tuple[Any, ...]) -> None:
            f[v] = halo.i32(0)
            r = halo.rdom(n)
            f[(a.func[r[0]].astype(halo.i32) % size,)] += 1

        def at(*c: Any) -> Any:
            bins = _convert(a.at(np.arange(n)), a.type, halo.i32) % size
            return np.sum(c[0][..., None] == bins, axis=-1).astype(np.int32)

        self._new(build, at, halo.i32, 1, a.exact)
        return None


def _data(rng: np.random.Generator, type: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    if type.is_float:
        return rng.normal(size=shape).astype(type.dtype) * 8
    return rng.integers(max(type.min, -(2**40)), min(type.max, 2**40), size=shape, endpoint=True).astype(type.dtype)


def _padded(c: Any, n: int, mode: str) -> tuple[Any, Any]:
    """Coordinates brought inside 0..n as `numpy.pad` does, and where they were inside."""
    if mode == "wrap":
        return c % n, True
    if mode == "symmetric":
        m = c % (2 * n)
        return np.where(m < n, m, 2 * n - 1 - m), True
    if mode == "reflect":
        period = max(2 * n - 2, 1)
        m = c % period
        return np.where(m < n, m, period - m), True
    return np.clip(c, 0, n - 1), (c >= 0) & (c < n)


def _convert(values: Any, source: Any, target: Any) -> Any:
    """The language's conversion: integers wrap, floats truncate and saturate, NaN is 0."""
    if source.is_float and not target.is_float:
        whole = np.nan_to_num(np.trunc(values.astype(np.float64)), nan=0.0, posinf=np.inf, neginf=-np.inf)
        low, high = whole <= target.min, whole >= target.max
        middle = np.where(low | high, 0, whole).astype(np.int64).astype(target.dtype)
        return np.where(low, target.dtype.type(target.min), np.where(high, target.dtype.type(target.max), middle))
    return values.astype(target.dtype)


_OPS: dict[str, tuple[Any, Any]] = {
    "add": (lambda a, b: a + b, lambda a, b: a + b),
    "sub": (lambda a, b: a - b, lambda a, b: a - b),
    "mul": (lambda a, b: a * b, lambda a, b: a * b),
    "min": (lambda a, b: halo.min(a, b), np.minimum),
    "max": (lambda a, b: halo.max(a, b), np.maximum),
}

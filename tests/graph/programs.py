"""Random programs of the operators that networks are made of, and what NumPy makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import halo
from halo import nn
from halo.graph import Constant, Function, Module, Tuple, Var
from halo.graph.evaluate import Evaluator, evaluate
from halo.graph.ir import Call, Item
from halo.graph.symbolic import substituted
from halo.nn import TensorType
from halo.types import bf16, f16, f32, f64

SMOOTH = (
    nn.relu,
    nn.sigmoid,
    nn.tanh,
    nn.absolute,
    nn.negative,
    nn.gelu,
    nn.leaky_relu,
    nn.hard_sigmoid,
    nn.hard_swish,
    nn.softsign,
    nn.sin,
)
MOST = 30000  # entries of a value


class Maker:
    """`pick(n)` is one of 0 to n - 1. Values stay about one in size, so that errors of one step are small in the next."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        self.pick = pick
        self.rng = np.random.default_rng(pick(1000))
        self.pool: list[Any] = []
        self.type = self.of(f32, f32, f32, f64, f16)
        self.error = {f32: 2e-4, f64: 1e-10, f16: 3e-2}[self.type]

    def of(self, *choices: Any) -> Any:
        return choices[self.pick(len(choices))]

    def constant(self, *shape: int, scale: float = 1.0) -> Constant:
        return Constant((self.rng.standard_normal(shape) * scale).astype(self.type.dtype))

    def number(self, value: float) -> Any:
        return self.type.dtype.type(value)

    def program(self, steps: int) -> tuple[Module, dict[str, tuple[Any, ...]]]:
        """A program, and the shape of each input with names where an axis is open."""
        n, h, w = (
            self.of(k, k, halo.Dim(name))
            for k, name in ((self.of(1, 2), "n"), (self.of(5, 8, 13), "h"), (self.of(4, 9, 16), "w"))
        )
        c = self.of(3, 8, 16, 20)
        params = [Var("x", TensorType((n, c, h, w), self.type))]
        if self.pick(2):
            params.append(
                Var("y", TensorType(self.of((n, c, h, w), (c, 1, 1), (1, c, h, w), (n, c, 1, 1), (w,)), self.type))
            )
        self.pool = list(params)
        for _ in range(steps):
            self.step()
        read = {id(a) for v in self.pool if isinstance(v, Call | Item) for a in v.children}
        ends = [v for v in self.pool if id(v) not in read and v not in params]
        ends += [self.pool[self.pick(len(self.pool))] for _ in range(self.pick(2))]
        outputs = tuple(ends) or (nn.relu(params[0]),)
        m = Module({"main": Function(tuple(params), outputs[0] if len(outputs) == 1 else Tuple(outputs))})
        return m, {p.name: p.type.shape for p in params}

    def step(self) -> None:
        """One value more, of those that are there, the last ones first of all."""
        recent = self.pool[-3:] if self.pick(3) else self.pool
        x = recent[self.pick(len(recent))]
        kinds = [
            self.elementwise,
            self.binary,
            self.binary,
            self.moved,
            self.reduced,
            self.normalised,
            self.joined,
            self.cut,
        ]
        kinds += [self.ordered, self.spread]
        if x.type.ndim == 4:
            kinds += [self.conv, self.conv, self.conv, self.pool2d, self.resized]
        if x.type.ndim in (3, 4, 5):
            kinds += [self.conv_nd, self.conv_transpose]
        if x.type.ndim >= 2:
            kinds += [self.product]
        made = self.of(*kinds)(x)
        if made is not None and all(not isinstance(k, int) or k > 0 for k in made.type.shape):
            if math.prod(k if isinstance(k, int) else 12 for k in made.type.shape) <= MOST:
                self.pool.append(made)

    def elementwise(self, x: Any) -> Any:
        if not self.pick(8):
            return nn.clip(x, low=-0.5, high=0.75)
        return self.of(*SMOOTH)(x)

    def binary(self, x: Any) -> Any:
        others = [v for v in self.pool if _fits(v.type.shape, x.type.shape)]
        op = self.of(nn.add, nn.subtract, nn.multiply, nn.maximum, nn.minimum)
        if others and self.pick(3):
            y = others[self.pick(len(others))]
        else:
            kept = self.pick(1 << x.type.ndim)
            shape = tuple(k if kept >> d & 1 and isinstance(k, int) else 1 for d, k in enumerate(x.type.shape))
            y = self.constant(*shape[self.pick(x.type.ndim + 1) :])
        if self.pick(8) == 0:
            return nn.where(nn.less(x, y), x, nn.tanh(y))
        made = op(x, y) if self.pick(2) else op(y, x)
        return nn.tanh(made) if op is nn.multiply and self.pick(2) else made

    def conv(self, x: Any) -> Any:
        c = x.type.shape[1]
        if not isinstance(c, int):
            return None
        groups = self.of(1, 1, 1, c, *(g for g in (2, 4) if c % g == 0))
        o = groups * self.of(1, 2, 3) if groups > 1 else self.of(1, 5, 8, 16, 24, 33)
        k = self.of((1, 1), (1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (2, 2))
        dilation = self.of(1, 1, 1, 2)
        room = [x.type.shape[2 + d] if isinstance(x.type.shape[2 + d], int) else 99 for d in range(2)]
        pads = tuple(self.of(0, (k[d % 2] - 1) * dilation // 2, (k[d % 2] - 1) * dilation // 2) for d in range(4))
        if any((k[d] - 1) * dilation + 1 > room[d] + pads[d] + pads[d + 2] for d in range(2)):
            return None
        if any(
            not isinstance(x.type.shape[2 + d], int) and pads[d] + pads[d + 2] < (k[d] - 1) * dilation for d in range(2)
        ):
            pads = tuple((k[d % 2] - 1) * dilation for d in range(4))
        weight = self.constant(o, c // groups, *k, scale=(c // groups * k[0] * k[1]) ** -0.5)
        bias = self.constant(o) if self.pick(2) else None
        if self.pick(6) == 0 and groups == 1:
            back = nn.conv2d(
                nn.transpose(x, axes=(0, 2, 3, 1)),
                weight,
                bias,
                strides=self.of(1, 2),
                padding=pads,
                dilation=dilation,
                layout="NHWC",
            )
            return nn.transpose(back, axes=(0, 3, 1, 2))
        made = nn.conv2d(x, weight, bias, strides=self.of(1, 1, 2), padding=pads, dilation=dilation, groups=groups)
        if self.pick(3) == 0:
            scale, shift, mean = (self.constant(o) for _ in range(3))
            made = nn.batch_norm(
                made, scale, shift, mean, Constant(self.rng.uniform(0.5, 2, o).astype(self.type.dtype))
            )
        return made

    def conv_nd(self, x: Any) -> Any:
        c, n = x.type.shape[1], x.type.ndim - 2
        if not isinstance(c, int):
            return None
        groups = self.of(1, 1, c)
        o = groups * self.of(1, 2) if groups > 1 else self.of(1, 7, 16)
        k = [self.of(1, 2, 3) for _ in range(n)]
        weight = self.constant(o, c // groups, *k, scale=(c // groups * math.prod(k)) ** -0.5)
        return nn.conv(x, weight, strides=self.of(1, 2), padding=tuple(v - 1 for v in k) * 2, groups=groups)

    def conv_transpose(self, x: Any) -> Any:
        c, n = x.type.shape[1], x.type.ndim - 2
        if not isinstance(c, int) or not all(isinstance(k, int) for k in x.type.shape):
            return None
        groups = self.of(1, 1, c)
        o, k = self.of(1, 3, 8), [self.of(1, 2, 3, 4) for _ in range(n)]
        weight = self.constant(c, o, *k, scale=(c // groups * math.prod(k)) ** -0.5)
        return nn.conv_transpose(x, weight, strides=self.of(1, 2), padding=0, groups=groups)

    def ordered(self, x: Any) -> Any:
        if not x.type.ndim:
            return None
        d = self.pick(x.type.ndim)
        k = x.type.shape[d]
        match self.pick(4):
            case 0:
                return nn.sort(x, axis=d, descending=bool(self.pick(2)))
            case 1:
                return nn.cumsum(nn.multiply(x, self.number(0.2)), axis=d)
            case 2 if isinstance(k, int):
                best = nn.topk(x, k=1 + self.pick(k), axis=d, largest=bool(self.pick(2)))
                return nn.gather_elements(x, best, axis=d)
            case _:
                return nn.logsumexp(x, axes=(d,), keepdims=bool(self.pick(2)))

    def spread(self, x: Any) -> Any:
        shape = x.type.shape
        match self.pick(4):
            case 0:
                return nn.tile(x, reps=tuple(self.of(1, 1, 2) for _ in shape))
            case 1:
                return nn.broadcast_to(
                    x, shape=(*self.of((), (2,), (3,)), *(self.of(1, 4) if k == 1 else k for k in shape))
                )
            case 2 if len(shape) == 4 and isinstance(shape[1], int) and shape[1] % 4 == 0:
                return nn.depth_to_space(x, block=(2, 2), mode=self.of("DCR", "CRD"))
            case 3 if len(shape) == 4:
                y = self.pool[self.pick(len(self.pool))]
                if y.type.ndim == 4 and y.type.shape[:2] == shape[:2] and y.type.shape[3] == shape[3]:
                    return nn.multiply(nn.einsum(x, y, equation="bhqd,bhkd->bhqk"), self.number(0.2))
                return None
            case _:
                return nn.repeat(x, repeats=2, axis=self.pick(len(shape))) if shape else None

    def pool2d(self, x: Any) -> Any:
        if self.pick(4) == 0:
            return nn.global_average_pool(x)
        k = self.of(2, 3)
        if any(isinstance(n, int) and n < k for n in x.type.shape[2:]):
            return None
        attrs = {"kernel": k, "strides": self.of(1, 2), "padding": self.of(0, 1), "ceil": bool(self.pick(2))}
        if any(not isinstance(n, int) for n in x.type.shape[2:]):
            attrs["padding"] = 1
        if self.pick(2):
            return nn.max_pool(x, **attrs)
        return nn.average_pool(x, **attrs, count_include_pad=bool(self.pick(2)))

    def resized(self, x: Any) -> Any:
        n, c, h, w = x.type.shape
        if not isinstance(h, int) or not isinstance(w, int):
            return None
        size = (n, c, *(self.of(2 * k, 2 * k, k + 1, max(k // 2, 1)) for k in (h, w)))
        mode = self.of(
            ("nearest", "asymmetric", "floor"),
            ("linear", "half_pixel", "round_prefer_floor"),
            ("linear", "align_corners", "round_prefer_floor"),
        )
        return nn.resize(x, size=size, mode=mode[0], coordinates=mode[1], nearest=mode[2])

    def reduced(self, x: Any) -> Any:
        axes = tuple(d for d in range(x.type.ndim) if self.pick(2)) or (x.type.ndim - 1,)
        if not self.pick(3) or not x.type.ndim:
            return None
        op = self.of(nn.mean, nn.max, nn.min, nn.mean)
        return op(x, axes=axes, keepdims=bool(self.pick(3)))

    def normalised(self, x: Any) -> Any:
        if not x.type.ndim:
            return None
        match self.pick(5):
            case 0 | 1:
                return nn.softmax(x, axis=self.pick(x.type.ndim))
            case 2:
                k = x.type.shape[-1]
                return nn.layer_norm(x, self.constant(k), self.constant(k), epsilon=0.1) if isinstance(k, int) else None
            case 3:
                k = x.type.shape[-1]
                return nn.rms_norm(x, self.constant(k), epsilon=0.1) if isinstance(k, int) else None
            case _:
                c = x.type.shape[1] if x.type.ndim > 2 else None
                if not isinstance(c, int):
                    return None
                return nn.group_norm(
                    x, self.constant(c), self.constant(c), groups=self.of(1, c, *(2,) * (c % 2 == 0)), epsilon=0.1
                )

    def moved(self, x: Any) -> Any:
        shape = x.type.shape
        match self.pick(5):
            case 0 | 1:
                axes = list(range(len(shape)))
                for i in range(len(axes) - 1):
                    j = i + self.pick(len(axes) - i)
                    axes[i], axes[j] = axes[j], axes[i]
                return nn.transpose(x, axes=tuple(axes))
            case 2 if len(shape) > 1:
                d = self.pick(len(shape) - 1)
                return nn.reshape(x, shape=(*shape[:d], shape[d] * shape[d + 1], *shape[d + 2 :]))
            case 3 if len(shape) < 6:
                found = [
                    (d, f) for d, k in enumerate(shape) if isinstance(k, int) for f in (2, 4, 5) if k % f == 0 and k > f
                ]
                if found:
                    d, f = found[self.pick(len(found))]
                    return nn.reshape(
                        x, shape=(*shape[:d], *self.of((f, shape[d] // f), (shape[d] // f, f)), *shape[d + 1 :])
                    )
                d = self.pick(len(shape) + 1)
                return nn.reshape(x, shape=(*shape[:d], 1, *shape[d:]))
            case 4:
                return nn.reshape(x, shape=tuple(k for k in shape if k != 1))
            case _:
                return None

    def joined(self, x: Any) -> Any:
        if not x.type.ndim:
            return None
        d = self.pick(x.type.ndim)
        rest = lambda v: (*v.type.shape[:d], *v.type.shape[d + 1 :])
        others = [v for v in self.pool if v.type.ndim == x.type.ndim and rest(v) == rest(x)]
        parts = [x, *(others[self.pick(len(others))] for _ in range(1 + self.pick(2)))]
        return nn.concatenate(*parts, axis=d)

    def cut(self, x: Any) -> Any:
        shape = x.type.shape
        found = [d for d, k in enumerate(shape) if isinstance(k, int) and k > 1]
        if not found:
            return None
        d = found[self.pick(len(found))]
        k = shape[d]
        match self.pick(4):
            case 0 | 1:
                begin = self.pick(k)
                end = begin + 1 + self.pick(k - begin)
                return nn.strided_slice(x, begin=(begin,), end=(end,), strides=(self.of(1, 1, 2),), axes=(d,))
            case 2:
                return nn.take(x, Constant(self.rng.integers(-k, k, self.of((3,), (2, 2), ()))), axis=d)
            case _:
                sides = [tuple(self.pick(3) if e == d else 0 for e in range(len(shape))) for _ in range(2)]
                mode = self.of("constant", "edge", "reflect")
                return nn.pad(
                    x,
                    before=tuple(min(v, k - 1) for v in sides[0]),
                    after=tuple(min(v, k - 1) for v in sides[1]),
                    mode=mode,
                )

    def product(self, x: Any) -> Any:
        k = x.type.shape[-1]
        if self.pick(2):
            others = [
                v
                for v in self.pool
                if v.type.ndim == x.type.ndim and v.type.shape[:-2] == x.type.shape[:-2] and v.type.shape[-1] == k
            ]
            axes = (*range(x.type.ndim - 2), x.type.ndim - 1, x.type.ndim - 2)
            y = others[self.pick(len(others))]
            scale = self.number((k if isinstance(k, int) else 12) ** -0.5)
            return nn.multiply(nn.matmul(x, nn.transpose(y, axes=axes)), scale)
        if not isinstance(k, int):
            return None
        o = self.of(1, 4, 10, 32, 40)
        if self.pick(2):
            return nn.dense(x, self.constant(o, k, scale=k**-0.5), self.constant(o) if self.pick(2) else None)
        return nn.matmul(x, self.constant(k, o, scale=k**-0.5))


def _fits(small: tuple[Any, ...], big: tuple[Any, ...]) -> bool:
    """Whether the one is broadcast to the other."""
    return len(small) <= len(big) and all(a in (1, b) for a, b in zip(small[::-1], big[::-1], strict=False))


class ByNumpy(Evaluator):
    """Each operator by its reference; those of layouts of our own, which have none, by themselves."""

    def computed(self, e: Call, args: tuple[Any, ...]) -> Any:
        attrs = {k: substituted(v, self.dims) for k, v in e.attributes}
        if e.op.reference is None or any("layout" in k and any(c.islower() for c in v) for k, v in e.attributes):
            return super().computed(e, args)
        attrs = {k: v for k, v in attrs.items() if v != e.op.signature.parameters[k].default}
        wide = (a.astype(np.float32) if a is not None and a.dtype == bf16.dtype else a for a in args)
        found = np.asarray(e.op.reference(*wide, **attrs))
        return found.astype(bf16.dtype) if e.type.dtype is bf16 else found


def by_numpy(m: Module, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs, each operator by its reference in NumPy."""
    with np.errstate(all="ignore"):
        return evaluate(m, inputs, ByNumpy)

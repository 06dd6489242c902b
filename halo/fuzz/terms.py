"""Random expressions: each term is Python text in the language, and a function of integer coordinates in NumPy."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

import halo

from . import numeric
from .numeric import FLOATS, INTEGERS, TYPES, Array, convert

EXACT, CLOSE, UNKNOWN = 2, 1, 0  # how well NumPy knows a value

Env = dict[str, Any]  # index and reduction variables, as integer arrays that broadcast against each other


@dataclass(frozen=True)
class Index:
    """A subscript: an integer at every point."""

    text: str
    value: Callable[[Env], Array]


@dataclass(frozen=True)
class Term:
    """A value at every point. `weak`: a Python number or index variable; `product`: a sum of it may become an fma."""

    text: str
    value: Callable[[Env], Array]
    type: halo.Type
    trust: int = EXACT
    product: bool = False
    weak: bool = False


class Source(Protocol):
    """What can be subscripted."""

    @property
    def ndim(self) -> int: ...

    @property
    def type(self) -> halo.Type: ...

    @property
    def trust(self) -> int: ...

    def text(self, indices: str) -> str: ...

    def at(self, *coords: Array) -> Array: ...


@dataclass(frozen=True)
class Domain:
    """A reduction domain: names, and (lo, n) pairs as texts and as numbers."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    def points(self) -> Iterator[Env]:
        for point in itertools.product(*(range(lo, lo + n) for lo, n in self.spans)):
            yield dict(zip(self.names, map(np.int64, point), strict=True))


class Magnitude:
    """The largest number and the coarsest rounding on the way to a result, which say what is close to it."""

    def __init__(self) -> None:
        self.largest, self.coarsest, self.limit = 1.0, 2.0**-52, 1e300

    def note(self, t: halo.Type, *factors: Array) -> None:
        product = 1.0
        for values in factors:
            a = np.abs(np.asarray(values).astype(np.float64))
            product *= max(float(a.max(initial=0, where=np.isfinite(a))), 1)
        self.largest = max(self.largest, product)
        rounding, limit = {"f16": (2.0**-10, 6e4), "bf16": (2.0**-7, 1e38), "f32": (2.0**-23, 1e38)}.get(
            t.name, (2.0**-52, 1e300)
        )
        self.coarsest, self.limit = max(self.coarsest, rounding), min(self.limit, limit)

    @property
    def tolerance(self) -> float:
        return self.largest * self.coarsest * 200 if self.largest < self.limit / 16 else float("inf")


class Terms:
    """The random terms of one stage over the index variables `vars`, of what `sources` hold."""

    def __init__(self, rng: random.Random, vars: tuple[str, ...], sources: list[Source], leaves: list[Term],
                 magnitude: Magnitude, decorated: bool, fresh: Iterator[int]) -> None:  # fmt: skip
        self.rng, self.vars, self.sources, self.leaves = rng, vars, sources, leaves
        self.magnitude, self.decorated, self.fresh = magnitude, decorated, fresh
        self.domain: tuple[str, ...] = ()  # reduction variables in force
        self.lines: list[str] = []  # what stands before the definition, in the object form
        self.real = False  # a float reduction was made
        self.reductions = 0 if rng.random() < 0.6 else 1  # how many more may be made

    # Subscripts ------------------------------------------------------------------------------------------------------

    def index(self, axis: int, ndim: int, depth: int) -> Index:
        rng, here = self.rng, axis + len(self.vars) - ndim
        names = (*self.vars, *self.domain)
        if not names:
            c = rng.randint(-2, 3)
            return Index(str(c), lambda env: np.int64(c))
        v = self.vars[here] if 0 <= here < len(self.vars) and rng.random() < 0.9 else rng.choice(names)
        if self.domain and rng.random() < 0.5:
            return self._with_domain(v)
        c, roll = rng.randint(-2, 2), rng.random()
        if roll < 0.3:
            return Index(v, lambda env: env[v])
        if roll < 0.7:
            return Index(f"{v} {'-' if c < 0 else '+'} {abs(c)}", lambda env: env[v] + c)
        if roll < 0.75:
            return Index(f"2*{v} + {c}", lambda env: 2 * env[v] + c)
        if roll < 0.82:
            return Index(f"{v}//2 + {c}", lambda env: env[v] // 2 + c)
        if roll < 0.85:
            return Index(f"{v} % 3", lambda env: env[v] % 3)
        if roll < 0.88:
            return Index(f"{c} - {v}", lambda env: c - env[v])
        if roll < 0.91:
            return Index(f"halo.clamp({v} + {c}, 0, 4)", lambda env: np.clip(env[v] + c, 0, 4))
        if roll < 0.93:
            w = rng.choice(names)
            return Index(f"halo.max({v}, {w} - 1)", lambda env: np.maximum(env[v], env[w] - 1))
        if roll < 0.97 and depth > 0:
            found = self._from_data(depth - 1)
            if found is not None:
                return found
        return Index(str(c), lambda env: np.int64(c))

    def _with_domain(self, v: str) -> Index:
        r, roll = self.rng.choice(self.domain), self.rng.random()
        if roll < 0.3:
            return Index(r, lambda env: env[r])
        if roll < 0.45:
            return Index(f"{v} - {r}", lambda env: env[v] - env[r])
        if roll < 0.55:
            return Index(f"2*{v} + {r}", lambda env: 2 * env[v] + env[r])
        return Index(f"{v} + {r}", lambda env: env[v] + env[r])

    def _from_data(self, depth: int) -> Index | None:
        e = self.access(depth, lambda s: s.type.is_int and s.trust == EXACT)
        if e is None:
            return None
        n = self.rng.randint(2, 7)
        if self.rng.random() < 0.5:
            return Index(f"halo.i32({e.text}) % {n}", lambda env: convert(e.value(env), e.type, halo.i32) % n)
        if e.type is halo.u64:
            return None
        return Index(f"halo.clamp({e.text}, 0, {n})", lambda env: np.clip(e.value(env).astype(np.int64), 0, n))

    # Leaves ----------------------------------------------------------------------------------------------------------

    def access(self, depth: int, fits: Callable[[Source], bool] = lambda s: True) -> Term | None:
        """One value of one of the sources that fit, the latest more often."""
        fitting = [s for s in self.sources if fits(s)]
        if not fitting:
            return None
        s = fitting[-1] if self.rng.random() < 0.5 else self.rng.choice(fitting)
        indices = [self.index(k, s.ndim, depth) for k in range(s.ndim)]
        text = s.text(", ".join(i.text for i in indices) or "()")

        def value(env: Env) -> Array:
            return s.at(*np.broadcast_arrays(*(np.asarray(i.value(env), np.int64) for i in indices)))

        found = Term(text, value, s.type, s.trust)
        return self.to(found, s.type.computed) if s.type.is_stored else found

    def leaf(self) -> Term:
        rng, names = self.rng, (*self.vars, *self.domain)
        roll = rng.random()
        if roll < 0.06 and self.leaves:
            return rng.choice(self.leaves)
        if roll < 0.1 and names:
            v = rng.choice(names)
            return Term(f"halo.i32({v})", lambda env: env[v].astype(np.int32), halo.i32)
        if roll < 0.13 and self.vars:
            return self._table()
        found = self.access(1)
        return found if found is not None else self.literal(rng.choice(TYPES))

    def _table(self) -> Term:
        """An embedded constant array."""
        t, n = self.rng.choice(INTEGERS), self.rng.randint(1, 6)
        data = [self.rng.randint(max(int(t.min), -99), 99) for _ in range(n)]
        table, v = np.array(data, t.dtype), self.rng.choice(self.vars)
        text = f'halo.pad(np.array({data}, "{t.dtype.name}"), "wrap")[{v}]'
        if self.decorated:
            name = f"t{next(self.fresh)}"
            self.lines.append(f'{name} = np.array({data}, "{t.dtype.name}")')
            text = f"{name}[{v} % {n}]"
        return Term(text, lambda env: table[env[v] % n], t)

    def literal(self, t: halo.Type) -> Term:
        if t.is_bool:
            c: Any = self.rng.random() < 0.5
        elif t.is_float:
            c = self.rng.choice((0.5, -1.25, 2.0, 3.0, 0.0))
        else:
            c = self.rng.randint(max(int(t.min), -5), 9)
        text = f"halo.{t.name}({c})"
        return Term(text, lambda env: np.asarray(c).astype(t.dtype), t)

    def weak(self, t: halo.Type) -> Term:
        """A Python number that fits `t`."""
        strong = self.literal(t)
        text = strong.text.partition("(")[2][:-1]
        return replace(strong, text=f"({text})" if text.startswith("-") else text, weak=True)

    # Conversions -----------------------------------------------------------------------------------------------------

    def to(self, e: Term, t: halo.Type) -> Term:
        if e.type is t:
            return e
        trust = e.trust
        if e.type.is_float and not t.is_float and trust < EXACT:
            trust = UNKNOWN
        if t.is_float and e.type.bits == 64 and t.bits == 16:  # NumPy rounds twice
            trust = min(trust, CLOSE)
        if t.is_stored and trust < EXACT:
            trust = UNKNOWN
        saturating = self.rng.random() < 0.15 and t.is_int and not t.is_stored
        meaning = numeric.saturate if saturating else convert

        def value(env: Env) -> Array:
            values = e.value(env)
            if trust == CLOSE:
                self.magnitude.note(t, values)
            return meaning(values, e.type, t)

        text = f"halo.saturate(halo.{t.name}, {e.text})" if saturating else f"halo.{t.name}({e.text})"
        return Term(text, value, t, trust)

    # Operators -------------------------------------------------------------------------------------------------------

    def term(self, depth: int) -> Term:
        if depth <= 0:
            return self.leaf()
        kinds = [self.binary] * 6 + [self.select, self.select, self.unary, self.unary, self.special]
        if self.reductions and not self.domain:
            self.reductions -= 1
            kinds += [self.reduction] * 10
        return self.rng.choice(kinds)(depth)

    def binary(self, depth: int) -> Term:
        a = self.term(depth - 1)
        if self.rng.random() < 0.3:
            a = self.to(a, self.rng.choice(TYPES))
        if self.rng.random() < 0.25 and not a.type.is_bool:
            b = self.weak(a.type)
        else:
            b = self.term(depth - 1)
        op = self.rng.choice(("+", "+", "-", "*", "halo.min", "halo.max", "//", "%", "<<", ">>", "&", "|", "^", "/",
                              "halo.absd", "halo.avg_up", "halo.avg_down", "halo.sat_add", "halo.mul_high"))  # fmt: skip
        return self.combine(op, a, b)

    def combine(self, op: str, a: Term, b: Term) -> Term:
        """`a op b`, with the conversions that it needs; another operator where it has no meaning."""
        t = a.type if b.weak else numeric.promoted(numeric.counted(a.type), numeric.counted(b.type))
        if op in ("&", "|", "^") and not b.weak and not t.is_float:
            t = numeric.promoted(a.type, b.type)
        elif op == "/":
            return self._divide(a, b)
        elif t.is_float and op not in ("+", "-", "*", "halo.min", "halo.max"):
            op = "-" if t.bits == 16 or op not in ("//", "%") else op
        if op.startswith("halo."):
            a, b = self.to(a, t), b if b.weak else self.to(b, t)
        operands = (a, b) if b.weak else (self._plain(a, t), self._plain(b, t))
        trust = min(a.trust, b.trust)
        if t.is_float:
            if op in ("//", "%"):
                trust = trust if trust == EXACT else UNKNOWN
            elif op in ("+", "-") and t.bits >= 32 and (operands[0].product or operands[1].product):
                trust = min(trust, CLOSE)
        result, meaning = t, self._meaning(op, t)
        if op == "halo.absd":
            result = getattr(halo, f"u{t.bits}")
        noted = t.is_float and trust == CLOSE

        def value(env: Env) -> Array:
            x, y = (convert(e.value(env), e.type, t) for e in operands)
            if noted:
                self.magnitude.note(t, x, y)
            return meaning(x, y)

        text = f"{op}({operands[0].text}, {operands[1].text})" if op.startswith("halo.") else (
            f"({operands[0].text} {op} {operands[1].text})")  # fmt: skip
        return Term(text, value, result, trust, product=op == "*")

    def _plain(self, e: Term, t: halo.Type) -> Term:
        """`e` as an operand that is promoted to `t` without being told."""
        if e.type is t or (t.is_float and e.type.bits == 64 and t.bits == 16):
            return self.to(e, t)
        return replace(e, product=False)

    def _meaning(self, op: str, t: halo.Type) -> Callable[..., Array]:
        if t.is_bool:
            return {"&": np.logical_and, "|": np.logical_or, "^": np.logical_xor}[op]
        if op == "halo.absd":
            return numeric.exactly(lambda x, y: abs(x - y), getattr(halo, f"u{t.bits}"))
        return numeric.arithmetic(op, t)

    def _divide(self, a: Term, b: Term) -> Term:
        def real(e: Term) -> Term:
            if e.type.is_float:
                return e
            return self.to(e, halo.f32 if e.type.bits <= 16 and e.type.is_int else halo.f64)

        a, b = real(a), b if b.weak else real(b)
        if b.weak and not b.type.is_float:
            b = self.to(self.literal(b.type), a.type)
        t = numeric.promoted(a.type, b.type)
        divide = numeric.floats(np.divide, t)
        trust = CLOSE if a.trust == b.trust == EXACT else UNKNOWN

        def value(env: Env) -> Array:
            found = divide(convert(a.value(env), a.type, t), convert(b.value(env), b.type, t))
            self.magnitude.note(t, found)
            return found

        return Term(f"({a.text} / {b.text})", value, t, trust)

    def unary(self, depth: int) -> Term:
        e = self.term(depth - 1)
        t = e.type
        if t.is_bool:
            return Term(f"(~{e.text})", lambda env: np.logical_not(e.value(env)), t, e.trust)
        op = self.rng.choice(("neg", "abs", "not", "bits", "math", "round", "convert"))
        if op == "convert":
            return self.to(e, self.rng.choice(TYPES))
        if op == "math" or (op == "round" and t.is_float):
            return self._math(e) if op == "math" else self._round(e)
        if t.is_float or op in ("neg", "abs", "round"):
            name, whole, real = ("-", lambda a: -a, np.negative) if op != "abs" else ("abs", abs, np.abs)
            meaning = numeric.floats(real, t) if t.is_float else numeric.exactly(whole, t)
            text = f"abs({e.text})" if name == "abs" else f"(-{e.text})"
            return Term(text, lambda env: meaning(e.value(env)), t, e.trust)
        if op == "not":
            return Term(f"(~{e.text})", lambda env: np.invert(e.value(env)), t, e.trust)
        name = self.rng.choice(tuple(numeric.BITS))
        count = numeric.BITS[name](t)
        return Term(f"halo.{name}({e.text})", lambda env: count(e.value(env)), t, e.trust)

    def _math(self, e: Term) -> Term:
        if not e.type.is_float or e.type.bits < 32:
            e = self.to(e, self.rng.choice((halo.f32, halo.f64)))
        name, t = self.rng.choice(tuple(numeric.MATH)), e.type
        meaning = numeric.MATH[name]

        def value(env: Env) -> Array:
            found = meaning(e.value(env).astype(np.float64)).astype(t.dtype)
            self.magnitude.note(t, found)
            return found

        return Term(f"halo.{name}({e.text})", value, t, CLOSE if e.trust == EXACT else UNKNOWN)

    def _round(self, e: Term) -> Term:
        name, t = self.rng.choice(tuple(numeric.ROUNDINGS)), e.type
        meaning = numeric.floats(numeric.ROUNDINGS[name], t)
        trust = e.trust if e.trust == EXACT else UNKNOWN
        return Term(f"halo.{name}({e.text})", lambda env: meaning(e.value(env)), t, trust)

    def special(self, depth: int) -> Term:
        """Functions that fit few types."""
        a, op = self.term(depth - 1), self.rng.choice(("widen", "clamp", "lerp", "reinterpret"))
        if op == "clamp":
            a = self.to(a, halo.i32) if a.type.is_bool else a
            lo, hi = sorted((self.rng.randint(0, 3), self.rng.randint(0, 90)))
            t = a.type
            return Term(f"halo.clamp({a.text}, {lo}, {hi})",
                        numeric_clamp(a, lo, hi), t, a.trust)  # fmt: skip
        if op == "lerp":
            t = self.rng.choice((halo.u8, halo.u16))
            a, b, w = self.to(a, t), self.to(self.leaf(), t), self.to(self.leaf(), halo.u8)
            top = 255
            lerp = numeric.exactly(lambda x, y, k: (x * (top - k) + y * k + top // 2) // top, t)
            return Term(f"halo.lerp({a.text}, {b.text}, {w.text})",
                        lambda env: lerp(a.value(env), b.value(env), w.value(env)), t, min(a.trust, b.trust, w.trust))  # fmt: skip
        t = self.rng.choice(tuple(t for t in INTEGERS if t.bits < 64))
        a = self.to(a, t)
        if op == "reinterpret":
            other = getattr(halo, f"{'u' if t.kind == 'int' else 'i'}{t.bits}")
            return Term(f"halo.reinterpret(halo.{other.name}, {a.text})",
                        lambda env: np.ascontiguousarray(a.value(env)).view(other.dtype).reshape(np.shape(a.value(env))),
                        other, a.trust)  # fmt: skip
        b = self.to(self.leaf(), t)
        result = numeric.widened(t, t.kind == "int")
        multiply = numeric.exactly(lambda x, y: x * y, result)
        return Term(f"halo.widening_mul({a.text}, {b.text})",
                    lambda env: multiply(a.value(env), b.value(env)), result, min(a.trust, b.trust))  # fmt: skip

    # Conditions and reductions ---------------------------------------------------------------------------------------

    def condition(self, depth: int) -> Term:
        """A bool: of coordinates more often than of data."""
        rng, names = self.rng, (*self.vars, *self.domain)
        op = rng.choice(tuple(numeric.COMPARISONS))
        compare = numeric.COMPARISONS[op]
        if names and rng.random() < 0.6:
            v, c = rng.choice(names), rng.randint(-2, 8)
            w = rng.choice(names)
            if rng.random() < 0.2 and w != v:
                return Term(f"({v} {op} {w} + {c})", lambda env: compare(env[v], env[w] + c), halo.bool_)
            if rng.random() < 0.2:
                return Term(f"({v} % 3 {op} {c % 3})", lambda env: compare(env[v] % 3, c % 3), halo.bool_)
            return Term(f"({v} {op} {c})", lambda env: compare(env[v], c), halo.bool_)
        a = self.term(depth - 1) if depth > 1 else self.leaf()
        if a.type.is_bool:
            return a
        return self.compared(a, self.weak(a.type), op)

    def compared(self, a: Term, b: Term, op: str | None = None) -> Term:
        """A comparison with what is as it is written. Of rounded numbers nothing is known."""
        op = op or self.rng.choice(tuple(numeric.COMPARISONS))
        compare = numeric.COMPARISONS[op]
        trust = a.trust if not a.type.is_float or a.trust == EXACT else UNKNOWN
        return Term(f"({a.text} {op} {b.text})", lambda env: compare(a.value(env), b.value(env)), halo.bool_, trust)

    def select(self, depth: int) -> Term:
        """One of two values; in decorated functions sometimes a conditional expression."""
        c, a, b = self.condition(depth), self.term(depth - 1), self.term(depth - 1)
        if self.rng.random() < 0.3:
            b = self.weak(a.type)
        t = a.type if b.weak else numeric.promoted(a.type, b.type)
        if not b.weak:
            a, b = self._plain(a, t), self._plain(b, t)
        text = f"halo.select({c.text}, {a.text}, {b.text})"
        if self.decorated and self.rng.random() < 0.7:
            text = f"({a.text} if {c.text} else {b.text})"

        def value(env: Env) -> Array:
            return np.where(c.value(env), convert(a.value(env), a.type, t), convert(b.value(env), b.type, t))

        return Term(text, value, t, min(c.trust, a.trust, b.trust))

    def make_domain(self, axes: int, most: int) -> Domain:
        spans = tuple((self.rng.randint(-2, 2), self.rng.randint(0 if self.rng.random() < 0.05 else 1, most))
                      for _ in range(axes))  # fmt: skip
        names = tuple(f"r{next(self.fresh)}" for _ in spans)
        return Domain(names, tuple(f"({lo}, {n})" for lo, n in spans), spans)

    def open_domain(self, d: Domain, condition: Term | None) -> str:
        """Lines that make `d` in the object form; returns its name."""
        name, unpack = f"R{next(self.fresh)}", ", ".join(d.names) + ","
        self.lines.append(f'{name} = halo.rdom({", ".join(d.texts)}, names="{" ".join(d.names)}")')
        self.lines.append(f"{unpack} = {name}")
        if condition is not None:
            self.lines += [f"{name} = {name}.where({condition.text})", f"{unpack} = {name}"]
        return name

    def reduction(self, depth: int) -> Term:
        """An inline reduction over a domain of one or two axes."""
        rng = self.rng
        d = self.make_domain(rng.choice((1, 1, 2)), rng.choice((2, 4, 6)))
        op = rng.choice(("sum", "sum", "prod", "min", "max", "any", "all", "mean", "argmin", "argmax"))
        self.domain = d.names
        e = self.term(depth - 1)
        if op in ("any", "all") and not e.type.is_bool:
            e = self.condition(depth)
        elif e.type.is_bool and op in ("min", "max", "argmin", "argmax", "mean"):
            e = self.to(e, halo.i16)
        if op == "mean":
            e = self.to(e, rng.choice((halo.f32, halo.u8)))
        condition = self.condition(1) if rng.random() < 0.25 else None
        self.domain = ()
        item = rng.randint(0, len(d.names)) if op.startswith("arg") else None
        function = f"halo.{op}" if op in ("prod", "mean", "argmin", "argmax") or rng.random() < 0.5 else op
        if self.decorated:
            over = f" for {', '.join(d.names)} in halo.rdom({', '.join(d.texts)})"
            where = f" if {condition.text}" if condition is not None else ""
            text = f"{function}({e.text}{over}{where})"
        else:
            text = f"halo.{op}({e.text}, {self.open_domain(d, condition)})"
        if item is not None:
            text = f"{text}[{item}]"
        return self._reduced(op, item, e, d, condition, text)

    def _reduced(self, op: str, item: int | None, e: Term, d: Domain, condition: Term | None, text: str) -> Term:
        t, trust = e.type, e.trust
        if op in ("sum", "prod"):
            t = numeric.counted(t)
            if (e.product and t.is_float) or trust < EXACT:
                trust = min(trust, CLOSE)
        if op == "mean":
            t, trust = (halo.f32, min(trust, CLOSE)) if trust else (halo.f32, UNKNOWN)
        if item is not None:
            trust = EXACT if trust == EXACT and not e.type.is_float else UNKNOWN
            t = e.type if item == len(d.names) else halo.i32
        if condition is not None:
            trust = min(trust, condition.trust)
        self.real |= e.type.is_float or t.is_float

        def value(env: Env) -> Array:
            steps = []
            for point in d.points():
                inner = env | point
                where = True if condition is None else condition.value(inner)
                steps.append((point, convert(e.value(inner), e.type, e.type), np.asarray(where)))
            return fold(op, item, steps, d, e.type, t, self.magnitude if trust == CLOSE else None,
                        condition is not None)  # fmt: skip

        return Term(text, value, t, trust)


def numeric_clamp(a: Term, lo: int, hi: int) -> Callable[[Env], Array]:
    t = a.type
    return lambda env: numeric.floats(lambda v: np.minimum(np.maximum(v, v.dtype.type(lo)), v.dtype.type(hi)), t)(
        a.value(env)
    )


def fold(op: str, item: int | None, steps: list[tuple[Env, Array, Array]], d: Domain, source: halo.Type, t: halo.Type,
         magnitude: Magnitude | None, conditional: bool) -> Array:  # fmt: skip
    """What a reduction gives for the values and predicates at its points, in order."""
    if item is not None:
        return _extremum(op, item, steps, d, source, t, conditional)
    if op == "mean":
        mean: Any = np.float64(0)
        count: Any = np.float64(0)
        for _, v, where in steps:
            mean = mean + np.where(where, v.astype(np.float64), 0)
            count = count + where
        if magnitude is not None:
            magnitude.note(t, mean)
        return np.asarray(mean / count).astype(t.dtype)
    start: Any = {"sum": 0, "prod": 1, "any": False, "all": True, "min": t.max, "max": t.min}[op]
    total: Any = np.asarray(start).astype(t.dtype)
    step: Any = {"any": np.logical_or, "all": np.logical_and}.get(op)
    if step is None:
        name = {"sum": "+", "prod": "*", "min": "halo.min", "max": "halo.max"}[op]
        step = numeric.arithmetic(name, t)
    for _, v, where in steps:
        if magnitude is not None:
            magnitude.note(t, total, v)
        total = np.where(where, step(total, convert(v, source, t)), total)
    return total


def _extremum(op: str, item: int, steps: list[tuple[Env, Array, Array]], d: Domain, source: halo.Type, t: halo.Type,
              conditional: bool) -> Array:  # fmt: skip
    """Element `item` of (coordinates..., value) of the first extremum; of no point, what it starts with: under a
    condition the coordinates start one before the domain."""
    best: Any = np.asarray(source.max if op == "argmin" else source.min).astype(source.dtype)
    where_best: list[Any] = [np.int32(lo - (conditional and k == 0)) for k, (lo, _) in enumerate(d.spans)]
    found: Any = np.False_
    for point, v, where in steps:
        better = where & ((v < best if op == "argmin" else v > best) | ~found)
        best = np.where(better, v, best)
        where_best = [np.where(better, point[n], w) for n, w in zip(d.names, where_best, strict=True)]
        found = found | where
    return np.asarray(best if item == len(d.names) else where_best[item]).astype(t.dtype)


__all__ = ["CLOSE", "EXACT", "FLOATS", "INTEGERS", "TYPES", "UNKNOWN", "Domain", "Env", "Index", "Magnitude", "Source",
           "Term", "Terms"]  # fmt: skip

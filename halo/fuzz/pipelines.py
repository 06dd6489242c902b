"""Random pipelines, as the Python text that a user would write and with a NumPy meaning of their own."""

from __future__ import annotations

import itertools
import linecache
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import halo

from .numeric import COMPARISONS, INTEGERS, STORED, TYPES, Array, counted, random_data
from .stages import Bounded, Element, Stage, TooLarge, Update, View
from .terms import CLOSE, EXACT, UNKNOWN, Domain, Index, Magnitude, Source, Term, Terms

NAMES = "uvwzyx"
LARGEST = {0: 1, 1: 70, 2: 26, 3: 9, 4: 5, 5: 3, 6: 3}  # extents, by rank


class Case:
    """One random pipeline: its program as `text`, its `inputs`, the region to compute, and `expected()`.

    Two Cases of one seed are the same; `build()` runs the text and gives Funcs of its own.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        for attempt in itertools.count():
            try:
                self._make(random.Random(seed * 1009 + attempt))
                self._expected = self._meaning()
            except TooLarge:
                continue
            break

    def _make(self, rng: random.Random) -> None:
        self.rng, self.fresh, self.magnitude = rng, itertools.count(), Magnitude()
        self.lines: list[str] = [f'{", ".join(NAMES)} = halo.vars("{" ".join(NAMES)}")']
        self.views: list[View] = []
        self.params: dict[str, Any] = {}
        self.leaves: list[Term] = []
        self.sources: list[Source] = []
        self.stages: list[Stage] = []
        self.dots: set[str] = set()  # the stages that add up dot products of bytes
        self.ndim = rng.choices(range(7), (1, 6, 10, 4, 1.2, 0.2, 0.1))[0]
        for _ in range(rng.choice((1, 1, 2))):
            self._input()
        if rng.random() < 0.3:
            self._param()
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3) if self.ndim < 3 else (1, 1, 1, 2))):
            self._stage()
        last = self.stages[-1]
        self.outputs = [last]
        if len(self.stages) > 1 and rng.random() < 0.1:
            self.outputs.append(self.stages[0])
        self.shapes = [self._shape(s) for s in self.outputs]
        zero = self.outputs[1:] or rng.random() < 0.7
        self.origin = (0,) * len(last.vars) if zero else tuple(rng.choice((0, 0, 3, -2)) for _ in last.vars)

    def _shape(self, s: Stage) -> tuple[int, ...]:
        least = 0 if self.rng.random() < 0.02 else 1
        return tuple(self.rng.randint(least, LARGEST[len(s.vars)]) for _ in s.vars)

    # Inputs ----------------------------------------------------------------------------------------------------------

    def _input(self) -> None:
        rng, name = self.rng, f"in{len(self.views)}"
        ndim = self.ndim if rng.random() < 0.85 else rng.randint(0, min(self.ndim + 1, 6))
        t = rng.choice((*TYPES, halo.u8, halo.f32, halo.i32) if rng.random() < 0.93 else STORED)
        mode = rng.choice(("edge", "edge", "reflect", "symmetric", "wrap", "constant", ""))
        least = 0 if mode == "constant" and rng.random() < 0.1 else 1
        shape = tuple(rng.randint(least, max(LARGEST[ndim] // 2, 2)) for _ in range(ndim))
        if ndim == 0:
            mode = ""
        data = random_data(np.random.default_rng(rng.randrange(2**32)), t, shape)
        written = rng.random() < 0.6
        value = rng.randint(0, 5) if mode == "constant" and t in TYPES and not t.is_bool else 0
        view = View(name, data, t, mode, written, value)
        if not mode and ndim:
            shape = tuple(n + rng.randint(2, 5) for n in shape)
            view.data = random_data(np.random.default_rng(rng.randrange(2**32)), t, shape)
        self.views.append(view)
        self.sources.append(view)
        typed = f"halo.{t.name}, " if rng.random() < 0.7 else ""
        self.lines.append(f'{name} = halo.Input("{name}", {typed}ndim={view.ndim})')
        if ndim and view.data.shape[0] < 100 and rng.random() < 0.2:
            k = rng.randrange(ndim)
            n = view.data.shape[k]
            self.leaves.append(Term(f"halo.i32({name}.shape[{k}])", lambda env: np.int32(n), halo.i32))

    def _param(self) -> None:
        name, t = "p0", self.rng.choice((halo.i32, halo.u8, halo.i64, halo.f32, halo.f64, halo.bool_))
        value = self.rng.choice((0.5, -2.0)) if t.is_float else self.rng.randint(0, 1 if t.is_bool else 6)
        self.params[name] = t.dtype.type(value)
        self.lines.append(f'{name} = halo.Param("{name}", halo.{t.name})')
        self.leaves += [Term(name, lambda env: np.asarray(value).astype(t.dtype), t)] * 2

    # Stages ----------------------------------------------------------------------------------------------------------

    def _stage(self) -> None:
        rng = self.rng
        name, decorated = f"f{len(self.stages)}", rng.random() < 0.4
        ndim = self.ndim if rng.random() < 0.8 else rng.randint(0, min(self.ndim + 1, 6))
        vars = tuple(NAMES[len(NAMES) - ndim :])
        terms = Terms(rng, vars, self._readable(), self.leaves, self.magnitude, decorated, self.fresh)
        dot = 0 < ndim < 4 and rng.random() < 0.07
        size = rng.choice((1, 1, 1, 1, 1, 1, 2, 3)) if not dot and (ndim < 3 or rng.random() < 0.3) else 1
        values = tuple(terms.term(rng.choice((1, 1, 2, 2) if ndim < 3 and size < 3 else (1,))) for _ in range(size))
        if dot:
            values = (terms.to(values[0], halo.i32),)
            self.dots.add(name)
        if size > 1 and rng.random() < 0.5:
            values = tuple(terms.to(v, values[0].type) for v in values)
        stored = not dot and rng.random() < 0.07
        if stored:
            values = tuple(terms.to(v, rng.choice(STORED)) for v in values)
        stage = Stage(name, vars, [v.type for v in values])
        stage.pure, stage.trust = values, min(v.trust for v in values)
        stage.real = terms.real or any(t.is_float for t in stage.types)
        body = _Body(self, stage, terms, decorated)
        body.pure()
        if dot:
            body.dot()
        if not stored and rng.random() < 0.5:
            for _ in range(rng.choice((1, 1, 1, 2))):
                body.update()
        self.lines += body.text()
        self.stages.append(stage)
        self.sources += [Element(stage, k) for k in range(size)]

    def _readable(self) -> list[Source]:
        """The latest sources, one perhaps behind bounds."""
        found = self.sources[-4:]
        s = found[-1]
        if isinstance(s, Element) and s.ndim and len(s.stage.types) == 1 and self.rng.random() < 0.15:
            mode = self.rng.choice(("edge", "reflect", "symmetric", "wrap", "constant"))
            spans = tuple(None if self.rng.random() < 0.3 else (self.rng.randint(-1, 2), self.rng.randint(2, 9))
                          for _ in range(s.ndim))  # fmt: skip
            if any(spans):
                found.append(Bounded(s, mode, spans))
        return found

    # Running ---------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def build(self) -> Any:
        """The pipeline, new: a Func, or a Pipeline of several."""
        name = f"<case {self.seed}>"
        linecache.cache[name] = (len(self.text), None, self.text.splitlines(keepends=True), name)
        scope: dict[str, Any] = {"halo": halo, "np": np}
        exec(compile(self.text, name, "exec"), scope)
        funcs = [scope[s.name] for s in self.outputs]
        return funcs[0] if len(funcs) == 1 else halo.Pipeline(funcs)

    def arguments(self, f: Any) -> dict[str, Any]:
        """The inputs and parameters that `f` takes."""
        return {name: v for name, v in (self._arrays() | self.params).items() if name in f.inputs}

    def _arrays(self) -> dict[str, Any]:
        rng = random.Random(self.seed)
        arrays = {v.name: _layout(v.data, rng) for v in self.views}
        pads = {v.name: v for v in self.views if v.mode and not v.written}
        return {n: halo.pad(a, pads[n].mode, pads[n].value) if n in pads else a for n, a in arrays.items()}

    def expected(self) -> list[Array]:
        """The results by NumPy, element by element of all outputs."""
        return self._expected

    def _meaning(self) -> list[Array]:
        found = []
        with np.errstate(all="ignore"):
            for s, shape in zip(self.outputs, self.shapes, strict=True):
                axes = [np.arange(o, o + n) for o, n in zip(self.origin if s is self.outputs[0] else (0,) * len(shape),
                                                            shape, strict=True)]  # fmt: skip
                grid = np.meshgrid(*axes, indexing="ij")
                found += [s.at(k, *grid) for k in range(len(s.types))]
        return found

    @property
    def trusts(self) -> list[int]:
        return [s.trust for s in self.outputs for _ in s.types]

    @property
    def reorderable(self) -> frozenset[str]:
        """The stages without float reductions: what they fold may be taken in any order."""
        return frozenset(s.name for s in self.stages if not s.real)


class _Body:
    """The definitions of one stage, as they are made and as text."""

    def __init__(self, case: Case, stage: Stage, terms: Terms, decorated: bool) -> None:
        self.rng, self.stage, self.terms, self.decorated = case.rng, stage, terms, decorated
        self.case = case
        self.before: list[str] = []
        self.lines: list[str] = []
        self.place = f"{stage.name}[{', '.join(stage.vars) or '()'}]"
        self.returned: str | None = None

    def pure(self) -> None:
        self._preamble()
        texts = [v.text for v in self.stage.pure]
        self.returned = texts[0] if len(texts) == 1 else f"({', '.join(texts)})"

    def _preamble(self) -> None:
        self.before += self.terms.lines
        self.terms.lines.clear()

    def text(self) -> list[str]:
        if not self.decorated:
            return [*self.before, f'{self.stage.name} = halo.Func("{self.stage.name}")', f"{self.place} = {self.returned}",
                    *self.lines]  # fmt: skip
        used = [v for v in self.case.views if v.name in (self.returned or "") + "".join(self.lines)]
        named = used if self.rng.random() < 0.5 else []
        keywords = ", ".join(["*", *(f"{v.name}: halo.{v.type.name}{_colons(v.ndim)}" for v in named)]) if named else ""
        head = f"def {self.stage.name}({', '.join(filter(None, [', '.join(self.stage.vars), keywords]))}):"
        first = f"    return {self.returned}" if not self.lines else f"    {self.place} = {self.returned}"
        body = [head, first, *(f"    {line}" for line in self.lines)]
        if self.rng.random() < 0.2:
            source = "\n".join(body) + "\n"
            return [*self.before, *body, f"{self.stage.name} = halo.func(source={source!r})({self.stage.name})"]
        return [*self.before, "@halo.func", *body]

    # Updates ---------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        kinds: list[Callable[[], Update | None]] = [self._accumulate, self._accumulate, self._slice]
        if self.stage.vars:
            kinds += [self._scan, self._scan, self._scatter, self._scatter, self._behind]
        if len(self.stage.types) > 1:
            kinds += [self._swap] * 3
        self._made(self.rng.choice(kinds)())

    def dot(self) -> None:
        """Add up products of u8 and i8."""
        n = self.rng.choice((3, 4, 8, 8, 9, 13))
        d = Domain((f"r{next(self.case.fresh)}",), (f"(0, {n})",), ((0, n),))
        self.terms.domain = d.names
        a, b = (self.terms.to(self.terms.to(self.terms.term(self.rng.choice((0, 0, 1))), t), halo.i32)
                for t in (halo.u8, halo.i8))  # fmt: skip
        args: tuple[Index | None, ...] = (None,) * len(self.stage.vars)
        total = self.terms.combine("+", self._own(0, args), self.terms.combine("*", a, b))
        self.terms.domain = ()
        self._made(self._write(args, (total,), d, self._condition(0.1), {}))

    def _made(self, u: Update | None) -> None:
        if u is None:
            return
        self.stage.updates.append(u)
        used = [e for e in (*u.values, u.condition) if e is not None]
        self.stage.trust = min([self.stage.trust, *(e.trust for e in used)])
        self.stage.real |= self.terms.real

    def _own(self, item: int, args: tuple[Index | None, ...]) -> Term:
        """The stage's own value at `args`."""
        s = self.stage
        indices = [_plain(v) if a is None else a for v, a in zip(s.vars, args, strict=True)]
        text = f"{s.name}[{', '.join(i.text for i in indices) or '()'}]" + (f"[{item}]" if len(s.types) > 1 else "")

        def value(env: Any) -> Array:
            return s.now(item, *np.broadcast_arrays(*(np.asarray(i.value(env), np.int64) for i in indices)))

        return Term(text, value, s.types[item], s.trust)

    def _folded(self, args: tuple[Index | None, ...], read: tuple[Index | None, ...] | None = None) -> tuple[Term, ...]:
        """New values out of the old ones (those at `read`) and random terms."""
        found = []
        for k, t in enumerate(self.stage.types):
            own, e = self._own(k, args if read is None else read), self.terms.term(self.rng.choice((0, 1, 1)))
            e = self.terms.to(e, t)
            ops = ("&", "|", "^") if t.is_bool else ("+", "+", "+", "-", "*", "halo.min", "halo.max")
            op = self.rng.choice(ops)
            found.append(self.terms.combine(op, own, e))
        return tuple(found)

    def _write(self, args: tuple[Index | None, ...], values: tuple[Term, ...], d: Domain | None, c: Term | None,
               span: dict[int, tuple[int, int]]) -> Update:  # fmt: skip
        """The update and its text."""
        vars = [v if a is None else a.text for v, a in zip(self.stage.vars, args, strict=True)]
        place = f"{self.stage.name}[{', '.join(vars) or '()'}]"
        texts = [v.text for v in values]
        if not self.decorated and d is not None and not any(n in t for n in d.names for t in (*vars, *texts)):
            d = c = None  # nothing says that it runs over the domain
        line = f"{place} = {texts[0] if len(texts) == 1 else '(' + ', '.join(texts) + ')'}"
        start, end = f"({place} ", values[0].text[-1:]
        if len(texts) == 1 and texts[0].startswith(start) and end == ")" and texts[0][len(start)] in "+-*&|^":
            op, _, rest = texts[0][len(start) : -1].partition(" ")
            line = f"{place} {op}= {rest}"
        if self.decorated:
            self._preamble()
            loop = [] if d is None else [f"for {', '.join(d.names)} in halo.rdom({', '.join(d.texts)}):"]
            guard = [] if c is None else [f"if {c.text}:"]
            for depth, text in enumerate((*loop, *guard, line)):
                self.lines.append("    " * depth + text)
        else:
            if d is not None:
                self.terms.open_domain(d, c)
            self.lines += self.terms.lines
            self.terms.lines.clear()
            self.lines.append(line)
        return Update(args, values, d, c, span)

    def _condition(self, chance: float) -> Term | None:
        return self.terms.condition(1) if self.rng.random() < chance else None

    def _accumulate(self) -> Update:
        """Fold terms of a domain into every point."""
        d = self.terms.make_domain(self.rng.choice((1, 1, 2)), self.rng.choice((2, 4, 6)))
        self.terms.domain = d.names
        args: tuple[Index | None, ...] = (None,) * len(self.stage.vars)
        values, c = self._folded(args), self._condition(0.3)
        self.terms.domain = ()
        return self._write(args, values, d, c, {})

    def _slice(self) -> Update:
        """Other values at one coordinate of some axes, or everywhere."""
        args = tuple(None if self.rng.random() < 0.6 else _constant(self.rng.randint(-1, 5)) for _ in self.stage.vars)
        vars = self.terms.vars
        self.terms.vars = tuple(v for v, a in zip(vars, args, strict=True) if a is None)
        values = self._folded(args)
        c = self._condition(0.3) if self.decorated else None
        self.terms.vars = vars
        span = {k: (int(a.value({})),) * 2 for k, a in enumerate(args) if a is not None}
        return self._write(args, values, None, c, span)

    def _swap(self) -> Update | None:
        """A tuple's elements change places."""
        args: tuple[Index | None, ...] = (None,) * len(self.stage.vars)
        own = [self._own(k, args) for k in range(len(self.stage.types))]
        values = tuple(self.terms.to(e, t) for e, t in zip((*own[1:], own[0]), self.stage.types, strict=True))
        return self._write(args, values, None, None, {})

    def _scan(self) -> Update:
        """Each value from one before (or after) it along an axis."""
        axis, n, lo = self.rng.randrange(len(self.stage.vars)), self.rng.randint(1, 14), self.rng.randint(-1, 2)
        step, back = self.rng.choice((1, 1, 1, -1, -1, 2)), self.rng.choice((1, 1, 2))
        r = f"r{next(self.case.fresh)}"
        d = Domain((r,), (f"({lo}, {n})",), ((lo, n),))
        if step == -1:
            t, here = lo + n, f"{lo + n} - {r}"
            position: Callable[[Any], Array] = lambda env: t - env[r]  # noqa: E731  (beside another one)
            before = Index(f"{here} + {back}", lambda env: position(env) + back)
        else:
            here = r if step == 1 else f"2*{r}"
            position = lambda env: step * env[r]  # noqa: E731  (beside another one)
            before = Index(f"{here} - {back}", lambda env: position(env) - back)
        args = tuple(Index(here, position) if k == axis else None for k in range(len(self.stage.vars)))
        read = tuple(before if k == axis else None for k in range(len(self.stage.vars)))
        vars = self.terms.vars
        self.terms.vars = tuple(v for k, v in enumerate(vars) if k != axis)
        self.terms.domain = d.names
        values, c = self._folded(args, read), self._condition(0.2)
        self.terms.vars, self.terms.domain = vars, ()
        ends = [int(position({r: k})) for k in (lo, lo + n - 1)]
        return self._write(args, values, d, c, {axis: (min(ends) - back, max(ends) + back)})

    def _behind(self) -> Update:
        """Each value along an axis is folded into those behind it (or before it, or all others), one after the other: the
        condition keeps what is stored from what is read. Whether one is may depend on what it has become."""
        axis, n = self.rng.randrange(len(self.stage.vars)), self.rng.randint(1, 9)
        lo, far, m = self.rng.randint(-1, 2), self.rng.randint(-1, 2), self.rng.randint(1, 12)
        t, j = f"r{next(self.case.fresh)}", f"r{next(self.case.fresh)}"
        spans = ((lo, n), (far, m))
        d = Domain((t, j), tuple(f"({a}, {b})" for a, b in spans), spans)
        args = tuple(_plain(j) if k == axis else None for k in range(len(self.stage.vars)))
        read = tuple(_plain(t) if k == axis else None for k in range(len(self.stage.vars)))
        op = self.rng.choice((">", ">", "<", "!="))
        compare = COMPARISONS[op]
        c = Term(f"({j} {op} {t})", lambda env: compare(env[j], env[t]), halo.bool_)
        vars = self.terms.vars
        self.terms.vars = tuple(v for k, v in enumerate(vars) if k != axis)
        self.terms.domain = d.names
        values = self._folded(args, read)
        own = self._own(0, read)
        if self.rng.random() < 0.4:
            more = own if own.type.is_bool else self.terms.compared(own, self.terms.weak(own.type))
            c = self.terms.combine("&", c, more)
        self.terms.vars, self.terms.domain = vars, ()
        ends = [lo, lo + n - 1, far, far + m - 1]
        return self._write(args, values, d, c, {axis: (min(ends), max(ends))})

    def _scatter(self) -> Update | None:
        """Fold into places that data choose, along one axis or two."""
        axes = self.rng.sample(range(len(self.stage.vars)), min(len(self.stage.vars), self.rng.choice((1, 1, 2))))
        d = self.terms.make_domain(self.rng.choice((1, 1, 2)), self.rng.choice((3, 9)))
        vars = self.terms.vars
        self.terms.vars = tuple(v for k, v in enumerate(vars) if k not in axes)
        self.terms.domain = d.names
        places: dict[int, Index] = {}
        for k in axes:
            found = self.terms._from_data(0)
            r = self.rng.choice(d.names)
            places[k] = found if found is not None else _remainder(r)
        args = tuple(places.get(k) for k in range(len(vars)))
        values, c = self._folded(args), self._condition(0.25)
        self.terms.vars, self.terms.domain = vars, ()
        return self._write(args, values, d, c, dict.fromkeys(axes, (0, 8)))


def _constant(c: int) -> Index:
    return Index(str(c), lambda env: np.int64(c))


def _plain(v: str) -> Index:
    return Index(v, lambda env: env[v])


def _remainder(v: str) -> Index:
    return Index(f"{v} % 4", lambda env: env[v] % 4)


def _colons(ndim: int) -> str:
    return f"[{', '.join([':'] * ndim)}]" if ndim else ""


def _layout(data: Array, rng: random.Random) -> Array:
    """The same values somewhere else in memory: strided, reversed, transposed, read-only."""
    roll = rng.random()
    if data.ndim and roll < 0.05:
        k = rng.randrange(data.ndim)
        turned = np.flip(np.ascontiguousarray(np.flip(data, k)), k)
        return turned
    if data.ndim and roll < 0.1:
        wide = np.zeros((*data.shape[:-1], 2 * data.shape[-1] + 1), data.dtype)
        wide[..., 1::2] = data
        return wide[..., 1::2]
    if data.ndim and roll < 0.12:
        return np.asfortranarray(data)
    copy = np.array(data)
    if roll < 0.3:
        copy.flags.writeable = False
    return copy


__all__ = ["CLOSE", "EXACT", "INTEGERS", "UNKNOWN", "Case", "counted"]

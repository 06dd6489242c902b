"""Shared by the tests of schedules: the texts of refusals, carrying out a schedule, and two small interpreters."""

from __future__ import annotations

import itertools
import linecache
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import halo
from halo.errors import ScheduleError
from halo.frontend.typing import build_pipeline
from halo.func.func import Func
from halo.func.program import Program
from halo.ir import functions
from halo.ir.expr import Cast, Const, Expr, Lin, Op, Read, Var
from halo.ir.fold import fold
from halo.ir.node import interning
from halo.ir.pipeline import Definition, Function, Pipeline
from halo.ir.surface import IndexVar, Input, Param
from halo.schedule import Loops, Schedule, SplitOp, apply
from halo.schedule.loops import FuseOp
from halo.types import bool_, f32, i8, i16, i32, i64, u8, u16, u32

COMPARISONS = {"lt": operator.lt, "le": operator.le, "eq": operator.eq, "ne": operator.ne}
NAMES = {"halo": halo, "Func": Func, "Input": Input, "Param": Param, "Var": IndexVar, "rdom": functions.rdom,
         "select": functions.select, "min": functions.min, "max": functions.max, "argmin": functions.argmin,
         "argmax": functions.argmax, "sum": functions.sum, "sat_add": functions.sat_add, "cast": lambda t, e: e.astype(t),
         "u8": u8, "u16": u16, "u32": u32, "i8": i8, "i16": i16, "i32": i32, "i64": i64, "f32": f32}  # fmt: skip

BLUR = """
y, x = Var("y"), Var("x")
img = Input("img", u16, ndim=2)
blur_x, blur_y = Func("blur_x"), Func("blur_y")
blur_x[y, x] = (img[y, x - 1] + img[y, x] + img[y, x + 1]) // 3
blur_y[y, x] = (blur_x[y - 1, x] + blur_x[y, x] + blur_x[y + 1, x]) // 3
"""
HIST = """
i, y = Var("i"), Var("y")
img = Input("img", u8, ndim=2)
hist, cdf = Func("hist"), Func("cdf")
hist[i] = u16(0)
r = rdom(16, 30, names="ry rx")
hist[img[r.ry, r.rx]] += u16(1)
cdf[i] = hist[i] + hist[i - 1]
"""


def define(setup: str, code: str = "", file: str = "user.py") -> dict[str, Any]:
    """The names that `setup` and then `code`, which errors show as `file`, define."""
    scope = dict(NAMES)
    exec(setup, scope)
    text = code.strip() + "\n"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), scope)
    return scope


def schedule_of(outputs: Sequence[Func]) -> Schedule:
    return Program(outputs, "p").schedule()


def scheduled(scope: Mapping[str, Any], *outputs: str, target: Any = None, promises: bool = True) -> Pipeline:
    """The pipeline of the Funcs called `outputs`, with their directives carried out."""
    funcs = [scope[name] for name in outputs]
    return apply(build_pipeline(funcs), schedule_of(funcs).by_name(), target, promises=promises)


def refusal(setup: str, code: str, *outputs: str) -> str:
    """The text of the error that `code` gives, where it stands or when its schedule is carried out."""
    try:
        scope = define(setup, code)
        with interning():
            scheduled(scope, *outputs)
    except ScheduleError as e:
        return str(e)
    raise AssertionError(f"not refused: {code}")


def refusals(setup: str, cases: Mapping[str, str], *outputs: str) -> str:
    """The texts of the errors of all `cases`, as one golden text."""
    parts = []
    for title, code in cases.items():
        assert "\n\n" not in code.strip()
        parts.append(f"## {title}\n\n{refusal(setup, code, *outputs)}")
    return "\n\n\n".join(parts)


def nest(loops: Loops) -> str:
    """The loops as one line."""
    return " ".join(d.name + ("" if d.kind == "serial" else f":{d.kind}") for d in loops.dims)


def loops_of(p: Pipeline, name: str, stage: int = 0) -> str:
    return nest(p[name].definitions[stage].loops)


# Loops, iterated ------------------------------------------------------------------------------------------------------

Range = tuple[int, int]  # lo, extent


def unfolded(
    loops: Loops, ranges: Mapping[str, Range], factor: Callable[[Any], int] = int
) -> tuple[dict[str, Range], list[tuple[Any, dict[str, Range]]]]:
    """The range of every loop, and each op with the ranges of what it consumed."""
    sizes = dict(ranges)
    steps: list[tuple[Any, dict[str, Range]]] = []
    for op in loops.ops:
        steps.append((op, {n: sizes.pop(n) for n in op.consumed}))
        below = steps[-1][1]
        if isinstance(op, SplitOp):
            f = factor(op.factor)
            sizes[op.outer], sizes[op.inner] = (0, -(-below[op.old][1] // f)), (0, f)
        elif isinstance(op, FuseOp):
            sizes[op.fused] = (0, below[op.outer][1] * below[op.inner][1])
        else:
            sizes[op.new] = below[op.old]
    return sizes, steps


def points(
    loops: Loops, ranges: Mapping[str, Range], factor: Callable[[Any], int] = int, most: int | None = None
) -> Iterator[dict[str, int]]:
    """The points of the plain nest in the order in which the transformed loops visit them; guards applied.

    `most`: loops of more iterations than that have idle ones at the end, of a tile larger than the whole.
    """
    sizes, steps = unfolded(loops, ranges, factor)
    names = [d.name for d in loops.dims]
    if most is not None:
        sizes = {name: (lo, min(n, most)) for name, (lo, n) in sizes.items()}
    for values in itertools.product(*(range(lo, lo + n) for lo, n in (sizes[n] for n in names))):
        env = dict(zip(names, values, strict=True))
        if all(_undo(op, below, env, factor) for op, below in reversed(steps)):
            yield env


def _undo(op: Any, below: dict[str, Range], env: dict[str, int], factor: Callable[[Any], int]) -> bool:
    """Compute what `op` consumed; whether the point is one that runs."""
    made = {n: env.pop(n) for n in op.made}
    if isinstance(op, SplitOp):
        (lo, extent), f = below[op.old], factor(op.factor)
        base = made[op.outer] * f
        if op.tail.startswith("shift_inwards"):
            base = max(min(base, extent - f), 0)
        env[op.old] = lo + base + made[op.inner]
        return op.tail.startswith("round_up") or env[op.old] < lo + extent
    if isinstance(op, FuseOp):
        (outer_lo, _), (inner_lo, n) = below[op.outer], below[op.inner]
        env[op.outer], env[op.inner] = outer_lo + made[op.fused] // n, inner_lo + made[op.fused] % n
    else:
        env[op.old] = made[op.new]
    return True


def _fuses(op: Any) -> bool:
    return isinstance(op, FuseOp)


# Pipelines, interpreted -----------------------------------------------------------------------------------------------


class Interpreter:
    """Runs a scheduled Pipeline as its loops say, every Function over a box that is given for each variable's name."""

    def __init__(
        self, p: Pipeline, inputs: Mapping[str, Any], boxes: Mapping[str, Range], params: Mapping[str, Any] = {}
    ):
        self.p, self.inputs, self.boxes = p, inputs, boxes
        self.known = {q.var: params[q.name] for q in p.params}
        self.values: dict[str, dict[tuple[int, ...], list[Any]]] = {}

    def run(self) -> dict[str, dict[tuple[int, ...], list[Any]]]:
        for f in self.p.functions:
            self.values[f.name] = {}
            self.known |= {e: self.boxes[v.name][1] for v, e in zip(f.vars, f.array.extents, strict=True)}
            for d in f.definitions:
                self.stage(f, d)
        return self.values

    def stage(self, f: Function, d: Definition) -> None:
        by_name = {v.name: v for v in (*f.vars, *(r.var for r in d.rvars))}
        ranges = {v.name: self.boxes[v.name] for v in f.vars if v.name in d.loops.original}
        ranges |= {r.var.name: (self.value(r.lo, {}), self.value(r.extent, {})) for r in d.rvars}
        store = self.values[f.name]
        most = max((n for _, n in ranges.values()), default=1) if not any(_fuses(op) for op in d.loops.ops) else None
        for point in points(d.loops, ranges, lambda n: n if isinstance(n, int) else self.value(n, {}), most):
            env = {by_name[n]: v for n, v in point.items()}
            if d.pred is not None and not self.value(d.pred, env):
                continue
            site = tuple(self.value(i, env) for i in d.indices)
            new = [None if v is None else self.value(v, env) for v in d.values]
            old = store.setdefault(site, [None] * len(new))
            store[site] = [b if a is None else a for a, b in zip(new, old, strict=True)]

    def value(self, e: Expr, env: Mapping[Any, Any]) -> Any:
        match e:
            case Const():
                return e.value
            case Var():
                return env[e] if e in env else self.known[e]
            case Lin():
                return e.const + sum(k * self.value(a, env) for a, k in e.terms)
            case Cast():
                return fold("cast", (self.value(e.value, env),), e.value.type, e.type)
            case Read():
                site = tuple(self.value(i, env) for i in e.indices)
                if e.array.kind == "func":
                    found = self.values[e.array.name].get(site)
                    return 0 if found is None else found[e.item]
                return self.inputs[e.array.name](*site)
            case Op(name="select"):
                return self.value(e.args[1 if self.value(e.args[0], env) else 2], env)
            case Op(name="isnan"):
                return int(math.isnan(self.value(e.args[0], env)))
            case Op(name="not") if e.type is bool_:
                return 1 - self.value(e.args[0], env)
            case Op(name="sat_add"):
                return min(sum(self.value(a, env) for a in e.args), e.type.max)
            case Op(name="fma"):
                a, b, c = (self.value(x, env) for x in e.args)
                return a * b + c
            case Op(name=name) if name in COMPARISONS:
                return int(COMPARISONS[name](*(self.value(a, env) for a in e.args)))
            case Op():
                return fold(e.name, tuple(self.value(a, env) for a in e.args), e.args[0].type, e.type)
        raise AssertionError(f"no meaning: {e!r}")

"""Random schedules: directives are tried one by one on the stages of a pipeline; what is refused at once is left out."""

from __future__ import annotations

import random
from typing import Any

import halo

TAILS = ("auto", "guard", "round_up", "shift_inwards", "predicate", "predicate_loads", "predicate_stores",
         "shift_inwards_and_blend", "round_up_and_blend")  # fmt: skip


class Loops:
    """The names that the loops of a stage may have by now; which of them there are is for halo to say."""

    def __init__(self, func: halo.Func, label: str, stage: Any, exact: bool) -> None:
        self.func, self.label, self.stage, self.exact = func, label, stage, exact
        self.names = [*"wzyx"[4 - (func.ndim or 0) :], "r0", "r1"]


def scramble(output: halo.Func, rng: random.Random, exact: bool) -> list[str]:
    """Give random directives to `output` and the stages under it; returns what was accepted, as Python.

    `exact`: every value is an integer, so that even directives that reorder sums change nothing."""
    done: list[str] = []
    funcs = [f for f in output.program().stages().values() if isinstance(f, halo.Func)]
    scheduled = {f.name: [Loops(f, _label(f, k), s, exact) for k, s in enumerate(_stages(f))] for f in funcs}
    for f in funcs:  # readers first
        for loops in scheduled[f.name]:
            if rng.random() < 0.75:
                _loops(loops, rng, done)
        if f is not output and rng.random() < 0.8:
            _place(f, [loops for g in funcs[: funcs.index(f)] for loops in scheduled[g.name]], rng, done)
    return done


def _stages(f: halo.Func) -> list[Any]:
    stages: list[Any] = [f]
    while True:
        try:
            stages.append(f.update(len(stages) - 1))
        except halo.HaloError:
            return stages


def _label(f: halo.Func, k: int) -> str:
    return f"{f.name}.update({k - 1})" if k else f.name


def _try(done: list[str], label: str, stage: Any, directive: str, *args: Any, **kwargs: Any) -> bool:
    try:
        getattr(stage, directive)(*args, **kwargs)
    except halo.HaloError:
        return False
    shown = [a.name if isinstance(a, halo.Func) else repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
    done.append(f"{label}.{directive}({', '.join(shown)})")
    return True


def _loops(loops: Loops, rng: random.Random, done: list[str]) -> None:
    stage, label = loops.stage, loops.label
    for _ in range(rng.randint(1, 5)):
        v, n, tail = rng.choice(loops.names), rng.choice((1, 2, 3, 4, 5, 8, 16)), rng.choice(TAILS)
        w = rng.choice(loops.names)
        made: tuple[str, ...] = ()
        match rng.choice(("split", "vectorize", "vectorize", "unroll", "parallel", "reorder", "fuse", "tile", "whole", "atomic")):
            case "split":
                made = (rng.choice((f"{v}o", v)), f"{v}i")
                accepted = _try(done, label, stage, "split", v, *made, n, tail=tail)
            case "vectorize" | "unroll" | "parallel" as kind:
                made = (f"{v}_{kind[0]}",)
                accepted = _try(done, label, stage, kind, v, n, tail=tail)
            case "whole":
                accepted = _try(done, label, stage, rng.choice(("parallel", "vectorize", "serial", "unroll")), v)
            case "reorder":
                order = rng.sample(loops.names, rng.randint(2, min(4, len(loops.names))))
                accepted = _try(done, label, stage, "reorder", *order)
            case "fuse":
                made = (f"{v}{w}",)
                accepted = _try(done, label, stage, "fuse", v, w, *made)
            case "tile":
                made = (f"{v}o", f"{w}o", f"{v}i", f"{w}i")
                factors = rng.choice((2, 3, 4, 8)), rng.choice((2, 4, 8))
                accepted = _try(done, label, stage, "tile", v, w, *made, *factors, tail=tail)
            case _:
                accepted = loops.exact and _try(done, label, stage, "atomic")
        if accepted:
            loops.names += [m for m in made if m not in loops.names]


def _place(f: halo.Func, readers: list[Loops], rng: random.Random, done: list[str]) -> None:
    kind = rng.choice(("root", "inline", "at", "at", "at", "store", "store", "hoist"))
    if kind in ("root", "inline"):
        _try(done, f.name, f, f"compute_{kind}")
        return
    loops = rng.choice(readers)
    at = rng.choice(loops.names)
    if not _try(done, f.name, f, "compute_at", loops.func, at):
        return
    if kind == "store":
        if rng.random() < 0.6:
            _try(done, f.name, f, "store_at", loops.func, rng.choice(loops.names))
        else:
            _try(done, f.name, f, "store_root")
    elif kind == "hoist":
        _try(done, f.name, f, "hoist_storage", loops.func, rng.choice(loops.names))
    if rng.random() < 0.2:
        _try(done, f.name, f, "store_in", rng.choice(("heap", "auto")))

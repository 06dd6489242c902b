"""Random schedules: directives are tried one by one on the stages of a pipeline; what is refused at once is left out."""

from __future__ import annotations

import random
from typing import Any

import halo

TAILS = ("auto", "guard", "round_up", "shift_inwards", "predicate", "predicate_loads", "predicate_stores",
         "shift_inwards_and_blend", "round_up_and_blend")  # fmt: skip


def scramble(output: Any, rng: random.Random) -> list[str]:
    """Give random directives to `output` and the stages under it; returns what was accepted, as Python."""
    done: list[str] = []
    names = list(output.stages())
    for name in names:
        f = output if name == output.name else output[name]
        for k, stage in enumerate(_stages(f)):
            if rng.random() < 0.75:
                _loops(stage, rng, done, f"{name}.update({k - 1})" if k else name)
        if name != output.name and rng.random() < 0.8:
            _place(f, output, names, rng, done)
    return done


def _stages(f: Any) -> list[Any]:
    return [f, *(f.update(k) for k in range(f.num_updates()))]


def _try(done: list[str], label: str, stage: Any, directive: str, *args: Any, **kwargs: Any) -> None:
    try:
        getattr(stage, directive)(*args, **kwargs)
    except halo.ScheduleError:
        return
    shown = [a.name if isinstance(a, halo.Func) else repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
    done.append(f"{label}.{directive}({', '.join(shown)})")


def _loops(stage: Any, rng: random.Random, done: list[str], label: str) -> None:
    for _ in range(rng.randint(1, 4)):
        loops = list(stage.loop_names())
        if not loops:
            return
        v, n = rng.choice(loops), rng.choice((1, 2, 3, 4, 5, 8, 16))
        kind = rng.choice(("split", "vectorize", "vectorize", "unroll", "parallel", "reorder", "fuse", "tile", "whole"))
        if kind == "split":
            outer = rng.choice((f"{v}o", v))
            _try(done, label, stage, "split", v, outer, f"{v}i", n, tail=rng.choice(TAILS))
        elif kind in ("vectorize", "unroll", "parallel"):
            _try(done, label, stage, kind, v, n, tail=rng.choice(TAILS))
        elif kind == "whole":
            _try(done, label, stage, rng.choice(("parallel", "vectorize", "serial")), v)
        elif kind == "reorder" and len(loops) > 1:
            order = rng.sample(loops, rng.randint(2, len(loops)))
            _try(done, label, stage, "reorder", *order)
        elif kind == "fuse" and len(loops) > 1:
            k = rng.randrange(len(loops) - 1)
            _try(done, label, stage, "fuse", loops[k], loops[k + 1], f"{loops[k]}{loops[k + 1]}")
        elif kind == "tile" and len(loops) > 1:
            y, x = loops[-2:]
            factors = rng.choice((2, 3, 4, 8)), rng.choice((2, 4, 8))
            _try(done, label, stage, "tile", y, x, f"{y}o", f"{x}o", f"{y}i", f"{x}i", *factors, tail=rng.choice(TAILS))


def _place(f: Any, output: Any, names: list[str], rng: random.Random, done: list[str]) -> None:
    later = names[names.index(f.name) + 1 :]
    kind = rng.choice(("root", "inline", "at", "at", "at", "store", "store"))
    if kind == "root" or not later:
        return _try(done, f.name, f, "compute_root")
    if kind == "inline":
        return _try(done, f.name, f, "compute_inline")
    name = rng.choice(later)
    consumer = output if name == output.name else output[name]
    loops = list(consumer.loop_names())
    if not loops:
        return None
    k = rng.randrange(len(loops))
    _try(done, f.name, f, "compute_at", consumer, loops[k])
    if kind == "store":
        if k and rng.random() < 0.6:
            _try(done, f.name, f, "store_at", consumer, loops[rng.randrange(k)])
        else:
            _try(done, f.name, f, "store_root")
    if rng.random() < 0.2:
        _try(done, f.name, f, "store_in", rng.choice(("heap", "auto")))
    return None

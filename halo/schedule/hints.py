"""Directives that say how memory is accessed. No value depends on them, nor does what a call must provide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..ir.expr import Array
from ..ir.pipeline import Definition, Function, Pipeline
from .directive import (
    INTEGER,
    LOOP,
    MAYBE_LOOP,
    MAYBE_SOURCES,
    SOURCE,
    Directive,
    Stage,
    Target,
    arg,
    choice,
    directive,
    label,
    nearest,
    quoted,
)
from .loops import Fetching, Loops, Streaming
from .rewrite import arrays_of
from .scalar import Scalar

__all__ = ["MOST", "STRATEGIES", "Prefetch", "StreamLoads", "StreamStores", "check_hints", "is_inlined"]

STRATEGIES = ("guard", "clamp", "non_faulting")
MOST = 2**31 - 1


@directive("prefetch")
class Prefetch(Directive):
    """Ask, in each iteration of loop `at`, for the memory of `f` (a Func or an Input) that will be read `distance`
    iterations later: one cache line after the other of the box that is needed then. (Halide's prefetch.)

        for y: for x: g[y, x] = f[y, x]     ->   for y:
        g.prefetch(f, "y", 2)                      prefetch f[y + 2, ...]
                                                   for x: g[y, x] = f[y, x]

    `from_` names the loop that is `distance` iterations further on, where that is one around `at`. Of a box that is not
    all in memory the `strategy` "guard" asks for nothing and "clamp" for the part that is; "non_faulting" asks for
    addresses beyond it too, which no processor minds.

    ScheduleError where `f` is not read in loop `at`, or has no memory outside of it.
    """

    f: Target = arg(SOURCE)
    at: str = arg(LOOP)
    distance: int | Scalar = arg(INTEGER, default=1)
    from_: str | None = arg(replace(MAYBE_LOOP, keyword=True), default=None)
    strategy: str = arg(choice(*STRATEGIES, keyword=True), default="guard")

    def check(self, stage: Stage) -> None:
        if isinstance(self.distance, int) and abs(self.distance) > MOST:
            self.refuse(stage, f"{self.distance} iterations are more than a loop has")

    def apply(self, loops: Loops) -> Loops:
        hint = Fetching(self.f.name, self.at, self.from_ or self.at, self.distance, self.strategy, self)
        return replace(loops, hints=(*loops.hints, hint))


@directive("stream_stores")
class StreamStores(Directive):
    """Store past the caches: for results larger than they are, which nobody reads soon. (Halide's stream_stores.)

    Vectors of 16 aligned bytes and more are stored so, and all that is under no mask; the rest is stored as ever.
    """

    def apply(self, loops: Loops) -> Loops:
        return replace(loops, hints=(*loops.hints, Streaming(True, (), self)))


@directive("stream_loads")
class StreamLoads(Directive):
    """Load what `funcs` (a Func, an Input or a list; everything, if it is left out) hold without keeping it in caches:
    for what is larger than they are and is read once. (Halide's stream_loads.) An x86 loads memory of the usual kind in
    one way only: there it changes nothing."""

    funcs: tuple[Target, ...] | None = arg(MAYBE_SOURCES, default=None)

    def apply(self, loops: Loops) -> Loops:
        names = None if self.funcs is None else tuple(t.name for t in self.funcs)
        return replace(loops, hints=(*loops.hints, Streaming(False, names, self)))


def check_hints(p: Pipeline) -> None:
    """Refuse hints about loops that there are not, and memory that is not accessed there."""
    functions = {f.array: f for f in p.functions}
    for f in p.functions:
        for k, d in enumerate(f.definitions):
            for loops in (d.loops, *(special for _, special in d.specializations)):
                stage = Stage(label(f.name, k), loops, tuple(v.name for v in f.vars))
                for h in loops.hints:
                    if isinstance(h, Fetching):
                        _check_fetching(h, stage, p)
                    else:
                        _check_streaming(h, stage, f, p, {a.name for a in _sources(d, functions, p)})


def _check_fetching(h: Fetching, stage: Stage, p: Pipeline) -> None:
    d, loops = h.by, stage.loops
    _need_memory(d, stage, h.what, p)
    d.need_loop(stage, h.at)
    d.need_loop(stage, h.start)
    outside = loops.names[: loops.index(h.at) + 1]
    if h.start not in outside:
        d.refuse(stage, f'the loop "{h.start}" runs inside "{h.at}"', legal=quoted(outside),
                 hint=d.instead(stage, h.start, h.at))  # fmt: skip


def _check_streaming(h: Streaming, stage: Stage, f: Function, p: Pipeline, read: set[str]) -> None:
    again = [dim.name for dim in stage.loops.dims if dim.axis in ("apart_r", "impure_r")]
    if again and h.stores:
        h.by.refuse(stage, f'iterations of "{again[0]}" may update the same site, which they read again at once',
                    legal=("a stage that stores each site once",))  # fmt: skip
    for name in h.loads or ():
        if name == f.name:
            h.by.refuse(stage, f"it stores {name} itself", legal=tuple(sorted(read - {name})))
        _need_memory(h.by, stage, name, p)
        if name not in read:
            h.by.refuse(stage, f"{f.name} does not read {name}", legal=tuple(sorted(read - {f.name})))


def _need_memory(d: Directive, stage: Stage, name: str, p: Pipeline) -> None:
    """Refuse what is neither an input nor a stage with values in memory."""
    if any(a.name == name for a in p.inputs):
        return
    g = next((g for g in p.functions if g.name == name), None)
    if g is None:
        names = (*(g.name for g in p.functions), *(a.name for a in p.inputs))
        d.refuse(stage, f"{name} is not a stage of this pipeline", legal=names, hint=nearest(name, names))
    if is_inlined(g, p):
        d.refuse(stage, f"{name} is computed inline: its values are never in memory",
                 legal=("compute_root()", "compute_at(f, v)"), hint=f"{name}.compute_root()")  # fmt: skip


def is_inlined(f: Function, p: Pipeline) -> bool:
    """Whether the values of `f` are computed where they are read, and nowhere kept."""
    return f.compute.kind == "inline" and len(f.definitions) == 1 and f.extern is None and f.name not in p.outputs


def _sources(d: Definition, functions: dict[Array, Function], p: Pipeline) -> Iterator[Array]:
    """The Arrays that `d` reads, itself or through what is computed inline."""
    todo, seen = list(arrays_of(d)), set[Array]()
    while todo:
        a = todo.pop()
        if a in seen:
            continue
        seen.add(a)
        yield a
        g = functions.get(a)
        if g is not None and is_inlined(g, p):
            todo += arrays_of(g.definitions[0])

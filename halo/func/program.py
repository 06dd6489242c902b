"""A program: the pipeline that ends in one or more Funcs, typed, scheduled and lowered for the types of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import config
from ..errors import ArgumentError, here
from ..frontend.graph import Graph
from ..frontend.typing import build_pipeline
from ..ir.node import interning, uncollected
from ..ir.pipeline import Lowered, Pipeline, replace
from ..ir.surface import Input
from ..jit.target import Target, as_target
from ..progress import Progress
from ..schedule.apply import apply
from ..schedule.default import unscheduled
from ..schedule.schedule import Schedule
from ..schedule.tensorize import intrinsics
from ..timing import Stopwatch
from .region import Place, region
from .signature import Signature, sizes

if TYPE_CHECKING:
    from ..jit.kernel import Instead, Kernel, Options
    from ..lowering import Pass
    from .func import Func

    Make = Callable[[Pipeline, Lowered, Instead | None], Kernel]

__all__ = ["Program", "machine", "stage_named", "stopwatch"]


def machine(target: Target | str) -> Target:
    """The machine that `target` describes; the reference backends have this one."""
    return target if isinstance(target, Target) else Target.host()


def stopwatch() -> Stopwatch | None:
    """One for a compilation, if the option `time` asks for it."""
    return Stopwatch() if config.current().time else None


def _lanes(target: Target | str) -> int:
    """Of f32 in a vector of the machine."""
    return machine(target).vector_bits // 32


VARIANTS = ("fast", "safe", "plain")
"""Ever more cautious: contiguous arrays and every promise kept; the schedule for any call; no schedule at all."""

CHOICES = 2
"""Kernels that have only the nests of the calls they were made for; after these, one has them all."""

SHOWN = 3.0  # seconds of a compilation after which it says how far it is

Observer = Callable[..., None]


class Program:
    """The stages that `outputs` need. The definitions no longer change; the schedule may."""

    def __init__(self, outputs: Sequence[Func], name: str, several: bool = False) -> None:
        self.outputs, self.name, self.several = tuple(outputs), name, several
        self._kernels: dict[tuple[Signature, Target | str, Schedule], Kernel] = {}
        self.graph = Graph(self.outputs)
        for f in self.graph.functions:
            f.freeze()
        self.arguments = self.graph.arguments
        self.bound = {name: t.data for t, name in self.graph.bound.items()}
        self.regions: tuple[tuple[Place | None, ...], ...] = tuple(region(f, self.graph) for f in self.outputs)

    def stages(self) -> dict[str, Any]:
        """Every stage and input that can hold directives, by its name in this pipeline, readers first."""
        found: dict[str, Any] = {self.graph.names[f]: f for f in reversed(self.graph.functions)}
        return found | {name: a.source for name, a in self.arguments.items() if isinstance(a.source, Input)}

    def schedule(self) -> Schedule:
        return Schedule.of(self.stages())

    def typed(self, s: Signature, target: Target | str | None = None) -> Pipeline:
        """The typed pipeline, without its schedule. Inside `interning()`."""
        fma = machine(as_target(target)).has_fma
        p = build_pipeline(self.outputs, dict(s.arrays), dict(s.scalars), fma, self.graph, s.contiguous)
        return replace(p, assumed=True) if s.assumed else p

    def variant(
        self,
        p: Pipeline,
        schedule: Schedule,
        target: Target | str,
        variant: str,
        observe: Observer | None = None,
        call: Mapping[str, Any] | None = None,
    ) -> Lowered:
        """The loops of the typed pipeline `p`, as one of VARIANTS; of specialised nests those of `call` (see `lower`)."""
        from ..lowering import lower  # not wanted where the kernel is on disk

        directives = {} if variant == "plain" else schedule.by_name()
        scheduled = apply(p, directives, machine(target), promises=variant == "fast")
        plain = None
        if directives:  # the stages of a scan have places of their own, which `apply` gives them
            scans = any(f.states for f in p.functions)
            plain = apply(p, {}, machine(target)) if scans else unscheduled(p)
        return lower(
            scheduled, _lanes(target), dense=variant == "fast", plain=plain, call=call, observe=observe,
            has=machine(target).has,
        )  # fmt: skip

    def lowered(
        self, s: Signature, target: Target | str | None = None, observe: Observer | None = None, variant: str = "fast"
    ) -> Lowered:
        """The loops for the types `s`. Inside `interning()`."""
        return self.variant(self.typed(s, target), self.schedule(), as_target(target), variant, observe)

    def kernel(self, s: Signature, target: Any = None, call: Mapping[str, Any] | None = None) -> Kernel:
        """The compiled variant for the types `s` under the schedule as it is now, with the nests of such a `call`."""
        key = s, as_target(target), self.schedule()
        found = self._kernels.get(key)
        if found is None:
            found = self._kernels[key] = self._compiled(*key, call)
        return found

    def chain(
        self,
        s: Signature,
        target: Target | str,
        make: Make,
        schedule: Schedule | None = None,
        variant: str = VARIANTS[0],
    ) -> Kernel:
        """What `make(pipeline, lowered, instead)` makes of the loops of a variant, and of the next more cautious one
        where `instead` is asked for it by a call that they do not fit."""
        schedule = self.schedule() if schedule is None else schedule
        cautious = VARIANTS[VARIANTS.index(variant) + 1 :]
        instead = (lambda kind, call: self.chain(s, target, make, schedule, cautious[0])) if cautious else None
        with interning():
            p = self.typed(s, target)
            return make(p, self.variant(p, schedule, target, variant), instead)

    def call(self, values: Mapping[str, Any], shape: Any = None) -> dict[str, Any]:
        """Shapes of arrays and values of scalars by name, as far as they are known before a call with `values`."""
        known = sizes(self.arguments, {**self.bound, **values})
        for f, places in zip(self.outputs, self.regions, strict=True):
            extents = [None if at is None or at[0] not in known else known[at[0]][at[1]] for at in places]
            if shape is not None and not self.several:
                extents = list(shape) if isinstance(shape, (tuple, list)) else [shape]
            if len(extents) == len(places) and all(isinstance(n, int) for n in extents):
                name = self.graph.names[f]
                known[name if f.size == 1 else f"{name}.0"] = tuple(extents)
        return known

    def _compiled(
        self,
        s: Signature,
        target: Target | str,
        schedule: Schedule,
        call: Mapping[str, Any] | None = None,
        turn: int = 0,
        variant: str = VARIANTS[0],
    ) -> Kernel:
        """`turn` counts the kernels with nests chosen for a call, before the one that has all of them."""
        from ..jit.kernel import compile_kernel

        declared = [i for i in intrinsics(e.directive for e in schedule.entries) if not i.built_in]
        if declared:
            from .prove import prove

            prove(declared, target)
        watch, chosen = stopwatch(), call if turn < CHOICES else None
        progress = Progress(f"compiling {self.name}", after=SHOWN)

        def timed(step: Pass, _: object) -> None:
            progress.advance(note=f"after {step.says}")
            if watch is not None:
                watch.lap(step.name)

        def instead(kind: str, call: Mapping[str, Any]) -> Kernel:
            if kind == "specialize":
                return self._compiled(s, target, schedule, call, turn + 1)
            return self._compiled(s, target, schedule, variant=VARIANTS[VARIANTS.index(variant) + 1])

        cached = all(getattr(f, "cache", True) for f in self.graph.functions)
        with progress, uncollected(), interning():
            p = self.typed(s, target)
            if watch is not None:
                watch.lap("typing")
            return compile_kernel(
                p, target, lambda: self.variant(p, schedule, target, variant, timed, chosen), self.options(p),
                variant=f"{variant} {'all' if chosen is None else turn} {schedule.to_json()}", cached=cached,
                watch=watch, instead=None if variant == VARIANTS[-1] else instead,
            )  # fmt: skip

    def options(self, p: Pipeline) -> Options:
        """What a Kernel of the typed pipeline `p` is told of its calls."""
        from ..jit.kernel import Options

        functions = [p[name] for name in p.outputs]
        reads_out = frozenset(
            k for k, f in enumerate(functions) if f.extern is None and not f.states and None in f.definitions[0].values
        )
        defaults = {name: a.default for name, a in self.arguments.items() if a.default is not None}
        return Options(self.name, tuple(self.arguments), self.regions, defaults, self.bound, self.several, reads_out)

    def with_lowered(self, s: Signature, show: Callable[[Lowered], Any], target: Target | str | None = None) -> Any:
        """`show(lowered)`, in a table of expressions of its own."""
        with interning():
            return show(self.lowered(s, target))


def stage_named(p: Any, name: str) -> Any:
    """The stage `name` of a Func's or Pipeline's program. ArgumentError if there is none."""
    names = p.program().graph.names
    found = next((f for f, n in names.items() if n == name), None)
    if found is None:
        raise ArgumentError(f"the pipeline of {p.name} has no stage {name!r}", loc=here(), legal=tuple(names.values()))
    return found

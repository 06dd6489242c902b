"""A program: the pipeline that ends in one or more Funcs, typed, scheduled and lowered for the types of a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import config
from ..errors import ArgumentError, here
from ..frontend.graph import Graph
from ..frontend.typing import build_pipeline
from ..ir.node import interning
from ..ir.pipeline import Lowered, Pipeline, replace
from ..ir.surface import Input
from ..jit.target import Target, as_target
from ..schedule.apply import apply
from ..schedule.schedule import Schedule
from ..schedule.tensorize import intrinsics
from ..timing import Stopwatch
from .region import Place, region
from .signature import Signature

if TYPE_CHECKING:
    from ..jit.kernel import Kernel, Options
    from ..lowering import Pass
    from .func import Func

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
        self.cache = all(getattr(f, "cache", True) for f in self.graph.functions)

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
        self, p: Pipeline, schedule: Schedule, target: Target | str, variant: str, observe: Observer | None = None
    ) -> Lowered:
        """The loops of the typed pipeline `p`, as one of VARIANTS."""
        from ..lowering import lower  # not wanted where the kernel is on disk

        plain = apply(p, {}, machine(target))
        scheduled = plain
        if variant != "plain" and schedule.by_name():
            scheduled = apply(p, schedule.by_name(), machine(target), promises=variant == "fast")
        return lower(scheduled, _lanes(target), variant == "fast", plain, observe, machine(target).has)

    def lowered(
        self, s: Signature, target: Target | str | None = None, observe: Observer | None = None, variant: str = "fast"
    ) -> Lowered:
        """The loops for the types `s`. Inside `interning()`."""
        return self.variant(self.typed(s, target), self.schedule(), as_target(target), variant, observe)

    def kernel(self, s: Signature, target: Any = None) -> Kernel:
        """The compiled variant for the types `s` under the schedule as it is now."""
        key = s, as_target(target), self.schedule()
        found = self._kernels.get(key)
        if found is None:
            found = self._kernels[key] = self._compiled(*key)
        return found

    def _compiled(self, s: Signature, target: Target | str, schedule: Schedule, variant: str = VARIANTS[0]) -> Kernel:
        from ..jit.kernel import compile_kernel

        declared = [i for i in intrinsics(e.directive for e in schedule.entries) if not i.built_in]
        if declared:
            from .prove import prove

            prove(declared, target)
        more_cautious, watch = VARIANTS[VARIANTS.index(variant) + 1 :], stopwatch()

        def timed(step: Pass, _: object) -> None:
            if watch is not None:
                watch.lap(step.name)

        with interning():
            p = self.typed(s, target)
            if watch is not None:
                watch.lap("typing")
            return compile_kernel(
                p, target, lambda: self.variant(p, schedule, target, variant, timed), self.options(p),
                variant=f"{variant} {schedule.to_json()}", cached=self.cache, watch=watch,
                fallback=(lambda: self._compiled(s, target, schedule, more_cautious[0])) if more_cautious else None,
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

"""Random schedules: directives are tried one by one on the stages of a pipeline; what is refused at once is left out."""

from __future__ import annotations

import random
from typing import Any

import halo

from .pipelines import NAMES, Case

TAILS = ("auto", "auto", "guard", "round_up", "shift_inwards", "predicate", "predicate_loads", "predicate_stores",
         "shift_inwards_and_blend", "round_up_and_blend")  # fmt: skip
WIDEST = 16


class Loops:
    """A stage, and the names that its loops may have by now; which of them there are is for halo to say."""

    def __init__(self, func: Any, label: str, stage: Any, names: list[str]) -> None:
        self.func, self.label, self.stage, self.names = func, label, stage, names
        self.width = 1  # how often its body is repeated by unrolling and vectorising


def serialize(output: Any) -> None:
    """Give every stage of `output` plain serial loops of its own, each in one piece: what is quickest to compile."""
    outputs = getattr(output, "outputs", (output,))
    for f in output.program().stages().values():
        if isinstance(f, halo.Func):
            if f not in outputs:
                f.compute_root()
            for stage in (f, *(f.update(k) for k in range(len(f.definitions.updates)))):
                stage.never_partition_all()


def scramble(case: Case, output: Any, rng: random.Random) -> list[str]:
    """Give random directives to the stages of `output`, which `case` built; returns what was accepted, as Python."""
    return _Schedule(case, output, rng).run()


class _Schedule:
    def __init__(self, case: Case, output: Any, rng: random.Random) -> None:
        self.case, self.output, self.rng = case, output, rng
        self.done: list[str] = []
        self.width, self.widest = 1, WIDEST if case.ndim < 3 else WIDEST // 4
        self.inputs = output.inputs
        self.reordered = case.reorderable
        self.outputs = list(getattr(output, "outputs", (output,)))
        self.funcs = [f for f in output.program().stages().values() if isinstance(f, halo.Func)]
        self.labels = {id(f): self._label(f.name) for f in self.funcs}
        self.stages = {id(f): self._stages(f) for f in self.funcs}

    def _label(self, name: str) -> str:
        base = name.partition("_")[0]
        return name if name == base else f'{base}["{name}"]'

    def _stages(self, f: Any) -> list[Loops]:
        label, vars = self.labels[id(f)], list(NAMES[len(NAMES) - (f.ndim or 0) :])
        found = [Loops(f, label, f, vars[:])]
        for k, d in enumerate(f.definitions.updates):
            names = vars + list(d.rdom.names if d.rdom is not None else ())
            found.append(Loops(f, f"{label}.update({k})", f.update(k), names))
        return found

    def run(self) -> list[str]:
        rng = self.rng
        for f in self.funcs[:]:  # readers first
            for loops in self.stages[id(f)]:
                if rng.random() < 0.75:
                    self._loops(loops)
                if rng.random() < 0.15 and loops.names:
                    self._hint(loops)
            if f not in self.outputs and rng.random() < 0.8:
                self._place(f, self.labels[id(f)], self._readers(f))
            if rng.random() < 0.35:
                self._storage(f, self.labels[id(f)])
            if f not in self.outputs and rng.random() < 0.15:
                self._try(self.labels[id(f)], f, "memoize")
            if f not in self.outputs and rng.random() < 0.1:
                self._copy(f, self.labels[id(f)])
        for name, value in self.inputs.items():
            if isinstance(value, halo.Input) and value.ndim and rng.random() < 0.05:
                made = self._try(name, value, "in_")
                self._made(made, f"{name}_in", value.ndim)
        return self.done

    def _readers(self, f: Any) -> list[Loops]:
        return [loops for g in self.funcs[: self.funcs.index(f)] for loops in self.stages[id(g)]]

    def _try(self, label: str, stage: Any, directive: str, *args: Any, name: str = "", **kwargs: Any) -> Any:
        """What the directive returns, or None if it is refused."""
        try:
            found = getattr(stage, directive)(*args, **kwargs)
        except halo.HaloError:
            return None
        shown = [self._shown(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
        self.done.append(f"{name}{label}.{directive}({', '.join(shown)})")
        return found

    def _shown(self, a: Any) -> str:
        if isinstance(a, halo.Input):
            return a.name
        if isinstance(a, halo.Func):
            return self.labels.get(id(a), a.name)
        return a.name if isinstance(a, halo.Stage) else str(a) if isinstance(a, halo.Expr) else repr(a)

    # Loops -----------------------------------------------------------------------------------------------------------

    def _loops(self, loops: Loops) -> None:
        if self._is_dot(loops) and self.rng.random() < 0.8:
            self._tensorize(loops)
            return
        for _ in range(self.rng.randint(1, 5)):
            if loops.names:
                self._loop(loops)

    def _loop(self, loops: Loops) -> None:
        rng, stage, label = self.rng, loops.stage, loops.label
        v, w = rng.choice(loops.names), rng.choice(loops.names)
        n, tail = rng.choice((1, 2, 3, 4, 5, 8, 16)), rng.choice(TAILS)
        made: tuple[str, ...] = ()
        accepted: Any = None
        match rng.choice(("split", "split", "vectorize", "vectorize", "vectorize", "unroll", "parallel", "reorder", "reorder",
                          "fuse", "tile", "whole", "atomic", "rename", "partition", "rfactor", "specialize", "with")):  # fmt: skip
            case "split":
                made = (rng.choice((f"{v}o", v)), f"{v}i")
                accepted = self._try(label, stage, "split", v, *made, n, tail=tail)
            case "vectorize" | "unroll" | "parallel" as kind if kind == "parallel" or self._widen(loops, n):
                made = (f"{v}_{kind[0]}",)
                accepted = self._try(label, stage, kind, v, n, tail=tail)
            case "whole":
                mark = rng.choice(("parallel", "vectorize", "serial", "unroll"))
                if mark in ("parallel", "serial") or self._widen(loops, 8):
                    self._try(label, stage, mark, v)
            case "reorder" if len(loops.names) > 1:
                order = rng.sample(loops.names, rng.randint(2, min(4, len(loops.names))))
                self._try(label, stage, "reorder", *order)
            case "fuse":
                made = (f"{v}{w}",)
                accepted = self._try(label, stage, "fuse", v, w, *made)
            case "tile":
                made = (f"{v}o", f"{w}o", f"{v}i", f"{w}i")
                factors = rng.choice((2, 3, 4, 8)), rng.choice((2, 4, 8))
                accepted = self._try(label, stage, "tile", v, w, *made, *factors, tail=tail)
            case "rename":
                made = (f"{v}n",)
                accepted = self._try(label, stage, "rename", v, *made)
            case "partition":
                self._try(label, stage, "partition", v, rng.choice(("auto", "always", "never")))
            case "atomic" if self._is_reorderable(loops):
                self._try(label, stage, "atomic")
            case "rfactor" if self._is_reorderable(loops) and v.startswith("r"):
                intm = self._try(label, stage, "rfactor", {v: "q"}, name=f"{loops.func.name}_intm = ")
                self._made(intm, f"{loops.func.name}_intm", loops.func.ndim, "q")
            case "specialize":
                self._specialize(loops)
            case "with":
                before = [s for g in self.funcs if g is not loops.func for s in self.stages.get(id(g), ())]
                if before:
                    other = rng.choice(before)
                    at = rng.choice(other.names or [v])
                    align = rng.choice(("none", "none", "start", "end", {at: rng.choice(("start", "end"))}))
                    self._try(label, stage, "compute_with", other.stage, at, align=align)
        if accepted is not None:
            loops.names += [m for m in made if m not in loops.names]

    def _is_dot(self, loops: Loops) -> bool:
        first = loops.label.endswith("update(0)") and loops.func.name in self.case.dots
        return first and len(loops.names) > 1 and loops.names[-1].startswith("r")

    def _tensorize(self, loops: Loops) -> None:
        """An instruction for a tile, whatever runs outside of it."""
        rng, stage, label = self.rng, loops.stage, loops.label
        lanes, dot = rng.choice(((16, halo.intrinsics.dot_u8i8_i32), *[(8, halo.intrinsics.dot_u8i8_i32x8)] * 3))
        *others, r = loops.names
        v = others[-1] if rng.random() < 0.7 else rng.choice(others)
        tile, tails = [f"{v}t", f"{r}t"], ("auto", "guard", "predicate")
        self._try(label, stage, "split", v, f"{v}o", tile[0], lanes, tail=rng.choice(tails))
        self._try(label, stage, "split", r, f"{r}o", tile[1], 4, tail=rng.choice(tails))
        outside = [*(n for n in others if n != v), f"{v}o", f"{r}o"]
        rng.shuffle(outside)
        self._try(label, stage, "reorder", *outside, *rng.sample(tile, 2))
        if rng.random() < 0.3:
            self._try(label, stage, rng.choice(("parallel", "unroll")), rng.choice(outside), 2)
        if rng.random() < 0.7:
            self._try(label, stage, "always_partition", f"{v}o", f"{r}o")
        self._try(label, stage, "tensorize", *rng.sample(tile, 1), dot)
        loops.names += [f"{v}o", f"{r}o", *tile]

    def _hint(self, loops: Loops) -> None:
        """A hint about memory, once the loops are what they will be."""
        rng, label, stage = self.rng, loops.label, loops.stage
        match rng.choice(("prefetch", "prefetch", "stores", "loads")):
            case "prefetch":
                v, w = rng.choice(loops.names), rng.choice(loops.names)
                where = {} if rng.random() < 0.6 else {"from_": w}
                strategy = rng.choice(("guard", "clamp", "non_faulting"))
                self._try(
                    label, stage, "prefetch", self._memory(loops), v, rng.randint(-1, 4), **where, strategy=strategy
                )
            case "stores":
                self._try(label, stage, "stream_stores")
            case "loads":
                self._try(label, stage, "stream_loads", *rng.choice(((), (self._memory(loops),))))

    def _memory(self, loops: Loops) -> Any:
        """An input, or a Func that this stage may read."""
        inputs = [v for v in self.inputs.values() if isinstance(v, halo.Input)]
        return self.rng.choice(
            [*inputs, *self.funcs[self.funcs.index(loops.func) if loops.func in self.funcs else 0 :]]
        )

    def _widen(self, loops: Loops, n: int) -> bool:
        """Whether a body may be repeated `n` times more: what is too large takes long to compile."""
        if loops.width * n > self.widest or self.width * n > 2 * self.widest:
            return False
        loops.width *= n
        self.width *= n
        return True

    def _is_reorderable(self, loops: Loops) -> bool:
        return loops.func.name.partition("_")[0] in self.reordered

    def _specialize(self, loops: Loops) -> None:
        """A branch for some calls, with directives of its own."""
        name = self.rng.choice(list(self.inputs) or [""])
        value, n = self.inputs.get(name), self.rng.randint(1, 5)
        if isinstance(value, halo.Param):
            condition = value > n
        elif isinstance(value, halo.Input) and value.ndim:
            condition = value.shape[self.rng.randrange(value.ndim)] > n
        else:
            return
        if loops.label.count("specialize") > 1:
            return
        branch = self._try(loops.label, loops.stage, "specialize", condition)
        if branch is not None:
            inner = Loops(loops.func, f"{loops.label}.specialize({condition})", branch, loops.names[:])
            for _ in range(self.rng.randint(0, 2)):
                self._loop(inner)

    # Places, storage and copies --------------------------------------------------------------------------------------

    def _place(self, f: Any, label: str, readers: list[Loops]) -> None:
        rng = self.rng
        kind = rng.choice(("root", "inline", "at", "at", "at", "store", "store", "hoist"))
        readers = [r for r in readers if r.names]
        if kind == "inline" and len(self.stages.get(id(f), ())) > 1:
            if self.width > self.widest // 4:
                return
            self.width *= 8  # lanes of its readers have one of their own
        if kind in ("root", "inline") or not readers:
            self._try(label, f, f"compute_{kind}" if kind in ("root", "inline") else "compute_root")
            return
        loops = rng.choice(readers)
        at = rng.choice(loops.names)
        target = loops.func if rng.random() < 0.8 else loops.stage
        if self._try(label, f, "compute_at", target, at) is None:
            return
        if kind == "store":
            if rng.random() < 0.6:
                self._try(label, f, "store_at", target, rng.choice(loops.names))
            else:
                self._try(label, f, "store_root")
        elif kind == "hoist":
            if rng.random() < 0.7:
                self._try(label, f, "hoist_storage", target, rng.choice(loops.names))
            else:
                self._try(label, f, "hoist_storage_root")
            if rng.random() < 0.5:
                self._try(label, f, "ring_buffer", rng.choice((1, 2, 3, 4)))

        if rng.random() < 0.3:
            self._try(label, f, "async_")

    def _storage(self, f: Any, label: str) -> None:
        rng, vars = self.rng, list(NAMES[len(NAMES) - (f.ndim or 0) :])
        if not vars:
            return
        v, n = rng.choice(vars), rng.choice((1, 2, 3, 4, 8, 16))
        fits = f in self.outputs and rng.random() < 0.6
        k = self.outputs.index(f) if fits else 0
        axis = vars.index(v)
        lo = (self.case.origin[axis] if k == 0 else 0) if fits else rng.randint(-2, 2)
        extent = self.case.shapes[k][axis] if fits else n
        match rng.choice(("fold", "bound", "bound_extent", "bound_storage", "align_bounds", "align_extent", "align_storage",
                          "reorder", "in", "promise")):  # fmt: skip
            case "promise":
                what, value = rng.choice((("extent", extent), ("min", lo), ("stride", rng.choice((1, n, extent)))))
                self._try(label, f, "promise_output", what, axis, value, rng.randrange(f.size or 1))
            case "fold":
                self._try(label, f, "fold_storage", v, n)
            case "bound":
                self._try(label, f, "bound", v, lo, extent)
            case "bound_extent":
                self._try(label, f, "bound_extent", v, extent)
            case "bound_storage":
                self._try(label, f, "bound_storage", v, n)
            case "align_bounds":
                self._try(label, f, "align_bounds", v, n, rng.choice((0, 0, 1)))
            case "align_extent":
                self._try(label, f, "align_extent", v, n)
            case "align_storage":
                self._try(label, f, "align_storage", v, n)
            case "reorder":
                self._try(label, f, "reorder_storage", *rng.sample(vars, len(vars)))
            case "in":
                self._try(label, f, "store_in", rng.choice(("heap", "auto", "stack", "register")))

    def _copy(self, f: Any, label: str) -> None:
        readers = list(self.funcs[: self.funcs.index(f)])
        if self.rng.random() < 0.5:
            consumer = self.rng.choice((None, self.rng.choice(readers)))
            made = self._try(label, f, "in_", *(() if consumer is None else (consumer,)), name=f"{f.name}_in = ")
            self._made(made, f"{f.name}_in", f.ndim)
        else:
            made = self._try(label, f, "clone_in", self.rng.choice(readers), name=f"{f.name}_clone = ")
            self._made(made, f"{f.name}_clone", f.ndim)

    def _made(self, made: Any, label: str, ndim: Any, *more: str) -> None:
        """Directives for a Func that a directive made."""
        if not isinstance(made, halo.Func):
            return
        self.labels[id(made)] = label
        if self.rng.random() < 0.6:
            everywhere = [loops for g in self.funcs for loops in self.stages[id(g)]]
            self._place(made, label, everywhere)
        if self.rng.random() < 0.6:
            self._loops(Loops(made, label, made, [*more, *NAMES[len(NAMES) - (ndim or 0) :]]))

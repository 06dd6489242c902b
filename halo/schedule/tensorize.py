"""The directive that puts instructions of the machine in the place of loops."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..ir.intrinsic import Intrinsic, Tensor, declared
from .control import Within
from .directive import LOOP, Choice, Directive, Kind, Stage, arg, directive, listed
from .loops import Loops

__all__ = ["Tensorize", "check_tensor", "intrinsics"]


def _intrinsic(value: Any) -> Intrinsic:
    if isinstance(value, Intrinsic):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an intrinsic, which halo.intrinsic declares")
    if value not in declared:
        near = difflib.get_close_matches(value, declared, 1)
        raise Choice(f'"{value}" is not declared', tuple(sorted(declared)), f'"{near[0]}"' if near else "")
    return declared[value]


INTRINSIC = Kind("Intrinsic | str", _intrinsic, repr, lambda i: [i.name, i.digest()], lambda v: v[0])


@directive("tensorize")
class Tensorize(Directive):
    """Replace the loops from `v` in by `intrinsic`, an instruction of the machine that computes the same.

        f.update(0).tensorize("xi", halo.intrinsics.dot_u8i8_i32)

        for xi in 0..16:                                        f[16*xo..16*xo + 16] =
          for k in 0..4:                                   ->     vpdpbusd(f[16*xo..16*xo + 16], a[0..4], b[...])
            f[16*xo + xi] += i32(a[k])*i32(b[16*xo + xi, k])

    The loops must be those of the intrinsic's meaning, in any order: as many, as long, over the same definition. Tiles
    that a tail cuts, and targets without the instruction, run the loops. Floats that the instruction rounds otherwise
    need `atomic()` or `fastmath`. (TVM's `tensorize`.)
    """

    v: str = arg(LOOP)
    intrinsic: Intrinsic = arg(INTRINSIC)

    def check(self, stage: Stage) -> None:
        self.need_loop(stage, self.v)
        loops = stage.loops
        inside = loops.dims[loops.index(self.v) :]
        busy = next((d for d in inside if d.kind not in ("serial", "tensorize")), None)
        if busy is not None:
            self.refuse(stage, f'"{busy.name}" is marked {busy.kind}: an instruction takes the place of serial loops',
                        hint=f'{stage.label}.serial("{busy.name}")')  # fmt: skip
        _check_sizes(self, stage.label, loops, tuple(d.name for d in inside), known=False)

    def apply(self, loops: Loops) -> Loops:
        at = loops.index(self.v)
        dims = (*loops.dims[:at], *(replace(d, kind="tensorize") for d in loops.dims[at:]))
        return replace(loops, dims=dims, tensor=Tensor(self.v, self.intrinsic, loc=self.loc))


def intrinsics(directives: Iterable[Directive]) -> Iterator[Intrinsic]:
    """The intrinsics that `directives` put in the place of loops."""
    for d in directives:
        while isinstance(d, Within):
            d = d.directive
        if isinstance(d, Tensorize):
            yield d.intrinsic


def check_tensor(label: str, loops: Loops, known: bool) -> None:
    """Refuse what later directives made of loops that an intrinsic is to replace; and floats that it rounds otherwise,
    where that is not asked for. `known`: bounds are as they were promised."""
    tensor = loops.tensor
    if tensor is None:
        return
    kinds = [dim.kind for dim in loops.dims]
    chosen = tuple(dim.name for dim in loops.dims if dim.kind == "tensorize")
    d = Tensorize.make({"v": tensor.v, "intrinsic": tensor.intrinsic}, label, tensor.loc)
    if not chosen or kinds[-len(chosen) :] != ["tensorize"] * len(chosen):
        d.refuse(label, "the loops that it names were changed, or moved from the innermost place, by later directives",
                 hint="tensorize(...) as the last directive on these loops")  # fmt: skip
    _check_sizes(d, label, loops, chosen, known)
    if "vectorize" in kinds:
        outer = loops.dims[kinds.index("vectorize")].name
        d.refuse(label, f'it is inside the vectorised loop "{outer}", and is a vector itself',
                 hint=f'{label}.unroll("{outer}")')  # fmt: skip
    shared = next((dim.name for dim in loops.dims if dim.kind == "parallel" and dim.axis == "impure_r"), None)
    if shared is not None:
        d.refuse(label, f'iterations of the parallel loop "{shared}" update the same site, and no instruction does that '
                 "in one piece", hint=f'{label}.rfactor({{"{shared}": "u"}})')  # fmt: skip
    if tensor.intrinsic.rounds and not loops.facts.atomic and loops.facts.order != "free":
        d.refuse(label, f"floats round differently in {tensor.name}", legal=("atomic()", "@halo.func(fastmath=True)"),
                 hint=f"{label}.atomic()" if loops.facts.update else "@halo.func(fastmath=True)")  # fmt: skip


def _check_sizes(d: Tensorize, label: str, loops: Loops, names: tuple[str, ...], known: bool) -> None:
    """Refuse loops that are not as many, or not as long, as those of the meaning; extents that are not `known` may be."""
    meaning = d.intrinsic.meaning
    sizes = {n: loops.extent(n) for n in names}
    wanted = sorted(meaning.extents.values())
    found = sorted(n for n in sizes.values() if n is not None)
    missing = list(wanted)
    fits = len(sizes) == len(wanted) and (len(found) == len(wanted) or not known)
    for n in found:
        fits = fits and n in missing
        if fits:
            missing.remove(n)
    if not fits:
        shown = [f'"{n}"' + (f" in 0..{size}" if size is not None else "") for n, size in sizes.items()]
        d.refuse(label, f"{d.intrinsic.name} is the loops {meaning.loops()}, and these are {listed(tuple(shown))}",
                 hint=f"split off loops of {' and '.join(map(str, meaning.extents.values()))} iterations")  # fmt: skip

"""The passes of the graph compiler, Module -> Module, one a file. `PASSES` is its table of contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..module import Module
from .choose_layouts import choose_layouts
from .choose_winograd import choose_winograd
from .combine_parallel_branches import combine_parallel_branches
from .crop_windows import crop_windows
from .expand import expand
from .fold_constants import fold_constants
from .fold_scales import fold_scales
from .fuse import fuse
from .own_outputs import own_outputs
from .recognise import recognise
from .recognise_activations import recognise_activations
from .recognise_norms import recognise_norms
from .simplify import simplify
from .sink_reshapes import sink_reshapes
from .sink_transposes import sink_transposes

__all__ = ["PASSES", "Pass", "run"]


@dataclass(frozen=True)
class Pass:
    """One step; `says` is its line in the table of contents."""

    name: str
    says: str
    run: Callable[[Module], Module]


PASSES = (
    Pass("simplify", "what changes nothing goes; equal calls are one", simplify),
    Pass(
        "recognise", "what is written out becomes the operator that it is: products with constants are dense", recognise
    ),
    Pass("recognise_norms", "layer norm and RMS norm that are written out become one operator", recognise_norms),
    Pass(
        "recognise_activations", "so do GELU and hard-swish, whatever the order of their factors", recognise_activations
    ),
    Pass("fold_scales", "batch norms and scales behind layers with weights go into these", fold_scales),
    Pass("expand", "what is made of other operators becomes these", expand),
    Pass(
        "combine_parallel_branches",
        "layers of few channels that read one value become one",
        combine_parallel_branches,
    ),
    Pass("crop_windows", "taps of convolutions that only ever lie in the padding go", crop_windows),
    Pass("sink_transposes", "orders of axes change behind what takes any order, and cancel", sink_transposes),
    Pass("sink_reshapes", "axes of one entry come and go after elementwise operators", sink_reshapes),
    Pass(
        "choose_layouts",
        "channels in blocks where convolutions are; weights in the order they are read",
        choose_layouts,
    ),
    Pass(
        "choose_winograd",
        "convolutions are Winograd's where that is faster, their weights transformed",
        choose_winograd,
    ),
    Pass("fold_constants", "what depends on constants only is computed now: folded and packed weights", fold_constants),
    Pass("own_outputs", "each result is memory of its own", own_outputs),
    Pass("fuse", "neighbouring operators become one kernel, by Relay's rule", fuse),
)


def run(m: Module, observe: Callable[[str, Module], None] | None = None) -> Module:
    """`m` after all passes."""
    for step in PASSES:
        m = step.run(m)
        if observe is not None:
            observe(step.name, m)
    return m

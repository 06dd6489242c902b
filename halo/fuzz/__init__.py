"""A seeded fuzzer: random pipelines under random legal schedules equal the unscheduled result, bit for bit, and NumPy.

    python -m halo.fuzz --cases 20000 --seed 1

`pipelines.Case(seed)` is one random DAG of stages with its inputs and a NumPy meaning of its own; `schedules.scramble`
gives its stages random directives (what is refused is left out); `check` runs both and compares. The Hypothesis tests
draw the same seeds.
"""

from __future__ import annotations

from .check import Mismatch, check

__all__ = ["Mismatch", "check"]

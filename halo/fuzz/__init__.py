"""A seeded fuzzer: random pipelines under random legal schedules equal the unscheduled result, bit for bit, and NumPy.

    python -m halo.fuzz --cases 20000 --seed 1

`pipelines.Case(seed)` is one random program as a user would write it (decorated or not), with its inputs and a NumPy
meaning of its own; `schedules.scramble` gives its stages random directives (what is refused is left out); `check` runs
both and compares. `garbage` gives random nonsense to every public call. The Hypothesis tests draw the same seeds.
"""

from __future__ import annotations

from .check import Mismatch, check
from .garbage import garbage

__all__ = ["Mismatch", "check", "garbage"]

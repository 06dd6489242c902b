"""The 40 behaviours that Halide's own tests assert, and where halo's are: `test_NN_...` in this folder.

| item | what | beside this folder | left out |
|-----:|------|--------------------|----------|
|  1 | sliding windows: 101, 202, 102, 404, 100*11, 11*11, 6, 34, 104 calls; 1500 | | registers need no warm-up (Halide: 102, 103) |
|  2 | windows that go down, over guarded tails, of reductions, in cascades | | |
|  3 | folded storage: 101*4, 101*3, the stack | language/test_schedules.py | |
|  4 | regions: 1028 by 1026; chunks | | |
|  5 | partial realisations | language/test_reductions.py | a result is what was asked for, never more |
|  6 | reads out of bounds | language/test_running.py | |
|  7 | promises are checked and used | language/test_functions.py | |
|  8 | shifted domains, odd sizes | language/test_running.py | |
|  9 | tuples are updated at once, or element by element | language/test_reductions.py | |
| 10 | argmin, argmax and inline reductions | frontend/test_reductions.py | |
| 11 | the order of a domain is meaning | schedule/test_nesting.py | |
| 12 | predicates trim loops | | |
| 13 | rfactor | schedule/test_reductions.py | |
| 14 | associative operators | schedule/test_associativity.py | |
| 15 | atomic updates | jit/test_emit_atomic.py | |
| 16 | races | schedule/test_nesting.py | nothing may be promised (allow_race_conditions) |
| 17 | several stores at once | lowering/test_scatter.py | |
| 18 | undefined values keep memory | frontend/test_undefined.py | |
| 19 | specialisations | schedule/test_control.py | specialize_fail would change what is legal |
| 20 | loop copies: 3, 2, 5, 9, 1 | lowering/test_passes.py | |
| 21 | no-ops leave no condition | | |
| 22 | skipped stages: 10 and 0, 16*16 | | |
| 23 | unrolled loops | | |
| 24 | tails | language/test_schedules.py | |
| 25 | nested vectors, reductions in vectors | lowering/test_nested_vectors.py | |
| 26 | shuffles, not gathers | jit/test_emit_load.py | |
| 27 | compute_with | language/test_schedules.py | |
| 28 | wrappers and clones | schedule/test_copies.py | |
| 29 | hoisted storage, ring buffers, stages in threads of their own | jit/test_fork.py | |
| 30 | memoization: hits, eviction, tuples, threads | jit/test_memoize.py | a key is what is read: there are no tags |
| 31 | extern stages | language/test_reductions.py | |
| 32 | schedules that crashed compilers | test_fuzz.py | |
| 33 | stack; 20 stages in 2 blocks, on the stack too | func/test_profile.py | |
| 34 | out of memory, every block freed | jit/test_runtime.py | |
| 35 | nested parallel loops and errors inside | jit/test_threads.py | |
| 36 | integers: all types, widths, extremes | jit/test_emit_int.py | |
| 37 | floats | lowering/test_expand_math.py | |
| 38 | random numbers: 0.5, 1/12, 1/6 | language/test_reductions.py | |
| 39 | events of a run, in order | schedule/test_traces.py | |
| 40 | compile time stays bounded | | arrays over 2 GiB need no option |

GPUs, prefetching, streaming stores and automatic scheduling are no part of it (the second and third are tested in
lowering/test_prefetch.py and jit/test_emit_hint.py).
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).parent


def rows() -> list[list[str]]:
    lines = (line.strip("|").split("|") for line in (__doc__ or "").splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line] for line in lines if line[0].strip().isdigit()]


def counted() -> Counter[int]:
    """How many tests each item has."""
    names = (n.name for path in FOLDER.glob("test_*.py") for n in ast.parse(path.read_text(encoding="utf-8")).body
             if isinstance(n, ast.FunctionDef) and n.name.startswith("test_") and n.name[5:7].isdigit())  # fmt: skip
    return Counter(int(name[5:7]) for name in names)


def test_every_item_has_a_test_or_a_reason() -> None:
    assert [int(row[0]) for row in rows()] == list(range(1, 41))
    found = counted()
    assert set(found) == set(range(1, 41))
    for number, what, _, reason in rows():
        assert what if found[int(number)] else reason


def test_what_is_said_to_be_elsewhere_is_there() -> None:
    for row in rows():
        assert not row[2] or (FOLDER.parent / row[2]).exists(), row

"""One fuzz case: unscheduled against NumPy, then random schedules against the unscheduled result, bit for bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import halo

from .pipelines import Case
from .schedules import scramble


class Mismatch(AssertionError):
    """Two results that should be the same are not."""


def check(seed: int, schedules: int = 2) -> int:
    """Run case `seed`; returns how many schedules were legal. Raises Mismatch with what is needed to repeat it."""
    case = Case(seed)
    try:
        plain = _run(case, case.output.func)
        refused = None
    except halo.BoundsError as error:
        plain, refused = None, error
    if plain is not None:
        _compare(plain, case.expected(), case, [], exact=case.output.exact)
    legal = 0
    for k in range(schedules):
        again = Case(seed)
        directives = scramble(again.output.func, random.Random(seed * 31 + k), case.output.exact)
        try:
            got = _run(again, again.output.func)
        except halo.ScheduleError:
            continue  # a schedule that only lowering can refuse
        except halo.BoundsError as error:
            if refused is None:
                raise Mismatch(_report(case, directives, f"legal without a schedule, refused with it: {error}")) from None
            continue
        if plain is None:
            raise Mismatch(_report(case, directives, f"refused without a schedule, legal with it: {refused}"))
        legal += 1
        _compare(got, plain, case, directives, exact=True)
    return legal


def _run(case: Case, f: Any) -> np.ndarray[Any, Any]:
    used = {name: a for name, a in case.inputs.items() if name in f.inputs}
    result: np.ndarray[Any, Any] = f.realize(case.shape, origin=case.origin, **used)
    return result


def _compare(got: Any, wanted: Any, case: Case, directives: list[str], exact: bool) -> None:
    if got.shape != wanted.shape:
        raise Mismatch(_report(case, directives, f"shape {got.shape} instead of {wanted.shape}"))
    if got.dtype.kind == "f":
        same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
        if not exact:
            scale = np.maximum(np.abs(wanted).max(initial=0, where=np.isfinite(wanted)), 1)
            same |= np.abs(got - wanted) <= scale * (1e-4 if got.dtype.itemsize < 8 else 1e-9)
            same |= ~np.isfinite(wanted)
    else:
        same = got == wanted
    if not same.all():
        where = tuple(int(k[0]) for k in np.nonzero(~same))
        text = f"{int((~same).sum())} of {same.size} differ, first at {where}: {got[where]!r} instead of {wanted[where]!r}"
        raise Mismatch(_report(case, directives, text))


def _report(case: Case, directives: list[str], text: str) -> str:
    lines = [f"seed {case.seed}: {text}", f"  shape {case.shape} origin {case.origin}"]
    lines += [f"  {name}: {a.dtype} {a.shape}" for name, a in case.inputs.items()]
    lines += [f"  {d}" for d in directives]
    return "\n".join(lines)

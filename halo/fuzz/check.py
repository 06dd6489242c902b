"""One fuzz case: in plain serial loops against NumPy, then default and random schedules against that, bit for bit."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import numpy as np

import halo

from ..ir.surface import Pad
from .numeric import Array
from .pipelines import Case
from .schedules import scramble, serialize
from .terms import CLOSE, EXACT


class Mismatch(AssertionError):
    """Two results that should be the same are not."""


def check(seed: int) -> int:
    """Run case `seed`; returns how many schedules were legal. Raises Mismatch with the program that shows it."""
    case, rng = Case(seed), random.Random(seed)
    try:
        f = case.build()
        serialize(f)
        plain = _run(case, f)
        refused = None
    except halo.BoundsError as error:
        plain, refused = None, error
    except Exception as error:
        raise Mismatch(_report(case, [], f"{type(error).__name__}: {error}")) from error
    if plain is not None:
        _against_numpy(plain, case)
    legal = 0
    for k in range(rng.choice((1, 1, 1, 2))):
        f = case.build()
        directives = (
            scramble(case, f, random.Random(seed * 31 + k)) if rng.random() < (0.85 if case.ndim < 3 else 0.96) else []
        )
        target = rng.choices((None, "python", "numba"), (1, 0.03, 0.001))[0]
        bare = not any(isinstance(a, Pad) for a in case.arguments(f).values())
        if target and bare and (target == "numba" or np.prod(case.shapes[0]) < 100):
            directives.append(f'target="{target}"')
        else:
            target = None
        try:
            if any(".memoize(" in d for d in directives):
                _leave_others(case, f, target, rng)
            got = _run(case, f, target)
        except halo.ScheduleError:
            continue  # a schedule that only lowering can refuse
        except halo.BoundsError as error:
            if refused is None:
                raise Mismatch(
                    _report(case, directives, f"legal without a schedule, refused with it: {error}")
                ) from None
            continue
        except Exception as error:
            raise Mismatch(_report(case, directives, f"{type(error).__name__}: {error}")) from error
        if plain is None:
            raise Mismatch(_report(case, directives, f"refused without a schedule, legal with it: {refused}"))
        legal += 1
        for k, (a, b) in enumerate(zip(got, plain, strict=True)):
            _compare(a, b, _same_bits(a, b), case, directives, k)
    return legal


def _run(case: Case, f: Any, target: str | None = None) -> list[Array]:
    """All results of a run, element by element. How it is called depends on the seed, not on the schedule."""
    rng, arguments = random.Random(case.seed), case.arguments(f)
    several = len(case.outputs) > 1
    shape = tuple(case.shapes) if several else case.shapes[0]
    if target is not None:
        f = f.compile(target=target, **arguments)
    if any(case.origin):
        found = f.realize(shape, origin=case.origin, **arguments)
    elif rng.random() < 0.3:
        out = [_somewhere(rng, s, t) for o, s in zip(case.outputs, case.shapes, strict=True) for t in (o.types,)]
        flat: tuple[Any, ...] = tuple(out)
        found = f(out=flat if several else flat[0], **arguments)
    else:
        found = f(shape=shape, **arguments)
    return list(_flat(found))


def _leave_others(case: Case, f: Any, target: str | None, rng: random.Random) -> None:
    """Run `f` as it will be run, then with one element of one input changed, or a parameter: memoized stages must tell
    the results apart."""
    _run(case, f, target)
    for _ in range(3):
        views = [v for v in case.views if v.data.size]
        name = rng.choice([*case.params, *(v.name for v in views)] or [""])
        if name in case.params:
            before = case.params[name]
            case.params[name] = type(before)(before + 1)
            _run_anyhow(case, f, target)
            case.params[name] = before
        elif name:
            data = next(v.data for v in views if v.name == name)
            bits = data.reshape(-1).view(f"u{data.dtype.itemsize}")
            k = rng.randrange(data.size)
            bits[k] ^= 1
            _run_anyhow(case, f, target)
            bits[k] ^= 1


def _run_anyhow(case: Case, f: Any, target: str | None) -> None:
    with suppress(halo.HaloError):
        _run(case, f, target)


def _flat(found: Any) -> Any:
    if isinstance(found, tuple):
        for e in found:
            yield from _flat(e)
    else:
        yield np.asarray(found)


def _somewhere(rng: random.Random, shape: tuple[int, ...], types: tuple[halo.Type, ...]) -> Any:
    """Arrays for the elements of one Func, of any layout and full of ones."""
    made = []
    for t in types:
        if shape and rng.random() < 0.4:
            made.append(np.ones((*shape[:-1], 2 * shape[-1]), t.dtype)[..., ::-2])
        else:
            made.append(np.ones(shape, t.dtype, order=rng.choice(("C", "F"))))
    return made[0] if len(made) == 1 else tuple(made)


def _same_bits(a: Array, b: Array) -> Array:
    if a.dtype != b.dtype or a.shape != b.shape:
        return np.False_
    bits = f"u{a.dtype.itemsize}"
    same = np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
    same = same.reshape(a.shape)
    return same | (_is_nan(a) & _is_nan(b))


def _is_nan(a: Array) -> Array:
    return np.False_ if a.dtype.kind in "biu" else np.isnan(a.astype(np.float64))


def _against_numpy(plain: list[Array], case: Case) -> None:
    for k, (got, wanted, trust) in enumerate(zip(plain, case.expected(), case.trusts, strict=True)):
        if trust < CLOSE or got.dtype != wanted.dtype or got.shape != wanted.shape:
            same = np.asarray(trust < CLOSE and got.dtype == wanted.dtype and got.shape == wanted.shape)
        else:
            same = got == wanted
            if got.dtype.kind not in "biu":
                same = same | (_is_nan(got) & _is_nan(wanted))
                if trust < EXACT:
                    a, b = got.astype(np.float64), wanted.astype(np.float64)
                    with np.errstate(all="ignore"):
                        same |= ~(np.abs(a - b) > case.magnitude.tolerance) | ~np.isfinite(b)
        _compare(got, wanted, same, case, ["# against NumPy"], k)


def _compare(got: Array, wanted: Array, same: Array, case: Case, directives: list[str], k: int) -> None:
    if np.all(same):
        return
    text = f"{got.dtype} {got.shape} instead of {wanted.dtype} {wanted.shape}"
    if got.dtype == wanted.dtype and got.shape == wanted.shape:
        where = tuple(int(i[0]) for i in np.nonzero(~np.atleast_1d(same)))[: got.ndim]
        text = (
            f"{int((~same).sum())} of {same.size} differ, first at {where}: {got[where]!r} instead of {wanted[where]!r}"
        )
    raise Mismatch(_report(case, directives, f"result {k}: {text}"))


def _report(case: Case, directives: list[str], text: str) -> str:
    lines = [f"seed {case.seed}: {text}", f"  shapes {case.shapes} origin {case.origin}"]
    lines += [f"  {v.name}: {v.data.dtype} {v.data.shape} {v.mode}" for v in case.views]
    lines += [f"  {name} = {value!r}" for name, value in case.params.items()]
    return "\n".join([*lines, case.text, "# schedule", *directives])

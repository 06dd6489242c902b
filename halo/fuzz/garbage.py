"""Random nonsense for every public call: errors of halo's own, no crash, and nothing written by a call that is refused."""

from __future__ import annotations

import inspect
import math
import random
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import halo

from .check import Mismatch


class Liar:
    """An object whose array interface is not true."""

    def __init__(self, **changes: Any) -> None:
        self._held = np.zeros(8, np.uint8)
        self.__array_interface__ = {**self._held.__array_interface__, **changes}


class Failing:
    """An object that fails whatever it is asked."""

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __len__(self) -> int:
        return -1

    @property
    def __array_interface__(self) -> Any:
        raise RuntimeError("no array")


SCALARS: tuple[Any, ...] = (None, True, 0, 1, -1, 7, 2**31, 2**63, -(2**63) - 1, 2**200, 0.5, math.nan, math.inf, 1e300,
                            1j, "", "x", "y", "edge", "é\x00", b"x", (), [], {}, [1, [2]], (1, 2), (-1, 3), {"x": 3},
                            object(), ..., slice(None), int, halo.u8, np.float32(2), np.datetime64("2020-01-01"),
                            print, lambda: 1, range(3), range(3, 0, -1), NotImplemented)  # fmt: skip
ACCEPTED = (halo.HaloError, MemoryError)


def garbage(seed: int) -> str:
    """Make one random call with random arguments; what came of it. Raises Mismatch for an error that is not halo's."""
    rng = random.Random(seed)
    threads = halo.get_num_threads()
    try:
        return rng.choice((_call, _call, _call, _directive, _function, _definition, _inspect))(rng)
    finally:
        halo.set_num_threads(threads)


def _array(rng: random.Random) -> Any:
    shape = tuple(rng.choice((0, 1, 2, 3, 5, 8)) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3, 7))))
    dtype = rng.choice(("?", "u1", "i2", "i4", "u8", "f2", "f4", "f8", "c8", "O", "U3", "M8[s]", ">i4", "V5", "f4,i4"))
    a: Any = np.zeros(shape, dtype)
    match rng.randrange(7):
        case 0 if a.ndim:
            a = a[::-1]
        case 1 if a.ndim:
            a = a[..., ::2]
        case 2:
            a.flags.writeable = False
        case 3:
            a = np.broadcast_to(a, (4, *shape))
        case 4 if a.dtype == np.uint8:
            a = np.frombuffer(bytearray(a.size * 4 + 1), np.uint8)[1:].view(np.float32)  # misaligned
    return a


def _liar(rng: random.Random) -> Any:
    return Liar(**rng.choice(({"shape": (-4,)}, {"shape": "x"}, {"typestr": "|O"}, {"typestr": 3}, {"data": (0, False)},
                              {"data": None}, {"strides": (1, 2, 3)}, {"shape": (2**62, 8)}, {"version": 99},
                              {"shape": (2,) * 80}, {"shape": None})))  # fmt: skip


def _value(rng: random.Random) -> Any:
    match rng.randrange(9):
        case 0 | 1:
            return _array(rng)
        case 2:
            return _liar(rng)
        case 3:
            return Failing()
        case 4:
            return halo.Var("x")
        case 5:
            return halo.pad(np.zeros((rng.choice((0, 3)), 4), np.uint8), "edge")
        case _:
            return rng.choice(SCALARS)


def _pipeline(rng: random.Random) -> Any:
    y, x = halo.vars("y x")
    img, k = halo.Input("img", rng.choice((None, halo.u8)), ndim=2), halo.Param("k", halo.i32, default=1)
    f, g = halo.Func("f"), halo.Func("g")
    f[y, x] = img[y, x] + img[y, x + 1]
    g[y, x] = f[y, x] * k
    if rng.random() < 0.5:
        g[y, x] += f[y, halo.rdom(2, names="r").r]
    return g if rng.random() < 0.7 else halo.Pipeline([g, f])


def _guarded(what: str, call: Callable[[], Any], *mine: Any) -> str:
    """Run `call`; only errors of halo's own may come out, and arrays of `mine` are as before if one does."""
    before = [a.copy() for a in mine]
    try:
        call()
    except ACCEPTED as error:
        for a, b in zip(mine, before, strict=True):
            if a.tobytes() != b.tobytes():
                raise Mismatch(f"{what}: an array was written by a call that is refused: {error}") from None
        return type(error).__name__
    except Exception as error:
        if _is_callers(error):
            return type(error).__name__
        raise Mismatch(f"{what}: {type(error).__name__}: {error}") from error
    return "fine"


def _is_callers(error: Exception) -> bool:
    """Whether Python refused the call itself, or an argument raised what it always raises."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename == __file__ and (isinstance(error, TypeError) or frames[-1].name in dir(Failing))


def _shown(*args: Any, **kwargs: Any) -> str:
    def one(v: Any) -> str:
        if isinstance(v, np.ndarray):
            return f"<{v.dtype} {v.shape} {v.strides}>"
        return f"Liar({v.__array_interface__})" if isinstance(v, Liar) else repr(v)[:80]

    return ", ".join([*map(one, args), *(f"{k}={one(v)}" for k, v in kwargs.items())])


def _call(rng: random.Random) -> str:
    """A Func or Kernel, run."""
    f = _pipeline(rng)
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    out = np.full((4, 4), 9, np.int32)
    arguments: dict[str, Any] = {"img": image, "out": out, "k": 2}
    if isinstance(f, halo.Pipeline) and rng.random() < 0.7:
        arguments["out"] = (out, np.full((4, 4), 9, np.uint8))
    for name in rng.sample(["img", "out", "k", "shape", "nothing"], rng.choice((1, 1, 2))):
        arguments[name] = _value(rng)
    match rng.randrange(6):
        case 0:
            arguments["out"] = image[:4, :4]
        case 1:
            arguments["out"] = out.T[::-1]
        case 2:
            out.flags.writeable = False
    args = tuple(_value(rng) for _ in range(rng.choice((0, 0, 0, 1, 3))))
    made = [a for a in (image, out) if a.flags.writeable]
    if rng.random() < 0.3:
        how = rng.choice(("realize", "compile"))
        del arguments["out"]
        if how == "realize" and rng.random() < 0.7:
            arguments["origin"] = _value(rng)
        return _guarded(f"{how}({_shown(*args, **arguments)})", lambda: getattr(f, how)(*args, **arguments), *made)
    return _guarded(f"call({_shown(*args, **arguments)})", lambda: f(*args, **arguments), *made)


def _directive(rng: random.Random) -> str:
    """Any directive on any stage, then the schedule as a whole."""
    f = _pipeline(rng)
    g = f.outputs[0] if isinstance(f, halo.Pipeline) else f
    target = rng.choice([g, g["f"], *([g.update(0)] if g.definitions.updates else [])])
    names = sorted(n for n in dir(type(target)) if not n.startswith("_") and callable(getattr(type(target), n)))
    name = rng.choice(names)
    if name in ("define", "settle", "give", "reschedule", "rebound", "blank", "at_rank", "profile", "program"):
        return "not public"
    words: list[Any] = ["x", "y", "xo", "xi", "auto", "guard", "f", g, target, 1, 2, 4, 0, -3, 2**40]
    args = tuple(rng.choice(words) if rng.random() < 0.6 else _value(rng) for _ in range(rng.randint(0, 5)))
    said = _guarded(f"{name}({_shown(*args)})", lambda: getattr(target, name)(*args))
    if said == "fine" and rng.random() < 0.3:
        image = np.zeros((4, 5), np.uint8)
        _guarded(f"{name}({_shown(*args)}), then a call", lambda: g(img=image, shape=(4, 4)))
    return said


def _function(rng: random.Random) -> str:
    """Any public function or class of the module."""
    names = sorted(n for n in halo.__all__ if callable(getattr(halo, n)) and not _is_error(getattr(halo, n)))
    name = rng.choice(names)
    if name in (
        "Schedule",
        "Stage",
        "Expr",
        "RDom",
        "Kernel",
        "Target",
        "ArrayType",
        "Type",
        "func",
        "extern",
        "intrinsics",
        "undef",
    ):
        return "not for users to call"
    function = getattr(halo, name)
    try:
        most = len(inspect.signature(function).parameters) + 1
    except (TypeError, ValueError):
        most = 3
    args = tuple(_value(rng) for _ in range(rng.randint(0, most)))
    return _guarded(f"halo.{name}({_shown(*args)})", lambda: function(*args))


def _is_error(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _definition(rng: random.Random) -> str:
    """A definition, and a call of what it defines."""
    f, img = halo.Func("f"), halo.Input("img", halo.u8, ndim=2)
    y, x = halo.vars("y x")
    key = rng.choice(((y, x), (x, x), (y, 3), y, (_value(rng), x), (y, x, _value(rng))))
    value = _value(rng) if rng.random() < 0.5 else rng.choice((
        lambda: img[y, x] + _value(rng), lambda: img[_value(rng), x], lambda: halo.select(x > 0, _value(rng), 1),
        lambda: halo.sum(img[y, x], _value(rng)), lambda: img[y, x].astype(_value(rng)), lambda: img[y, x][_value(rng)],
        lambda: halo.pad(img, _value(rng), _value(rng))[y, x], lambda: img[y, x] << _value(rng),
    ))  # fmt: skip

    def define() -> None:
        f[key] = value() if callable(value) and not isinstance(value, type) else value
        f(img=np.zeros((3, 4), np.uint8), shape=(2, 2))

    return _guarded(f"f[{_shown(key)}] = {_shown(value)}", define)


def _inspect(rng: random.Random) -> str:
    """What shows a pipeline."""
    f = _pipeline(rng)
    name = rng.choice(("loops", "inspect_source", "inspect_llvm", "inspect_asm", "inspect_inputs", "schedule", "apply"))
    args = tuple(_value(rng) for _ in range(rng.choice((0, 1, 2))))
    kwargs = {rng.choice(("img", "k", "target", "x")): _value(rng)} if rng.random() < 0.5 else {}
    return _guarded(f"{name}({_shown(*args, **kwargs)})", lambda: getattr(f, name)(*args, **kwargs))

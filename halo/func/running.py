"""Calls and compilations, in full: names, types, binding, pads of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..ir.surface import Pad
from ..types import ArrayType
from .binding import bind, is_symbolic, padded
from .runnable import Runnable, changes
from .signature import Signature, named, signature

if TYPE_CHECKING:
    from ..jit.kernel import Kernel
    from .program import Program

__all__ = ["compiled", "numba_type", "resolved", "run"]


def run(r: Runnable, key: Any, args: tuple[Any, ...], inputs: dict[str, Any], out: Any, shape: Any, origin: Any) -> Any:
    """A call of `r`, whose fast key (if it has one) no kernel is remembered for."""
    if any(map(is_symbolic, args)) or any(map(is_symbolic, inputs.values())):
        program = program_of(r, args, inputs)
        return r.rebound(bind(program, named(r.name, program.arguments, args, inputs)))
    bound, program, values = resolved(r, args, inputs, shape, out)
    if bound is not r:
        return bound._run((), values, out, shape, origin)
    kernel = _kernel(r, program, signature(program.arguments, values), call=program.call(values, shape))
    if key is not None:
        r._remember(key, kernel)
    if origin is not None:
        return kernel.realize(shape, origin, **inputs)
    return kernel(*args, out=out, shape=shape, **inputs)


def program_of(
    r: Runnable, args: tuple[Any, ...], values: Mapping[str, Any], shape: Any = None, out: Any = None
) -> Program:
    """The program of a call, or of a compilation, with these arguments."""
    return r.program({**dict(zip(r.own_inputs(), args, strict=False)), **values}, shape, out)


def resolved(
    r: Runnable, args: tuple[Any, ...], inputs: Mapping[str, Any], shape: Any = None, out: Any = None
) -> tuple[Runnable, Program, dict[str, Any]]:
    """What a call runs, its program, and the values by name: with pad views of arrays among them it is `r` with pad views
    of its inputs bound, and the values are the arrays themselves."""
    program = program_of(r, args, inputs, shape, out)
    values = named(r.name, program.arguments, args, inputs)
    if not any(isinstance(v, Pad) for v in values.values()):
        return r, program, values
    arrays, views = padded(program, values)
    key = tuple((name, repr(v), repr(v.value), repr(v.bounds)) for name, v in views.items())
    if key not in r._padded or r._padded[key][0] != changes():
        r._padded[key] = changes(), r.rebound(bind(program, views))
    bound = r._padded[key][1]
    return bound, program_of(bound, (), arrays, shape, out), arrays


def _kernel(
    r: Runnable, program: Program, s: Signature, target: Any = None, call: Mapping[str, Any] | None = None
) -> Kernel:
    r._last = program, s
    return program.kernel(s, target, call)


def compiled(r: Runnable, args: tuple[Any, ...], types: Mapping[str, Any], target: Any) -> Kernel:
    """The Kernel of `r` for these types."""
    program = program_of(r, args, types)
    values = named(r.name, program.arguments, args, types)
    s = signature(program.arguments, values, types=True)
    return _kernel(r, program, s, target, program.call(values))


def numba_type(r: Runnable) -> tuple[Any, Any]:
    """The type of `r` to Numba, and the function that it names, which has to be kept."""
    from ..jit import njit

    program = r.program()
    arguments = program.arguments

    def kernel_for(types: Mapping[str, Any]) -> Kernel:
        open_types = {n: t for n, t in types.items() if isinstance(t, ArrayType) or arguments[n].type is None}
        return _kernel(r, program, signature(arguments, open_types, types=True))

    defaults = {name: a.default for name, a in arguments.items() if a.default is not None}
    count = sum(f.size or 1 for f in program.outputs)
    return njit.numba_type(r.name, tuple(arguments), defaults, count, kernel_for)

"""The chained methods: every directive class becomes a method of Funcs and stages, checked where it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from ..errors import ScheduleError, here
from ..ir.surface import Define, IndexVar, Literal

# the modules of directives fill the registry
from ..schedule import control, copies, hints, nesting, placement, reductions, storage, tensorize  # noqa: F401  (for what they do)
from ..schedule.control import Specialize, Within
from ..schedule.directive import Directive, registry
from ..schedule.loops import Facts, Loops

if TYPE_CHECKING:
    from ..schedule.methods import StageMethods  # a stub: what `install` gives, for type checkers and editors
    from .func import Func
else:
    StageMethods = object

__all__ = ["Schedulable", "Stage", "install", "update_loops"]


class Schedulable(StageMethods):
    """What directives are given to: a Func (its pure stage), one of its updates, or a specialisation of these.

    There is a method for each directive class of `halo.schedule`. It returns the receiver, unless it makes something:
    `rfactor`, `in_` and `clone_in` return Funcs, `specialize` the branch's stage.
    """

    name: str

    @property
    def site(self) -> tuple[Any, int]:
        """The Func and the number of its stage, 0 for the pure one."""
        raise NotImplementedError

    def split_vars(self) -> tuple[str, ...]:
        """The loops as the directives so far have made them, outermost first: where other stages can be computed.
        (Halide's `split_vars`, which lists them innermost first.)

        Raises ScheduleError where only the types of a call tell: of a pack of index variables, after `rfactor`.

        >>> import halo
        >>> f, y, x = halo.Func("f"), *halo.vars("y x")
        >>> f[y, x] = y + x
        >>> f.split("x", "xo", "xi", 8).reorder("xo", "y").split_vars()
        ('xo', 'y', 'xi')
        """
        func, stage = self.site
        loops = None if func.ndim is None else func.loops_of(stage)
        if loops is None:
            raise ScheduleError(f"{self.name}.split_vars: its loops are not known before its types are", loc=here(),
                                hint=f"{func.name}.loops(...)")  # fmt: skip
        return tuple(loops.names)

    def _given(self, d: Directive) -> Any:
        """Check `d` and keep it; what its method returns."""
        raise NotImplementedError


class Stage(Schedulable):
    """One stage of a Func: `f.update(k)`, or a branch that `specialize` made."""

    def __init__(self, func: Func, index: int, path: tuple[Any, ...] = ()) -> None:
        self.func, self.index, self._path = func, index, path
        name = func.name if index == 0 else f"{func.name}.update({index - 1})"
        self.name = "".join((name, *(f".specialize({c})" for c in path)))

    @property
    def site(self) -> tuple[Any, int]:
        return self.func, self.index

    def split_vars(self) -> tuple[str, ...]:
        names = super().split_vars()
        if not self._path:
            return names
        branches: dict[tuple[Any, ...], Loops] = {(): self.func.plain_loops(self.index)}
        for k, d in self.func.directives:
            path, own = (d.path, d.directive) if isinstance(d, Within) else ((), d)
            if k == self.index and isinstance(own, Specialize):
                branches.setdefault((*path, own.condition), branches[path])
            elif k == self.index and own.on == "stage":
                branches[path] = own.apply(branches[path])
        return tuple(branches[self._path].names)

    def _given(self, d: Directive) -> Any:
        made = self.func.give(self.index, Within(self._path, d, loc=d.loc) if self._path else d)
        if isinstance(d, Specialize):
            return Stage(self.func, self.index, (*self._path, d.condition))
        return self if made is None else made

    def __repr__(self) -> str:
        return f"<halo.Stage {self.name}>"


def update_loops(stage: Define, vars: tuple[str, ...], steps: bool = False) -> Loops:
    """The loops of an update as written, before types are known; of the `steps` of a scan the first is over these."""
    own = [v for v, a in zip(vars, stage.args, strict=True) if isinstance(a, IndexVar) and a.name == v]
    rdom = stage.rdom
    if rdom is None:
        return Loops.start(own, (), Facts(update=True))
    extents = tuple((name, int(n.value)) for name, (_, n) in zip(rdom.names, rdom.axes, strict=True)
                    if isinstance(n, Literal))  # fmt: skip
    loops = Loops.start(own, rdom.names, Facts(update=True, extents=extents))
    return replace(loops, dims=(loops.dims[-1], *loops.dims[:-1])) if steps else loops


def _method(cls: type[Directive]) -> Callable[..., Any]:
    def method(self: Schedulable, *args: Any, **kwargs: Any) -> Any:
        loc = here()
        return self._given(cls.make(cls.bind(self.name, loc, args, kwargs), self.name, loc))

    method.__name__, method.__qualname__, method.__doc__ = cls.name, f"Func.{cls.name}", cls.__doc__
    signature = cls.signature()
    receiver = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]  # inspect reads it, functions do not declare it
        parameters=[receiver, *signature.parameters.values()]
    )
    return method


def install(on: str, target: type) -> None:
    """Give `target` the methods of the directives on "stage" or "func"."""
    for name, cls in registry.items():
        if cls.on == on and cls is not Within:
            setattr(target, name, _method(cls))


install("stage", Schedulable)

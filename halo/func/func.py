"""`Func`: one stage of a pipeline, defined, scheduled and called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DefinitionError, HaloError, ScheduleError, here
from ..frontend.capture import Capture, capture
from ..frontend.externs import Sorting
from ..frontend.reductions import extract
from ..frontend.undefined import without_undef
from ..ir.surface import (
    Access,
    Augmented,
    Define,
    Definitions,
    Expr,
    Function,
    IndexVar,
    Input,
    Item,
    Literal,
    RDom,
    Reduction,
    RVarRef,
    as_expr,
    subscripts,
)
from ..ir.surface_walk import walk
from ..schedule.copies import In, Structural
from ..schedule.directive import Directive
from ..schedule.directive import Stage as Checked
from ..schedule.loops import Loops
from .runnable import Runnable, changed
from .schedulable import Schedulable, Stage, install, update_loops

if TYPE_CHECKING:
    from ..schedule.methods import FuncMethods
    from .output_buffer import OutputBuffer
    from .program import Program
else:
    FuncMethods = object

__all__ = ["Func", "func"]

MOST_AXES = 9  # ranks that are tried where nothing says the rank of a rank-generic Func


class Func(Function, Schedulable, Runnable, FuncMethods):
    """A pure function of index variables: `f[y, x]` is its value at a point, `f(...)` with arrays runs the pipeline.

    Made by `@halo.func`, or defined as an object:

    >>> import halo, numpy as np
    >>> y, x = halo.vars("y x")
    >>> img = halo.Input("img", halo.u8, ndim=2)
    >>> f = halo.Func("f")
    >>> f[y, x] = img[y, x] + 1
    >>> f(img=np.zeros((1, 3), np.uint8))
    array([[1, 1, 1]], dtype=uint8)
    """

    def __init__(self, name: str = "f", *, fastmath: bool = False, cache: bool = True) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise DefinitionError(f"a Func's name is an identifier, not {name!r}", loc=here())
        Runnable.__init__(self)
        self.name, self.fastmath, self.cache = name, fastmath, cache
        self._where = here()
        self._capture: Capture | None = None
        self._written = Definitions((), None)
        self._normal: Definitions | None = None
        self._frozen = False
        self._ranked: dict[int, Func] = {}
        self.directives: list[tuple[int, Directive]] = []
        self._loops: dict[int, Loops | None] = {}
        self._program: Program | None = None
        self.innermost = False

    # Definition ------------------------------------------------------------------------------------------------------

    @property
    def py_func(self) -> Any:
        """The undecorated Python function."""
        if self._capture is None:
            raise AttributeError(f"{self.name} was not made from a Python function")
        return self._capture.py_func

    @property
    def ndim(self) -> int | None:  # type: ignore[override]  # known of a Func once it is defined
        """The number of index variables; None while nothing says it."""
        if self._capture is not None:
            return self._rank if self._rank is not None else self._capture.ndim
        return len(self._written.vars) if self._is_defined else None

    _rank: int | None = None

    @property
    def _is_defined(self) -> bool:
        return self._capture is not None or self._written.pure is not None or bool(self._written.updates)

    @property
    def size(self) -> int | None:  # type: ignore[override]  # known of a Func once it is defined
        """The number of values at a point."""
        if not self._is_defined or self.ndim is None:
            return None
        d = self.written
        return len((d.pure or d.updates[0]).values)

    @property
    def written(self) -> Definitions:
        """The definitions as they are written, inline reductions in them."""
        if self._capture is not None:
            return self._capture.definitions(self.ndim, self)
        if not self._is_defined:
            raise DefinitionError(f"{self.name} is not defined", loc=self.loc, hint=f"{self.name}[y, x] = ...")
        return self._written

    @property
    def definitions(self) -> Definitions:
        """The definitions, inline reductions made stages."""
        if self._normal is None:
            self._normal, _ = extract(self, self.name, without_undef(self.written), self._make_stage)
        return self._normal

    def freeze(self) -> None:
        """From here on there are no further definitions: another stage reads this one, or a pipeline has it."""
        self._frozen = True

    def _make_stage(self, name: str, define: Callable[[Function], Definitions]) -> Function:
        stage = self.blank()
        stage.name, stage.innermost = name, True
        stage.settle(define(stage))
        return stage

    def blank(self) -> Func:
        """A Func of the same name and options, without definitions and directives."""
        new = Func(self.name, fastmath=self.fastmath, cache=self.cache)
        new._where, new.innermost = self._where, self.innermost
        return new

    def settle(self, d: Definitions) -> None:
        """Take `d`, without inline reductions, as the definitions."""
        self._written = self._normal = d
        self.freeze()

    def at_rank(self, n: int) -> Func:
        """This Func, or of a rank-generic one the Func of `n` index variables."""
        if self._capture is None or self._capture.pack is None or self._rank is not None:
            return self
        if n not in self._ranked:
            if n < len(self._capture.index_names):
                raise DefinitionError(f"{self.name} has at least {len(self._capture.index_names)} axes", loc=here())
            one = self._ranked[n] = self.blank()
            one._capture, one._rank, one.directives = self._capture, n, self.directives
        return self._ranked[n]

    def __getitem__(self, key: Any) -> Any:
        """`f[y, x]`: the value at a point. `f["name"]`: the stage of that name in the pipeline that ends in `f`."""
        if isinstance(key, str):
            from .program import stage_named

            return stage_named(self, key)
        indices = subscripts(key)
        target = self.at_rank(len(indices))
        return Access(target, indices)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, str):
            raise DefinitionError(f"{self.name}[{key!r}] is a stage and cannot be assigned to", loc=here())
        self.define(subscripts(key), value)

    def define(self, args: tuple[Expr, ...], value: Any, item: int | None = None) -> None:
        """`f[args] = value` (or of element `item` of its values): the pure definition first, then updates."""
        loc = here()
        if self._capture is not None:
            raise DefinitionError(f"{self.name} is defined by its decorated function", loc=loc, hint="halo.Func(name)")
        if self._frozen:
            raise DefinitionError(f"{self.name} is in use: definitions come before the first use", loc=loc)
        op, values = _right_side(self, args, value, item)
        whole = self._all_values(values, item, loc)
        rdom = _free_domain((*args, *values), loc)
        d = Define(args, whole, rdom, None if rdom is None else rdom.condition(), op, loc)
        for e in walk((*args, *values)):
            if isinstance(e, Access) and isinstance(e.target, Func) and e.target is not self:
                e.target.freeze()
        self._written, self._normal = self._with(d), None

    def _all_values(self, values: tuple[Expr, ...], item: int | None, loc: Any) -> tuple[Expr | None, ...]:
        if item is None:
            return values
        size = self.size
        if size is None or not 0 <= item < size:
            raise DefinitionError(
                f"{self.name} has no element {item}", loc=loc, hint=f"{self.name}[...] = (a, b) first"
            )
        return tuple(values[0] if k == item else None for k in range(size))

    def _with(self, d: Define) -> Definitions:
        old = self._written
        if self._is_defined:
            if len(d.args) != len(old.vars):
                message = f"{self.name} has {len(old.vars)} axes, and this update {len(d.args)}"
                raise DefinitionError(message, loc=d.loc)
            return Definitions(old.vars, old.pure, (*old.updates, d))
        plain = [a.name for a in d.args if isinstance(a, IndexVar)]
        if d.op is None:
            if len(plain) < len(d.args) or len(set(plain)) < len(plain) or d.rdom is not None:
                what = "runs over a reduction domain" if len(set(plain)) == len(d.args) else "is not at every point"
                raise DefinitionError(f"the first definition of {self.name} {what}", loc=d.loc,
                                      hint=f"{self.name}[y, x] = 0 with plain variables, then this as an update")  # fmt: skip
            return Definitions(tuple(plain), d)
        taken = {*plain, *(() if d.rdom is None else d.rdom.names)}
        names: list[str] = []
        for k, a in enumerate(d.args):
            name = a.name if isinstance(a, IndexVar) else f"i{k}"
            while name in names or (not isinstance(a, IndexVar) and name in taken):
                name += "_"
            names.append(name)
        return Definitions(tuple(names), None, (d,))

    # The pipeline ----------------------------------------------------------------------------------------------------

    def rebound(self, copies: Mapping[Any, Func]) -> Func:
        return copies.get(self, self)

    def program(self, values: Mapping[str, Any] | None = None, shape: Any = None, out: Any = None) -> Program:
        if self.ndim is None and self._capture is not None:
            return self.at_rank(self._rank_for(values or {}, shape, out)).program()
        if self._program is None:
            from .program import Program

            self._program = Program((self,), self.name)
        return self._program

    def own_inputs(self) -> tuple[str, ...]:
        return () if self._capture is None else tuple(self._capture.inputs_hint)

    def _rank_for(self, values: Mapping[str, Any], shape: Any, out: Any) -> int:
        """The number of index variables of a rank-generic Func in a call: from its result's shape, or its inputs'."""
        assert self._capture is not None
        if shape is not None:
            return len(shape) if isinstance(shape, (tuple, list)) else 1
        if out is not None:
            return int((out[0] if isinstance(out, tuple) else out).ndim)
        ranks = {name: v.ndim for name, v in values.items() if isinstance(getattr(v, "ndim", None), int)}
        found = self._capture.rank_for(ranks)
        least = len(self._capture.index_names)
        for n in (found,) if found is not None else range(least, least + MOST_AXES):
            try:
                arguments = self.at_rank(n).program().arguments
            except HaloError:
                continue
            if ranks and all(a.ndim == ranks[name] for name, a in arguments.items() if name in ranks):
                return n
        raise ArgumentError(f"nothing says how many axes {self.name} has", loc=here(), hint="shape=...")

    # Scheduling ------------------------------------------------------------------------------------------------------

    @property
    def site(self) -> tuple[Any, int]:
        return self, 0

    def update(self, k: int = 0) -> Stage:
        """The k-th update stage, to be scheduled."""
        count = len(self.definitions.updates)
        if not isinstance(k, int) or not -count <= k < count:
            what = f"{count} update stages" if count != 1 else "one update stage"
            legal = tuple(f"update({j})" for j in range(count))
            raise ScheduleError(f"{self.name} has {what}, no update({k})", loc=here(), legal=legal)
        return Stage(self, k % count + 1)

    def _given(self, d: Directive) -> Any:
        return Stage(self, 0)._given(d) if d.returns == "branch" else self.give(0, d) or self

    def output_buffer(self, k: int = 0) -> OutputBuffer:
        """The array that calls want element `k` of the values in, to promise something of its axes.

        >>> import halo, numpy as np
        >>> f, y, x, c = halo.Func("f"), *halo.vars("y x c")
        >>> f[y, x, c] = y + x + c
        >>> _ = f.serial("c").output_buffer().dim(2).set_stride(100)
        >>> planes = np.zeros((3, 10, 10), np.int32)
        >>> bool((f(out=planes.transpose(1, 2, 0)) == f(shape=(10, 10, 3))).all())
        True
        """
        from .output_buffer import output_buffer

        return output_buffer(self, k)

    def give(self, stage: int, d: Directive) -> Any:
        """Keep directive `d` of stage number `stage`, checked as far as it can be now; the Func that it makes, if any."""
        if d.once and (stage, d) in self.directives:
            return next(getattr(e, "made", None) for s, e in self.directives if (s, e) == (stage, d))
        self._check_early(stage, d)
        made = None
        if isinstance(d, Structural):
            made = Made(self, d)
            object.__setattr__(d, "made", made)
        self.directives.append((stage, d))
        changed()
        return made

    def loops_of(self, stage: int) -> Loops | None:
        """The loops of stage number `stage` as its directives have made them, as far as is known before types are."""
        if stage not in self._loops:
            self._loops[stage] = self.plain_loops(stage)
        return self._loops[stage]

    def plain_loops(self, stage: int) -> Loops:
        """The loops of stage number `stage` before any directive."""
        vars = self._vars(stage)
        if isinstance(self.external, Sorting):
            axis = self.external.function.axis
            vars = vars[:axis] + vars[axis + 1 :]
        own = None if stage == 0 else self.definitions.updates[stage - 1]
        return Loops.start(vars) if own is None else update_loops(own, vars, self.scan is not None)

    def _vars(self, stage: int) -> tuple[str, ...]:
        if stage == 0 and self._capture is not None and not self._capture.pack:
            return self._capture.index_names
        return self.definitions.vars

    def _check_early(self, stage: int, d: Directive) -> None:
        if self.ndim is None:
            return
        loops = self.loops_of(stage)
        if loops is not None:
            after = d.run(Checked(Stage(self, stage).name, loops, self._vars(stage)))
            self._loops[stage] = None if isinstance(d, Structural) and d.on == "stage" else after.loops

    def reschedule(self, directives: list[tuple[int, Directive]]) -> None:
        """Take `directives`, which were given to this Func before, in place of those it has."""
        self.directives[:] = directives
        changed()
        self._loops.clear()
        for stage, d in directives:
            self._check_early(stage, d)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        from .show import text

        return text(self)

    def _repr_html_(self) -> str:
        from ..show.reprs import func

        return func(self, repr(self))


class Made(Func):
    """The Func that `rfactor`, `in_` or `clone_in` made: it exists in the scheduled pipeline only."""

    def __init__(self, owner: Any, d: Structural) -> None:
        super().__init__(d.made_name(owner.name))
        self.owner, self.by = owner, d

    def __getitem__(self, key: Any) -> Any:
        message = f"{self.name} is made by {self.owner.name}.{self.by}, and definitions cannot read it"
        raise DefinitionError(message, loc=here(), hint=f"{self.owner.name}[...]")

    def copied(self, owner: Any, d: Structural) -> Made:
        """The same, made by `d` of the copy `owner`; its directives are copied by whoever binds."""
        return Made(owner, d)

    def update(self, k: int = 0) -> Stage:
        return Stage(self, k + 1)

    def _check_early(self, stage: int, d: Directive) -> None:
        """Its loops are known when the schedule is carried out."""


install("func", Func)


def _reschedule_input(self: Input, directives: list[tuple[int, Directive]]) -> None:
    """Take `directives`, which were given to this input before, in place of those it has."""
    self.directives[:] = directives
    changed()


def _give_input(self: Input, stage: int, d: Directive) -> Any:
    """Keep directive `d` of an input: only `in_` is one."""
    if not isinstance(d, Structural) or d.name != "in_":
        d.refuse(self.name, "an input is not computed", legal=("in_",))
    if (stage, d) in self.directives:
        return next(e.made for s, e in self.directives if (s, e) == (stage, d))
    made = Made(self, d)
    object.__setattr__(d, "made", made)
    self.directives.append((stage, d))
    changed()
    return made


def _in(self: Input, consumer: Any = None) -> Func:
    """Make a Func that copies this input, and let `consumer` (a Func or a list; all, if left out) read the copy."""
    made: Func = self.give(0, In.make({"consumer": consumer}, self.name, here()))  # type: ignore[attr-defined]  # given below, where Func is known
    return made


# inputs are made below this room, and hold directives too
Input.give, Input.in_, Input.reschedule = _give_input, _in, _reschedule_input  # type: ignore[attr-defined]  # given below, where Func is known


def func(function: Any = None, /, *, name: str | None = None, fastmath: bool = False, source: str | None = None,
         cache: bool = True) -> Any:  # fmt: skip
    """Make a Python function a `Func`: its positional parameters are index variables, its keyword-only ones inputs.

    `source` is the function's text where Python does not know it; `fastmath` lets floats round otherwise: reduction loops
    of sums and products take any order, and `/` by a constant is a product. `cache=False` keeps the code off the disk.

    >>> import halo, numpy as np
    >>> @halo.func
    ... def double(y, x, *, img):
    ...     return img[y, x] * 2
    >>> double(img=np.ones((1, 2), np.uint8))
    array([[2, 2]], dtype=uint8)
    """

    def decorate(f: Any) -> Func:
        captured = capture(f, source, name)
        made = Func(captured.name, fastmath=fastmath, cache=cache)
        made._capture = captured
        made.__doc__ = f.__doc__
        made.__module__ = f.__module__
        return made

    return decorate if function is None else decorate(function)


def _right_side(f: Func, args: tuple[Expr, ...], value: Any, item: int | None) -> tuple[str | None, tuple[Expr, ...]]:
    """The augmented operator, if it is one, and the values."""
    if isinstance(value, Augmented):
        place = value.args[0]
        if isinstance(place, Access) and place.target is f and place.item == item and _same_place(place.indices, args):
            return value.op, value.args[1:]
    if isinstance(value, Access) and value.item is None and (value.target.size or 1) > 1:
        value = tuple(value)
    return None, tuple(as_expr(v) for v in value) if isinstance(value, tuple) else (as_expr(value),)


def _same_place(a: tuple[Expr, ...], b: tuple[Expr, ...]) -> bool:
    return len(a) == len(b) and all(
        x is y or (isinstance(x, Literal) and isinstance(y, Literal) and x.value == y.value)
        for x, y in zip(a, b, strict=True)
    )


def _free_domain(exprs: tuple[Expr, ...], loc: Any) -> RDom | None:
    """The one domain whose variables `exprs` use outside of reductions over it."""
    found: dict[RDom, None] = {}
    for e, inside in _with_reductions(exprs):
        if isinstance(e, RVarRef) and e.rdom not in inside:
            found[e.rdom] = None
    if len(found) > 1:
        raise DefinitionError("one update runs over one reduction domain, and this one uses the variables of two", loc=loc,
                              hint="halo.rdom(n, m) has both axes")  # fmt: skip
    return next(iter(found), None)


def _with_reductions(exprs: tuple[Expr, ...]) -> list[tuple[Expr, frozenset[RDom]]]:
    """Every node, with the domains of the reductions around it."""
    out: list[tuple[Expr, frozenset[RDom]]] = []
    todo: list[tuple[tuple[Expr, ...], frozenset[RDom]]] = [(exprs, frozenset())]
    while todo:
        roots, inside = todo.pop()
        for e in _outside(roots):
            r = e.reduction if isinstance(e, Item) else e
            if isinstance(r, Reduction):
                deeper = inside | {r.rdom}
                todo.append((tuple(x for x in (*r.values, r.pred, r.start) if x is not None), deeper))
            else:
                out.append((e, inside))
    return out


def _outside(roots: tuple[Expr, ...]) -> list[Expr]:
    """The nodes under `roots`, down to reductions."""
    from ..ir.surface_walk import operands

    seen: set[Expr] = set()
    stack, out = list(roots), []
    while stack:
        e = stack.pop()
        if e not in seen:
            seen.add(e)
            out.append(e)
            if not isinstance(e, (Reduction, Item)):
                stack.extend(operands(e))
    return out

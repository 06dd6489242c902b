"""The graph language: variables, constants, calls, tuples, functions, If, Loop and Let, one immutable class a construct.

An expression is a DAG: what is shared is one object. Its type is known from the moment it is made. An operator of
`halo.nn` called on graph expressions makes a Call, so a program is built by calling operators:

    x = Var("x", TensorType((1, 3), f32))
    main = Function((x,), nn.relu(x))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from halo.errors import ArgumentError, HaloError, here
from halo.ir.shapes import Dim
from halo.nn import Op, TensorType
from halo.nn.tensor import array_of
from halo.types import as_type, i64

from .arguments import names
from .arithmetic import Arithmetic

__all__ = [
    "Call",
    "Constant",
    "Expr",
    "Function",
    "Global",
    "If",
    "Item",
    "Let",
    "Loop",
    "Module",
    "Tuple",
    "Var",
    "constant",
    "every",
    "in_bodies",
    "rewrite",
    "rewrite_once_read",
    "walk",
]

MOST_NAMES = 40  # that an error lists
Type = Any  # a TensorType, or a tuple of types
_source: ContextVar[str] = ContextVar("source", default="")


@contextmanager
def from_node(name: str) -> Iterator[None]:
    """Calls that are made inside are called `name`, that of the node that they come from."""
    token = _source.set(name)
    try:
        yield
    finally:
        _source.reset(token)


class Expr(Arithmetic):
    """A value of a program. `type` is a TensorType, or a tuple of types."""

    @property
    def children(self) -> tuple[Expr, ...]:
        """The expressions directly under this one."""
        return ()

    @property
    def bodies(self) -> tuple[Function, ...]:
        """The functions inside of it. They are closed: what they read of outside is an argument."""
        return ()

    def __halo_op__(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Expr:
        given = tuple(None if a is None else constant(a) for a in args)
        return Call(op, given, tuple(attrs.items()), _source.get())


@dataclass(frozen=True, eq=False)
class Var(Expr):
    """A parameter of a function."""

    name: str
    annotation: TensorType

    @property
    def type(self) -> TensorType:
        return self.annotation


@dataclass(frozen=True, eq=False)
class Constant(Expr):
    """An array that is part of the program. `name` is what it is called in text and files."""

    data: np.ndarray[Any, Any]
    name: str = "c"

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", np.asarray(self.data))  # of a number, too

    @cached_property
    def type(self) -> TensorType:
        return TensorType(self.data.shape, as_type(self.data.dtype))


@dataclass(frozen=True, eq=False)
class Global(Expr):
    """A function of the module, by its name, as what a Call calls."""

    name: str
    result: Type


@dataclass(frozen=True, eq=False)
class Call(Expr):
    """`op(*args, **attrs)`: an operator, or a Global, applied. `name` is for people: of the ONNX node that it came from."""

    op: Op | Global
    args: tuple[Expr | None, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    name: str = field(default="", compare=False)
    sources: tuple[str, ...] = field(default=(), compare=False)  # the names of what fused into it

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes by name."""
        return dict(self.attributes)

    @property
    def children(self) -> tuple[Expr, ...]:
        return tuple(a for a in self.args if a is not None)

    @cached_property
    def type(self) -> Type:
        if isinstance(self.op, Global):
            return self.op.result
        return self.op.infer(tuple(None if a is None else a.type for a in self.args), self.attrs)

    def __post_init__(self) -> None:
        try:
            self.type  # a wrong program is refused where it is made  # noqa: B018
        except HaloError as error:
            from .text import marked

            error.nest = error.nest or marked(self)
            raise


@dataclass(frozen=True, eq=False)
class Tuple(Expr):
    """Several values as one."""

    fields: tuple[Expr, ...]

    @property
    def type(self) -> Type:
        return tuple(f.type for f in self.fields)

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.fields


@dataclass(frozen=True, eq=False)
class Item(Expr):
    """Element `index` of a tuple."""

    value: Expr
    index: int

    @property
    def type(self) -> Type:
        return self.value.type[self.index]

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.value,)


@dataclass(frozen=True, eq=False)
class Let(Expr):
    """`body`, in which the extent `dim` is what the i64[] `value` is, 0 if that is less: the match_cast of TVM's Relax."""

    dim: Dim
    value: Expr
    body: Expr

    def __post_init__(self) -> None:
        if self.value.type != TensorType((), i64):
            raise ArgumentError(f"an extent is an i64[], not {self.value.type}", loc=here())

    @property
    def type(self) -> Type:
        return self.body.type

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.value, self.body


@dataclass(frozen=True, eq=False)
class Function(Expr):
    """`body` as a function of `params`. A primitive one is compiled to one kernel."""

    params: tuple[Var, ...]
    body: Expr
    primitive: bool = False

    @property
    def type(self) -> Type:
        return self.body.type

    @property
    def outputs(self) -> tuple[Expr, ...]:
        """The fields of a body that is a tuple, or the body alone."""
        return self.body.fields if isinstance(self.body, Tuple) else (self.body,)


class Control(Expr):
    """An expression with functions inside of it, which says what type its value is of."""

    result: Type

    @property
    def type(self) -> Type:
        return self.result


@dataclass(frozen=True, eq=False)
class If(Control):
    """`then(*args)` where `condition`, a bool[], holds, else `otherwise(*args)`: ONNX If.

    `result` is its type. An extent that differs between the branches is a Dim of its own there.
    """

    condition: Expr
    args: tuple[Expr, ...]
    then: Function
    otherwise: Function
    result: Type
    name: str = ""

    @property
    def bodies(self) -> tuple[Function, ...]:
        return self.then, self.otherwise

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.condition, *self.args)


@dataclass(frozen=True, eq=False)
class Loop(Control):
    """`body` again and again: ONNX Loop and Scan, and Python's `while` and `for`.

    `body` takes the number of the iteration, an i64[], the `carried` values and `args`, which all iterations read. It
    gives whether there is another one, a bool[], if there is a `condition`; then the carried values; then what is stacked,
    an entry an iteration. There are `trip` iterations at most, an i64[] (None: as many as the condition allows), and none
    where `condition` does not hold at first. The value is what is carried in the end, and what was stacked.

    `result` is its type. An extent that only running tells is a Dim of its own there.
    """

    trip: Expr | None
    condition: Expr | None
    carried: tuple[Expr, ...]
    args: tuple[Expr, ...]
    body: Function
    result: Type
    name: str = ""

    @property
    def children(self) -> tuple[Expr, ...]:
        first = tuple(e for e in (self.trip, self.condition) if e is not None)
        return (*first, *self.carried, *self.args)

    @property
    def bodies(self) -> tuple[Function, ...]:
        return (self.body,)

    @property
    def stacked(self) -> tuple[Expr, ...]:
        """What the body gives to be stacked."""
        return self.body.outputs[len(self.carried) + (self.condition is not None) :]


@dataclass(frozen=True, eq=False)
class Module:
    """A program: functions by name, of which `main` is what is called. `outputs` names the results of `main`, each otherwise,
    `tensors` values inside of it, as the file calls them that it was read from."""

    functions: Mapping[str, Function]
    outputs: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, Expr] = field(default_factory=dict)

    def __post_init__(self) -> None:
        twice = [name for k, name in enumerate(self.outputs) if name in self.outputs[:k]]
        if twice:
            raise ArgumentError(f"two outputs are named {twice[0]!r}", loc=here())

    @property
    def main(self) -> Function:
        """The function that a call of the program computes."""
        return self.functions["main"]

    @property
    def inputs(self) -> dict[str, TensorType]:
        """The arrays that a call takes, by name."""
        return {p.name: p.type for p in self.main.params}

    def with_main(self, main: Function, **functions: Function) -> Module:
        """The same with another `main`, and more functions by name."""
        return replace(self, functions={**self.functions, **functions, "main": main}, tensors={})

    @property
    def values(self) -> dict[str, Expr]:
        """The values of `main` by name, those that others use first: the number that the text gives it, the node that it
        comes from, what the file calls it that the program was read from."""
        own = [e for e in walk(self.main.body) if not isinstance(e, (Var, Constant))]
        found: dict[str, Expr] = {}
        alive = {id(e) for e in own if not isinstance(e.type, tuple)}
        tensors = {id(e): name for name, e in self.tensors.items() if id(e) in alive}
        for k, e in enumerate(own):
            if id(e) not in alive:
                continue
            found[f"%{k}"] = e
            if isinstance(e, Call) and e.name:
                found[e.name] = e
            if id(e) in tensors:
                found[tensors[id(e)]] = e
        return found | {name: e for name, e in self.tensors.items() if id(e) in alive}

    def value(self, name: str) -> Expr:
        """The value of that name in `values`. Raises ArgumentError where there is none."""
        found = self.values
        if name not in found:
            legal = tuple(n for n in found if not n.startswith("%")) or tuple(found)
            raise ArgumentError(f"the program has no value {name!r}", loc=here(), legal=legal[:MOST_NAMES])
        return found[name]

    def extract(self, inputs: Sequence[str], outputs: Sequence[str]) -> Module:
        """The part that computes `outputs` from `inputs`, names of values or of inputs of the program. Raises ArgumentError
        for a name that there is not, and where other inputs are needed as well.

        >>> from halo.graph import parse
        >>> m = parse("def main(%x: f32[2]) -> f32[2] { %0 = exp(%x); %1 = relu(%0); %2 = log(%1); %2 }")
        >>> print(m.extract(["%0"], ["%1"]))
        def main(%'%0': f32[2]) -> f32[2] {
          %0 = relu(%'%0');
          %0
        }
        """
        own = {p.name: p for p in self.main.params}
        sources = [own[name] if name in own else self.value(name) for name in names("inputs", inputs)]
        params = [s if isinstance(s, Var) else Var(name, s.type) for name, s in zip(inputs, sources, strict=True)]
        of: dict[int, Expr] = {id(s): p for s, p in zip(sources, params, strict=True)}
        whole = Tuple(tuple(self.value(name) for name in names("outputs", outputs)))
        body = rewrite(whole, lambda new, old: of.get(id(old), new))
        needed = [e.name for e in walk(body) if isinstance(e, Var) and not any(e is p for p in params)]
        if needed:
            raise ArgumentError(
                f"these outputs depend on {needed[0]}, too", loc=here(), hint=f"extract([{needed[0]!r}, ...])"
            )
        main = Function(tuple(params), body if len(outputs) != 1 else body.children[0])
        return replace(self.with_main(main), outputs=tuple(outputs))

    def replace(self, node: str, f: Callable[..., Expr]) -> Module:
        """The program with `f(*args, **attributes)` in place of the call that gives the value `node`. Raises ArgumentError for
        a name that there is not, and where the new value is of another type.

        >>> from halo import nn
        >>> from halo.graph import parse
        >>> m = parse("def main(%x: f32[2]) -> f32[2] { %0 = exp(%x); %1 = relu(%0); %1 }")
        >>> print(m.replace("%1", lambda x: nn.maximum(x, np.float32(0))))
        def main(%x: f32[2]) -> f32[2] {
          %0 = exp(%x);
          %1 = maximum(%0, @c);
          %1
        }
        """
        old = self.value(node)
        if not isinstance(old, Call) or isinstance(old.op, Global):
            raise ArgumentError(f"{node} is no call of an operator", loc=here())
        new = constant(f(*old.args, **old.attrs))
        if new.type != old.type:
            raise ArgumentError(f"{node} is of {old.type}, and what replaces it of {new.type}", loc=here())
        made: dict[int, Expr] = {}

        def change(e: Expr, was: Expr) -> Expr:
            made[id(was)] = new if was is old else e
            return made[id(was)]

        found = self.with_main(replace(self.main, body=rewrite(self.main.body, change)))
        return replace(found, tensors={name: made.get(id(e), e) for name, e in self.tensors.items()})

    def __call__(self, *args: Any, **inputs: Any) -> Expr:
        """What it computes, as part of the program that these graph expressions belong to: a model with stages before and
        behind it is one program. ArgumentError where they do not fit its inputs.

        >>> from halo import f32, graph, nn
        >>> @graph.function
        ... def model(x):
        ...     return nn.relu(x)
        >>> @graph.function
        ... def scaled(x):
        ...     return inner(2 * x)
        >>> inner = model.module(nn.TensorType(("n",), f32))
        >>> scaled(np.array([-1, 3], np.float32))
        array([0., 6.], dtype=float32)
        """
        from .symbolic import applied

        return applied(self, args, inputs)

    def compile(self, **options: Any) -> Any:
        """Machine code for this program: a `halo.graph.Net`. See `halo.graph.compile`."""
        from .compile import compile

        return compile(self, **options)

    def save(self, path: str | Path) -> None:
        """Write the program as text, and the constants that it names into a file beside it, `.safetensors` in place of the
        suffix of `path`. See `load`; a net is saved, with its machine code, by `Net.save`. Needs the package `safetensors`
        (the extra `[onnx]`); raises ArgumentError where it is not there."""
        from .storage import write

        write(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> Module:
        """The program that `save` wrote, or a person: nothing in these files is run. Raises ArgumentError for what is no
        program, and for a file of constants that is damaged or lacks what the text names.

        >>> import tempfile
        >>> from halo.graph import Module, parse
        >>> m = parse("def main(%x: f32[2]) -> f32[2] { %0 = add(%x, @w); %0 }", {"w": np.ones(2, np.float32)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     m.save(f"{folder}/model.halo")
        ...     print(Module.load(f"{folder}/model.halo"))
        def main(%x: f32[2]) -> f32[2] {
          %0 = add(%x, @w);
          %0
        }
        """
        from .storage import read

        return read(Path(path))

    def run_passes(self, observe: Callable[[str, Module], None] | None = None) -> Module:
        """The program after all the passes; `observe(name, module)` sees it after each one."""
        from .passes import run

        return run(self, observe)

    def summary(self, shapes: Mapping[str, Any] | None = None) -> Any:
        """A table of its operators, with their parameters and arithmetic: see `halo.graph.summary.summary`."""
        from .summary import summary

        return summary(self, shapes)

    def show_passes(self) -> str:
        """The program as text before the passes and after each one that changes it."""
        shown, before = [f"# as it is\n{self}"], [str(self)]

        def observe(name: str, after: Module) -> None:
            text = str(after)
            if text != before[0]:
                shown.append(f"# after {name}\n{text}")
            before[0] = text

        self.run_passes(observe)
        return "\n".join(shown)

    def __str__(self) -> str:
        from .text import module_text

        return module_text(self)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {t}" for name, t in self.inputs.items())
        return f"<halo.graph.Module main({inputs}), {sum(isinstance(e, Call) for e in every(self.main))} calls>"

    def _repr_html_(self) -> str:
        from halo.show.reprs import module

        from .text import constant_names, function_text

        names = constant_names(self)
        return module(repr(self), ((name, function_text(name, f, names)) for name, f in self.functions.items()))


def constant(value: Any) -> Expr:
    """`value` as an expression: an array becomes a Constant."""
    if isinstance(value, Expr):
        return value
    array = array_of(value, legal=("arrays", "graph expressions"))
    if array.dtype == np.float64 and isinstance(value, (float, list, tuple)) and not isinstance(value, np.generic):
        array = array.astype(np.float32)
    return Constant(array)


def walk(*roots: Expr) -> Iterator[Expr]:
    """Every expression under `roots` once, those that others use first. It does not recurse: graphs are deep."""
    done: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        e, ready = stack.pop()
        if id(e) in done:
            continue
        if ready:
            done.add(id(e))
            yield e
        else:
            stack.append((e, True))
            stack.extend((c, False) for c in reversed(e.children) if id(c) not in done)


def rewrite(root: Expr, change: Callable[[Expr, Expr], Expr]) -> Expr:
    """`root` with `change(new, old)` in place of every expression, those that others use first; `new` is `old` over what
    became of its children."""
    new: dict[int, Expr] = {}
    for e in walk(root):
        with from_node(e.name if isinstance(e, Call) else ""):
            new[id(e)] = change(with_children(e, tuple(new[id(c)] for c in e.children)), e)
    return new[id(root)]


def rewrite_once_read(f: Function, change: Callable[[Expr, set[int]], Expr]) -> Function:
    """`f` with `change(e, once)` in place of every expression, whose children are already changed; `once`: the ids of those
    new ones that nothing else reads."""
    readers = Counter(id(c) for e in walk(f.body) for c in e.children)
    once: set[int] = set()

    def step(e: Expr, old: Expr) -> Expr:
        e = change(e, once)
        if readers[id(old)] == 1:
            once.add(id(e))
        return e

    return replace(f, body=rewrite(f.body, step))


def with_children(e: Expr, children: tuple[Expr, ...]) -> Expr:
    """`e` over these; itself where they are those it has."""
    if all(a is b for a, b in zip(children, e.children, strict=True)):
        return e
    if isinstance(e, Call):
        given = iter(children)
        return replace(e, args=tuple(None if a is None else next(given) for a in e.args))
    if isinstance(e, Tuple):
        return Tuple(children)
    if isinstance(e, If):
        return replace(e, condition=children[0], args=children[1:])
    if isinstance(e, Loop):
        rest = iter(children)
        trip, condition = (None if c is None else next(rest) for c in (e.trip, e.condition))
        return replace(
            e, trip=trip, condition=condition, carried=tuple(next(rest) for _ in e.carried), args=tuple(rest)
        )
    if isinstance(e, Let):
        return Let(e.dim, *children)
    assert isinstance(e, Item)
    return Item(children[0], e.index)


def with_bodies(e: Expr, bodies: tuple[Function, ...]) -> Expr:
    """The If or Loop `e` over these; itself where they are those it has."""
    if all(a is b for a, b in zip(bodies, e.bodies, strict=True)):
        return e
    if isinstance(e, If):
        return replace(e, then=bodies[0], otherwise=bodies[1])
    assert isinstance(e, Loop)
    return replace(e, body=bodies[0])


def in_bodies(m: Module, change: Callable[[Function], Function]) -> Module:
    """`m` with `change(f)` in place of `main` and of every body in it, those inside first: what passes are made with."""

    def changed(f: Function) -> Function:
        if any(e.bodies for e in walk(f.body)):
            f = replace(f, body=rewrite(f.body, lambda e, old: with_bodies(e, tuple(map(changed, e.bodies)))))
        return change(f)

    return m.with_main(changed(m.main))


def every(f: Function) -> Iterator[Expr]:
    """Every expression of `f`, with those of the bodies in it, which come before what they are in."""
    for e in walk(f.body):
        for body in e.bodies:
            yield from every(body)
        yield e

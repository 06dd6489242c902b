"""What a directive is: a value that checks itself against a stage's loops and rewrites them.

A directive is one class: its fields are the arguments of the chained method, and each field says what *kind* of
argument it is. From the class follow the method with its signature and docstring, the conversion of arguments, the
Python text that recreates it, and JSON. `check` refuses, at the user's own line; `apply` is pure and the only code that
knows what the directive means.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import operator
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from inspect import Parameter, Signature
from typing import Any, ClassVar, NoReturn, TypeVar

from ..errors import HaloError, Location, ScheduleError
from ..ir.surface import Input
from ..types import Type, as_type
from .loops import Loops
from .scalar import Scalar, as_scalar

__all__ = [
    "Around",
    "Directive",
    "Stage",
    "Target",
    "arg",
    "directive",
    "label",
    "listed",
    "nearest",
    "quoted",
    "registry",
]


@dataclass(frozen=True)
class Target:
    """Another stage that a directive names: a Func (by object where the user schedules, by name in a Schedule), and one
    of its stages where that was given."""

    func: Any
    stage: int | None = None

    @property
    def name(self) -> str:
        return self.func if isinstance(self.func, str) else self.func.name

    def is_of(self, label: str) -> bool:
        """Whether this is (a stage of) the Func that has the stage `label`. Known once Funcs are named."""
        return self.func == label.split(".")[0] if isinstance(self.func, str) else False

    def __str__(self) -> str:
        return self.name if not self.stage else f"{self.name}.update({self.stage - 1})"


@dataclass(frozen=True)
class Kind:
    """A kind of argument: its annotation, how a user's value becomes the field's, and how that prints and is stored.

    `convert` raises ValueError with the reason for a value that cannot be meant. `keyword`: it prints by name.
    """

    annotation: str
    convert: Callable[[Any], Any]
    show: Callable[[Any], str] = repr
    dump: Callable[[Any], Any] = lambda v: v
    load: Callable[[Any], Any] = lambda v: v
    keyword: bool = False


def _name(value: Any) -> str:
    if hasattr(value, "site"):
        raise ValueError(f"{value.name} is a stage, not the name of a loop")
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"{value!r} is not the name of a loop")
    return name


def _text(value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text:
        raise ValueError(f"{value!r} is not a text")
    return text


def _many(convert: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda values: tuple(convert(v) for v in (values if isinstance(values, (list, tuple)) else (values,)))


def _constant(value: Any) -> int:
    try:
        return operator.index(value)
    except (TypeError, HaloError):
        raise ValueError(f"{value!r} is not a constant integer") from None


def _count(value: Any) -> int:
    n = _constant(value)
    if n <= 0:
        raise ValueError(f"{n} is not positive")
    return n


def _integer(value: Any) -> int | Scalar:
    if isinstance(value, Scalar):
        return value
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not an integer")
    try:
        return operator.index(value)
    except (TypeError, HaloError):
        pass
    try:
        scalar = as_scalar(value)
    except HaloError as e:
        raise ValueError(str(e)) from None
    if scalar.op == "const" and not isinstance(scalar.args[0], int):
        raise ValueError(f"{value!r} is not an integer")
    return scalar


def _factor(value: Any) -> int | Scalar:
    n = _integer(value)
    return _count(n) if isinstance(n, int) else n


def _condition(value: Any) -> Scalar:
    try:
        return value if isinstance(value, Scalar) else as_scalar(value)
    except HaloError as e:
        raise ValueError(str(e)) from None


def _target(value: Any) -> Target:
    if isinstance(value, (Target, str)):
        return value if isinstance(value, Target) else Target(value)
    site = getattr(value, "site", None)
    if site is None:
        raise ValueError(f"{value!r} is neither a Func nor a stage of one")
    func, stage = site
    return Target(func, None if value is func else stage)


def _source(value: Any) -> Target:
    return Target(value) if isinstance(value, Input) else _target(value)


def _boxes(value: Any) -> tuple[tuple[Any, ...], ...]:
    pairs = tuple(value) if isinstance(value, (tuple, list)) else ()
    if not all(isinstance(p, (tuple, list)) and len(p) == 2 for p in pairs) or not pairs:
        raise ValueError(f"{value!r} is not a list of pairs (lo, n)")
    return tuple(tuple(_integer(v) for v in p) for p in pairs)


def _type(value: Any) -> Type:
    try:
        return as_type(value)
    except HaloError as e:
        raise ValueError(e.message) from None


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    pairs = tuple(value.items()) if isinstance(value, dict) else value
    if (
        not isinstance(pairs, (tuple, list))
        or not pairs
        or not all(isinstance(p, (tuple, list)) and len(p) == 2 for p in pairs)
    ):
        raise ValueError(f"{value!r} does not map loops to new variables")
    return tuple((_name(a), _name(b)) for a, b in pairs)


def _alignments(value: Any) -> str | tuple[tuple[str, str], ...]:
    one = choice(*ALIGNMENTS).convert
    pairs = tuple(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, (tuple, list)) or not all(isinstance(p, (tuple, list)) and len(p) == 2 for p in pairs):
        return str(one(value))
    return tuple((_name(v), str(one(how))) for v, how in pairs) or "none"


def choice(*options: str, keyword: bool = False) -> Kind:
    """One of a few words."""

    def convert(value: Any) -> str:
        if not isinstance(value, str) or value not in options:
            near = difflib.get_close_matches(str(value), options, 1)
            raise Choice(f"{_word(value)} is none of the choices", options, _word(near[0]) if near else "")
        return str(value)

    return Kind("str", convert, _word, keyword=keyword)


def _word(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Choice(ValueError):
    """A word that is not one of a few; carries them."""

    def __init__(self, message: str, options: tuple[str, ...], near: str) -> None:
        super().__init__(message)
        self.options, self.near = options, near


def _optional(kind: Kind) -> Kind:
    def through(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda v: None if v is None else f(v)

    return Kind(f"{kind.annotation} | None", through(kind.convert), lambda v: "None" if v is None else kind.show(v),
                through(kind.dump), through(kind.load))  # fmt: skip


def _dump_number(v: int | Scalar) -> Any:
    return v if isinstance(v, int) else v.dump()


def _load_number(v: Any) -> int | Scalar:
    return Scalar.load(v) if isinstance(v, list) else v


def many(kind: Kind) -> Kind:
    """A tuple of `kind`, printed as a list."""
    return Kind(f"Sequence[{kind.annotation}]", _many(kind.convert), lambda vs: f"[{', '.join(map(kind.show, vs))}]",
                lambda vs: [kind.dump(v) for v in vs], lambda vs: tuple(kind.load(v) for v in vs))  # fmt: skip


TAILS = ("auto", "guard", "round_up", "shift_inwards", "predicate", "predicate_loads", "predicate_stores",
         "shift_inwards_and_blend", "round_up_and_blend")  # fmt: skip
ALIGNMENTS = ("none", "start", "end")
MEMORY = ("auto", "heap", "stack", "register")

TEXT = Kind("str", _text)
INT = Kind("int", _constant)
TYPE = Kind("Any", _type, repr, lambda t: t.name, as_type)
LOOP = Kind("str | Expr", _name, lambda v: f'"{v}"')
COUNT = Kind("int", _count)
FACTOR = Kind("int | Expr", _factor, str, _dump_number, _load_number)
INTEGER = Kind("int | Expr", _integer, str, _dump_number, _load_number)
CONDITION = Kind("Expr", _condition, str, Scalar.dump, Scalar.load)
TAIL = choice(*TAILS, keyword=True)
TARGET = Kind("Schedulable", _target, str, lambda t: [t.name, t.stage], lambda t: Target(t[0], t[1]))
PAIRS = Kind("Mapping[str | Expr, str | Expr]", _pairs, lambda v: "{" + ", ".join(f'"{a}": "{b}"' for a, b in v) + "}",
             lambda v: [list(p) for p in v])  # fmt: skip
BOXES = Kind("Sequence[tuple[int | Expr, int | Expr]]", _boxes,
             lambda bs: "[" + ", ".join(f"({lo}, {n})" for lo, n in bs) + "]",
             lambda bs: [[_dump_number(v) for v in b] for b in bs],
             lambda bs: tuple(tuple(_load_number(v) for v in b) for b in bs))  # fmt: skip
ALIGN = Kind("str | Mapping[str | Expr, str]", _alignments,
             lambda v: PAIRS.show(v) if isinstance(v, tuple) else _word(v),
             lambda v: PAIRS.dump(v) if isinstance(v, tuple) else v, keyword=True)  # fmt: skip
SOURCE = replace(TARGET, annotation="Schedulable | Input", convert=_source)
LOOPS, FACTORS, TARGETS = many(LOOP), many(FACTOR), many(TARGET)
TARGETS = replace(TARGETS, show=lambda ts: str(ts[0]) if len(ts) == 1 else f"[{', '.join(map(str, ts))}]")
MAYBE_COUNT, MAYBE_INTEGER, MAYBE_TARGETS = _optional(COUNT), _optional(INTEGER), _optional(TARGETS)
MAYBE_LOOP, MAYBE_SOURCES = _optional(LOOP), _optional(replace(many(SOURCE), show=TARGETS.show))


def arg(kind: Kind, *, star: bool = False, default: Any = dataclasses.MISSING) -> Any:
    """A field of a directive: an argument of `kind`. `star`: it takes all positional arguments."""
    return field(default=default, metadata={"kind": kind, "star": star})


D = TypeVar("D", bound="type[Directive]")
registry: dict[str, type[Directive]] = {}


def directive(name: str, *, on: str = "stage") -> Callable[[D], D]:
    """Make a class a directive: a frozen dataclass, and the method `name` of Funcs (`on="func"`) or of all stages."""

    def decorate(cls: D) -> D:
        made = dataclass(frozen=True)(cls)
        made.name, made.on = name, on
        registry[name] = made
        return made  # type: ignore[return-value]  # the class itself, as a dataclass

    return decorate


@dataclass(frozen=True)
class Stage:
    """What a directive is checked against: the stage's name for messages, its loops so far, its Func's variables."""

    label: str
    loops: Loops
    vars: tuple[str, ...] = ()


@dataclass(frozen=True)
class Around:
    """What suggestions may know of a stage beside its loops: the stages that read it, with their loops; none reads an
    output. `lanes`: of the machine's vectors, of values of the stage's type."""

    readers: tuple[tuple[Target, Loops], ...] = ()
    lanes: int = 16


@dataclass(frozen=True)
class Directive:
    """The base of all directives. `loc` is where the user gave it."""

    name: ClassVar[str] = ""
    on: ClassVar[str] = "stage"
    returns: ClassVar[str] = "self"
    once: ClassVar[bool] = False  # given again it is the same one, not another
    loc: Location | None = field(default=None, compare=False, repr=False, kw_only=True)

    def check(self, stage: Stage) -> None:
        """Raise ScheduleError if this does not fit `stage` as it is."""

    def apply(self, loops: Loops) -> Loops:
        """The loops after this directive."""
        return loops

    @classmethod
    def of(cls, *values: Any) -> Any:
        """This directive from the values of its fields, in their order."""
        return cls(**dict(zip((f.name for f in cls.arguments()), values, strict=False)))

    @classmethod
    def suggest(cls, stage: Stage, around: Around) -> Iterator[Directive]:
        """Directives of this kind that may be worth trying on `stage` next. Which of them are legal, `check` says."""
        return iter(())

    def run(self, stage: Stage) -> Stage:
        """`stage` after this directive, checked."""
        self.check(stage)
        return replace(stage, loops=self.apply(stage.loops))

    # Arguments -------------------------------------------------------------------------------------------------------

    @classmethod
    @functools.cache
    def arguments(cls) -> tuple[dataclasses.Field[Any], ...]:
        return tuple(f for f in dataclasses.fields(cls) if "kind" in f.metadata)

    @classmethod
    def make(cls, values: dict[str, Any], receiver: str, loc: Location | None) -> Any:
        """This directive from the arguments of a call on `receiver`; ScheduleError for a value that cannot be meant."""
        converted = {}
        for f in cls.arguments():
            value = values.get(f.name, f.default)
            if value is dataclasses.MISSING:  # of any number, none
                raise ScheduleError(f"{receiver}.{cls.name}: no {f.name} are named", loc=loc,
                                    hint=f"{receiver}.{cls.name}(*{f.name})")  # fmt: skip
            try:
                converted[f.name] = f.metadata["kind"].convert(value)
            except Choice as e:
                raise ScheduleError(f"{receiver}.{cls.name}: {f.name} {e}", loc=loc, legal=quoted(e.options),
                                    hint=f"{f.name}={e.near}" if e.near else "") from None  # fmt: skip
            except ValueError as e:
                raise ScheduleError(f"{receiver}.{cls.name}: {f.name}: {e}", loc=loc) from None
        return cls(**converted, loc=loc)

    def targets(self) -> Iterator[Target]:
        """The stages that this names."""
        for f in self.arguments():
            value = getattr(self, f.name)
            for v in value if isinstance(value, tuple) else (value,):
                if isinstance(v, Target):
                    yield v

    def redirected(self, resolve: Callable[[Target], Target]) -> Any:
        """This with every Target replaced by what `resolve` makes of it."""

        def through(v: Any) -> Any:
            if isinstance(v, tuple):
                return tuple(through(x) for x in v)
            return resolve(v) if isinstance(v, Target) else v

        return replace(self, **{f.name: through(getattr(self, f.name)) for f in self.arguments()})

    # Text ------------------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        """The call that gives this directive, without its receiver."""
        parts, skipped = [], False
        for f in self.arguments():
            value, kind = getattr(self, f.name), f.metadata["kind"]
            if f.default is not dataclasses.MISSING and value == f.default and type(value) is type(f.default):
                skipped = True
            elif f.metadata["star"]:
                parts += [_element(kind, v) for v in value]
            else:
                parts.append(f"{f.name}={kind.show(value)}" if skipped or kind.keyword else kind.show(value))
        return f"{self.name}({', '.join(parts)})"

    def dump(self) -> dict[str, Any]:
        """This as JSON data."""
        return {"do": self.name} | {f.name: f.metadata["kind"].dump(getattr(self, f.name)) for f in self.arguments()}

    @staticmethod
    def load(data: dict[str, Any], loc: Location | None = None) -> Directive:
        """The directive that `dump` stored. ScheduleError if it is none."""
        cls = registry.get(data.get("do", ""))
        if cls is None:
            raise ScheduleError(
                f"{data.get('do')!r} is not a directive",
                loc=loc,
                legal=tuple(n for n in sorted(registry) if n != "within"),
            )
        try:
            return cls.restore(data, loc)  # type: ignore[no-any-return]  # of the class in the registry
        except (KeyError, TypeError, IndexError):
            raise ScheduleError(f"this is not a stored {cls.name}: {data!r}", loc=loc) from None

    @classmethod
    def restore(cls, data: dict[str, Any], loc: Location | None) -> Any:
        """The directive of this class that `dump` stored."""
        return cls.make({f.name: f.metadata["kind"].load(data[f.name]) for f in cls.arguments()}, "schedule", loc)

    @classmethod
    @functools.cache
    def signature(cls) -> Signature:
        """The signature of the method, without `self`."""
        parameters = []
        for f in cls.arguments():
            kind = Parameter.VAR_POSITIONAL if f.metadata["star"] else Parameter.POSITIONAL_OR_KEYWORD
            default = Parameter.empty if f.default is dataclasses.MISSING else f.default
            parameters.append(Parameter(f.name, kind, default=default, annotation=f.metadata["kind"].annotation))
        made = {"made": "Func", "branch": "Stage", "self": "Self"}[cls.returns]
        return Signature(parameters, return_annotation=made)

    @classmethod
    def bind(cls, receiver: str, loc: Location | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call of the method by name."""
        signature = cls.signature()
        try:
            return signature.bind(*args, **kwargs).arguments
        except TypeError as e:
            taken = ", ".join(str(p.replace(annotation=Parameter.empty)) for p in signature.parameters.values())
            raise ScheduleError(
                f"{receiver}.{cls.name}: {e}", loc=loc, hint=f"{receiver}.{cls.name}({taken})"
            ) from None

    # Refusing --------------------------------------------------------------------------------------------------------

    def refuse(self, stage: Stage | str, reason: str, *, legal: Iterable[str] = (), hint: str = "",
               related: tuple[tuple[Location, str], ...] = ()) -> NoReturn:  # fmt: skip
        """Raise the ScheduleError of this directive on `stage`."""
        label = stage if isinstance(stage, str) else stage.label
        raise ScheduleError(f"{label}.{self}: {reason}", loc=self.loc, legal=tuple(legal), hint=hint, related=related)

    @contextmanager
    def blamed(self, label: str) -> Iterator[None]:
        """Errors inside that know no place are about this directive."""
        try:
            yield
        except ScheduleError as e:
            if e.loc is not None:
                raise
            self.refuse(label, e.message, legal=e.legal, hint=e.hint)

    def need_loop(self, stage: Stage, name: str) -> None:
        """Refuse unless `name` is a loop of `stage` now."""
        loops = stage.loops
        if name in loops:
            return
        below = loops.descendants(name)
        if below:
            self.refuse(stage, f'the loop "{name}" is no more: it became {listed(quoted(below))}', legal=quoted(below),
                        hint=self.instead(stage, name, below[0]))  # fmt: skip
        near = nearest(name, loops.names)
        self.refuse(stage, f'there is no loop "{name}"', legal=quoted(loops.names),
                    hint=self.instead(stage, name, near) if near else "")  # fmt: skip

    def need_new(self, stage: Stage, name: str, consumed: tuple[str, ...]) -> None:
        """Refuse unless a loop may be called `name` when those `consumed` are gone."""
        if name in consumed:
            return
        loops = stage.loops
        if not set(loops.descendants(name)) <= set(consumed):
            state = "is a loop" if name in loops else "was a loop"
            hint = self.instead(stage, name, _fresh(name, loops))
            self.refuse(stage, f'"{name}" {state} of this stage already', hint=hint)

    def instead(self, stage: Stage, old: str, new: str) -> str:
        """The call with the loop name `old` replaced by `new`."""
        return f"{stage.label}.{self}".replace(f'"{old}"', f'"{new}"')


def _element(kind: Kind, value: Any) -> str:
    shown = kind.show((value,))
    return shown[1:-1] if shown.startswith("[") else shown


def quoted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f'"{n}"' for n in names)


def listed(words: tuple[str, ...]) -> str:
    """The words as English lists them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def label(name: str, k: int) -> str:
    """What a user calls stage `k` of Func `name`."""
    return name if k == 0 else f"{name}.update({k - 1})"


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of `names` most like `name`, or ''."""
    names = tuple(names)
    close = difflib.get_close_matches(name, names, 1, 0.4)
    if not close:
        close = [n for n in names if name.startswith(n) or n.startswith(name)][:1]
    return close[0] if close else ""


def _fresh(name: str, loops: Loops) -> str:
    used = set(loops.names) | set(loops.original) | {n for op in loops.ops for n in (*op.consumed, *op.made)}
    k = 2
    while f"{name}{k}" in used:
        k += 1
    return f"{name}{k}"

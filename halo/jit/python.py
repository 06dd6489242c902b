"""The reference backends: a lowered nest as a Python function, run by Python itself or by Numba.

The source is what `inspect_source()` shows and what `target="python"` and `target="numba"` execute; machine code is
tested against it bit for bit. Loops that the schedule vectorises, unrolls or spreads over threads are plain loops.
"""

from __future__ import annotations

import ast
import itertools
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import CompileError
from ..ir import linked
from ..ir.algebra import add, mod, not_, sub, substitute
from ..ir.expr import Array, Const, Expr, Lin, Load, Op, Read, Var, children, is_true
from ..ir.facts import const_bounds, free_vars
from ..ir.node import deep_recursion, interning
from ..ir.pipeline import Lowered, Port
from ..ir.sorting import numbers
from ..ir.stmt import (
    Block,
    Check,
    Evaluate,
    Extern,
    For,
    Fork,
    Hoist,
    If,
    Keep,
    Let,
    Memoize,
    Prefetch,
    Produce,
    Provide,
    Realize,
    Stmt,
    Stream,
    substmts,
)
from ..types import ML_DTYPES, Type, bf16, f16, index
from .python_code import Code, Comment, call, item, literal, name, np_, ref_
from .python_dialects import NumbaCode, NumPyCode
from .python_expr import Expressions
from .python_share import shared

__all__ = ["Nest", "Stopped", "call_kernel", "compile_function", "function_source", "inside", "run", "to_source"]

BACKENDS = {"python": NumPyCode, "numba": NumbaCode}
_AUGMENTED = {"add": ast.Add, "sub": ast.Sub, "mul": ast.Mult}


class Stopped(Exception):
    """A requirement does not hold where it is evaluated: (status, values...)."""


def to_source(lowered: Lowered, backend: str = "python", origin: bool = False) -> str:
    """The nest as the source of a function `kernel(arrays..., params...)`.

    `backend` is python or numba. With `origin`, the function also takes the coordinate of each output's first
    element (after the arrays); without, it is zero. If the nest has checks the function takes an int64 array `error`
    last, and returns the status: 0, or the code of the failed check, whose values are then in `error`. The functions of
    extern stages are free names of the source.
    """
    with interning(), deep_recursion():
        return Nest(lowered, backend, origin).text()


def run(
    lowered: Lowered,
    backend: str,
    arrays: Sequence[np.ndarray[Any, Any]],
    params: Sequence[Any] = (),
    mins: Sequence[Sequence[int]] | None = None,
) -> tuple[int, list[int]]:
    """Execute the nest: `arrays` in the order of `lowered.ports`, `params` of `lowered.params`, `mins` one an output.

    Returns the status and, where a check failed, its values.
    """
    return call_kernel(_kernel(lowered, backend, any(map(any, mins or ()))), lowered, backend, arrays, params, mins)


def call_kernel(
    kernel: Any,
    lowered: Lowered,
    backend: str,
    arrays: Sequence[np.ndarray[Any, Any]],
    params: Sequence[Any],
    mins: Sequence[Sequence[int]] | None,
) -> tuple[int, list[int]]:
    """`run`, with the function that the source defines."""
    outputs = [p for p in lowered.ports if p.kind == "output"]
    flat = [int(m) for own in mins or () for m in own]
    origin = any(flat)
    if len(arrays) != len(lowered.ports) or (origin and len(flat) != sum(p.ndim for p in outputs)):
        raise CompileError("a kernel is run with one array a port, and one origin an axis of its outputs")
    args: list[Any] = [_array(a, p.type, backend) for a, p in zip(arrays, lowered.ports, strict=True)]
    args += flat if origin else []
    args += [_scalar(v, p.var.type, backend) for v, p in zip(params, lowered.params, strict=True)]
    checks = [s for s in _walk(lowered.nest) if isinstance(s, Check)]
    error = np.zeros(max((len(c.args) for c in checks), default=0) or 1, np.int64)
    try:
        status = kernel(*args, error) if checks else kernel(*args)
    except Stopped as stopped:
        status, *values = stopped.args
        return int(status), [_reported(v) for v in values]
    return (int(status), error.tolist()) if status else (0, [])


_kernels: weakref.WeakKeyDictionary[Lowered, dict[tuple[str, bool], Any]] = weakref.WeakKeyDictionary()


def _kernel(lowered: Lowered, backend: str, origin: bool) -> Any:
    """The function, made once."""
    made = _kernels.setdefault(lowered, {})
    if (backend, origin) not in made:
        with interning(), deep_recursion():
            made[backend, origin] = Nest(lowered, backend, origin).function()
    return made[backend, origin]


def function_source(title: str, parameters: Sequence[Var], value: Expr, backend: str) -> str:
    """The source of a scalar function of `parameters` that returns `value`."""
    with interning(), deep_recursion():
        code = BACKENDS[backend]()
        arguments = [code.names.take(v.name, v.type) for v in parameters]
        code.bound |= {v: Code(name(own)) for v, own in zip(parameters, arguments, strict=True)}
        function = ast.FunctionDef(title, _arguments(arguments), _returning(code, value), [], None)
        return _module(code, function)


def _returning(code: Expressions, value: Expr) -> list[ast.stmt]:
    """Statements that return `value`; what is rare is computed in a branch."""
    if isinstance(value, Op) and value.name == "rare":
        cond, then, other = value.args
        body = _assigned(code, cond)
        known = dict(code.bound)
        body.append(ast.If(code.value(cond), _returning(code, then), []))
        code.bound = known
        return [*body, *_returning(code, other)]
    return [*_assigned(code, value), ast.Return(code.typed(value))]


def _assigned(code: Expressions, value: Expr) -> list[ast.stmt]:
    statements: list[ast.stmt] = []
    for e in shared((value,), code.bound):
        tree = code.typed(e)
        own = name(code.names.take("t", e.type))
        statements.append(ast.Assign([own], tree))
        code.bound[e] = Code(own)
    return statements


def _module(code: Expressions, function: ast.FunctionDef) -> str:
    """The function with its imports and tables."""
    tables = "".join(_text(ast.Assign([name(own)], table)) for own, table in code.tables.values())
    source = f"{tables}\n\n{_text(function)}"
    imports = ["import numpy as np\n"]
    imports += [f"from ml_dtypes import {n}\n" for n in ML_DTYPES.values() if re.search(rf"\b{n}\b", source)]
    imports += ["from numba import objmode\n"] if "objmode" in source else []
    return f"{''.join(imports)}from halo import ref\n{source}"


def compile_function(title: str, source: str, free: Mapping[str, Any] | None = None) -> Any:
    """The function `title` that `source` defines, with the values of its `free` names."""
    scope: dict[str, Any] = {"__name__": None, **(free or {})}  # of no module: Numba looks nowhere else for free names
    exec(compile(source, f"<halo {title}>", "exec"), scope)
    return scope[title]


def _reported(value: Any) -> int:
    """As machine code leaves it in the error memory: an integer, or the bits of a double."""
    number = np.asarray(value)
    return int(number) if number.dtype.kind in "iub" else int(number.astype(np.float64).view(np.int64))


def _array(a: np.ndarray[Any, Any], type: Type, backend: str) -> np.ndarray[Any, Any]:
    if type.is_stored:
        return a.view(np.uint8)
    return a.view(np.uint16) if backend == "numba" and type in (f16, bf16) else a


def _scalar(value: Any, type: Type, backend: str) -> Any:
    value = type.dtype.type(value)
    return np.float32(value) if backend == "numba" and type in (f16, bf16) else value


def inside(s: Stmt) -> tuple[Stmt, ...]:
    """The statements directly inside of `s` that Python runs: of what is forked, the nest of one thread."""
    return (s.alone,) if isinstance(s, Fork) else substmts(s)


def _walk(s: Stmt) -> Iterator[Stmt]:
    yield s
    for t in inside(s):
        yield from _walk(t)


class Nest:
    """One nest being printed. Each `_stmt` method returns the Python statements of one node."""

    def __init__(self, lowered: Lowered, backend: str, origin: bool, code: Expressions | None = None) -> None:
        if backend not in BACKENDS:
            raise CompileError(f"there is no backend {backend!r}", legal=tuple(BACKENDS))
        self.lowered, self.backend, self.origin = lowered, backend, origin
        self.code = code or BACKENDS[backend]()
        self.code.locate = self.locate
        self.names = self.code.names
        self.arrays: dict[tuple[Array, int], str] = {}
        self.boxes: dict[Array, tuple[tuple[Expr, ...], dict[int, int]]] = {}
        self.known: dict[Any, Expr] = {}  # variables that are another variable or a constant
        self.live = _live(lowered.nest)
        self.memo: dict[Expr, Expr] = {}
        self.functions: dict[Any, str] = {}  # of extern stages: free names of the source

    def function(self) -> Any:
        """What the source defines."""
        source = self.text()
        return compile_function("kernel", source, self.free_names())

    def free_names(self) -> dict[str, Any]:
        """The values of the source's free names. Once it is written."""
        return linked.functions() | {n: f for f, n in self.functions.items()}

    def text(self) -> str:
        parameters = self._signature()
        checked = any(isinstance(s, Check) for s in _walk(self.lowered.nest))
        body = self.stmt(self.lowered.nest) or [ast.Pass()]
        if checked:
            parameters.append("error")
            body.append(ast.Return(literal(0)))
        function = ast.FunctionDef("kernel", _arguments(parameters), body, [self._decorator()], None)
        return _module(self.code, function)

    def _decorator(self) -> ast.expr:
        if self.backend == "numba":
            return ref_("njit")
        quiet = call(np_("errstate"))
        quiet.keywords = [ast.keyword("all", literal("ignore"))]
        return quiet

    def _signature(self) -> list[str]:
        """Names for the ports' arrays, origins and the parameters, in the order of the call."""
        found = []
        for p in self.lowered.ports:
            own = self.names.take(p.name, p.buffer)
            self.arrays[p.array, p.item] = own
            found.append(own)
            self._shape(p, own)
            self._address(p, own)
        for p in self.lowered.ports:
            for d, m in enumerate(p.mins):
                if self.origin:
                    found.append(self._define(m, f"{p.name}_min{d}"))
                else:
                    self.known[m] = Const(0, index)
            if p.mins and self.origin:
                self.boxes[p.array] = (p.mins, {})
        found += [self._define(p.var, p.name) for p in self.lowered.params]
        return found

    def _shape(self, p: Port, own: str) -> None:
        for d in range(p.ndim):
            self.code.bound[p.extents[d]] = Code(item(np_("shape", own), [literal(d)]))
            stride = ast.BinOp(item(np_("strides", own), [literal(d)]), ast.FloorDiv(), np_("itemsize", own))
            self.code.bound[p.strides[d]] = Code(stride)

    def _address(self, p: Port, own: str) -> None:
        if p.address is not None:
            self.code.bound[p.address] = Code(ast.Attribute(np_("ctypes", own), "data", ast.Load()))

    def _define(self, v: Expr, display: str) -> str:
        own = self.names.take(display, v.type)
        self.code.bound[v] = Code(name(own))
        return own

    def _forget(self, v: Expr) -> None:
        self.names.release(self.code.bound.pop(v).tree.id)  # type: ignore[attr-defined]  # what was bound to a name is one

    def locate(self, array: Array, k: int, indices: tuple[Expr, ...]) -> tuple[ast.expr, tuple[Expr, ...]]:
        """The Python variable that holds element `k` of `array`, and the indices relative to its first element."""
        if array.table is not None and (array, k) not in self.arrays:
            return self.code.table(array, array.name, array.table, array.types[k]), indices
        mins, fold = self.boxes.get(array, ((), {}))
        if mins:
            indices = tuple(_placed(i, lo, fold.get(d)) for d, (i, lo) in enumerate(zip(indices, mins, strict=True)))
        return name(self.arrays[array, k]), indices

    # Statements

    def stmt(self, s: Stmt) -> list[ast.stmt]:
        method = getattr(self, f"_{type(s).__name__.lower()}", None)
        if method is None:
            raise CompileError(f"no Python for the statement {type(s).__name__}")
        return method(s)  # type: ignore[no-any-return]  # found by name

    def suite(self, s: Stmt) -> list[ast.stmt]:
        return self.stmt(s) or [ast.Pass()]

    def _block(self, s: Block) -> list[ast.stmt]:
        return list(itertools.chain.from_iterable(self.stmt(each) for each in s.stmts))

    def _hoist(self, s: Hoist) -> list[ast.stmt]:
        return self.stmt(s.body)  # where memory comes from does not show in Python

    def _fork(self, s: Fork) -> list[ast.stmt]:
        return self.stmt(s.alone)  # nor do threads

    def _memoize(self, s: Memoize) -> list[ast.stmt]:
        own = self._define(s.missed, s.missed.name)  # nothing is kept: it is computed each time
        body = self.stmt(s.body)
        self._forget(s.missed)
        return [ast.Assign([name(own)], literal(True)), *body]

    def _keep(self, s: Keep) -> list[ast.stmt]:
        return []

    def _stream(self, s: Stream) -> list[ast.stmt]:
        return self.stmt(s.body)  # Python knows no caches

    def _prefetch(self, s: Prefetch) -> list[ast.stmt]:
        return [Comment(f"prefetch {s.what.name}")]

    def _produce(self, s: Produce) -> list[ast.stmt]:
        return [Comment(s.what.name), *self.stmt(s.body)]

    def _for(self, s: For) -> list[ast.stmt]:
        with self.shared(s.lo, add(s.lo, s.extent)) as (before, (lo, end)):
            bounds = [self.code.value(e) for e in ((end,) if isinstance(lo, Const) and lo.value == 0 else (lo, end))]
        target = name(self._define(s.var, s.var.name))
        loop: Any = ast.For(target, call("range", *bounds), self.suite(s.body), [])
        loop.note = "" if s.kind == "serial" else s.kind
        self._forget(s.var)
        return [*before, loop]

    def _let(self, s: Let) -> list[ast.stmt]:
        if s.var not in self.live:
            return self.stmt(s.body)
        with self.shared(s.value) as (before, (value,)):
            if isinstance(value, (Const, Var)) and value.type is index:
                return self._inlined(s.var, value, s.body)
            tree = self.code.typed(value)
        own = self._define(s.var, s.var.name)
        names_value = value not in self.code.bound and not isinstance(value, Const) and _is_pure(value)
        if names_value:  # the same value further in is this variable
            self.code.bound[value] = Code(name(own))
        body = self.stmt(s.body)
        if names_value:
            del self.code.bound[value]
        self._forget(s.var)
        return [*before, ast.Assign([name(own)], tree), *body]

    def _inlined(self, v: Var, value: Expr, body: Stmt) -> list[ast.stmt]:
        """`body` with `value` for `v`, which may be another value elsewhere."""
        self.known[v] = value
        self.memo.clear()
        statements = self.stmt(body)
        del self.known[v]
        self.memo.clear()
        return statements

    def _if(self, s: If) -> list[ast.stmt]:
        with self.shared(s.cond) as (before, (cond,)):
            test = self.code.value(cond)
        orelse = [] if s.orelse is None else self.stmt(s.orelse)
        return [*before, ast.If(test, self.suite(s.then), orelse)]

    def _realize(self, s: Realize) -> list[ast.stmt]:
        fold = dict(s.fold)
        with self.shared(*(e for box in s.bounds for e in box)) as (before, flat):
            axes = zip(flat[::2], flat[1::2], strict=True)
            trees = [(lo, self.code.value(lo), self._size(extent)) for lo, extent in axes]
        mins: list[Expr] = []
        helpers: list[Expr] = []
        for d, (lo, tree, _) in enumerate(trees):
            if d not in fold and not _is_plain(lo):
                lo = Var(f"{s.what.name}_min{d}", index)
                before.append(ast.Assign([name(self._define(lo, lo.name))], tree))
                helpers.append(lo)
            mins.append(lo)
        sizes = [literal(fold[d]) if d in fold else size for d, (_, _, size) in enumerate(trees)]
        self.boxes[s.what] = (tuple(mins), fold)
        for k, t in enumerate(s.what.types):
            own = self.names.take(s.what.name if len(s.what.types) == 1 else f"{s.what.name}_{k}", s.what)
            self.arrays[s.what, k] = own
            shape = sizes[0] if len(sizes) == 1 else ast.Tuple(sizes, ast.Load())
            before.append(ast.Assign([name(own)], call(np_("empty"), shape, self.code.element(t))))
        body = self.stmt(s.body)
        for k in range(len(s.what.types)):
            self.names.release(self.arrays.pop((s.what, k)))
        del self.boxes[s.what]
        for v in helpers:
            self._forget(v)
        return [*before, *body]

    def _size(self, extent: Expr) -> ast.expr:
        lo, _ = const_bounds(extent)
        tree = self.code.value(extent)
        certain = (lo is not None and lo >= 0) or any(extent in p.extents for p in self.lowered.ports)
        return tree if certain else call("max", tree, literal(0))

    def _provide(self, s: Provide) -> list[ast.stmt]:
        if s.pred is not None and not is_true(s.pred):
            return self._if(If(s.pred, s.replace(pred=None)))
        given = [k for k, v in enumerate(s.values) if v is not None]
        with self.shared(*s.indices, *(v for v in s.values if v is not None)) as (before, found):
            indices, values = found[: len(s.indices)], found[len(s.indices) :]
            targets: list[ast.expr] = [self._element(s.what, k, indices) for k in given]
            if len(given) == 1 and (step := self._augmented(s.what, given[0], indices, values[0])) is not None:
                return [*before, ast.AugAssign(self._element(s.what, given[0], indices), *step)]
            trees = [self.code.stored(v) for v in values]
        if len(trees) == 1:
            return [*before, ast.Assign(targets, trees[0])]
        return [*before, ast.Assign([ast.Tuple(targets, ast.Store())], ast.Tuple(trees, ast.Load()))]

    def _element(self, array: Array, k: int, indices: tuple[Expr, ...]) -> ast.Subscript:
        tree, placed = self.locate(array, k, indices)
        return item(tree, [self.code.subscript(i) for i in placed])

    def _augmented(self, what: Array, k: int, indices: tuple[Expr, ...], value: Expr) -> Any:
        """(operator, operand) when `value` is the element itself combined with something else."""
        if not isinstance(value, Op) or value.name not in _AUGMENTED or value in self.code.bound:
            return None
        first, second = value.args
        if self.backend == "numba" and value.type.name in ("f16", "bf16", "i64"):  # not one operator there
            return None
        same = isinstance(first, Read) and first.array is what and first.item == k and first.indices == indices
        if not same or first.pred is not None:  # type: ignore[attr-defined]  # `same` says that it is a Read
            return None
        c = self.code.code(second)
        return _AUGMENTED[value.name](), self.code.meet((Code(name("_")), c), value.type)[1].tree

    def _check(self, s: Check) -> list[ast.stmt]:
        with self.shared(s.cond, *s.args) as (before, (cond, *args)):
            if is_true(cond):
                return []
            test = self.code.value(_opposite(cond))
            trees = [self.code.value(a) for a in args]
        report = [ast.Assign([item(name("error"), [literal(k)])], tree) for k, tree in enumerate(trees)]
        return [*before, ast.If(test, [*report, ast.Return(literal(s.code))], [])]

    def _evaluate(self, s: Evaluate) -> list[ast.stmt]:
        with self.shared(s.value) as (before, (value,)):
            return [*before, ast.Expr(self.code.value(value))]

    def _extern(self, s: Extern) -> list[ast.stmt]:
        """A call on views of the regions: `function(outputs..., inputs...)`."""
        regions = [(s.outputs, k, s.box) for k in range(len(s.outputs.types))]
        regions += [(a, 0, of) for a, of in zip(s.inputs, s.function.required(s.box), strict=True)]
        beside = numbers(s.function, s.box)
        with self.shared(*(e for _, _, box in regions for axis in box for e in axis), *beside) as (before, flat):
            ends, views = iter(flat), []
            for array, k, box in regions:
                axes = [(next(ends), next(ends)) for _ in box]
                views.append(self._view(array, k, axes))
            views += map(self.code.value, ends)
        called: ast.stmt = ast.Expr(call(self._function(s.function.function), *views))
        if self.backend == "numba":
            called = ast.With([ast.withitem(call("objmode"), None)], [called])
        return [*before, called]

    def _view(self, array: Array, k: int, axes: list[tuple[Expr, Expr]]) -> ast.expr:
        tree, first = self.locate(array, k, tuple(lo for lo, _ in axes))
        _, last = self.locate(array, k, tuple(add(lo, n) for lo, n in axes))
        slices = [ast.Slice(self.code.value(a), self.code.value(b), None) for a, b in zip(first, last, strict=True)]
        view = item(tree, slices) if slices else tree
        return self.code.as_array(view, array.types[k])

    def _function(self, function: Any) -> str:
        if function not in self.functions:
            self.functions[function] = self.names.take(getattr(function, "__name__", "extern"), function)
        return self.functions[function]

    @contextmanager
    def shared(self, *exprs: Expr) -> Iterator[tuple[list[ast.stmt], tuple[Expr, ...]]]:
        """Assignments that name what `exprs` use more than once, and `exprs`; inside, the names stand for the values."""
        exprs = tuple(substitute(e, self.known, self.memo) if self.known else e for e in exprs)
        statements: list[ast.stmt] = []
        named = shared(exprs, self.code.bound)
        for e in named:
            tree = self.code.typed(e)
            statements.append(ast.Assign([name(self._define(e, "t"))], tree))
        yield statements, exprs
        for e in named:
            self._forget(e)


def _live(nest: Stmt) -> set[Expr]:
    """The variables that something depends on, other than definitions that nothing depends on."""
    values: dict[Expr, list[Expr]] = {}
    todo: list[Expr] = []
    for s in _walk(nest):
        if isinstance(s, Let):
            values.setdefault(s.var, []).append(s.value)
        else:
            todo += _exprs(s)
    live: set[Expr] = set()
    while todo:
        fresh = free_vars(todo.pop()) - live
        live |= fresh
        todo += itertools.chain.from_iterable(values.get(v, ()) for v in fresh)
    return live


def _exprs(s: Stmt) -> Iterator[Expr]:
    match s:
        case For():
            yield from (s.lo, s.extent)
        case If() | Check():
            yield s.cond
        case Evaluate():
            yield s.value
        case Realize():
            yield from itertools.chain.from_iterable(s.bounds)
        case Provide():
            yield from s.indices
            yield from (e for e in (*s.values, s.pred) if e is not None)
        case Extern():
            yield from itertools.chain.from_iterable(itertools.chain(s.box, *s.function.required(s.box)))
            yield from numbers(s.function, s.box)
    if isinstance(s, Check):
        yield from s.args


def _opposite(cond: Expr) -> Expr:
    """`not cond`, with the negation inside of `and` and `or`."""
    if isinstance(cond, Op) and cond.name in ("and", "or"):
        return Op("or" if cond.name == "and" else "and", tuple(_opposite(c) for c in cond.args), cond.type)
    return not_(cond)


def _is_pure(e: Expr) -> bool:
    """Whether `e` reads no memory, so that it is the same wherever its variables are."""
    return not isinstance(e, (Load, Read)) and all(_is_pure(c) for c in children(e))


def _is_plain(lo: Expr) -> bool:
    """Whether subtracting `lo` in every subscript reads better than a name for it."""
    if isinstance(lo, Lin):
        return len(lo.terms) <= 2 and all(isinstance(a, Var) for a, _ in lo.terms)
    return isinstance(lo, (Const, Var))


def _placed(i: Expr, lo: Expr, fold: int | None) -> Expr:
    if fold is not None:
        return mod(i, Const(fold, index))
    return sub(i, lo)


def _text(tree: ast.AST) -> str:
    from .python_print import to_text

    return to_text(tree)


def _arguments(parameters: list[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(p, None) for p in parameters], None, [], [], None, [])

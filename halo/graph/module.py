"""Modules: programs as functions by name, and what is done with one: printed, cut, changed, called, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from halo.errors import ArgumentError, here
from halo.ir.shapes import DimExpr
from halo.nn import TensorType

from .arguments import names
from .ir import Call, Constant, Expr, Function, Global, Tuple, Var, constant, every, rewrite, walk, with_bodies

__all__ = ["Bound", "Module", "in_bodies"]

MOST_NAMES = 40  # that an error lists


@dataclass(frozen=True)
class Bound:
    """The extent of an input is from `least` to `most` in every call; others are refused."""

    extent: DimExpr
    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least} <= {self.extent} <= {self.most}"


@dataclass(frozen=True, eq=False)
class Module:
    """A program: functions by name, of which `main` is what is called. `outputs` names the results of `main`, each otherwise,
    `tensors` values inside of it, as the file calls them that it was read from. `bounds`: which extents a call may have."""

    functions: Mapping[str, Function]
    outputs: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, Expr] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()

    def __post_init__(self) -> None:
        inputs = tuple(p.name for p in self.functions["main"].params) if "main" in self.functions else ()
        for what, given in (("inputs", inputs), ("outputs", self.outputs)):
            if len(set(given)) < len(given):
                twice = next(name for k, name in enumerate(given) if name in given[:k])
                raise ArgumentError(f"two {what} are named {twice!r}", loc=here())

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
        for a name that there is not, for no outputs, and where other inputs are needed as well.

        >>> from halo.graph import parse
        >>> m = parse("def main(%x: f32[2]) -> f32[2] { %0 = exp(%x); %1 = relu(%0); %2 = log(%1); %2 }")
        >>> print(m.extract(["%0"], ["%1"]))
        def main(%'%0': f32[2]) -> f32[2] {
          %0 = relu(%'%0');
          %0
        }
        """
        if not outputs:
            raise ArgumentError("what is extracted has at least one output", loc=here(), legal=self.outputs)
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

        >>> import numpy as np
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

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """What it computes, as part of the program that these graph expressions belong to: a model with stages before and
        behind it is one program. An expression, or a tuple of them where the model has several outputs. ArgumentError where
        they do not fit its inputs.

        >>> import numpy as np
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
        >>> import numpy as np
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


def in_bodies(m: Module, change: Callable[[Function], Function]) -> Module:
    """`m` with `change(f)` in place of `main` and of every body in it, those inside first: what passes are made with."""

    def changed(f: Function) -> Function:
        if any(e.bodies for e in walk(f.body)):
            f = replace(f, body=rewrite(f.body, lambda e, old: with_bodies(e, tuple(map(changed, e.bodies)))))
        return change(f)

    return m.with_main(changed(m.main))

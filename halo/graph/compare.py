"""Compare: a model by halo beside another runtime, tensor by tensor, down to the first one that differs and the pass that
made it so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halo.errors import ArgumentError, here

from .evaluate import evaluate
from .ir import walk
from .module import Module
from .onnx import from_onnx

__all__ = ["Comparison", "Row", "compare"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Row:
    """One tensor: its name, that of the node that gives it, its operator; max|a - b| / max|b|; how many entries are NaN here
    and there."""

    tensor: str
    node: str
    operator: str
    error: float
    nans: int
    nans_there: int

    def is_good(self, tolerance: float) -> bool:
        return self.error <= tolerance and self.nans == self.nans_there


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. `rows` are the tensors that were looked at, in the order of the model; `bad` is the first that
    differs (None: none does), `nan` the first with a NaN that the other runtime does not have, `introduced` what made `bad`
    differ: "import", the name of a pass, or "kernels"."""

    rows: tuple[Row, ...]
    tolerance: float
    bad: Row | None = None
    nan: Row | None = None
    introduced: str = ""

    def __bool__(self) -> bool:
        """Whether nothing differs."""
        return self.bad is None

    def __str__(self) -> str:
        width = max(6, *(len(r.tensor) for r in self.rows))
        lines = [f"{'tensor':<{width}}  {'error':>9}  {'NaN':>6}  node"]
        for r in self.rows:
            mark = "" if r.is_good(self.tolerance) else "  <- differs"
            lines.append(f"{r.tensor:<{width}}  {r.error:9.2e}  {r.nans:>6}  {r.operator} {r.node}{mark}")
        if self.bad is not None:
            lines.append(f"the first that differs is {self.bad.tensor}: {self.introduced} made it so")
        if self.nan is not None:
            lines.append(f"NaN starts at {self.nan.tensor}, of {self.nan.operator} {self.nan.node}")
        return "\n".join(lines)


def compare(model: Any, inputs: Mapping[str, Any], against: Any = "onnxruntime", *, every: bool = False,
            tolerance: float = 1e-3) -> Comparison:  # fmt: skip
    """The outputs of an ONNX model (a path, the bytes of a file, a ModelProto) by halo and by another runtime.

    `inputs`: arrays by name. `against`: "onnxruntime", or a function of the names of tensors that gives them as arrays by
    name. The outputs are compared as the compiled model gives them; where one differs by more than `tolerance`, bisection
    finds the first tensor that does, and the passes are gone through one by one, each operator by itself, for the one that
    made it so. `every`: all tensors are compared, which keeps operators from fusing. Raises ArgumentError for what is no
    model, and for another runtime that there is not.

    >>> import onnx.parser
    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 18]>
    ...     g (float[2] x) => (float[2] y) { a = Exp(x) y = Relu(a) }''')
    >>> print(compare(model, {"x": np.array([0, 1], np.float32)}, lambda names: {n: np.float32([1, 3]) for n in names}))
    tensor      error     NaN  node
    a        9.39e-02       0  Exp a  <- differs
    the first that differs is a: import made it so
    """
    m = from_onnx(model)
    arrays = {name: np.asarray(a) for name, a in inputs.items()}
    if set(arrays) != set(m.inputs):
        raise ArgumentError(f"the model takes {', '.join(m.inputs)}, not {', '.join(arrays)}", loc=here())
    return _Comparer(m, arrays, _there(model, arrays, against), tolerance, _operators(model)).run(every)


def _there(model: Any, inputs: Mapping[str, Array], against: Any) -> Callable[[Sequence[str]], Mapping[str, Array]]:
    if callable(against):
        return against  # type: ignore[no-any-return]  # of the user
    if against != "onnxruntime":
        raise ArgumentError(f"there is no runtime {against!r}", loc=here(), legal=("onnxruntime", "a function"))
    try:
        import onnxruntime
    except ImportError as error:
        raise ArgumentError("models are compared with the package onnxruntime", loc=here(),
                            hint="pip install onnxruntime") from error  # fmt: skip
    import onnx

    from .onnx.files import read

    def values(names: Sequence[str]) -> dict[str, Array]:
        made = onnx.ModelProto()
        made.CopyFrom(read(model))
        own = {o.name for o in made.graph.output}
        made.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in own)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(list(names), dict(inputs)), strict=True))

    return values


def _operators(model: Any) -> dict[str, tuple[str, str]]:
    """The (node, operator) that gives each tensor."""
    from .onnx.files import read

    return {name: (n.name or name, n.op_type) for n in read(model).graph.node for name in n.output}


class _Comparer:
    def __init__(self, m: Module, inputs: Mapping[str, Array], there: Any, tolerance: float, nodes: Any) -> None:
        self.m, self.inputs, self.there, self.tolerance, self.nodes = m, inputs, there, tolerance, nodes
        self.names = [n for n, e in m.values.items() if n in m.tensors and not isinstance(e.type, tuple)]

    def run(self, every: bool) -> Comparison:
        outputs = [n for n in self.m.outputs if n in self.m.tensors]
        if every:
            rows = self.rows(self.names, self.whole(self.names))
            bad = self.first(rows)
        else:
            rows = self.rows(outputs, self.whole(outputs))
            bad = self.first(rows)
            if bad is not None:
                bad = self.bisect(bad)
                rows = (*(r for r in rows if r.tensor != bad.tensor and r.is_good(self.tolerance)), bad)
        if bad is None:
            return Comparison(rows, self.tolerance)
        nan = next((r for r in (*rows, bad) if r.nans > r.nans_there), None)
        return Comparison(rows, self.tolerance, bad, nan, self.introduced(bad.tensor))

    def whole(self, names: Sequence[str]) -> dict[str, Array]:
        """Tensors as the compiled program gives them."""
        part = self.m.extract(list(self.m.inputs), names)
        found = part.compile()(**self.inputs)
        return dict(zip(names, found if isinstance(found, tuple) else (found,), strict=True))

    def rows(self, names: Sequence[str], ours: Mapping[str, Array]) -> tuple[Row, ...]:
        theirs = self.there(names)
        return tuple(self.row(n, ours[n], np.asarray(theirs[n])) for n in names)

    def row(self, name: str, a: Array, b: Array) -> Row:
        node, operator = self.nodes.get(name, (name, ""))
        nans = [int(np.isnan(x).sum()) if x.dtype.kind == "f" else 0 for x in (a, b)]
        return Row(name, node, operator, _error(a, b), *nans)

    def first(self, rows: Sequence[Row]) -> Row | None:
        return next((r for r in rows if not r.is_good(self.tolerance)), None)

    def bisect(self, bad: Row) -> Row:
        """A tensor that differs, all of whose arguments are good: as git bisect finds it in a history that branches. What a
        good one depends on is good."""
        by_id = {id(self.m.tensors[n]): n for n in self.names}
        behind = {n: {by_id[id(e)] for e in walk(self.m.tensors[n]) if id(e) in by_id} for n in self.names}
        open_ = behind[by_id[id(self.m.tensors[bad.tensor])]]
        while len(open_) > 1:
            rest = (n for n in self.names if n in open_ and not open_ <= behind[n])
            middle = max(rest, key=lambda n: min(len(open_ & behind[n]), len(open_ - behind[n])))
            (row,) = self.rows([middle], self.whole([middle]))
            if row.is_good(self.tolerance):
                open_ = open_ - behind[middle]
            else:
                open_, bad = open_ & behind[middle], row
        return bad

    def introduced(self, name: str) -> str:
        """What made the tensor differ: of the program after each pass it is computed one operator after the other."""
        (theirs,) = self.there([name]).values()
        part = self.m.extract(list(self.m.inputs), [name])
        wrong: list[str] = []

        def observe(step: str, m: Module) -> None:
            if not wrong:
                (ours,) = evaluate(m, self.inputs)
                if not self.row(name, ours, np.asarray(theirs)).is_good(self.tolerance):
                    wrong.append(step)

        observe("import", part)
        part.run_passes(observe)
        return wrong[0] if wrong else "kernels"


def _error(a: Array, b: Array) -> float:
    """max|a - b| / max|b|, of what is a NaN in neither."""
    if a.shape != b.shape:
        return float("inf")
    if not a.size:
        return 0.0
    x, y = (v.astype(np.float64) for v in (a, b))
    known = ~(np.isnan(x) | np.isnan(y))
    same = known & (x == y)  # infinities, too
    difference = np.where(known & ~same, np.abs(x - y, where=known & ~same, out=np.zeros_like(x)), 0).max()
    largest = np.abs(y[known]).max() if known.any() else 0.0
    return float(difference / largest) if largest and np.isfinite(largest) else float(difference)

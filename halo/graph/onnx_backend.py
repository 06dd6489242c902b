"""A standard ONNX backend, `onnx.backend.base.Backend`: what ONNX's own conformance suite runs.

`python -m halo.graph.onnx_backend --report` runs the suite of the installed onnx package in a process beside it, and prints
how many cases of each operator pass. A case with an operator that there is not counts as skipped, never as passed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx.backend.base import Backend, BackendRep

from halo.errors import ArgumentError, HaloError, UnknownValueError

from .net import Net
from .onnx import from_onnx

__all__ = ["Case", "HaloBackend", "HaloRep", "matrix", "report", "table"]

PASSED, FAILED, SKIPPED, CRASHED, LATE = "passed", "failed", "skipped", "crashed", "late"
SECONDS = 60.0  # that a case may take


class HaloRep(BackendRep):
    """A net as the interface wants it; of a model whose shapes depend on the values of inputs, one for each of them."""

    def __init__(self, net: Net | None, model: Any = None) -> None:
        self.net, self.model = net, model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs for `inputs`, which are in the order of the model's."""
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        net = self.net
        if net is None:
            held = {t.name for t in self.model.graph.initializer}
            names = (v.name for v in self.model.graph.input if v.name not in held)
            net = from_onnx(self.model, values=dict(zip(names, given, strict=False))).compile()
        found = net(*given)
        return found if isinstance(found, tuple) else (found,)


class HaloBackend(Backend):
    """ONNX models by halo, on the CPU.

    >>> import onnx.parser
    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 18]>
    ...     g (float[2] x) => (float[2] y) { y = Abs(x) }''')
    >>> HaloBackend.prepare(model).run([np.array([-1, 2], np.float32)])[0]
    array([1., 2.], dtype=float32)
    """

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> HaloRep:
        """The compiled model. Raises what `from_onnx` and `compile` raise. Where shapes depend on inputs, `run` compiles."""
        if not cls.supports_device(device):
            raise ArgumentError(f"there is no device {device!r}", legal=("CPU",))
        try:
            return HaloRep(from_onnx(model).compile())
        except UnknownValueError:
            return HaloRep(None, model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


# The suite -----------------------------------------------------------------------------------------------------------


def _cases() -> Iterator[tuple[str, Any, list[Any], float, float]]:
    """The (name, model, data sets, tolerances) of the suite, but those of whole networks."""
    from onnx import load, load_tensor, numpy_helper
    from onnx.backend.test.case.node import collect_testcases
    from onnx.backend.test.loader import load_model_tests

    case: Any
    for case in collect_testcases(None):
        sets = [tuple(list(map(_array, part)) for part in pair) for pair in case.data_sets]
        yield case.name, case.model, sets, case.rtol, case.atol
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        for case in load_model_tests(kind=kind):
            sets = []
            for folder in sorted(_folders(case.model_dir)):
                arrays = {
                    part: [numpy_helper.to_array(load_tensor(path)) for path in sorted(folder.glob(f"{part}_*.pb"))]
                    for part in ("input", "output")
                }
                sets.append((arrays["input"], arrays["output"]))
            yield case.name, load(f"{case.model_dir}/model.onnx"), sets, case.rtol, case.atol


def _array(value: Any) -> Any:
    """A tensor of the suite as an array; what is none (a list, say) as it is."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _folders(directory: str) -> Iterator[Any]:
    return Path(directory).glob("test_data_set_*")


def _outcome(model: Any, sets: list[Any], rtol: float, atol: float) -> str:
    try:
        net = HaloBackend.prepare(model)
    except HaloError as error:
        return SKIPPED if "not supported" in error.message else FAILED
    try:
        for inputs, outputs in sets:
            for got, want in zip(net.run(inputs), outputs, strict=True):
                np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)
                if got.dtype != want.dtype or got.shape != want.shape:
                    return FAILED
    except (HaloError, AssertionError, TypeError):
        return FAILED
    return PASSED


def _worker(pipe: Any) -> None:
    while (case := pipe.recv()) is not None:
        import onnx

        model, sets, rtol, atol = case
        pipe.send(_outcome(onnx.load_model_from_string(model), sets, rtol, atol))


class _Child:
    """A process that runs cases, and another one where it ends or takes too long."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_worker, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def outcome(self, case: Any) -> str:
        try:
            self.pipe.send(case)
            return str(self.pipe.recv()) if self.pipe.poll(SECONDS) else LATE
        except (EOFError, OSError):
            return CRASHED

    def end(self) -> None:
        self.process.kill()
        self.process.join()


@dataclass(frozen=True)
class Case:
    """A case of the suite: its name, its operators, how it ended, and whether it is of the core."""

    name: str
    operators: frozenset[str]
    outcome: str
    core: bool


def report(matching: str = "", processes: int = 1) -> list[Case]:
    """How each case ended whose name matches a regular expression; so many run at once."""
    cases = [c for c in _cases() if re.search(matching, c[0])]
    free: queue.SimpleQueue[_Child] = queue.SimpleQueue()
    for _ in range(processes):
        free.put(_Child())

    def run(case: tuple[str, Any, list[Any], float, float]) -> Case:
        name, model, sets, rtol, atol = case
        tensors = all(isinstance(a, (np.ndarray, np.generic)) for pair in sets for part in pair for a in part)
        outcome = SKIPPED
        if tensors:
            child = free.get()
            outcome = child.outcome((model.SerializeToString(), sets, rtol, atol))
            if outcome in (CRASHED, LATE):
                child.end()
                child = _Child()
            free.put(child)
        return Case(name, frozenset(n.op_type for n in model.graph.node), outcome, _is_core(name, model))

    try:
        with ThreadPoolExecutor(processes) as pool:
            return list(pool.map(run, cases))
    finally:
        for _ in range(processes):
            free.get().end()


RANDOM = {"Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}


def _is_core(name: str, model: Any) -> bool:
    """Whether a case is of tensors of bool, integers of 8 bits and more, f32 and f64 only, of ONNX's own domain and no training."""
    from onnx import TensorProto as T

    numbers = {T.BOOL, T.INT8, T.INT16, T.INT32, T.INT64, T.UINT8, T.UINT16, T.UINT32, T.UINT64, T.FLOAT, T.DOUBLE}
    ends = [v.type for v in (*model.graph.input, *model.graph.output)]
    inner = [v.type.tensor_type.elem_type for v in model.graph.value_info if v.type.HasField("tensor_type")]
    held = [t.data_type for t in model.graph.initializer]
    operators = {n.op_type for n in model.graph.node}
    return (
        all(t.HasField("tensor_type") and t.tensor_type.elem_type in numbers for t in ends)
        and all(t in numbers for t in (*inner, *held))
        and all(n.domain in ("", "ai.onnx") for n in model.graph.node)
        and not operators & (RANDOM | {"ImageDecoder"})
        and not any("Sequence" in op and op != "ReverseSequence" for op in operators)
        and "training" not in name
    )


def table(cases: list[Case]) -> str:
    """The outcomes of each operator, those with most cases that do not pass first."""

    def failing(item: tuple[str, list[Case]]) -> tuple[int, str]:
        return -sum(c.outcome != PASSED for c in item[1]), item[0]

    lines = [f"{op:<28} {_counted(of)}" for op, of in sorted(_by_operator(cases).items(), key=failing)]
    lines += [f"{'core':<28} {_counted([c for c in cases if c.core])}", f"{'all':<28} {_counted(cases)}"]
    return "\n".join(lines)


def _by_operator(cases: list[Case]) -> dict[str, list[Case]]:
    operators: dict[str, list[Case]] = {}
    for c in cases:
        for op in c.operators:
            operators.setdefault(op, []).append(c)
    return operators


def _counted(cases: list[Case]) -> str:
    return ", ".join(f"{n} {what}" for what, n in sorted(Counter(c.outcome for c in cases).items()))


def matrix(cases: list[Case]) -> str:
    """The operators and how many of their cases pass, as a page of the documentation."""
    import onnx

    passed = sum(c.outcome == PASSED for c in cases)
    core = [c for c in cases if c.core]
    lines = [
        "# ONNX operators",
        "",
        f"What of the conformance suite of onnx {onnx.__version__} passes: {passed} of {len(cases)} cases, and of the "
        f"{len(core)} of its core (tensors of bool, integers and floats of 32 and 64 bits) "
        f"{sum(c.outcome == PASSED for c in core)}. A case counts for each operator in it. Made by",
        "`python -m halo.graph.onnx_backend --matrix docs/onnx_operators.md`.",
        "",
        "| operator | passes | of |",
        "|---|--:|--:|",
    ]
    lines += [
        f"| {op} | {sum(c.outcome == PASSED for c in of)} | {len(of)} |"
        for op, of in sorted(_by_operator(cases).items())
    ]
    return "\n".join((*lines, ""))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m halo.graph.onnx_backend", description=__doc__)
    parser.add_argument("--report", action="store_true", help="run the suite and print the outcomes of each operator")
    parser.add_argument("--cases", metavar="REGEX", default="", help="only those cases, and each one's outcome")
    parser.add_argument("--matrix", metavar="FILE", help="run the suite and write a page of the documentation")
    given = parser.parse_args()
    if not (given.report or given.cases or given.matrix):
        parser.error("--report, --cases or --matrix is what there is to do")
    cases = report(given.cases, os.cpu_count() or 1)
    for c in cases if given.cases else ():
        print(f"{c.outcome:<8} {c.name}")
    if given.matrix:
        Path(given.matrix).write_text(matrix(cases))
    print(table(cases))


if __name__ == "__main__":
    main()

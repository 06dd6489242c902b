"""A standard ONNX backend, `onnx.backend.base.Backend`: what ONNX's own conformance suite runs.

`python -m halo.graph.onnx_backend --report` runs the suite of the installed onnx package in a process beside it, and prints
how many cases of each operator pass. A case with an operator that there is not counts as skipped, never as passed.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx.backend.base import Backend, BackendRep

from halo.errors import ArgumentError, HaloError

from .net import Net
from .onnx import from_onnx

__all__ = ["HaloBackend", "HaloRep", "report"]

PASSED, FAILED, SKIPPED, CRASHED, LATE = "passed", "failed", "skipped", "crashed", "late"
SECONDS = 60.0  # that a case may take


class HaloRep(BackendRep):
    """A net as the interface wants it."""

    def __init__(self, net: Net) -> None:
        self.net = net

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs for `inputs`, which are in the order of the model's."""
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        found = self.net(*given)
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
        """The compiled model. Raises what `from_onnx` and `compile` raise."""
        if not cls.supports_device(device):
            raise ArgumentError(f"there is no device {device!r}", legal=("CPU",))
        return HaloRep(from_onnx(model).compile())

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
        yield case.name, case.model, case.data_sets, case.rtol, case.atol
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


def _folders(directory: str) -> Iterator[Any]:
    from pathlib import Path

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


def report() -> tuple[dict[str, Counter[str]], Counter[str]]:
    """How many cases of each operator ended how, and how many in all."""
    operators: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    child = _Child()
    for _, model, sets, rtol, atol in _cases():
        tensors = all(isinstance(a, (np.ndarray, np.generic)) for pair in sets for part in pair for a in part)
        outcome = child.outcome((model.SerializeToString(), sets, rtol, atol)) if tensors else SKIPPED
        if outcome in (CRASHED, LATE):
            child.end()
            child = _Child()
        total[outcome] += 1
        for op in {n.op_type for n in model.graph.node}:
            operators.setdefault(op, Counter())[outcome] += 1
    child.end()
    return operators, total


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m halo.graph.onnx_backend", description=__doc__)
    parser.add_argument("--report", action="store_true", help="run the suite and print the outcomes of each operator")
    if not parser.parse_args().report:
        parser.error("--report is what there is to do")
    operators, total = report()
    for op, outcomes in sorted(operators.items()):
        print(f"{op:<28} {', '.join(f'{n} {what}' for what, n in sorted(outcomes.items()))}")
    print(f"{'all':<28} {', '.join(f'{n} {what}' for what, n in sorted(total.items()))}")


if __name__ == "__main__":
    main()

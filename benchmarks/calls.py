"""What a call costs beside the work: kernels of one and of six inputs on arrays of one element, each beside Halide's
callable and Numba's dispatcher for the same; a net of one operator beside ONNX Runtime's session; what a parallel loop
takes longer than a serial one: the launch, which groups of a net have one of each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import halo
from halo import graph, nn

from .case import filling
from .measure import Result, per_call

MOST_US, MOST_TIMES = 3, 2  # what a call with two arrays may cost, and how many times Halide's
ROUNDS = 9

Make = Callable[[int], Callable[..., object]]  # what sums n arrays into one more


def run() -> Iterator[Result]:
    for n in (1, 6):
        arrays, out = [np.ones(1, np.float32) for _ in range(n)], np.zeros(1, np.float32)
        f = halo_sum(n)
        kernel = f.compile(**dict(zip(f.inputs, arrays, strict=True)))
        calls: dict[str, Callable[[], object]] = {
            "a compiled kernel": lambda k=kernel, a=arrays, o=out: k(*a, out=o),
            "the same through the Func": lambda f=f, a=arrays, o=out: f(*a, out=o),
        }
        for peer, make in {"Halide's callable": halide_sum, "Numba's dispatcher": numba_sum}.items():
            try:
                calls[peer] = filling(make(n), *arrays, out=out)
            except ModuleNotFoundError as error:
                print(error)
        times = {name: statistics.median(t) * 1e6 for name, t in _interleaved(calls).items()}
        assert out[0] == n
        suffix = f", {n + 1} arrays"
        for name, time in times.items():
            bar = MOST_US if n == 1 and name == "a compiled kernel" else None
            yield Result(f"call: {name}{suffix}", time, "us", bar)
        if theirs := times.get("Halide's callable"):
            bar = MOST_TIMES if n == 1 else None
            yield Result(f"    halo / Halide{suffix}", times["a compiled kernel"] / theirs, "", bar)
    one = np.ones(1, np.float32)
    calls = {"a net, one input and one output": net(), "ONNX Runtime's session": session()}
    times = _interleaved({name: lambda call=call: call(one) for name, call in calls.items()})
    for name, bar in zip(calls, (MOST_US, None), strict=True):
        yield Result(f"call: {name}", statistics.median(times[name]) * 1e6, "us", bar)
    times = _interleaved({"serial": two_tasks(parallel=False), "parallel": two_tasks(parallel=True)})
    cost = statistics.median(times["parallel"]) - statistics.median(times["serial"])
    yield Result(f"launch: a parallel loop, {halo.get_num_threads()} threads", cost * 1e6, "us")


def _interleaved(calls: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(per_call(call, rounds=3))
    return found


def halo_sum(n: int) -> halo.Func:
    i, f = halo.Var("i"), halo.Func("total")
    f[i] = sum((halo.Input(f"a{k}", halo.f32, ndim=1)[i] for k in range(1, n)), halo.Input("a0", halo.f32, ndim=1)[i])
    return f


def two_tasks(parallel: bool) -> Callable[[], object]:
    i, j, f = halo.Var("i"), halo.Var("j"), halo.Func("tasks")
    f[i, j] = halo.Input("a", halo.f32, ndim=2)[i, j] + 1
    if parallel:
        f.parallel(i)
    a, out = np.ones((2, 16), np.float32), np.zeros((2, 16), np.float32)
    kernel = f.compile(a=a)
    return lambda: kernel(a, out=out)


def halide_sum(n: int) -> Any:
    import halide as hl

    i, f, inputs = hl.Var("i"), hl.Func("total"), [hl.ImageParam(hl.Float(32), 1, f"a{k}") for k in range(n)]
    f[i] = sum((a[i] for a in inputs[1:]), inputs[0][i])
    return f.compile_to_callable(inputs, hl.get_jit_target_from_environment())


def numba_sum(n: int) -> Any:
    import numba

    @numba.njit
    def one(a, out):
        out[0] = a[0]

    @numba.njit
    def six(a, b, c, d, e, f, out):
        out[0] = a[0] + b[0] + c[0] + d[0] + e[0] + f[0]

    return {1: one, 6: six}[n]


def net() -> Callable[[np.ndarray], object]:
    x = graph.Var("x", nn.TensorType((1,), halo.f32))
    return graph.Module({"main": graph.Function((x,), nn.relu(x))}).compile()


def session() -> Callable[[np.ndarray], object]:
    import onnxruntime as ort
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    of = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
    model = helper.make_model(of, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    made = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x: made.run(None, {"x": x})

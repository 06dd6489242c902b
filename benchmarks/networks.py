"""`python -m benchmarks.networks [NAME ...] [--threads N ...]`: networks beside ONNX Runtime and, where torch and torchvision
are installed and have the same network, PyTorch; and the convolutions of ResNet-50.

All run in one process, turn by turn, batch 1, ONNX Runtime at its defaults but that its threads stop spinning when it is
not its turn; after each turn's change come runs that are not counted. The error is max|a - b| / max|b|. PyTorch's is the
network of torchvision, in its mode for inference, with weights of its own. Unfused is halo with each operator a kernel of
its own, after the same passes. The share of the roof is that of the groups (see `Net.profile`), weighted by their times.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import halo
from halo import graph, nn
from halo.graph.compile import relink
from halo.graph.passes import PASSES
from halo.graph.passes.fuse import fuse
from halo.show.peaks import ops_per_second

from . import models
from .measure import Result

WORST, CONVOLUTIONS = 1.5, 0.75  # the bars: a network's time to ONNX Runtime's, a convolution's share of the peak
NETWORKS = ("efficientnet-lite0", "ocr-classifier", "ocr-recogniser", "ocr-detector", "minilm", "magika", *models.LIGHT)
ROUNDS, WARM, COUNTED = 8, 2, 4
RESNET = (  # channels in and out, size, kernel, stride
    (3, 64, 224, 7, 2), (64, 64, 56, 1, 1), (64, 64, 56, 3, 1), (64, 256, 56, 1, 1), (256, 64, 56, 1, 1), (256, 128, 56, 1, 2),
    (128, 128, 28, 3, 1), (128, 512, 28, 1, 1), (256, 512, 56, 1, 2), (512, 128, 28, 1, 1), (512, 256, 28, 1, 2),
    (256, 256, 14, 3, 1), (256, 1024, 14, 1, 1), (512, 1024, 28, 1, 2), (1024, 256, 14, 1, 1), (1024, 512, 14, 1, 2),
    (512, 512, 7, 3, 1), (512, 2048, 7, 1, 1), (1024, 2048, 14, 1, 2), (2048, 512, 7, 1, 1),
)  # fmt: skip


def session(model: Any, threads: int, profile: bool = False) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.enable_profiling = profile
    options.profile_file_prefix = str(Path(tempfile.gettempdir(), "onnxruntime"))
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def turns(*runs: Callable[[], object]) -> list[list[float]]:
    """Seconds of each of `runs`, interleaved."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, kept in zip(runs, times, strict=True):
            time.sleep(0.002)
            for k in range(WARM + COUNTED):
                start = time.perf_counter()
                run()
                if k >= WARM:
                    kept.append(time.perf_counter() - start)
    return times


TORCHVISION = {"resnet50": "resnet50", "squeezenet": "squeezenet1_1", "vgg19": "vgg19", "densenet121": "densenet121"}
"""What torchvision calls the networks that it has."""


def torchs(name: str, inputs: dict[str, np.ndarray], threads: int) -> Callable[[], object] | None:
    """PyTorch's network of that name, where it and torchvision are installed."""
    if name not in TORCHVISION:
        return None
    try:
        import torch
        import torchvision
    except ImportError:
        return None
    torch.set_num_threads(threads)
    net = torchvision.models.get_model(TORCHVISION[name], weights=None).eval()
    (x,) = (torch.from_numpy(a) for a in inputs.values())

    def run() -> object:
        with torch.inference_mode():
            return net(x)

    return run


def unfused(model: Any) -> graph.Net:
    """The net with each operator a kernel of its own."""
    m = graph.from_onnx(model)
    for step in PASSES:
        m = step.run(m) if step.name != "fuse" else fuse(m, most=1)
    return relink(m)


def share_of_roof(net: graph.Net, inputs: dict[str, np.ndarray]) -> float:
    """Of the time that the groups take whose operations are known, the part that the roof leaves them."""
    rows = [r for r in net.profile(**inputs) if not math.isnan(r.roof)]
    return sum(r.roof * r.seconds for r in rows) / sum(r.seconds for r in rows)


def network(name: str, threads: tuple[int, ...]) -> Iterator[Result]:
    model = models.network(name)
    start = time.perf_counter()
    net = graph.from_onnx(model).compile()
    yield Result(f"{name}: from the model to a net", time.perf_counter() - start, "s")
    inputs, single = models.samples(name, model), unfused(model)
    for n in threads:
        halo.set_num_threads(n)
        theirs = session(model, n)
        want, got = theirs.run(None, inputs)[0], net(**inputs)
        yield Result(f"{name}: error", float(np.abs(got - want).max() / np.abs(want).max()), "", 1e-3)
        assert got.argmax() == want.argmax(), name
        runs = {"halo": lambda: net(**inputs), "ONNX Runtime": lambda: theirs.run(None, inputs),
                "halo, unfused": lambda: single(**inputs)}  # fmt: skip
        other = torchs(name, inputs, n)
        if other is not None:
            runs["PyTorch"] = other
        times = {who: statistics.median(t) for who, t in zip(runs, turns(*runs.values()), strict=True)}
        for who, seconds in times.items():
            yield Result(f"{name}, {n} threads: {who}", seconds * 1e3, "ms")
        yield Result(f"{name}, {n} threads: halo / ONNX Runtime", times["halo"] / times["ONNX Runtime"], "", WORST)
        if other is not None:
            yield Result(f"{name}, {n} threads: halo / PyTorch", times["halo"] / times["PyTorch"], "")
        yield Result(f"{name}, {n} threads: unfused / fused", times["halo, unfused"] / times["halo"], "")
        yield Result(f"{name}, {n} threads: share of the roof", share_of_roof(net, inputs), "")
    if name == "ocr-recogniser":
        yield from reading()


def reading() -> Iterator[Result]:
    """Lines of text, from pixels to letters."""
    from examples import read

    reader = read.Reader()
    for text in read.LINES:
        found, _ = reader(read.rendered(text))
        yield Result(f"{text!r} is read", float(found == text), "", 1, at_least=True)


def convolution(i: int, o: int, size: int, k: int, stride: int) -> tuple[Callable[[], object], int]:
    """A convolution with ReLU as a net of blocked arrays runs it, its weights constants, and the operations of the sums
    that define it, whichever way it is computed."""
    lanes = halo.Target.host().natural_lanes(halo.f32)
    few = i < lanes
    layout, kernel = ("NCHW", f"OIHW{lanes}o") if few else (f"NCHW{lanes}c", f"OIHW{lanes}i{lanes}o")
    rng = np.random.default_rng(0)
    image, weight, bias = (
        rng.standard_normal(shape, np.float32)
        for shape in (
            nn.Layout(layout).physical((1, i, size, size)),
            nn.Layout(kernel).physical((o, i, k, k)),
            (-(-o // lanes), lanes),
        )
    )
    x = graph.Var("x", nn.TensorType(image.shape, halo.f32))
    out = nn.relu(nn.conv2d(x, graph.Constant(weight), graph.Constant(bias), strides=stride, padding=k // 2,
                            layout=layout, kernel_layout=kernel, out_layout=f"NCHW{lanes}c"))  # fmt: skip
    net = graph.Module({"main": graph.Function((x,), out)}).compile()
    result = np.empty(out.type.shape, np.float32)
    return lambda: net(image, out=result), 2 * i * o * k * k * (size // stride) ** 2


class Peer:
    """The same convolution of ONNX Runtime, whose own profile tells the time of the convolution without the changes of
    layout around it, which a network has once."""

    def __init__(self, i: int, o: int, size: int, k: int, stride: int) -> None:
        from onnx import TensorProto, helper, numpy_helper

        rng = np.random.default_rng(0)
        given = {"w": rng.standard_normal((o, i, k, k), np.float32), "b": rng.standard_normal(o, np.float32)}
        nodes = [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], strides=[stride] * 2, pads=[k // 2] * 4),
            helper.make_node("Relu", ["c"], ["y"]),
        ]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
        weights = [numpy_helper.from_array(a, name) for name, a in given.items()]
        made = helper.make_graph(nodes, "conv", ends[:1], ends[1:], weights)
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        self.image = rng.standard_normal((1, i, size, size), np.float32)
        self.session = session(model, 1, profile=True)

    def run(self) -> None:
        self.session.run(None, {"x": self.image})

    def seconds(self) -> list[float]:
        """Of the convolution in each run."""
        path = Path(self.session.end_profiling())
        events = json.loads(path.read_text())
        path.unlink()
        return [e["dur"] * 1e-6 for e in events if e["name"].endswith("kernel_time") and e["args"]["op_name"] == "Conv"]


def convolutions() -> Iterator[Result]:
    """The share of the measured peak that each distinct convolution of ResNet-50 reaches on one thread."""
    halo.set_num_threads(1)
    shares: dict[str, list[float]] = {"halo": [], "ONNX Runtime": []}
    for layer in RESNET:
        run, flops = convolution(*layer)
        peer = Peer(*layer)
        peak = ops_per_second()
        mine, _ = turns(run, peer.run)
        i, o, size, k, stride = layer
        for (who, found), times in zip(shares.items(), (mine, peer.seconds()), strict=True):
            found.append(flops / min(times) / peak)
            goal = 0.55 if who == "halo" else None
            yield Result(
                f"conv {k}x{k}/{stride} {i} to {o} at {size}, share: {who}", found[-1], "", goal, at_least=True
            )
    for who, found in shares.items():
        mean = math.exp(statistics.fmean(map(math.log, found)))
        goal = CONVOLUTIONS if who == "halo" else None
        yield Result(f"convolutions of ResNet-50, mean share: {who}", mean, "", goal, at_least=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*NETWORKS, "convolutions")))
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    args = parser.parse_args()
    for name in args.names or (*NETWORKS, "convolutions"):
        for result in convolutions() if name == "convolutions" else network(name, tuple(args.threads)):
            print(result, flush=True)


if __name__ == "__main__":
    main()

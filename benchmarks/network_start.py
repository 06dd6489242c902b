"""`python -m benchmarks.network_start [NAME ...]`: what a network waits for, and what it keeps in memory.

Each figure is the least of three fresh processes. The time from a model to a net is that of `from_onnx(model).compile()`,
with an empty cache and with what a process before left there; `halo.graph.load` is timed after the imports. Memory is what
the process grows by from the model in memory to a net that has run twice, beside the same for ONNX Runtime.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import halo
from halo import graph

from . import models
from .measure import Result, in_fresh_process
from .networks import NETWORKS

COLD, CACHED, LOADED, NEW_EXTENT, MEMORY = 10.0, 0.7, 0.1, 2.0, 1.2  # the bars
OTHER = {"ocr-classifier": {"d3": 100}, "ocr-recogniser": {"d3": 200}, "ocr-detector": {"d2": 320, "d3": 416},
         "minilm": {"d1": 77}, "magika": {"d0": 3}}  # fmt: skip
"""Extents of open axes that are not the usual ones."""

_MODEL = """
import time
import numpy as np
import halo.graph
from benchmarks import models
model = models.network({name!r})
"""
COMPILE = f"""{_MODEL}
start = time.perf_counter()
net = halo.graph.from_onnx(model).compile(progress=lambda line: None)
seconds = time.perf_counter() - start
if {{path!r}}:
    net.save({{path!r}})
print(seconds)
"""
LOAD = """
import time
import halo.graph, halo.nn
start = time.perf_counter()
net = halo.graph.load({path!r})
print(time.perf_counter() - start)
"""
GROWTH = f"""{_MODEL}
import ctypes, gc, re
from pathlib import Path
inputs, data = models.samples({{name!r}}, model), model.SerializeToString()
del model
def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(re.search(r"VmRSS:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
"""
HALO_GROWTH = f"""{GROWTH}
import onnx
halo.graph.parse("def main(%x: f32[2]) -> f32[2] {{{{ %0 = relu(%x); %0 }}}}").compile()  # the compiler itself is there
before = resident()
net = halo.graph.from_onnx(onnx.load_from_string(data)).compile(progress=lambda line: None)
run = lambda: net(**inputs)
for _ in range(2):
    run()
print(resident() - before)
"""
ORT_GROWTH = f"""{GROWTH}
from benchmarks.networks import session
import onnx
small = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "small",
    [onnx.helper.make_tensor_value_info("x", 1, [2])], [onnx.helper.make_tensor_value_info("y", 1, [2])])
small = session(onnx.helper.make_model(small, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 17)]), 2)
before = resident()
theirs = session(data, 2)
for _ in range(2):
    theirs.run(None, inputs)
print(resident() - before)
"""


def run(name: str) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "net.halo"))
        cold = in_fresh_process(COMPILE.format(name=name, path=""), repeat=2)
        yield Result(f"{name}: from the model to a net, nothing cached", cold, "s", COLD)
        in_fresh_process(COMPILE.format(name=name, path=path), cache, repeat=1)
        cached = in_fresh_process(COMPILE.format(name=name, path=""), cache)
        yield Result(f"{name}: from the model to a net, from the cache", cached, "s", CACHED)
        loaded = in_fresh_process(LOAD.format(path=path), cache)
        yield Result(f"{name}: load of an artefact", loaded, "s", LOADED)
        net = graph.load(path)
        model = models.network(name)
        net(**models.samples(name, model))
        used = (
            net.memory.arena + net.memory.constants
        )  # of what ONNX Runtime is given too: an arena stays as large as it was
        if name in OTHER:
            yield Result(f"{name}: a new extent, to a call after it", new_extent(name, net), "", NEW_EXTENT)
        mine = in_fresh_process(HALO_GROWTH.format(name=name), cache)
        theirs = in_fresh_process(ORT_GROWTH.format(name=name), cache)
        yield Result(f"{name}: arena and constants", used / 2**20, "MB")
        yield Result(f"{name}: growth of the process, halo", mine / 2**20, "MB")
        yield Result(f"{name}: growth of the process, ONNX Runtime", theirs / 2**20, "MB")
        yield Result(f"{name}: arena and constants / ONNX Runtime's growth", used / theirs, "", MEMORY)


def new_extent(name: str, net: graph.Net, rounds: int = 9) -> float:
    """The time of the first call with another extent, to that of one after it: the median of rounds, in each of which the
    extents have changed before."""
    model = models.network(name)
    usual, other = models.samples(name, model), models.samples(name, model, **OTHER[name])
    ratios = []
    for _ in range(rounds):
        for _ in range(3):
            net(**usual)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            net(**other)
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / statistics.median(times[1:]))
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network_start", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    halo.set_num_threads(2)
    for name in parser.parse_args().names or NETWORKS:
        for result in run(name):
            print(result, flush=True)


if __name__ == "__main__":
    main()

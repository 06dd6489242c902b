"""`python -m benchmarks.operators [NAME ...] [--threads 1|2] [--json FILE]`: operators and their peers.

The peers are ONNX Runtime, PyTorch where it is installed, and of products of matrices NumPy's OpenBLAS where
OPENBLAS_NUM_THREADS says as many threads. Each operator is a small ONNX model, f32, whose weights are
constants, as a network has them; halo compiles it as it compiles a network, with the schedules that its operators come
with. All are checked against NumPy first, and run in one process, turn by turn. The roof is the time of the operations at
the peak that multiply-adds in registers have in the same rounds, or of the bytes at the speed of the cache that holds them,
whichever is longer. Where they are in memory, it is the speed that STREAM's triad has in the same rounds, and softmax, norms,
pools and what is elementwise of 64 MB are to reach 75 % of it; `arithmetic` is what one of these takes for as many entries in
the cache of a core. `apart` is the time that the nodes take one by one, as nets of their own. NAME is part of a name.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import halo
from halo import graph
from halo.show import peaks

from .measure import interleaved, per_call
from .networks import session
from .operator_cases import NEAR, Operator, of_memory, operators

TOLERANCE, FAR, ROUNDS = 1e-3, 1 << 26, 7
BAR = 0.75  # the share of the speed of memory
Row = dict[str, Any]
Run = Callable[[], Any]


def mine(o: Operator) -> Run:
    net = graph.from_onnx(o.model()).compile()
    out = net(**o.inputs)
    return lambda: net(**o.inputs, out=out)


def apart(o: Operator) -> Run | None:
    """What runs the nodes of `o` one by one, each filling an array of its own; None where there is one only."""
    if len(o.nodes) == 1:
        return None
    values: dict[str, Any] = dict(o.inputs)
    steps = []
    for model, given, made in o.pieces():
        net = graph.from_onnx(model).compile()
        values[made] = net(**{name: values[name] for name in given})
        steps.append((net, {name: values[name] for name in given}, values[made]))

    def run() -> Any:
        for net, arrays, out in steps:
            net(**arrays, out=out)
        return steps[-1][2]

    return run


def theirs(o: Operator, threads: int) -> Run:
    runtime = session(o.model(), threads)
    return lambda: runtime.run(None, o.inputs)[0]


def torchs(o: Operator, threads: int) -> Run | None:
    """PyTorch's, where it is installed."""
    try:
        import torch
    except ImportError:
        return None
    if o.torch is None:
        return None
    torch.set_num_threads(threads)
    arrays = [torch.from_numpy(np.array(a)) for a in (*o.inputs.values(), *o.weights.values())]
    f = o.torch

    def run() -> Any:
        with torch.inference_mode():
            return f(torch, *arrays)

    return run


def openblas(o: Operator, threads: int) -> Run | None:
    """NumPy's, of a product of matrices, where it has as many threads: it asks the environment when it is imported."""
    if (
        o.nodes[0].kind not in ("Gemm", "MatMul")
        or len(o.nodes) > 1
        or os.environ.get("OPENBLAS_NUM_THREADS") != str(threads)
    ):
        return None
    a, b, *bias = (*o.inputs.values(), *o.weights.values())
    b = b.T if o.nodes[0].kind == "Gemm" else b
    out = np.empty((*a.shape[:-1], b.shape[-1]), np.float32)

    def run() -> Any:
        np.matmul(a, b, out=out)
        for shift in bias:
            np.add(out, shift, out=out)
        return out

    return run


def moved(o: Operator, out: np.ndarray) -> int:
    """The bytes that it has to read and write."""
    total = sum(a.nbytes for a in (*o.inputs.values(), *o.weights.values(), out))
    return total - sum(
        max(a.nbytes - out.nbytes, 0) for a in o.inputs.values() if o.nodes[0].kind in ("Gather", "Slice")
    )


def roof(o: Operator, bytes: int, memory: float, peak: float) -> float:
    """The seconds that its operations take at the machine's peak, or its bytes from where they fit, whichever are more.
    `memory`: the bytes a second of memory. `peak`: operations a second."""
    machine = peaks.machine()
    level = "memory" if bytes >= FAR else machine.fits(bytes)
    speed = memory if level in ("memory", "no cache") else machine.bandwidth(level)
    return max(o.flops / peak, bytes / speed)


def arithmetic(o: Operator) -> float | None:
    """The seconds that an operator of one axis takes for as many entries as it has, from the cache of a core."""
    if any(a.ndim != 1 for a in o.inputs.values()) or o.is_small:
        return None
    run, entries = mine(o.cut()), next(iter(o.inputs.values())).size
    return per_call(run) * entries / NEAR


def measured(o: Operator, threads: int) -> Row:
    halo.set_num_threads(threads)
    runs: dict[str, Run | None] = {"halo": mine(o), "apart": apart(o), "onnxruntime": theirs(o, threads),
                                   "torch": torchs(o, threads), "openblas": openblas(o, threads)}  # fmt: skip
    kept = {name: run for name, run in runs.items() if run is not None}
    want = np.asarray(o.reference(*o.inputs.values(), *o.weights.values()))
    for name, run in kept.items():
        got = np.asarray(run())
        assert got.shape == want.shape, (o.name, name, got.shape, want.shape)
        error = np.abs(got.astype(np.float64) - want).max() / max(np.abs(want).max(), 1e-30)
        assert error <= TOLERANCE, (o.name, name, error)
    bytes, (stream, kept["triad"]) = moved(o, np.asarray(kept["halo"]())), peaks.triad()
    ops, kept["peak"] = peaks.multiply_adds()
    times = interleaved(kept, ROUNDS)
    rounds = zip(times["halo"], times["triad"], times["peak"], strict=True)
    shares = [roof(o, bytes, stream / triad, ops / peak) / t for t, triad, peak in rounds]
    middle = {name: statistics.median(t) * 1e3 for name, t in times.items()}

    def ratio(of: str, to: str) -> float | None:
        if of not in times or to not in times:
            return None
        return statistics.median(a / b for a, b in zip(times[of], times[to], strict=True))

    return {"name": o.name, "threads": threads, "halo_ms": middle["halo"], "onnxruntime_ms": middle["onnxruntime"],
            "torch_ms": middle.get("torch"), "openblas_ms": middle.get("openblas"), "to_openblas": ratio("halo", "openblas"),
            "ratio": ratio("halo", "onnxruntime"), "to_torch": ratio("halo", "torch"),
            "of_roof": statistics.median(shares), "of_memory": o.name in of_memory() and not o.is_small,
            "arithmetic_ms": None if (alone := arithmetic(o)) is None else alone * 1e3, "apart_ms": middle.get("apart"),
            "apart": ratio("apart", "halo")}  # fmt: skip


def line(r: Row) -> str:
    peers = "" if r["torch_ms"] is None else f"   PyTorch {r['torch_ms']:9.3f} ms ratio {r['to_torch']:6.3f}"
    peers += "" if r["openblas_ms"] is None else f"   OpenBLAS {r['openblas_ms']:9.3f} ms ratio {r['to_openblas']:6.3f}"
    fused = "" if r["apart"] is None else f"   apart {r['apart_ms']:9.3f} ms, {r['apart']:.2f} times"
    verdict = "" if not r["of_memory"] else f"   >= {BAR:.0%} {'reached' if r['of_roof'] >= BAR else 'MISSED'}"
    alone = "" if r["arithmetic_ms"] is None else f"   arithmetic {r['arithmetic_ms']:.3f} ms"
    return (f"{r['name']:<30} {r['threads']} threads  halo {r['halo_ms']:9.3f} ms ({r['of_roof']:4.0%} of the roof)   "
            f"ONNX Runtime {r['onnxruntime_ms']:9.3f} ms   ratio {r['ratio']:6.3f}{peers}{fused}{verdict}{alone}")  # fmt: skip


def summary(rows: list[Row]) -> Iterator[str]:
    for threads in sorted({r["threads"] for r in rows}):
        for peer, key in (("ONNX Runtime", "ratio"), ("PyTorch", "to_torch"), ("OpenBLAS", "to_openblas")):
            of = [r for r in rows if r["threads"] == threads and r[key] is not None]
            if of:
                mean = math.exp(statistics.fmean(math.log(r[key]) for r in of))
                worst = max(of, key=lambda r: r[key])
                slow = sum(r[key] > 1.2 for r in of)
                yield (f"halo / {peer}, {threads} threads: geometric mean of {len(of)} {mean:.3f}, worst {worst[key]:.3f} "
                       f"({worst['name']}), {slow} above 1.2")  # fmt: skip


def bars(rows: list[Row]) -> Iterator[str]:
    """How many reach the speed of memory that they are to have, and which do not."""
    for threads in sorted({r["threads"] for r in rows}):
        of = [r for r in rows if r["threads"] == threads and r["of_memory"]]
        missed = ", ".join(f"{r['name']} {r['of_roof']:.0%}" for r in of if r["of_roof"] < BAR)
        if of:
            reached = sum(r["of_roof"] >= BAR for r in of)
            yield (f"softmax, norms, pools and elementwise of 64 MB, {threads} threads: {reached} of {len(of)} have >= {BAR:.0%} "
                   f"of the speed of memory{f'; MISSED: {missed}' if missed else ''}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operators", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="by default all")
    parser.add_argument("--threads", type=int, nargs="*", default=[1])
    parser.add_argument("--json", type=Path, help="write the rows there")
    args = parser.parse_args()
    known = tuple(operators())
    chosen = [make for name, make in known if not args.names or any(part in name for part in args.names)]
    if not chosen:
        parser.error(f"there is no operator {', '.join(args.names)}; there are {', '.join(name for name, _ in known)}")
    rows: list[Row] = []
    wrong = 0
    for make in chosen:
        o = make()
        for threads in args.threads:
            try:
                rows.append(measured(o, threads))
            except (AssertionError, halo.HaloError) as error:
                wrong += 1
                print(f"{o.name:<30} {threads} threads  FAILED {str(error).strip().splitlines()[0]}", flush=True)
            else:
                print(line(rows[-1]), flush=True)
    print("\n".join((*summary(rows), *bars(rows))))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

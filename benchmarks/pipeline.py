"""`python -m benchmarks.pipeline NAME PEERS THREADS`: time one pipeline beside its peers; a line of JSON for each."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from . import roof
from .case import Case
from .measure import ROOT, interleaved

COMPILED = {"halo": "halo, llvmlite.binding", "default": "halo, llvmlite.binding", "halide": "halide", "numba": "numba"}


def load(name: str) -> Case:
    made: Case = importlib.import_module(f"benchmarks.{name}").case()
    return made


def first_call_ms(name: str, peer: str) -> float | None:
    """From the definition to the first result, in a new process with an empty cache, imports aside; the best of two."""
    if peer not in COMPILED:
        return None
    command = [sys.executable, "-m", "benchmarks.pipeline", name, peer]
    times = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as cache:
            environment = {
                **os.environ,
                "HALO_CACHE_DIR": cache,
                "NUMBA_CACHE_DIR": cache,
                "PYTHONDONTWRITEBYTECODE": "",
            }
            out = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout
            times.append(float(out.split()[-1]))
    return min(times) * 1000


def first_call(name: str, peer: str) -> None:
    for module in COMPILED[peer].split(", "):
        importlib.import_module(module)
    case = load(name)
    start = time.perf_counter()
    case.peers[peer]()()
    print(time.perf_counter() - start)


def compare(name: str, peers: list[str], threads: int) -> None:
    case = load(name)
    runs = {}
    for peer in ("halo", *peers):
        if peer not in case.peers:
            continue
        try:
            runs[peer] = case.peers[peer]()
        except ModuleNotFoundError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        case.check(peer, runs[peer]())
    times = interleaved(runs)
    least = max(case.bytes / roof.bytes_per_second(), case.flops / roof.flops_per_second())
    halo = times.pop("halo")
    compiled = first_call_ms(name, "halo")
    for peer, theirs in times.items():
        print(json.dumps({
            "name": case.name, "peer": peer, "threads": threads,
            "halo_ms": statistics.median(halo) * 1e3, "peer_ms": statistics.median(theirs) * 1e3,
            "halo_least_ms": min(halo) * 1e3, "peer_least_ms": min(theirs) * 1e3,
            "ratio": statistics.median(a / b for a, b in zip(halo, theirs, strict=True)),
            "halo_compile_ms": compiled, "peer_compile_ms": first_call_ms(name, peer),
            "roof": least / statistics.median(halo),
        }))  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) == 3:
        first_call(sys.argv[1], sys.argv[2])
    else:
        compare(sys.argv[1], sys.argv[2].split(","), int(sys.argv[3]))

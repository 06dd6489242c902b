"""`python -m benchmarks.pipeline NAME PEERS THREADS`: time one pipeline beside its peers; a line of JSON for each.

With `first_call NAME PEER` or `memory NAME PEER`: that of one of them, in this process.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from halo.show.peaks import bytes_per_second, ops_per_second

from .case import COMPILERS, Case
from .measure import ROOT, interleaved
from .memory import peak_bytes, start_threads

LOADED = {"halo": ("halo", "llvmlite.binding"), "default": ("halo", "llvmlite.binding")}


def load(name: str) -> Case:
    made: Case = importlib.import_module(f"benchmarks.{name}").case()
    return made


def first_call(name: str, peer: str) -> None:
    """Print the ms from the definition to the first result, imports aside."""
    for module in LOADED.get(peer, (peer,)):
        importlib.import_module(module)
    case = load(name)
    start = time.perf_counter()
    run = case.run(peer)
    assert run is not None
    run()
    print((time.perf_counter() - start) * 1e3)


def memory(name: str, peer: str) -> None:
    """Print the MB of the arrays, and of what a call takes beside them."""
    case = load(name)
    run = case.run(peer)
    assert run is not None
    start_threads(peer)
    beyond = peak_bytes(run)
    arrays = sum(a.nbytes for a in case.inputs.values()) + case.out.nbytes
    print("null" if beyond is None else (arrays + beyond) / 1e6)


def in_new_process(what: str, name: str, peer: str, repeat: int = 1) -> float | None:
    """The least that `what`, one of MEASURED, prints in `repeat` new processes with empty caches."""
    if peer not in COMPILERS or (what == "memory" and peer == "numba"):  # Numba compiles when it is called
        return None
    found = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as cache:
            environment = {
                **os.environ,
                "HALO_CACHE_DIR": cache,
                "NUMBA_CACHE_DIR": cache,
                "PYTHONDONTWRITEBYTECODE": "",
            }
            command = [sys.executable, "-m", "benchmarks.pipeline", what, name, peer]
            out = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout
            found.append(json.loads(out.splitlines()[-1]))
    return None if None in found else min(found)


def compare(name: str, peers: list[str], threads: int) -> None:
    case, runs = load(name), {}
    for peer in ("halo", *peers):
        try:
            run = case.run(peer)
        except ModuleNotFoundError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        if run is not None:
            case.out.fill(1)  # of the peer before
            case.check(peer, run())
            runs[peer] = run
    times = interleaved(runs)
    least = max(case.bytes / bytes_per_second(), case.flops / ops_per_second(case.computes))
    halo = times.pop("halo")
    compile_ms, mb = in_new_process("first_call", name, "halo", 2), in_new_process("memory", name, "halo")
    for peer, theirs in times.items():
        print(json.dumps({
            "name": case.name, "peer": peer, "threads": threads,
            "halo_ms": statistics.median(halo) * 1e3, "peer_ms": statistics.median(theirs) * 1e3,
            "ratio": statistics.median(a / b for a, b in zip(halo, theirs, strict=True)),
            "halo_compile_ms": compile_ms, "peer_compile_ms": in_new_process("first_call", name, peer, 2),
            "halo_least_ms": min(halo) * 1e3, "peer_least_ms": min(theirs) * 1e3,
            "halo_mb": mb, "peer_mb": in_new_process("memory", name, peer), "roof": least / statistics.median(halo),
            "bytes": case.bytes, "flops": case.flops, "pixels": case.pixels,
        }), flush=True)  # fmt: skip


MEASURED = {"first_call": first_call, "memory": memory}

if __name__ == "__main__":
    if sys.argv[1] in MEASURED:
        MEASURED[sys.argv[1]](*sys.argv[2:])
    else:
        compare(sys.argv[1], sys.argv[2].split(","), int(sys.argv[3]))

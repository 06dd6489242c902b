"""`python -m benchmarks [NAME ...] [--peers halide,numba,...] [--threads 1|2] [--json FILE]`.

Every pipeline is checked against NumPy first, then timed beside its peers in one process, turn by turn; without
`--threads`, with all threads and with one. The names `start` and `calls` are what a program waits for, and what a call
costs. `make bench` writes docs/benchmarks.md and docs/benchmarks.svg.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .case import PEERS

FIGURES = ("start", "calls", "chain")
PIPELINES = ("blur", "blur_large", "unsharp", "harris", "bilateral_grid", "local_laplacian", "stencil_chain", "equalise",
             "matmul", "conv_layer", "elementwise")  # fmt: skip
THREADS = ("NUMBA_NUM_THREADS", "HL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*FIGURES, *PIPELINES)))
    parser.add_argument("--peers", default=",".join(PEERS[1:]), help="who else runs, by default all that are installed")
    parser.add_argument("--threads", type=int, help="how many each may use, by default all and then one")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument(
        "--docs", type=Path, help="write the table (benchmarks.md) and a plot (benchmarks.svg) into this folder"
    )
    args = parser.parse_args()
    unknown = set(args.names) - {*FIGURES, *PIPELINES}
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for name in args.names or FIGURES:
        if name in FIGURES:
            for result in importlib.import_module(f"benchmarks.{name}").run():
                print(result, flush=True)
    rows: list[Row] = []
    for threads in (args.threads,) if args.threads else (os.cpu_count() or 1, 1):
        for name in args.names or PIPELINES:
            if name in PIPELINES:
                for row in _measured(name, args.peers, threads):
                    rows.append(row)
                    print(_line(row), flush=True)
    print("\n".join(_summary(rows)))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    if args.docs and rows:
        from .plot import plot

        (args.docs / "benchmarks.md").write_text(_markdown(rows))
        plot(rows, args.docs / "benchmarks.svg")


def _measured(name: str, peers: str, threads: int) -> Iterator[Row]:
    """The rows of one pipeline, from a process whose libraries all have `threads` threads."""
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), "OPENBLAS_THREAD_TIMEOUT": "16"}
    command = [sys.executable, "-m", "benchmarks.pipeline", name, peers, str(threads)]
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    for line in process.stdout.splitlines():
        yield json.loads(line)


def _line(r: Row) -> str:
    compiled = (
        ""
        if r["peer_compile_ms"] is None
        else f"   first call {r['halo_compile_ms']:6.0f} : {r['peer_compile_ms']:6.0f}"
    )
    return (f"{r['name']:<16} {r['threads']} threads  halo {r['halo_ms']:9.3f} ms ({r['roof']:4.0%} of the roof)   "
            f"{r['peer']:<8} {r['peer_ms']:9.3f} ms   ratio {r['ratio']:6.3f}{compiled}")  # fmt: skip


def _summary(rows: list[Row]) -> Iterator[str]:
    for threads in sorted({r["threads"] for r in rows}, reverse=True):
        for peer in dict.fromkeys(r["peer"] for r in rows):
            of = [r for r in rows if r["peer"] == peer and r["threads"] == threads]
            if not of:
                continue
            worst = max(of, key=lambda r: r["ratio"])
            compiled = [r["halo_compile_ms"] / r["peer_compile_ms"] for r in of if r["peer_compile_ms"]]
            times = f", first call {_mean(compiled):.3f}" if compiled else ""
            yield (f"halo / {peer}, {threads} threads: geometric mean {_mean([r['ratio'] for r in of]):.3f}, "
                   f"worst {worst['ratio']:.3f} ({worst['name']}){times}")  # fmt: skip


def _mean(ratios: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, ratios)))


def _markdown(rows: list[Row]) -> str:
    head = ["# Benchmarks", "", "`make bench`: medians of interleaved rounds, in ms; ratio is halo's time to the peer's.", "",
            "![ratios](benchmarks.svg)", "",
            "| pipeline | threads | halo | of the roof | peer | time | ratio | first call, halo | first call, peer |",
            "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    body = [f"| {r['name']} | {r['threads']} | {r['halo_ms']:.3f} | {r['roof']:.0%} | {r['peer']} | {r['peer_ms']:.3f} "
            f"| {r['ratio']:.3f} | {r['halo_compile_ms'] or 0:.0f} | {r['peer_compile_ms'] or 0:.0f} |" for r in rows]  # fmt: skip
    return "\n".join([*head, *body, "", *_summary(rows), ""])


if __name__ == "__main__":
    main()

"""`python -m benchmarks [NAME ...] [--peers halide,numba,...] [--threads 1|2] [--json FILE]`.

Every pipeline is checked against NumPy first, then timed beside its peers in one process, turn by turn; without
`--threads`, with all threads and with one. The names `start` and `calls` are what a program waits for, and what a call
costs; `more` stands for further pipelines. `make bench` writes docs/benchmarks.md and docs/benchmarks.svg.
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
MORE = tuple(f"more.{path.stem}" for path in sorted((Path(__file__).parent / "more").glob("[!_]*.py")))
KEYS = ("name", "peer", "threads", "halo_ms", "peer_ms", "ratio", "halo_compile_ms", "peer_compile_ms")  # of --json
THREADS = ("NUMBA_NUM_THREADS", "HL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*FIGURES, *PIPELINES, "more", *MORE)))
    parser.add_argument("--peers", default=",".join(PEERS), help="who else runs, by default all that are installed")
    parser.add_argument("--threads", type=int, help="how many each may use, by default all and then one")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument(
        "--docs", type=Path, help="write the table (benchmarks.md) and a plot (benchmarks.svg) into this folder"
    )
    args = parser.parse_args()
    names = [n for name in args.names or (*FIGURES, *PIPELINES) for n in (MORE if name == "more" else (name,))]
    for given, known, kind in (
        (names, (*FIGURES, *PIPELINES, *MORE), "benchmark"),
        (args.peers.split(","), PEERS, "peer"),
    ):
        if unknown := sorted({*given} - {*known}):
            parser.error(f"there is no {kind} {', '.join(unknown)}; there are {', '.join(known)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for name in names:
        if name in FIGURES:
            for result in importlib.import_module(f"benchmarks.{name}").run():
                print(result, flush=True)
    rows: list[Row] = []
    for threads in (args.threads,) if args.threads else (os.cpu_count() or 1, 1):
        for name in names:
            if name not in FIGURES:
                for row in _measured(name, args.peers, threads):
                    rows.append(row)
                    print(_line(row), flush=True)
    print("\n".join(_summary(rows)))
    if args.json:
        args.json.write_text(json.dumps([{key: row[key] for key in KEYS} for row in rows], indent=1) + "\n")
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
    compiled = _pair("first call", r["halo_compile_ms"], r["peer_compile_ms"], "6.0f")
    memory = _pair("MB", r["halo_mb"], r["peer_mb"], "4.0f")
    return (f"{r['name']:<16} {r['threads']} threads  halo {r['halo_ms']:9.3f} ms ({r['roof']:4.0%} of the roof)   "
            f"{r['peer']:<8} {r['peer_ms']:9.3f} ms   ratio {r['ratio']:6.3f}{compiled}{memory}")  # fmt: skip


def _pair(what: str, mine: float | None, theirs: float | None, form: str) -> str:
    return "" if mine is None or theirs is None else f"   {what} {mine:{form}} : {theirs:{form}}"


def _summary(rows: list[Row]) -> Iterator[str]:
    for threads in sorted({r["threads"] for r in rows}, reverse=True):
        for peer in dict.fromkeys(r["peer"] for r in rows):
            of = [r for r in rows if r["peer"] == peer and r["threads"] == threads]
            if not of:
                continue
            worst = max(of, key=lambda r: r["ratio"])
            line = (f"halo / {peer}, {threads} threads: geometric mean {_mean([r['ratio'] for r in of]):.3f}, "
                    f"worst {worst['ratio']:.3f} ({worst['name']})")  # fmt: skip
            for what, key in (("first call", "compile_ms"), ("memory", "mb")):
                if both := [r[f"halo_{key}"] / r[f"peer_{key}"] for r in of if r[f"halo_{key}"] and r[f"peer_{key}"]]:
                    line += f", {what} {_mean(both):.3f}, worst {max(both):.3f}"
            yield line


def _mean(ratios: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, ratios)))


def _markdown(rows: list[Row]) -> str:
    columns = ("pipeline", "threads", "halo, ms", "least", "bytes a pixel", "flops", "of the roof", "peer", "peer, ms", "least",
               "ratio", "first call: halo, ms", "peer, ms", "memory: halo, MB", "peer, MB")  # fmt: skip
    head = ["# Benchmarks", "",
            "`make bench`: medians of interleaved rounds; ratio is halo's time to the peer's, round by round. The roof is the "
            "time that the bytes take at the speed of STREAM's triad, or the flops at that of fused multiply-adds in "
            "registers, whichever is longer; what stays in the caches may be faster. Memory is arrays and intermediates.",
            "", "![ratios](benchmarks.svg)", "",
            f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]  # fmt: skip
    body = [(r["name"], r["threads"], f"{r['halo_ms']:.3f}", f"{r['halo_least_ms']:.3f}", f"{r['bytes'] / r['pixels']:.1f}",
             f"{r['flops'] / r['pixels']:.0f}", f"{r['roof']:.0%}", r["peer"], f"{r['peer_ms']:.3f}",
             f"{r['peer_least_ms']:.3f}", f"{r['ratio']:.3f}",
             *("" if r[key] is None else f"{r[key]:.0f}" for key in ("halo_compile_ms", "peer_compile_ms", "halo_mb", "peer_mb")))
            for r in rows]  # fmt: skip
    return "\n".join([*head, *(f"| {' | '.join(map(str, cells))} |" for cells in body), "", *_summary(rows), ""])


if __name__ == "__main__":
    main()

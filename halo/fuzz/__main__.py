"""`python -m halo.fuzz --cases N --seed S`: run cases in processes, so that even a crash is reported with its seed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from ..progress import Progress

CHUNK = 100
SECONDS = 1800  # for a chunk: what takes longer hangs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m halo.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="how many pipelines")
    parser.add_argument("--seed", type=int, default=1, help="of the first one; the next follow")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--garbage", action="store_true", help="random arguments to every public call instead")
    parser.add_argument("--show", action="store_true", help="print the programs instead of running them")
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.cases)
    if args.show:
        from .pipelines import Case

        for seed in seeds:
            print(f"# seed {seed}\n{Case(seed).text}\n")
        return 0
    failures, stop = 0, False
    running: set[subprocess.Popen[str]] = set()
    progress = Progress("fuzzing", args.cases)

    def run(chunk: range) -> None:
        nonlocal failures, stop
        while chunk and not stop:
            failed, text = _run(chunk, "garbage" if args.garbage else "check", running)
            if failed is None:
                return progress.advance(len(chunk))
            if stop or "KeyboardInterrupt" in text:
                return progress.advance(failed - chunk.start)
            failures += 1
            stop = not args.keep_going
            progress.say(f"seed {failed} failed:\n{text[-6000:]}")
            progress.advance(failed + 1 - chunk.start, f"{failures} failed")
            chunk = range(failed + 1, chunk.stop)

    status = 0
    with progress, ThreadPoolExecutor(args.jobs) as pool:
        try:
            list(pool.map(run, (seeds[k : k + CHUNK] for k in range(0, len(seeds), CHUNK))))
        except KeyboardInterrupt:  # what was found so far is said below
            stop, status = True, 130
            for process in tuple(running):  # which have not heard of it, if it came by `kill`
                process.terminate()
            pool.shutdown(cancel_futures=True)
    print(f"{progress.done} cases, {failures} failures, {progress.seconds:.0f} s")
    return 1 if failures else status


def _run(seeds: range, what: str, running: set[subprocess.Popen[str]]) -> tuple[int | None, str]:
    """Run `halo.fuzz.<what>` on each of the seeds in a process of its own, which is one of those `running` meanwhile; the
    first that fails, and what it said."""
    code = (
        f"from halo.fuzz import {what}\n"
        f"for seed in range({seeds.start}, {seeds.stop}):\n"
        f"    print('ok', seed, {what}(seed), flush=True)\n"
    )
    environment = {**os.environ, "HALO_CACHE": "0", "NUMBA_NUM_THREADS": "2"}
    with subprocess.Popen([sys.executable, "-X", "faulthandler", "-c", code], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=environment) as process:  # fmt: skip
        running.add(process)
        try:
            out, _ = process.communicate(timeout=SECONDS)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, status = process.communicate()[0], -1
        finally:
            running.discard(process)
    done = sum(line.startswith("ok ") for line in out.splitlines())
    said = "\n".join(line for line in out.splitlines() if not line.startswith("ok "))
    return (seeds.start + done, f"status {status}\n{said}") if status else (None, "")


if __name__ == "__main__":
    sys.exit(main())

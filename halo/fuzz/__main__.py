"""`python -m halo.fuzz --cases N --seed S`: run cases in processes, so that even a crash is reported with its seed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

CHUNK = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m halo.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="how many pipelines")
    parser.add_argument("--seed", type=int, default=1, help="of the first one; the next follow")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    args = parser.parse_args()
    start, failures = time.monotonic(), 0
    todo = [range(s, min(s + CHUNK, args.seed + args.cases)) for s in range(args.seed, args.seed + args.cases, CHUNK)]
    running: list[tuple[range, subprocess.Popen[str]]] = []
    while todo or running:
        while todo and len(running) < args.jobs:
            seeds = todo.pop(0)
            running.append((seeds, _start(seeds)))
        seeds, process = running.pop(0)
        out, _ = process.communicate()
        done = sum(line.startswith("ok ") for line in out.splitlines())
        if process.returncode:
            failures += 1
            failed = seeds.start + done
            print(f"seed {failed} failed (status {process.returncode}):\n{out[-4000:]}", flush=True)
            if not args.keep_going:
                for _, other in running:
                    other.kill()
                return 1
            if failed + 1 < seeds.stop:
                todo.insert(0, range(failed + 1, seeds.stop))
    print(f"{args.cases} cases, {failures} failures, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


def _start(seeds: range) -> subprocess.Popen[str]:
    code = (
        "import sys\n"
        "from halo.fuzz import check\n"
        f"for seed in range({seeds.start}, {seeds.stop}):\n"
        "    legal = check(seed)\n"
        "    print('ok', seed, legal, flush=True)\n"
    )
    environment = {**os.environ, "HALO_CACHE": "0", "NUMBA_NUM_THREADS": "2"}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


if __name__ == "__main__":
    sys.exit(main())

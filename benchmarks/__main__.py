"""`python -m benchmarks [name ...]`: all measurements, or those of the modules named."""

from __future__ import annotations

import importlib
import os
import platform
import sys

NAMES = ("start", "calls", "chain", "blur", "laplacian")


def main(names: list[str]) -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for name in names or NAMES:
        for result in importlib.import_module(f"benchmarks.{name}").run():
            print(result, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""LLVM IR of the user's own, compiled once in a process apart: what LLVM cannot select would end this one."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

from ..errors import CompileError
from . import llvm
from .target import Target

__all__ = ["refusal"]

SECONDS = 60


@functools.cache
def refusal(text: str, target: Target, apart: bool) -> str | None:
    """Why LLVM does not take the module `text`, or None if it does. `apart`: also try to make machine code of it."""
    try:
        llvm.verify(text)
    except CompileError as error:
        return "\n".join(line for line in error.message.partition(": ")[2].splitlines() if line)
    if not apart or not sys.executable:
        return None
    home = str(Path(__file__).parent.parent.parent)
    code = f"import sys; sys.path.insert(0, {home!r}); from halo.jit.trial import main; main()"
    given = json.dumps([text, target.triple, target.cpu, target.features])
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], input=given, capture_output=True, text=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # there are no processes here: it is taken at its word
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["LLVM ended the process"])[-1]


def main() -> None:
    text, *target = json.load(sys.stdin)
    llvm.compile_ir(text, Target(*target))

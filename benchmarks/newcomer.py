"""`python -m benchmarks.newcomer [NAME ...]`: how far one comes by clicking only what the explorer offers.

From the unscheduled pipeline on, every legal step of `Explorer.steps` is tried, and the one that gains most is kept, until
none gains anything. The result is timed beside the hand schedule's, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import halo
from halo.progress import Progress
from halo.show import explore

from .measure import Result, interleaved
from .pipeline import load

NAMES = ("blur", "unsharp")
GAIN = 0.97  # of the time before: what gains less is noise
SHARE = 0.8  # of the hand schedule's speed, the bar
SECONDS = 0.03  # of a timing while searching
ROUNDS = 12  # clicks at most


def follow(e: halo.show.Explorer, say: Progress) -> None:
    """Click the best of all steps, again and again."""
    for _ in range(ROUNDS):
        start, best = e.current, e.current
        for step in e.steps:
            if not step.legal:
                continue
            try:
                tried = e.apply(step)
            except halo.HaloError:  # refused by the whole compiler only
                continue
            best = tried if tried.milliseconds < best.milliseconds else best
            e.goto(start.number)
            say.advance(note=f"{best.milliseconds:.3f} ms")
        if best.milliseconds > GAIN * start.milliseconds:
            return
        e.goto(best.number)
        say.say(f"  {best.milliseconds:9.3f} ms  {best.code}")


def newcomer(name: str) -> Result:
    """The share of the hand schedule's speed that is reached on the pipeline `name`."""
    case = load(name)
    clicked = case.func()
    clicked.unschedule()
    with Progress(name) as say:
        follow(clicked.explore(**case.inputs, shape=case.shape), say)
    hand, out = case.run("halo"), case.out
    kernel = clicked.compile(**case.inputs)
    assert hand is not None
    runs = {"hand": hand, "clicked": lambda: kernel(**case.inputs, out=out)}
    runs["clicked"]()
    case.check("halo", out)
    times = interleaved(runs)
    share = statistics.median(a / b for a, b in zip(times["hand"], times["clicked"], strict=True))
    return Result(f"{name}: speed by clicking, of the hand schedule's", share, "", SHARE, at_least=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.newcomer", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    explore.SECONDS = SECONDS
    results = [newcomer(name) for name in parser.parse_args().names]
    print(*results, sep="\n")
    return not all(r.reached for r in results)


if __name__ == "__main__":
    sys.exit(main())

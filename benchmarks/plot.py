"""The ratios as a picture: a bar for each pipeline and peer, shorter than 1 where halo is faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows of the most threads as an SVG."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    most = max(r["threads"] for r in rows)
    shown = [r for r in rows if r["threads"] == most and r["peer"] != "default"]
    names, peers = list(dict.fromkeys(r["name"] for r in shown)), list(dict.fromkeys(r["peer"] for r in shown))
    ratios = {(r["name"], r["peer"]): r["ratio"] for r in shown}
    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    for k, peer in enumerate(peers):
        at = [i + (k - (len(peers) - 1) / 2) * 0.8 / len(peers) for i in range(len(names))]
        axes.bar(
            at, [ratios.get((name, peer), float("nan")) for name in names], 0.8 / len(peers), label=f"halo / {peer}"
        )
    axes.axhline(1, color="grey", linewidth=1)
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_ylabel(f"time of halo / time of the peer, {most} threads")
    axes.legend()
    figure.savefig(path)

"""The page of `halo.show.lowering`: texts are packed, and unpacked and folded by its script, so that a pipeline of a hundred
stages is a page of under a megabyte that opens at once. No network, light and dark."""

from __future__ import annotations

import base64
import gzip
import json
from html import escape
from typing import TYPE_CHECKING

from .assets import asset

if TYPE_CHECKING:
    from .lowering import Lowering

__all__ = ["page"]


def page(made: Lowering) -> str:
    data = {
        "steps": [[s.name, s.says, round(s.seconds * 1e3, 2), "\n".join(s.lines), s.changes] for s in made.steps],
        "loops": made.loops,
        "llvm": made.llvm,
        "asm": made.asm,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9)).decode()
    title = escape(made.name)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}: lowering</title>
<style>{asset("lowering.css")}</style>
<header><h1>{title}</h1><nav></nav></header>
<details><summary>schedule</summary><pre>{escape(made.schedule) or "without directives"}</pre></details>
<main></main>
<script id="data" type="application/octet-stream">{packed}</script>
<script>{asset("lowering.js")}</script></html>
"""

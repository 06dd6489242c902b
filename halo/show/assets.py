"""Styles and scripts, which lie beside the modules that put them into pages."""

from __future__ import annotations

from pathlib import Path

__all__ = ["asset", "controls"]


def asset(name: str) -> str:
    """The text of the file `name` in this directory."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def controls(steps: int, said: str) -> str:
    """The button and the slider of an animation of so many steps, which `player.js` makes work; it stands at the last."""
    return (
        '<button type="button" aria-label="play or pause">play</button> '
        f'<input type="range" min="0" max="{steps}" value="{steps}" aria-label="step"> <output>{said}</output>'
    )

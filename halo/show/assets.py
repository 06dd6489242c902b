"""Styles and scripts, which lie beside the modules that put them into pages."""

from __future__ import annotations

from pathlib import Path

__all__ = ["asset"]


def asset(name: str) -> str:
    """The text of the file `name` in this directory."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")

"""Schedules: directives, the loops that they make of a stage, and the immutable Schedule value."""

from .apply import apply
from .loops import Dim, FuseOp, Loops, RenameOp, SplitOp

__all__ = ["Dim", "FuseOp", "Loops", "RenameOp", "SplitOp", "apply"]

"""Schedules: directives, the loops that they make of a stage, and the immutable Schedule value."""

from .apply import apply
from .loops import Dim, FuseOp, Loops, RenameOp, SplitOp
from .schedule import Schedule

__all__ = ["Dim", "FuseOp", "Loops", "RenameOp", "Schedule", "SplitOp", "apply"]

"""Funcs: definition, scheduling, compilation and call. The only room that knows all the others."""

from .extern import extern
from .func import Func, func
from .intrinsic import intrinsic
from .pipeline import Pipeline
from .scan import scan
from .schedulable import Stage
from .sort import argsort, sort

__all__ = ["Func", "Pipeline", "Stage", "argsort", "extern", "func", "intrinsic", "scan", "sort"]

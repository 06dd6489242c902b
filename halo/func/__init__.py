"""Funcs: definition, scheduling, compilation and call. The only room that knows all the others."""

from .func import Func, func
from .schedulable import Stage

__all__ = ["Func", "Stage", "func"]

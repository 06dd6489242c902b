"""Pictures of schedules: what a loop nest does, in which order, and what the compiler makes of it."""

from .lowering import Lowering, lowering
from .order import Grid, Order, order

__all__ = ["Grid", "Lowering", "Order", "lowering", "order"]

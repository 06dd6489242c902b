"""Pictures of schedules: what a loop nest does, in which order, and what the compiler makes of it."""

from .explore import Explorer, State
from .lowering import Lowering, lowering
from .order import Grid, Order, order
from .peaks import Machine, machine
from .report import Report, StageReport
from .steps import Step
from .traces import TraceView

__all__ = ["Explorer", "Grid", "Lowering", "Machine", "Order", "Report", "StageReport", "State", "Step", "TraceView", "lowering",
           "machine", "order"]  # fmt: skip

"""`halo.Pipeline`: several outputs computed in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, here
from .func import Func
from .runnable import Runnable

if TYPE_CHECKING:
    from .program import Program

__all__ = ["Pipeline"]


class Pipeline(Runnable):
    """Several Funcs computed in one pass, whatever their shapes; what they share is computed once.

    Called like a Func: the result is a tuple, `shape` and `out` have one entry a Func.

    >>> import halo, numpy as np
    >>> x = halo.Var("x")
    >>> a, b, img = halo.Func("a"), halo.Func("b"), halo.Input("img", ndim=1)
    >>> a[x] = img[x] + 1
    >>> b[x] = a[x] * 2
    >>> halo.Pipeline([a, b])(img=np.array([1, 2], np.uint8))
    (array([2, 3], dtype=uint8), array([4, 6], dtype=uint8))
    """

    def __init__(self, outputs: Sequence[Func]) -> None:
        super().__init__()
        self.outputs = tuple(outputs) if isinstance(outputs, (list, tuple)) else ()
        if not self.outputs or not all(isinstance(f, Func) for f in self.outputs):
            raise ArgumentError("a Pipeline has one or more Funcs", loc=here(), hint="halo.Pipeline([f, g])")
        if len(set(self.outputs)) < len(self.outputs):
            raise ArgumentError("a Func stands twice among the outputs of a Pipeline", loc=here())
        self.name = "_".join(f.name for f in self.outputs)
        self._program: Program | None = None

    def program(self, values: Mapping[str, Any] | None = None, shape: Any = None, out: Any = None) -> Program:
        if self._program is None:
            from .program import Program

            self._program = Program(self.outputs, self.name, several=True)
        return self._program

    def __getitem__(self, name: str) -> Func:
        """The stage of this name."""
        from .program import stage_named

        found: Func = stage_named(self, name)
        return found

    def rebound(self, copies: Mapping[Any, Func]) -> Pipeline:
        return Pipeline([copies.get(f, f) for f in self.outputs])

    def __repr__(self) -> str:
        return f"halo.Pipeline([{', '.join(f.name for f in self.outputs)}])"

"""From a PyTorch module to a Module: `torch.export` records it, PyTorch's exporter writes it as ONNX, `from_onnx` reads that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halo.errors import ArgumentError, here

from ..module import Module
from .importer import from_onnx

__all__ = ["from_torch"]


def from_torch(module: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, *,
               dynamic_shapes: Any = None) -> Module:  # fmt: skip
    """A Module that computes what a `torch.nn.Module`, or a `torch.export.ExportedProgram`, does for inputs like `args` and
    `kwargs`, in the mode that it is in: call `module.eval()` before.

    `dynamic_shapes`: the axes that stay open, as `torch.export.export` takes them: `({0: "batch"},)`, say. Inputs have the
    names of the parameters of `forward`. Needs PyTorch and onnxscript (the extra `[torch]`): raises ArgumentError where they
    are not installed, and for a module that PyTorch cannot export.

        net = halo.graph.from_torch(model.eval(), (image,), dynamic_shapes=({0: "batch"},)).compile()
        net(image)                                     # tensors as they are, see Net
    """
    try:
        import onnxscript  # noqa: F401  # what PyTorch's exporter writes with
        import torch
    except ImportError as error:
        raise ArgumentError("from_torch needs the packages torch and onnxscript", loc=here(),
                            hint="pip install halo-lang[torch]") from error  # fmt: skip
    if not isinstance(module, (torch.nn.Module, torch.export.ExportedProgram)):
        raise ArgumentError(f"from_torch takes a torch.nn.Module, not {type(module).__name__}", loc=here())
    try:
        found = torch.onnx.export(module, tuple(args), kwargs=dict(kwargs or {}), dynamic_shapes=dynamic_shapes, dynamo=True,
                                  verbose=False)  # fmt: skip
        assert found is not None
        proto = found.model_proto
    except Exception as error:  # of any kind, as the module's own
        raise ArgumentError(f"PyTorch does not export this module: {_reason(error)}", loc=here()) from error
    return from_onnx(proto)


def _reason(error: BaseException) -> str:
    """What the first of its causes says."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"

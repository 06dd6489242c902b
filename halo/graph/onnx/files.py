"""Model files, which may be damaged or made to do harm: read with nothing outside of their folder, and no more memory than
there is data.

What a file says is checked before it is believed: tensors against the bytes that are there, shapes against the memory of
the machine, names and nesting before anything is made of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from halo.errors import ArgumentError, HaloError, here
from halo.ir.shapes import DimExpr
from halo.jit.target import Target

from .control import graphs_in

__all__ = ["block_of", "check_names", "check_size", "hold", "memory", "read"]

DEEPEST = 32  # graphs within graphs
LARGEST = 2**62  # times an extent that only a call knows


def memory() -> int:
    """The bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**40


def read(model: Any) -> Any:
    """The ModelProto of a path, of the bytes of a file, or itself, with its external data. Raises ArgumentError for what is
    no model, and for data that is not in the folder of the file."""
    try:
        import onnx
    except ImportError as error:
        raise ArgumentError("ONNX models are read with the package onnx", loc=here(),
                            hint="pip install halo-lang[onnx]") from error  # fmt: skip
    folder: Path | None = None
    if isinstance(model, onnx.ModelProto):
        proto = model
    else:
        try:
            if isinstance(model, bytes):
                proto = onnx.load_model_from_string(model)
            else:
                proto = onnx.load(os.fspath(model), load_external_data=False)
                folder = Path(os.path.realpath(os.fspath(model))).parent
        except OSError:
            raise
        except Exception as error:  # the protobuf library raises what it likes
            raise ArgumentError(f"this is no ONNX model: {error}", loc=here(),
                                hint="a path, the bytes of a file, or an onnx.ModelProto") from error  # fmt: skip
    _check_depth(proto)
    outside = [t for t in _tensors(proto) if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside and folder is None:
        raise ArgumentError(f"the data of {outside[0].name} is in a file beside the model, which is not known here",
                            loc=here(), hint="from_onnx(path)")  # fmt: skip
    for t in outside:
        assert folder is not None
        t.raw_data = _outside(t, folder)
        t.data_location = onnx.TensorProto.DEFAULT
        del t.external_data[:]
    return proto


def _check_depth(proto: Any) -> None:
    todo = [(g, 1) for g in (proto.graph, *proto.functions)]
    while todo:
        graph, depth = todo.pop()
        if depth > DEEPEST:
            raise ArgumentError(f"graphs deeper than {DEEPEST} are not supported", loc=here())
        todo += [(inner, depth + 1) for n in graph.node for inner in graphs_in(n)]


def _tensors(proto: Any) -> Iterator[Any]:
    """Every tensor that the file holds."""
    todo = [proto.graph, *proto.functions]
    while todo:
        graph = todo.pop()
        yield from getattr(graph, "initializer", ())
        for s in getattr(graph, "sparse_initializer", ()):
            yield from (s.values, s.indices)
        for n in graph.node:
            for a in n.attribute:
                if a.HasField("t"):
                    yield a.t
                yield from a.tensors
            todo += graphs_in(n)


def _outside(t: Any, folder: Path) -> bytes:
    """The bytes of a tensor that lie in a file of `folder`."""
    entries = {e.key: e.value for e in t.external_data}
    location = entries.get("location", "")
    wrong = f"the data of {t.name} is to be read from {location!r}"
    if not location or "\0" in location or os.path.isabs(location) or ".." in Path(location.replace("\\", "/")).parts:
        raise ArgumentError(f"{wrong}, which is no file of the model's folder", loc=here())
    path = Path(os.path.realpath(folder / location))  # a link leads where it leads
    if not path.is_relative_to(folder) or not path.is_file():
        raise ArgumentError(f"{wrong}, which is no file of the model's folder", loc=here())
    size = path.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries["length"]) if "length" in entries else size - offset
    except ValueError as error:
        raise ArgumentError(f"{wrong}, at no number", loc=here()) from error
    if offset < 0 or length < 0 or offset + length > size:
        raise ArgumentError(f"{wrong}, which ends before byte {offset + length}", loc=here())
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(length)


def hold(t: Any) -> np.ndarray[Any, Any]:
    """A tensor of the file as an array. Raises ArgumentError where it is none, or says more than it has."""
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(t))
    except HaloError:
        raise
    except Exception as error:  # whatever is wrong with it
        raise ArgumentError(f"the constant {t.name} of {list(t.dims)} is damaged: {error}", loc=here()) from error


def block_of(proto: Any) -> int:
    """How many channels a block of `com.microsoft.nchwc` has in a file, which is ONNX Runtime's for the machine that wrote it:
    8 where not all weights are of whole blocks of 16, else what it would be on this machine."""
    sizes = {t.name: t.dims[0] for t in proto.graph.initializer if t.dims}
    todo, outs = [proto.graph], list[int]()
    while todo:
        for n in todo.pop().node:
            todo += graphs_in(n)
            if n.domain == "com.microsoft.nchwc" and n.op_type == "Conv" and len(n.input) > 1:
                outs.append(sizes.get(n.input[1], 0))
    return 8 if any(k % 16 for k in outs) else min(Target.host().vector_bits // 32, 16)


def check_names(graph: Any) -> None:
    """Each value of a graph has a name of its own. Raises ArgumentError."""
    held = {t.name for t in graph.initializer}
    inputs = [v.name for v in graph.input]
    made = [name for n in graph.node for name in n.output if name]
    seen: set[str] = set()
    for name in (*inputs, *(t.name for t in graph.initializer if t.name not in inputs), *made):
        if name in seen:
            raise ArgumentError(f"two values are named {name!r}", loc=here())
        seen.add(name)
    if len(held) < len(graph.initializer):
        raise ArgumentError("two constants have the same name", loc=here())


def check_size(t: Any, what: str) -> None:
    """A value fits into the memory of this machine. Raises ArgumentError."""
    if isinstance(t, tuple):
        for one in t:
            check_size(one, what)
        return
    terms = [c for n in t.shape if isinstance(n, DimExpr) for _, c in n.terms]
    if any(abs(c) >= LARGEST for c in terms):
        raise ArgumentError(f"{what} has an extent of {max(terms)} times another one", loc=here())
    size = math.prod(n for n in t.shape if isinstance(n, int)) * t.dtype.bytes
    if size > memory():
        raise ArgumentError(f"{what} is of {t}, {size} bytes, which is more than this machine has", loc=here())

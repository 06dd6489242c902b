"""Programs in files: the text of a Module, and the constants that it names in a safetensors file beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.errors import ArgumentError, HaloError, here
from halo.types import ML_DTYPES, as_type

from .parse import parse
from .text import constants

if TYPE_CHECKING:
    from .module import Module

__all__ = ["read", "write"]

Array = np.ndarray[Any, Any]
SUFFIX = ".safetensors"


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ArgumentError("constants are stored with the package safetensors", loc=here(),
                            hint="pip install halo-lang[onnx]") from error  # fmt: skip
    return safetensors


def _beside(path: Path) -> Path:
    """The file of the constants."""
    if path.suffix == SUFFIX:
        raise ArgumentError(f"{path} is where the constants would be; the text is a file of another kind", loc=here(),
                            hint=str(path.with_suffix(".halo")))  # fmt: skip
    return path.with_suffix(SUFFIX)


def write(m: Module, path: Path) -> None:
    """Both files. What NumPy has no type of its own for is stored as its bits, and the type beside it."""
    library, beside = _library(), _beside(path)
    arrays, types = dict[str, Array](), dict[str, str]()
    for name, a in constants(m).items():
        t = as_type(a.dtype)
        a = np.ascontiguousarray(a, a.dtype.newbyteorder("=")).reshape(a.shape)
        if t.name in ML_DTYPES:
            types[name], a = t.name, a.view(f"u{a.itemsize}")
        arrays[name] = a
    told = {"outputs": list(m.outputs), "metadata": dict(m.metadata), "types": types}
    library.numpy.save_file(arrays, beside, {key: json.dumps(value) for key, value in told.items()})
    path.write_text(f"{m}\n", encoding="utf-8")


def read(path: Path) -> Module:
    """The Module of both files. Raises ArgumentError for what they cannot be."""

    beside = _beside(path)
    try:
        text = path.read_text(encoding="utf-8")
        arrays, told = _held(beside)
        found = parse(text, arrays, tuple(map(str, told.get("outputs", ()))))
    except (HaloError, OSError):
        raise
    except Exception as error:  # whatever is wrong with a file
        raise ArgumentError(
            f"{path} and {beside.name} are no program: {type(error).__name__}: {error}", loc=here()
        ) from error
    metadata = {str(key): str(value) for key, value in told.get("metadata", {}).items()}
    return replace(found, metadata=metadata)


def _held(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays of a safetensors file by name, and what is told beside them."""
    library = _library()
    try:
        with library.safe_open(path, framework="numpy") as f:
            told = {key: json.loads(value) for key, value in (f.metadata() or {}).items()}
            arrays = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118  # it is no dict
    except OSError:
        raise
    except Exception as error:  # of the library's own
        raise ArgumentError(f"{path} is no safetensors file that is whole: {error}", loc=here()) from error
    if not all(
        isinstance(told.get(key, kind()), kind)
        for key, kind in (("outputs", list), ("metadata", dict), ("types", dict))
    ):
        raise ArgumentError(f"{path} tells what is not of its kind", loc=here())
    for name, kind in told.get("types", {}).items():
        t = as_type(kind)
        if name not in arrays or t.name not in ML_DTYPES or arrays[name].dtype != np.dtype(f"u{t.dtype.itemsize}"):
            raise ArgumentError(f"{path}: {name!r} does not hold the bits of {kind!r}", loc=here())
        arrays[name] = arrays[name].view(t.dtype)
    return arrays, told

"""Artefacts: a net in a file, with its kernels as machine code. **It is code**: load only what you would run.

magic, bytes of the head | head (pickled): program, names, plans, kernels, where the constants are | constants, each on a
boundary of 64 bytes, so that they are used where they are mapped
"""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from halo.errors import ArgumentError, here
from halo.jit import cache
from halo.jit.kernel import restored
from halo.jit.target import Target
from halo.types import as_type

from .arguments import file_name
from .memory import ALIGNMENT
from .net import Source
from .parse import parse

if TYPE_CHECKING:
    from halo.jit.kernel import Kernel

    from .net import Net
    from .plan import Plan

__all__ = ["load", "save"]

MAGIC = b"halonet3"
_HEAD = struct.Struct("<8sQ")


def _made_by() -> str:
    """What the machine code fits: the same halo on the same kind of machine."""
    return cache.digest(repr(Target.host()).encode())


def save(path: str | Path, text: str, outputs: tuple[str, ...], plans: Mapping[str, Plan], kernels: Mapping[str, Kernel],
         constants: Mapping[str, Any]) -> None:  # fmt: skip
    """Write an artefact: beside its place first, as a net whose constants are in a file that was there reads them on."""
    places, at = {}, 0
    for name, a in constants.items():
        places[name] = (at, as_type(a.dtype).name, a.shape)
        at += -(-a.nbytes // ALIGNMENT) * ALIGNMENT
    stored = {name: kernel.stored() for name, kernel in kernels.items()}
    head = pickle.dumps((_made_by(), text, outputs, plans, stored, places), protocol=4)
    head += b"\0" * (-(len(head) + _HEAD.size) % ALIGNMENT)
    path = Path(file_name(path))
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        _write(beside, head, constants)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _write(path: Path, head: bytes, constants: Mapping[str, Any]) -> None:
    with open(path, "wb") as f:
        f.write(_HEAD.pack(MAGIC, len(head)))
        f.write(head)
        for a in constants.values():
            data = np.ascontiguousarray(a).tobytes()
            f.write(data + b"\0" * (-len(data) % ALIGNMENT))


def load(path: str | Path) -> Net:
    """The net that `Net.save` wrote: no pass runs, and the constants stay in the file until they are read.

    On another kind of machine, or by another halo, its kernels are compiled again from the program, which a line on stderr
    says. Raises ArgumentError for what is no such file. An artefact is code: load only what you would run.
    """
    from .compile import assembled, relink

    with open(file_name(path), "rb") as f:
        start = f.read(_HEAD.size)
        if len(start) < _HEAD.size or start[:8] != MAGIC:
            raise ArgumentError(f"{path} is no net that was saved", loc=here())
        _, size = _HEAD.unpack(start)
        head = f.read(size)
        if len(head) < size:
            raise ArgumentError(f"{path} is cut off", loc=here())
        try:
            made_by, text, outputs, plans, stored, places = pickle.loads(head)
        except Exception as error:  # of whatever there is instead
            raise ArgumentError(f"{path} is damaged: {error}", loc=here()) from error
        first = _HEAD.size + size
        whole = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    constants = {}
    for name, (at, kind, shape) in places.items():
        dtype = as_type(kind).dtype
        count = int(np.prod(shape, dtype=np.int64))
        if first + at + count * dtype.itemsize > len(whole):
            raise ArgumentError(f"{path} is cut off", loc=here())
        constants[name] = np.frombuffer(whole, dtype, count, first + at).reshape(shape)
    source = Source(lambda: parse(text, constants, outputs), text)
    if made_by != _made_by():
        print(f"halo: {path} was made elsewhere: its kernels are compiled again", file=sys.stderr)
        return relink(source.module)
    return assembled(plans, outputs, {name: restored(data) for name, data in stored.items()}, constants, source)

"""Programs in files: text and constants, and files that are damaged or made to do harm."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import halo
from halo import nn
from halo.graph import Constant, Function, Module, Tuple, Var, constants, parse
from halo.nn import TensorType

from .helpers import bottleneck

pytest.importorskip("safetensors", reason="extra: onnx")
TYPES = [
    np.float32, np.float64, np.float16, np.int8, np.uint16, np.int64, np.uint64, np.bool_, ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e8m0fnu, ml_dtypes.int4,
    ml_dtypes.uint2, ml_dtypes.float4_e2m1fn,
]  # fmt: skip


def test_a_network_is_the_same_program_and_has_the_same_bits(tmp_path: Path) -> None:
    m = Module(bottleneck().functions, ("scores",), {"author": "Ada", "license": "MIT"})
    m.save(tmp_path / "net.halo")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.halo", "net.safetensors"]
    again = Module.load(str(tmp_path / "net.halo"))
    assert str(again) == str(m)
    assert (again.outputs, again.metadata, again.inputs) == (m.outputs, m.metadata, m.inputs)
    x = np.random.default_rng(0).standard_normal((1, 3, 9, 9), np.float32)
    np.testing.assert_array_equal(again.compile()(x), m.compile()(x))


def test_constants_of_every_type_and_rank(tmp_path: Path) -> None:
    x = Var("x", TensorType((2,), halo.f32))
    values = [np.arange(6).reshape(2, 3).astype(t) for t in TYPES]
    values += [np.array(3, np.float32), np.zeros((0, 4), np.int32), np.asfortranarray(values[0]), values[0][::-1, ::2]]
    values += [np.arange(3, dtype=">f4"), np.array(2, ml_dtypes.bfloat16)]
    made = tuple(Constant(v, f"a name/{k}") for k, v in enumerate(values))
    m = Module({"main": Function((x,), Tuple((nn.relu(x), *made)))})
    m.save(tmp_path / "m.txt")
    for name, a in constants(Module.load(tmp_path / "m.txt")).items():
        want = constants(m)[name]
        assert a.dtype == want.dtype.newbyteorder("=") and a.shape == want.shape
        np.testing.assert_array_equal(a.astype(np.float64), want.astype(np.float64))


def damaged(header: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(begin: int = 0, end: int = 8, shape: tuple[int, ...] = (2,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


GOOD = np.ones(2, np.float32).tobytes()


@pytest.mark.parametrize("held", [
    b"", b"\0" * 4, b"\xff" * 64, struct.pack("<Q", 2**60), damaged({}), damaged({"w": entry()}),
    damaged({"w": entry()}, GOOD[:-1]),
    damaged({"w": entry(), "v": entry()}, GOOD), damaged({"w": entry(shape=(3,))}, GOOD), damaged({"w": entry(0, 4)}, GOOD),
    damaged({"w": entry(shape=(2**40, 2**40))}, GOOD), damaged({"w": entry(shape=(-2,))}, GOOD), damaged({"w": entry(8, 0)}, GOOD),
    damaged({"w": entry(dtype="F33")}, GOOD), damaged({"v": entry()}, GOOD), damaged({"w": entry(shape=(1, 2))}, GOOD * 2),
    damaged({"w": entry(0, 12, (3,))}, GOOD + GOOD[:4]), damaged({"w": "../other"}),
    damaged({"w": entry(dtype="C64", shape=(1,))}, GOOD),
    damaged({"w": entry(), "__metadata__": {"types": "[1]"}}, GOOD), damaged({"w": entry(), "__metadata__": {"types": "{"}}, GOOD),
    damaged({"w": entry(), "__metadata__": {"types": '{"w": "bf16"}'}}, GOOD),
    damaged({"w": entry(), "__metadata__": {"types": '{"w": "no type"}'}}, GOOD),
    damaged({"w": entry(), "__metadata__": {"types": '{"v": "bf16"}'}}, GOOD),
    damaged({"w": entry(), "__metadata__": {"outputs": '["y", "y"]'}}, GOOD),
    damaged({"w": entry(), "__metadata__": {"metadata": "3"}}, GOOD),
])  # fmt: skip
def test_damaged_files_of_constants(held: bytes, tmp_path: Path) -> None:
    text = "def main(%x: f32[2]) -> f32[2] { %0 = add(%x, @w); %0 }"
    (tmp_path / "m.halo").write_text(text)
    (tmp_path / "m.safetensors").write_bytes(damaged({"w": entry()}, GOOD))
    assert constants(Module.load(tmp_path / "m.halo"))["w"].tolist() == [1, 1]
    (tmp_path / "m.safetensors").write_bytes(held)
    with pytest.raises(halo.HaloError):
        Module.load(tmp_path / "m.halo")


def test_what_is_not_there_and_what_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    m = parse("def main(%x: f32[2]) -> f32[2] { %0 = relu(%x); %0 }")
    with pytest.raises(FileNotFoundError):
        Module.load(tmp_path / "m.halo")
    (tmp_path / "m.halo").write_text(str(m))
    with pytest.raises(FileNotFoundError):
        Module.load(tmp_path / "m.halo")
    m.save(tmp_path / "m.halo")
    (tmp_path / "m.halo").write_bytes(b"\xff\xfe")
    with pytest.raises(halo.ArgumentError, match=r"m\.halo and m\.safetensors are no program"):
        Module.load(tmp_path / "m.halo")
    with pytest.raises(halo.ArgumentError, match="is where the constants would be"):
        m.save(tmp_path / "m.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(halo.ArgumentError, match="stored with the package safetensors") as found:
        m.save(tmp_path / "m.halo")
    assert "halo-lang[onnx]" in found.value.hint

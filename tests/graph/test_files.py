"""Model files that are damaged or made to do harm: a HaloError each, no crash, no hang, and nothing read elsewhere."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import halo
from halo import graph

onnx = pytest.importorskip("onnx", reason="extra: onnx")
from onnx import TensorProto, helper, numpy_helper, parser  # noqa: E402  (once it is known to be there)

from halo.graph.onnx import files  # noqa: E402  (once it is known to be there)
from halo.graph.onnx.node import ADAPTERS  # noqa: E402  (once it is known to be there)


def model(nodes: str, inputs: str = "float[2,3] x", opset: int = 18, outputs: str = "float[n] y", **held: Any) -> Any:
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g ({inputs}) => ({outputs}) {{ {nodes} }}')
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), name) for name, a in held.items())
    return made


def refused(made: Any, words: str = "") -> None:
    with pytest.raises(halo.HaloError, match=words or None):
        graph.from_onnx(made).compile()


# External data -------------------------------------------------------------------------------------------------------


def external(folder: Path, location: str, offset: Any = 0, length: Any = 24) -> Path:
    made = model("y = Add(x, w)", w=np.zeros((2, 3), np.float32))
    t = made.graph.initializer[0]
    t.ClearField("raw_data")
    t.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            t.external_data.add(key=key, value=str(value))
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    (inside / "weights").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "up").symlink_to(tmp_path)
    (inside / "near").symlink_to(inside / "weights")
    return inside


@pytest.mark.parametrize(("location", "offset", "length", "first"), [
    ("weights", 0, 24, 0), ("weights", 8, None, 2), ("./weights", 4, 24, 1), ("near", 0, 24, 0),
])  # fmt: skip
def test_data_beside_the_model(folder: Path, location: str, offset: int, length: Any, first: int) -> None:
    path = external(folder, location, offset, length)
    want = first + np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(graph.from_onnx(path).compile()(np.zeros((2, 3), np.float32)), want)
    with pytest.raises(halo.ArgumentError, match="in a file beside the model"):
        graph.from_onnx(path.read_bytes())


@pytest.mark.parametrize("location", [
    "../secret", "link", "up/secret", "weights/../../secret", "", ".", "nothing", "a\0b", "..\\secret", "/etc/hostname",
])  # fmt: skip
def test_nothing_is_read_elsewhere(folder: Path, location: str) -> None:
    refused(external(folder, location), "no file of the model's folder")


@pytest.mark.parametrize(("offset", "length", "words"), [
    (16, 24, "ends before"), (0, 2**62, "ends before"), (-4, 24, "ends before"), ("x", 24, "at no number"), (0, 20, "damaged"),
    (100, None, "ends before"),
])  # fmt: skip
def test_data_that_is_not_there(folder: Path, offset: Any, length: Any, words: str) -> None:
    refused(external(folder, "weights", offset, length), words)


# Graphs --------------------------------------------------------------------------------------------------------------


def with_tensor(**fields: Any) -> Any:
    made = model("y = Add(x, w)")
    made.graph.initializer.append(TensorProto(name="w", **fields))
    return made


def two_outputs() -> Any:
    made = model("y = Neg(x)")
    made.graph.output.append(made.graph.output[0])
    return made


def nested(depth: int) -> Any:
    end = [helper.make_empty_tensor_value_info("y")]
    leaf = g = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], end)
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["y"], then_branch=g, else_branch=leaf)
        g = helper.make_graph([node], "g", [], end)
    made = model("y = Identity(x)", "float[2] x, bool c")
    del made.graph.node[:]
    made.graph.node.extend(g.node)
    return made


@pytest.mark.parametrize(("made", "words"), [
    (model("a = Relu(b) b = Relu(a) y = Add(a, x)"), "nothing gives before"),
    (model("y = Relu(y)"), "nothing gives before"),
    (model("y = Relu(nothing)"), "nothing gives before"),
    (model("a = Relu(x) a = Exp(x) y = Neg(a)"), "two values are named 'a'"),
    (model("x = Relu(x) y = Neg(x)"), "two values are named 'x'"),
    (model("y = Add(x, w)", w=np.zeros((4, 5), np.float32)), "broadcast"),
    (model("y = Add(x, w)", w=np.zeros(3, np.int64)), "of one type"),
    (model("y = Add(x)"), "missing|Add"),
    (model("y = Reshape(x, s)", s=np.array([7, -1])), "Reshape"),
    (model("y = Reshape(x, s)", s=np.array([-1, -1])), "Reshape"),
    (model("y = Expand(x, s)", s=np.array([2**40, 2, 3])), "more than this machine has"),
    (model("y = ConstantOfShape(s)", s=np.array([2**31, 2**31, 2**31])), "more than this machine has"),
    (model("y = ConstantOfShape(s)", s=np.array([-2, 3])), ""),
    (model("y = Tile(x, s)", s=np.array([2**62, 2**62])), "more than this machine has"),
    (model("y = Relu(x)", "float[2147483647,2147483647] x"), "more than this machine has"),
    (model("y = MaxPool<kernel_shape = [1099511627776, 1]>(x)", "float[1,1,8,8] x"), "MaxPool"),
    (model("y = AveragePool<kernel_shape = [0, 0]>(x)", "float[1,1,8,8] x"), "AveragePool"),
    (model("y = Conv(x, w)", "float[1,4,8,8] x", w=np.zeros((2, 3, 3, 3), np.float32)), "Conv"),
    (model("y = Conv<group = 3>(x, w)", "float[1,4,8,8] x", w=np.zeros((2, 4, 3, 3), np.float32)), "Conv"),
    (model("y = Conv<strides = [0, 0]>(x, w)", "float[1,4,8,8] x", w=np.zeros((2, 4, 3, 3), np.float32)), "Conv"),
    (model("y = Transpose<perm = [0, 0]>(x)"), "Transpose"),
    (model("y = Transpose<perm = [5, 1]>(x)"), "Transpose"),
    (model("y = Concat<axis = 9>(x, x)"), "Concat"),
    (model("y = Gather<axis = -7>(x, i)", i=np.array([0])), "Gather"),
    (model("y = Slice(x, s, s, s, s)", s=np.array([0, 0])), "Slice"),
    (model("y = Slice(x, s, e, s)", s=np.array([0]), e=np.float32([np.nan])), "input 2 is integers"),
    (model('y = Einsum<equation = "ij,jk->"" >(x)'.replace('""', '"')), "Einsum"),
    (model("y = Cast<to = 999>(x)"), "Cast"),
    (model("y = Split<num_outputs = 2, axis = 4>(x)"), "Split"),
    (model("y = Resize(x, , s)", s=np.float32([np.nan, 1])), "Resize"),
    (model("y = Resize(x, , s)", s=np.float32([1e30, 1])), "Resize"),
    (model("y = Pad(x, p)", p=np.array([2**61, 0, 0, 0])), "Pad"),
    (model("y = Range(a, b, c)", a=np.array(0), b=np.array(2**62), c=np.array(1)), "Range"),
    (model("y = Range(a, b, c)", a=np.float32(0), b=np.float32(1), c=np.float32(0)), "Range"),
    (model("y = OneHot(i, d, v)", i=np.array([1]), d=np.array(2**60), v=np.float32([0, 1])), "OneHot"),
    (model("y = Relu(x)", "string[2] x"), ""),
    (model("y = Relu(x)", "seq(float[2]) x"), "no tensor"),
    (two_outputs(), "two outputs are named 'y'"),
    (model("y = Cast<to = [1, 2]>(x)"), "its attribute to is INTS, and ONNX's is INT"),
    (model("y = EyeLike<k = 1.5>(x)"), "its attribute k is FLOAT, and ONNX's is INT"),
    (model('y = LeakyRelu<alpha = "x">(x)'), "its attribute alpha is STRING, and ONNX's is FLOAT"),
    (model("y = Cast<to = 99>(x)"), "ONNX has no type 99"),
    (model("y = Relu(x, x, x)"), "it has 3 inputs, and ONNX's 1"),
    (model("y = Add(x)"), "it has 1 input, and ONNX's 2"),
    (model("y = Clip(x, x, x, x)"), "it has 4 inputs, and ONNX's 1 to 3"),
    (model("y, z = Relu(x)"), "it has 2 outputs, and ONNX's 1"),
    (model("y = Concat(x, x)"), "it has no attribute axis, which ONNX's must have"),
    (model("c = Greater(x, x) y = If(c)"), "it has no attribute else_branch, which ONNX's must have"),
    (model("y = Resize(x)"), "scales or sizes"),
    (with_tensor(dims=[2, 3], data_type=1, raw_data=b"\0" * 20), "damaged"),
    (with_tensor(dims=[2**40, 2**40], data_type=1, raw_data=b"\0" * 20), "damaged"),
    (with_tensor(dims=[-1, 3], data_type=1, raw_data=b"\0" * 23), "damaged"),
    (with_tensor(dims=[2, 3], data_type=1, float_data=[1.0] * 5), "damaged"),
    (with_tensor(dims=[2, 3], data_type=77, raw_data=b"\0" * 24), ""),
    (with_tensor(dims=[2, 3], data_type=0, raw_data=b"\0" * 24), ""),
    (with_tensor(dims=[2, 3], data_type=8, string_data=[b"a"] * 6), ""),
    (nested(12), ""),
])  # fmt: skip
def test_a_graph_that_is_wrong(made: Any, words: str) -> None:
    if words == "" and len(made.graph.node) == 1 and made.graph.node[0].op_type == "If":
        graph.from_onnx(made)  # deep, and right
    else:
        refused(made, words)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"PK\x03\x04", b"\x08" * 1000, bytes(range(256)) * 20])
def test_what_is_no_file_of_onnx(data: bytes, tmp_path: Path) -> None:
    refused(data)
    (tmp_path / "x.onnx").write_bytes(data)
    refused(tmp_path / "x.onnx")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        graph.from_onnx(tmp_path / "nothing.onnx")


def test_a_machine_has_memory() -> None:
    assert 2**28 < files.memory() < 2**50


# Damaged files -------------------------------------------------------------------------------------------------------


def _arrays(*shapes: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s, np.float32) for s in shapes]


def models() -> list[bytes]:
    """Small models of the kinds that real ones are."""
    cw, cb, fw = _arrays((4, 3, 3, 3), (4,), (4, 5))
    q, table = _arrays((8, 8), (10, 8))
    picture = model(
        "c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, cw, cb) n = BatchNormalization(c, cb, cb, cb, v) r = Relu(n) "
        "p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r) u = Resize(p, , s) g = GlobalAveragePool(u) f = Flatten(g) "
        "d = Gemm(f, fw) y = Softmax(d)", "float[1,3,8,8] x", cw=cw, cb=abs(cb), v=abs(cb), fw=fw, s=np.float32([1, 1, 2, 2]),
    )  # fmt: skip
    words = model(
        "e = Gather(table, x) q = MatMul(e, w) t = Transpose<perm = [0, 2, 1]>(e) m = MatMul(q, t) s = Softmax(m) o = MatMul(s, e) "
        "a = Add(o, e) l = LayerNormalization(a, one, zero) h = Shape(l) k = Slice(h, i0, i1) j = Concat<axis = 0>(k, minus) "
        "y = Reshape(l, j)", "int64[1,n] x", table=table, w=q, one=np.ones(8, np.float32), zero=np.zeros(8, np.float32),
        i0=np.array([0]), i1=np.array([1]), minus=np.array([-1]),
    )  # fmt: skip
    loops = model(
        "y, z = Loop<body = b (int64 i, bool go, float[3] s) => (bool more, float[3] next, float[3] row) { "
        "f = Cast<to = 1>(i) t = Add(s, f) next = Mul(t, w) row = If<then_branch = p () => (float[3] u) { u = Add(s, w) }, "
        "else_branch = q () => (float[3] v) { v = Neg(s) }>(c) end = Constant<value_int = 50>() less = Less(i, end) "
        "more = And(go, less) }>(five, , x)",  # whatever becomes of five: 2**62 steps are legal, and take that long
        "float[3] x, bool c", outputs="float[3] y, float[5,3] z", five=np.array(5), w=np.float32([1, 2, 3]),
    )  # fmt: skip
    return [m.SerializeToString() for m in (picture, words, loops)]


def damaged(data: bytes, seed: int) -> bytes:
    rng = random.Random(seed)
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(found))
        match rng.randrange(6):
            case 0:
                del found[at : at + rng.choice((1, 2, 8, 10**6))]
            case 1:
                found[at:at] = rng.randbytes(rng.choice((1, 4)))
            case 2:
                found[at] ^= 1 << rng.randrange(8)
            case 3:
                found[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 4:
                found[at : at + 8] = bytes(found[:8])
            case _:
                found[at] = rng.randrange(256)
        if not found:
            break
    return bytes(found)


FAR = (0, 1, -1, 2, 3, 2**31, -(2**31), 2**40, 2**62, -(2**63))


def changed(data: bytes, seed: int) -> bytes:
    """The model with other attributes, inputs, outputs, operators, types, extents or values, which protobuf still reads."""
    made, rng = onnx.load_model_from_string(data), random.Random(seed)
    g = made.graph
    for _ in range(rng.choice((1, 1, 2, 4))):
        inner = [n for node in g.node for a in node.attribute if a.type == a.GRAPH for n in a.g.node]
        n, v = rng.choice([*g.node, *inner]), rng.choice(g.input).type.tensor_type
        match rng.randrange(9):
            case 0 if n.attribute:
                _change(rng.choice(n.attribute), rng)
            case 1 if n.attribute:
                name = n.attribute.pop(rng.randrange(len(n.attribute))).name
                if rng.random() < 0.5:
                    other = rng.choice((1, 0.5, "x", [1, 2], [0.5], ["a"], numpy_helper.from_array(np.zeros((2, 0)))))
                    n.attribute.append(helper.make_attribute(name, other))
            case 2 if n.input:
                names = [
                    "",
                    "nothing",
                    *(o for m in g.node for o in m.output),
                    *(i.name for i in (*g.input, *g.initializer)),
                ]
                n.input[rng.randrange(len(n.input))] = rng.choice(names)
            case 3:
                n.op_type = rng.choice(sorted(op for op in ADAPTERS if "." not in op))
            case 4 if g.initializer:
                t = rng.choice(g.initializer)
                t.CopyFrom(_other(t, rng))
            case 5 if v.shape.dim:
                v.shape.dim[rng.randrange(len(v.shape.dim))].dim_value = rng.choice(FAR)
            case 6:
                v.elem_type = rng.choice((0, 1, 3, 7, 8, 9, 10, 11, 16, 99))
            case 7:
                g.output.add().name = rng.choice([name for m in g.node for name in m.output])
            case 8:
                n.output.append(rng.choice((*n.input, *n.output, "more")))
    return bytes(made.SerializeToString())


def _change(a: Any, rng: random.Random) -> None:
    a.i, a.f, a.s = (
        rng.choice(FAR),
        rng.choice((0.0, -1.0, 1e30, float("nan"))),
        rng.choice((b"", b"\xff", b"nonsense")),
    )
    if a.ints:
        a.ints[rng.randrange(len(a.ints))] = rng.choice(FAR)
    a.ints.extend(rng.sample(FAR, rng.randrange(2)))


def _other(t: Any, rng: random.Random) -> Any:
    made = type(t)()
    made.CopyFrom(t)
    try:
        array = numpy_helper.to_array(t).copy()
    except (ValueError, KeyError, TypeError):  # it is damaged already
        return made
    match rng.randrange(3):
        case 0:
            made.data_type = rng.choice((0, 1, 6, 7, 8, 9, 10, 11, 16, 22, 99))
        case 1:
            made.dims.append(rng.choice(FAR))
        case 2 if array.size:
            with np.errstate(all="ignore"):
                array.flat[rng.randrange(array.size)] = np.array(rng.choice(FAR)).astype(array.dtype)
            made = numpy_helper.from_array(array, t.name)
    return made


class Child:
    """A process that tries models."""

    def __init__(self) -> None:
        script = str(Path(__file__).with_name("attempt.py"))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)  # fmt: skip

    def attempt(self, data: bytes) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(data.hex() + "\n")
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], SECONDS)[0], "it hangs"
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.process.kill()
    made.process.wait()


SECONDS = 60
MODELS = models()


def test_the_models_are_right(child: Child) -> None:
    assert [child.attempt(data) for data in MODELS] == ["runs"] * len(MODELS)


def _check(child: Child, data: bytes) -> None:
    found = child.attempt(data)
    assert found, "it crashed"
    assert not found.startswith("not ours"), found


@settings(max_examples=60, deadline=None)
@example(0, 3_999_456_760)  # a Resize by negative numbers
@given(st.integers(0, len(MODELS) - 1), st.integers(0, 2**32))
def test_damaged_files(child: Child, which: int, seed: int) -> None:
    _check(child, damaged(MODELS[which], seed))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(MODELS) - 1), st.integers(0, 2**32))
def test_changed_models(child: Child, which: int, seed: int) -> None:
    _check(child, changed(MODELS[which], seed))


@pytest.mark.slow
@pytest.mark.parametrize("which", range(len(MODELS)))
@pytest.mark.parametrize("harm", [damaged, changed])
@settings(max_examples=1000, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_many_damaged_files(child: Child, harm: Callable[[bytes, int], bytes], which: int, seed: int) -> None:
    _check(child, harm(MODELS[which], seed))

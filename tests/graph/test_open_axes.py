"""Programs of ONNX with open axes: one net is right for whatever extents a call has, as ONNX Runtime is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo.graph import from_onnx

onnx = pytest.importorskip("onnx", reason="extra: onnx")
ort = pytest.importorskip("onnxruntime", reason="extra: dev")

RNG = np.random.default_rng(0)
EXTENTS = [{"b": 1, "h": 11, "w": 8}, {"b": 3, "h": 6, "w": 9}, {"b": 2, "h": 5, "w": 5}]
PICTURE = "(float[b, 3, h, w] x) => (float[p, q, r, s] y)"
PAIR = "(float[b, 3, h, w] x, float[b, 3, w, h] z) => (float[p, q, r, s] y)"
SIZES = "front = Shape<end = 2>(x) rest = Shape<start = 2>(z) s = Concat<axis = 0>(front, rest)"
SIGNAL = "(float[b, h] x) => (float[p, q, r, s] y)"
STEPS = "(float[h, b, 4] x) => (float[p, q, r, s] y, float[t, u, v] last)"
LENGTHS = "(float[h, b, 4] x, int32[b] lengths) => (float[p, q, r, s] y, float[t, u, v] last)"
PROGRAMS = {
    **{f"{op} {pad} {attrs}": f"{PICTURE} {{ y = {op}<auto_pad = \"{pad}\", {attrs}>({inputs}) }}"
       for pad in ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
       for op, attrs, inputs in (("Conv", "strides = [2, 3]", "x, k"), ("Conv", "strides = [1, 1]", "x, k"),
                                 ("MaxPool", "kernel_shape = [2, 3], strides = [2, 2]", "x"),
                                 ("AveragePool", "kernel_shape = [3, 2], strides = [2, 2]", "x"),
                                 ("AveragePool", "kernel_shape = [3, 3], strides = [2, 2], count_include_pad = 1", "x"),
                                 ("LpPool", "kernel_shape = [2, 2], strides = [2, 2]", "x"))},
    **{f"Resize {attrs}": f"{PAIR} {{ none = Constant<value = float[0] {{}}>() {SIZES} y = Resize<{attrs}>(x, none, none, s) }}"
       for attrs in ('mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"',
                     'mode = "nearest"', 'mode = "linear"', 'mode = "cubic", exclude_outside = 1',
                     'mode = "linear", coordinate_transformation_mode = "align_corners"',
                     'mode = "linear", coordinate_transformation_mode = "pytorch_half_pixel"')},
    "Resize to sizes of a run": """(float[b, 3, h, w] x, int64[2] size) => (float[p, q, r, s] y) {
        none = Constant<value = float[0] {}>() front = Shape<end = 2>(x) s = Concat<axis = 0>(front, size)
        y = Resize<mode = "linear">(x, none, none, s) }""",
    "Resize to twice the size": """(float[b, 3, h, w] x) => (float[p, q, r, s] y) {
        none = Constant<value = float[0] {}>() front = Shape<end = 2>(x) rest = Shape<start = 2>(x)
        double = Constant<value_ints = [2]>() more = Mul(rest, double) s = Concat<axis = 0>(front, more)
        y = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(x, none, none, s) }""",
    "ScatterElements": """(float[b, h] x, float[b, w] z) => (float[p, q] y) { zero = Constant<value_int = 0>()
        s = Shape(z) i = ConstantOfShape<value = int64[1] {1}>(s) y = ScatterElements<axis = 1, reduction = "add">(x, i, z) }""",
    "STFT": f"{SIGNAL} {{ y = STFT(x, two, window) }}",
    "STFT of all frequencies": f"{SIGNAL} {{ y = STFT<onesided = 0>(x, two, , four) }}",
    "DFT of an open batch": "(float[b, 6, 1] x) => (float[p, q, r] y) { y = DFT<axis = 1, onesided = 1>(x, five) }",
    "DFT of an open axis": "(float[b, h, 1] x) => (float[p, q, r] y) { y = DFT<axis = 1>(x) }",
    "DFT of an open axis cut": "(float[b, h, 1] x) => (float[p, q, r] y) { y = DFT<axis = 1, onesided = 1>(x, eight) }",
    "TopK": "(float[b, h] x) => (float[p, q] y, int64[p, q] i) { s = Shape<start = 1>(x) y, i = TopK(x, s) }",
    "RoiAlign": """(float[b, 3, h, w] x, float[h, 4] z) => (float[p, q, r, s] y) { s = Shape<end = 1>(z)
        i = ConstantOfShape<value = int64[1] {0}>(s)
        y = RoiAlign<output_height = 3, output_width = 2, sampling_ratio = 2, spatial_scale = 2.0>(x, z, i) }""",
    **{f"GridSample {attrs}": "(float[b, 3, h, w] x, float[b, w, h, 2] z) => (float[p, q, r, s] y) "
                             f"{{ y = GridSample<{attrs}>(x, z) }}"
       for attrs in ('mode = "bilinear"', 'mode = "nearest", padding_mode = "border", align_corners = 1',
                     'mode = "bicubic", padding_mode = "reflection"',
                     'mode = "bilinear", padding_mode = "reflection", align_corners = 1')},
    "Squeeze to the rank that is declared": """(float[h, w] x) => (float[p] y) { zero = Constant<value_ints = [0]>()
        a = ReduceMean<axes = [0], keepdims = 1>(x) b = Squeeze(a) y = Sigmoid(b) }""",
    "Tile": "(float[b, h] x) => (float[p, q] y) { s = Shape(x) y = Tile(x, s) }",
    "RNN": f"{STEPS} {{ y, last = RNN<hidden_size = 5>(x, w1, r1) }}",
    "GRU": f"{STEPS} {{ y, last = GRU<hidden_size = 5, direction = \"bidirectional\">(x, w3, r3) }}",
    "LSTM": "(float[h, b, 4] x) => (float[p, q, r, s] y, float[t, u, v] last, float[t, u, v] c)"
            "{ y, last, c = LSTM<hidden_size = 5, direction = \"reverse\">(x, w4, r4) }",
    "RNN of lengths": f"{LENGTHS} {{ y, last = RNN<hidden_size = 5, direction = \"reverse\">(x, w1, r1, , lengths) }}",
    "GRU of lengths": f"{LENGTHS} {{ y, last = GRU<hidden_size = 5, direction = \"bidirectional\">(x, w3, r3, , lengths) }}",
    "LSTM of lengths": "(float[h, b, 4] x, int32[b] lengths) => (float[p, q, r, s] y, float[t, u, v] last, float[t, u, v] c)"
                       "{ y, last, c = LSTM<hidden_size = 5>(x, w4, r4, , lengths) }",
}  # fmt: skip


def weights() -> dict[str, Any]:
    r = lambda *shape: RNG.standard_normal(shape, np.float32)
    both = {f"{name}{n}": r(2, n * 5, k) for n in (1, 3, 4) for name, k in (("w", 4), ("r", 5))}
    return {"k": r(4, 3, 3, 2), "two": np.int64(2), "four": np.int64(4), "five": np.int64(5), "eight": np.int64(8),
            "window": r(4), **both}  # fmt: skip


def program(text: str) -> Any:
    made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]>\ng {text}')
    for name, a in weights().items():
        if any(name in n.input for n in made.graph.node):
            directions = 2 if "bidirectional" in text else 1
            a = a[:directions] if name[0] in "wr" and a.ndim == 3 else a
            made.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(a), name))
    return made


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_net_for_all_extents(name: str) -> None:
    made = program(PROGRAMS[name])
    net = from_onnx(made).compile()
    session = ort.InferenceSession(made.SerializeToString())
    for extents in EXTENTS:
        given: dict[str, Any] = {}
        for v in made.graph.input:
            dims = v.type.tensor_type.shape.dim
            shape = tuple(d.dim_value or extents[d.dim_param] for d in dims)
            given[v.name] = RNG.standard_normal(shape, np.float32)
            if v.name == "size":
                given[v.name] = np.array([extents["w"] + 2, extents["h"] - 1])
            if v.name == "lengths":
                given[v.name] = RNG.integers(1, extents["h"] + 1, shape).astype(np.int32)
        want = session.run(None, given)
        found = net(**given)
        for a, b in zip(found if isinstance(found, tuple) else (found,), want, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_states_say_how_many_sequences_there_are() -> None:
    """A state of one row is for one sequence, and the axis is no open one from there on."""
    made = program("""(float[h, b, 4] x, float[1, 1, 5] start) => (float[h, 5] y) {
        all = GRU<hidden_size = 5>(x, w3, r3, , , start) axes = Constant<value_ints = [1, 2]>() y = Squeeze(all, axes) }""")
    m = from_onnx(made)
    assert m.main.outputs[0].type.shape == (halo.Dim("h"), 5)
    net, start = m.compile(), np.zeros((1, 1, 5), np.float32)
    assert net(x=np.zeros((7, 1, 4), np.float32), start=start).shape == (7, 5)
    with pytest.raises(halo.ArgumentError):
        net(x=np.zeros((7, 2, 4), np.float32), start=start)


def test_what_only_a_call_tells_of_axes_of_one_entry() -> None:
    text = "(float[b, 1] x) => (float y) { a = Squeeze(x) c = Sigmoid(a) y = Neg(c) }"
    net = from_onnx(program(text)).compile()
    assert net(x=np.zeros((1, 1), np.float32)) == np.float32(-0.5)
    with pytest.raises(halo.ArgumentError, match=r"takes 1 == b"):
        net(x=np.zeros((2, 1), np.float32))
    made = program(text)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(halo.ArgumentError, match=r"only a call tells whether b of f32\[b, 1\] is one"):
        from_onnx(made)
    assert from_onnx(made, shapes={"x": (3, 1)}).main.outputs[0].type.shape == (3,)


def test_indices_of_windows_that_only_a_call_pads() -> None:
    made = program("""(float[b, 3, h, w] x) => (float[p, q, r, s] y, int64[p, q, r, s] i) {
        y, i = MaxPool<auto_pad = "SAME_UPPER", kernel_shape = [3, 3], strides = [2, 2]>(x) }""")
    with pytest.raises(halo.ArgumentError, match=r"indices into .* are not supported"):
        from_onnx(made)

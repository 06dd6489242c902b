"""The passes: what each does to a small program, as text; fusion by Relay's rule; memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import nn
from halo.graph import Call, Constant, Function, Module, Var, constants, parse
from halo.graph.compile import relink
from halo.graph.ir import walk
from halo.graph.memory import Lifetime, plan
from halo.graph.passes.crop_windows import crop_windows
from halo.graph.passes.fuse import fuse
from halo.graph.passes.recognise import recognise
from halo.graph.passes.simplify import simplify
from halo.graph.passes.sink_reshapes import sink_reshapes
from halo.graph.passes.sink_transposes import sink_transposes
from halo.nn import TensorType
from halo.types import f32

from .helpers import bottleneck, by_reference, calls, groups, weights


def program(body: str, *params: str) -> Module:
    return parse(
        f"def main({', '.join(params)}) -> f32[1, 8, 4, 4] {{ {body} }}", {"w": np.zeros((8, 8, 3, 3), np.float32)}
    )


X, Y = "%x: f32[1, 8, 4, 4]", "%y: f32[1, 8, 4, 4]"


def test_a_notebook_shows_a_program_folded() -> None:
    m = bottleneck().run_passes()
    page = m._repr_html_()
    assert len(page) < 300_000
    assert page.count("<details open><summary>main") == 1
    assert page.count("<details>") == len(m.functions) - 1
    assert "conv2d" in page


def test_text_parses_back() -> None:
    m = bottleneck()
    for stage in (m, m.run_passes()):
        again = parse(str(stage), constants(stage), stage.outputs)
        assert str(again) == str(stage)
    x = np.random.default_rng(0).standard_normal((1, 3, 9, 9), np.float32)
    np.testing.assert_array_equal(again.compile()(x) if not again.functions else m.compile()(x), m.compile()(x))


def test_names_of_any_letters() -> None:
    x = Var("gpu_0/data 'x'", TensorType((2,), f32))
    c = Constant(np.ones(2, np.float32), 'w"/1')
    m = Module({"main": Function((x,), nn.add(x, c))})
    assert str(parse(str(m), constants(m))) == str(m)


@pytest.mark.parametrize(("text", "words"), [
    ("def main(%x: f32[2]) -> f32[2] { %0 = nothing(%x); %0 }", "no operator nothing"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = relu(%y); %0 }", "no value %y"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = add(%x, @w); %0 }", "no constant @w"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = cumsum(%x, axis=0, reverse=true); %0 }", "a value is wanted, at 'true'"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = cumsum(%x, axis=0, axis=0); %0 }", "axis is given twice"),
    ("def main(%x: f32[2]) -> f32[3] { %0 = relu(%x); %0 }", "and says"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = relu(%x) %0 }", "is wanted"),
    ("def f(%x: f32[2]) -> f32[2] { %x }", "no main"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = relu(%x, a=?); %0 }", "no part"),
    ("def main(%x: f99[2]) -> f32[2] { %x }", "line 1 of the program: 'f99' is not a type"),
    ("def main(%x: f32[-1]) -> f32[2] { %x }", "line 1 of the program: a shape has integers"),
    ("def main(%x: f32[2]) -> f32[2] {\n%0 = relu(%x, %x); %0 }", "line 2 of the program: relu: too many"),
    ("def main(%x: f32[2]) -> f32[2] {\n%0 = (%x,); %1 = %0.5; %1 }", "line 2 of the program: this is no program"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = sum(%x, axes=(1+)); %0 }", "line 1 of the program: this is no program"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = sum(%x, axes=" + "(" * 5000 + "); %0 }", "line 1 of the program"),
    ("def main(%x: f32[2]) -> f32[2] { %0 = let n = %x in %x; %0 }", r"line 1 of the program: an extent is an i64\[\]"),
])  # fmt: skip
def test_what_is_no_program(text: str, words: str) -> None:
    with pytest.raises(halo.ArgumentError, match=words):
        parse(text)


def test_a_type_error_shows_the_program_with_the_call_marked() -> None:
    x = Var("x", TensorType((2, 3), f32))
    with pytest.raises(halo.ArgumentError) as error:
        nn.matmul(nn.exp(x), nn.relu(x))
    assert (
        error.value.nest
        == """  def main(%x: f32[2, 3]) {
    %0 = exp(%x);
    %1 = relu(%x);
    %2 = matmul(%0, %1);
    ^^^^^^^^^^^^^^^^^^^^ of f32[2, 3], f32[2, 3]"""
    )
    assert "nn.matmul(nn.exp(x), nn.relu(x))" in str(error.value) and error.value.nest in str(error.value)
    deep: Any = x
    for _ in range(20):
        deep = nn.exp(deep)
    with pytest.raises(halo.ArgumentError, match=r"\.\.\.\n    %14 = exp"):
        nn.add(deep, np.ones(4, np.float32))
    with pytest.raises(halo.ArgumentError, match=r"line 2 of the program: f32\[2, 3\] and(.|\n)*\^\^\^ of"):
        parse("def main(%x: f32[2, 3]) -> f32[2] {\n  %0 = matmul(%x, %x); %0 }")


def test_equal_calls_are_one_and_reshapes_collapse() -> None:
    m = program("%0 = relu(%x); %1 = relu(%x); %2 = add(%0, %1); %2", X)
    assert str(simplify(m)).count("relu") == 1
    m = program(
        "%0 = flatten(%x); %1 = reshape(%0, shape=(8, 16)); %2 = reshape(%1, shape=(1, 8, 4, 4)); %3 = relu(%2); %3", X
    )
    assert str(simplify(m)) == "def main(%x: f32[1, 8, 4, 4]) -> f32[1, 8, 4, 4] {\n  %0 = relu(%x);\n  %0\n}"


def test_slices_of_everything_go() -> None:
    m = program("%0 = strided_slice(%x, begin=(0, 0), end=(4, 9), axes=(2, 3)); %1 = relu(%0); %1", X)
    assert "slice" not in str(simplify(m))
    m = program("%0 = strided_slice(%x, begin=(3,), end=(-9,), strides=(-1,), axes=(2,)); %1 = relu(%0); %1", X)
    assert "slice" in str(simplify(m))
    x = Var("x", TensorType((halo.Dim("n"), 512, 1 << 10), f32))
    ends = nn.strided_slice(x, begin=(0, 0), end=(10**9, 512), axes=(0, 1))  # there is no memory for more
    assert simplify(Module({"main": Function((x,), ends)})).main.body is x


def test_reshapes_sink_below_what_works_on_each_value() -> None:
    x = Var("x", TensorType((halo.Dim("n"), 8, 5, 1), f32))
    w, b = np.ones((16, 8, 1, 1), np.float32), np.arange(16, dtype=np.float32).reshape(16, 1)
    flat = nn.reshape(nn.conv2d(x, w), shape=(halo.Dim("n"), 16, 5))
    m = Module({"main": Function((x,), nn.relu(nn.add(b, nn.tanh(flat))))})
    ops = [e.op.name for e in walk(sink_reshapes(m).main.body) if isinstance(e, Call)]
    assert ops == ["reshape", "conv2d", "tanh", "add", "relu", "reshape"]
    a = np.random.default_rng(0).standard_normal((2, 8, 5, 1), np.float32)
    got = m.compile()(a)
    want = np.maximum(np.tanh(a.sum(1))[..., 0][:, None] + b, 0)
    assert got.shape == (2, 16, 5)
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize(("body", "ops", "shape"), [
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = relu(%0); %2 = transpose(%1, axes=(0, 3, 1, 2)); %2", ["relu"], (2, 8, 4, 5)),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = add(%0, @c); %1", ["reshape", "add", "transpose"], (2, 4, 5, 8)),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = tanh(%0); %2 = multiply(%0, %1); %2", ["tanh", "multiply", "transpose"],
     (2, 4, 5, 8)),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = multiply(%0, %z); %1", ["transpose", "multiply"], (2, 4, 5, 8)),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = concatenate(%0, %0, axis=-1); %2 = max_pool(%1, kernel=2, layout='NHWC'); %2",
     ["concatenate", "max_pool", "transpose"], (2, 2, 2, 16)),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = pad(%0, before=(0, 1, 2, 0), after=(0, 0, 0, 3)); %2 = "
     "strided_slice(%1, begin=(1,), end=(3,), strides=None, axes=(-2,)); %2", ["pad", "strided_slice", "transpose"], (2, 5, 2, 11)),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = mean(%0, axes=(1, 2)); %1", ["mean"], (2, 8)),
    ("%0 = transpose(%x, axes=(1, 0, 3, 2)); %1 = sum(%0, axes=(1,)); %1", ["sum", "transpose"], (8, 5, 4)),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = max(%0, axes=(1, 2), keepdims=True); %1", ["max", "reshape"], (2, 1, 1, 8)),
])  # fmt: skip
def test_transposes_sink_and_cancel(body: str, ops: list[str], shape: tuple[int, ...]) -> None:
    inputs = "%x: f32[2, 8, 4, 5], %z: f32[2, 4, 5, 8]"
    c = np.arange(8, dtype=np.float32)
    m = parse(f"def main({inputs}) -> f32[{', '.join(map(str, shape))}] {{ {body} }}", {"c": c})
    sunk = sink_transposes(m)
    assert [e.op.name for e in walk(sunk.main.body) if isinstance(e, Call)] == ops
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 8, 4, 5), np.float32), rng.standard_normal((2, 4, 5, 8), np.float32)
    want = by_reference(m, x=x, z=z)
    np.testing.assert_allclose(by_reference(sunk, x=x, z=z), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(m.compile()(x, z), want, rtol=1e-5, atol=1e-6)


def channels_last(batch: Any) -> Module:
    """A network as TensorFlow writes it: NHWC, HWIO, batch norms along the last axis."""
    rng = np.random.default_rng(0)

    def conv(x: Any, o: int, k: int, kernel_layout: str = "HWIO", groups: int = 1, strides: int = 1) -> Any:
        w = weights(o, x.type.shape[-1] // groups, k, k, seed=o + k).transpose(["OIHW".index(a) for a in kernel_layout])
        norm = (rng.uniform(0.5, 1.5, o).astype(np.float32) for _ in range(4))
        y = nn.conv2d(x, np.ascontiguousarray(w), padding=k // 2, layout="NHWC", kernel_layout=kernel_layout,
                      groups=groups, strides=strides)  # fmt: skip
        return nn.relu(nn.batch_norm(y, *norm, axis=-1))

    x = Var("x", TensorType((batch, 20, 20, 3), f32))
    stem = nn.max_pool(conv(x, 32, 3, strides=2), kernel=3, strides=2, padding=1, layout="NHWC")
    y = nn.add(conv(conv(stem, 32, 3, "OHWI"), 32, 3), stem)
    y = nn.concatenate(y, conv(conv(y, 32, 3, groups=32), 32, 1), axis=-1)
    y = conv(nn.add(y, np.linspace(0, 1, 64, dtype=np.float32)), 64, 3, groups=4)
    y = nn.flatten(nn.global_average_pool(nn.average_pool(y, kernel=2, layout="NHWC"), layout="NHWC"))
    return Module({"main": Function((x,), nn.dense(y, weights(10, 64)))})


def test_channels_last_take_blocks_as_channels_second_do() -> None:
    m = channels_last(2)
    x = np.random.default_rng(0).standard_normal((2, 20, 20, 3), np.float32)
    want = by_reference(m, x=x)
    np.testing.assert_allclose(m.compile()(x), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(channels_last(halo.Dim("n")).compile()(x), want, rtol=1e-4, atol=1e-5)
    calls = [e.op.name for e in walk(m.run_passes().main.body) if isinstance(e, Call)]
    assert [name for name in calls if "transpose" in name or "layout" in name] == ["transpose"]
    assert not any("batch_norm" in name for name in calls)


@pytest.mark.parametrize(("power", "dtype", "expected"), [
    (2, "f32", ["multiply"]), (3, "f64", ["multiply_multiply"]), (-1, "f32", ["reciprocal"]), (2, "f16", ["multiply"]),
    (3, "f16", ["power"]), (0.5, "f32", ["power"]), (2, "i32", ["power"]),
])  # fmt: skip
def test_small_powers_are_products(power: float, dtype: str, expected: list[str]) -> None:
    number = halo.types.as_type(dtype).dtype.type
    x = Var("x", TensorType((7,), halo.types.as_type(dtype)))
    m = Module({"main": Function((x,), nn.power(x, Constant(np.array(number(power)))))})
    assert groups(recognise(m)) == expected
    a = np.arange(1, 8).astype(number)
    np.testing.assert_allclose(m.compile()(a), np.power(a, number(power)), rtol=1e-3 if dtype == "f16" else 1e-6)


@pytest.mark.parametrize("keepdims", [True, False])
def test_the_mean_of_a_picture_is_a_pool(keepdims: bool) -> None:
    x = Var("x", TensorType((1, 40, 5, 5), f32))
    w = Constant(weights(40, 40, 3, 3))
    m = Module({"main": Function((x,), nn.mean(nn.conv2d(x, w), axes=(-1, 2), keepdims=keepdims))})
    done = m.run_passes()
    assert done.main.body.type.shape == ((1, 40, 1, 1) if keepdims else (1, 40))
    assert sum(e.op is nn.global_average_pool for f in done.functions.values() for e in walk(f.body)
               if isinstance(e, Call)) == 1  # fmt: skip
    picture = np.random.default_rng(0).standard_normal((1, 40, 5, 5), np.float32)
    np.testing.assert_allclose(m.compile()(picture), by_reference(m, x=picture), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("body", "expected"), [
    ("%0 = relu(%x); %1 = exp(%0); %1", ["relu_exp"]),
    ("%0 = conv2d(%x, @w, padding=1); %1 = relu(%0); %1", ["conv2d_relu"]),
    ("%0 = relu(%x); %1 = conv2d(%0, @w, padding=1); %1", ["relu", "conv2d"]),
    ("%0 = conv2d(%x, @w, padding=1); %1 = add(%0, %y); %2 = relu(%1); %2", ["conv2d_add_relu"]),
    ("%0 = conv2d(%x, @w, padding=1); %1 = sigmoid(%0); %2 = multiply(%0, %1); %2", ["conv2d_sigmoid_multiply"]),
    ("%0 = conv2d(%x, @w, padding=1); %1 = conv2d(%y, @w, padding=1); %2 = add(%0, %1); %2", ["conv2d", "conv2d_add"]),
    ("%0 = conv2d(%x, @w, padding=1); %1 = conv2d(%0, @w, padding=1); %2 = add(%0, %1); %2", ["conv2d", "conv2d_add"]),
    ("%0 = relu(%x); %1 = exp(%0); %2 = sqrt(%0); %3 = add(%1, %2); %3", ["relu_exp_sqrt_add"]),
    ("%0 = exp(%y); %1 = conv2d(%x, @w, padding=1); %2 = add(%1, %0); %2", ["conv2d_exp_add"]),
    ("%0 = max_pool(%x, kernel=1); %1 = relu(%0); %2 = softmax(%1); %3 = relu(%2); %3", ["max_pool_relu", "softmax", "relu"]),
    ("%0 = multiply(%x, %y); %1 = add(%0, %y); %2 = softmax(%1); %3 = relu(%2); %3", ["multiply_add_softmax", "relu"]),
    ("%0 = add(%x, %y); %1 = softmax(%0, axis=1); %2 = add(%1, %0); %2", ["add", "softmax", "add"]),
    ("%0 = exp(%y); %1 = relu(%x); %2 = rms_norm(%1, %0, axis=0); %2", ["exp", "relu_rms_norm"]),
    ("%0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = reshape(%0, shape=(4, 32)); %2 = reshape(%1, shape=(1, 8, 4, 4)); %2",
     ["transpose", "reshape", "reshape_1"]),
    ("%0 = exp(%x); %1 = reshape(%0, shape=(8, 16)); %2 = transpose(%1, axes=(1, 0)); %3 = reshape(%2, shape=(1, 8, 4, 4)); %3",
     ["exp_reshape_transpose", "reshape"]),
])  # fmt: skip
def test_fusion(body: str, expected: list[str]) -> None:
    found = groups(program(body, X, Y))
    assert sorted(found) == sorted(expected) or found == expected


LINES = {
    "softmax": "softmax(%s, axis={axis})", "log_softmax": "log_softmax(%s, axis={axis})",
    "layer_norm": "layer_norm(%s, %v, axis={axis})", "rms_norm": "rms_norm(%s, %v, axis={axis})",
    "group_norm": "group_norm(%s, %c, %c, groups=2)",
}  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    op=st.sampled_from(sorted(LINES)), axis=st.integers(0, 3), dtype=st.sampled_from([f32, halo.f64, halo.f16]),
    sizes=st.tuples(*(st.integers(1, 5),) * 2, st.sampled_from([1, 3, 17]), st.sampled_from([1, 2, 16, 37, 300])),
    mask=st.integers(0, 15), any_n=st.booleans(),
)  # fmt: skip
def test_what_is_elementwise_is_computed_in_the_line_that_reads_it(
    op: str, axis: int, dtype: Any, sizes: tuple[int, ...], mask: int, any_n: bool
) -> None:
    shape = (sizes[0], 2 * sizes[1], *sizes[2:])
    few = tuple(1 if mask >> d & 1 else n for d, n in enumerate(shape))

    def text(sizes: tuple[Any, ...]) -> str:
        return f"{dtype.name}[{', '.join(map(str, sizes))}]"

    batch = "n" if any_n and axis and not mask & 1 else shape[0]
    x, y = text((batch, *shape[1:])), text((batch if few[0] == shape[0] else 1, *few[1:]))
    m = parse(
        f"def main(%x: {x}, %y: {y}, %v: {text(shape[-1:])}, %c: {text(shape[1:2])}) -> {x} "
        f"{{ %0 = multiply(%x, %x); %s = add(%0, %y); %1 = {LINES[op].format(axis=axis)}; %1 }}"
    )
    assert groups(m) == [f"multiply_add_{op}"]
    rng = np.random.default_rng(0)
    shapes = {"x": shape, "y": few, "v": shape[-1:], "c": shape[1:2]}
    arrays = {p.name: rng.standard_normal(shapes[p.name]).astype(dtype.dtype) for p in m.main.params}
    error = 3e-2 if dtype is halo.f16 else 1e-3
    found, want = m.compile()(**arrays), by_reference(m, **arrays)
    np.testing.assert_allclose(found.astype(np.float64), want.astype(np.float64), rtol=error, atol=error)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_taps_that_lie_in_the_padding_go(data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([1, 2, 3]))
    draw = {name: [data.draw(st.integers(*ends)) for _ in range(n)]
            for name, ends in (("extent", (1, 5)), ("taps", (1, 4)), ("step", (1, 6)), ("stride", (1, 4)))}  # fmt: skip
    extent, taps, step, stride = draw.values()
    reach = [(k - 1) * d for k, d in zip(taps, step, strict=True)]
    before = [data.draw(st.integers(0, r + 1)) for r in reach]
    after = [max(r + 1 - a - b, 0) + data.draw(st.integers(0, 3))
             for r, a, b in zip(reach, extent, before, strict=True)]  # fmt: skip
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, np.float32) for shape in ((1, 2, *extent), (3, 2, *taps)))
    attrs = {"strides": tuple(stride), "padding": (*before, *after), "dilation": tuple(step)}
    v = Var("x", TensorType(x.shape, f32))
    f = nn.conv2d if n == 2 and data.draw(st.booleans()) else nn.conv
    whole = f(v, Constant(w), **attrs)
    cropped = crop_windows(Module({"main": Function((v,), whole)}))
    assert cropped.main.body.type == whole.type
    np.testing.assert_allclose(by_reference(cropped, x=x), f.reference(x, w, **attrs), rtol=1e-5, atol=1e-5)


def test_a_pyramid_of_dilated_windows_over_a_small_picture_is_cropped() -> None:
    x = Var("x", TensorType((1, 16, 8, 8), f32))
    w = Constant(np.random.default_rng(0).standard_normal((16, 16, 3, 3), np.float32))
    m = crop_windows(Module({"main": Function((x,), nn.conv2d(x, w, padding=12, dilation=12))}))
    assert [tuple(c.type.shape) for c in m.main.body.children] == [(1, 16, 8, 8), (16, 16, 1, 1)]
    one = Var("x", TensorType((1, 1, 1, 16), f32))
    last = nn.conv2d(one, w, padding=1, layout="NHWC")
    m = crop_windows(Module({"main": Function((one,), last)}))
    assert m.main.body.children[1].type.shape == (16, 16, 1, 1)
    open_axes = Var("x", TensorType((1, 16, halo.Dim("h"), 8), f32))
    m = crop_windows(Module({"main": Function((open_axes,), nn.conv2d(open_axes, w, padding=12, dilation=12))}))
    assert m.main.body.children[1].type.shape == (16, 16, 3, 1)


def test_layouts_are_shared_by_neighbours() -> None:
    text = str(bottleneck().run_passes())
    main = text[text.index("def main") :]
    assert "layout_transform" not in main  # the stem takes the picture as it is, and the rest stays in blocks
    assert "out_layout='NCHW16c'" in text or "out_layout='NCHW8c'" in text


@pytest.mark.parametrize("channels", [1, 3, 16, 20])
@pytest.mark.parametrize("again", [False, True])
def test_a_picture_of_one_channel_is_broadcast(channels: int, again: bool) -> None:
    """As spatial attention has it: what a convolution makes of all channels to one weighs each of them."""
    x = Var("x", TensorType((1, channels, 5, 6), f32))
    wide = nn.relu(nn.conv2d(x, Constant(weights(channels, channels, 3, 3)), padding=1)) if again else x
    mask = nn.sigmoid(nn.conv2d(wide, Constant(weights(1, channels, 1, 1))))
    m = Module({"main": Function((x,), nn.subtract(nn.multiply(wide, mask), nn.tanh(mask)))})
    a = np.random.default_rng(0).standard_normal((1, channels, 5, 6), np.float32)
    np.testing.assert_allclose(m.compile()(a), by_reference(m, x=a), rtol=1e-4, atol=1e-5)


def test_a_picture_of_one_channel_is_joined_with_others() -> None:
    x = Var("x", TensorType((1, 16, 5, 6), f32))
    y = nn.conv2d(x, Constant(weights(1, 16, 3, 3)), padding=1)
    one = Constant(np.ones(1, np.float32))
    m = Module({"main": Function((x,), nn.concatenate(nn.group_norm(y, one, one, groups=1), y, axis=2))})
    a = np.random.default_rng(0).standard_normal((1, 16, 5, 6), np.float32)
    np.testing.assert_allclose(m.compile()(a), by_reference(m, x=a), rtol=1e-4, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(4, 17, 17), (3, 20, 5), (2, 8, 24), (4, 6, 28), (8, 4, 4), (2, 16, 32), (5, 1, 3)]), st.booleans()
)
def test_groups_of_channels_that_are_no_whole_blocks(sizes: tuple[int, int, int], shuffled: bool) -> None:
    """As ShuffleNet has them: a convolution in groups, its channels shuffled, one of each channel, and groups again."""
    groups, i, o = sizes
    x = Var("x", TensorType((2, groups * i, 5, 6), f32))
    c = lambda *shape: Constant(weights(*shape, seed=sum(shape)), "c")  # a constant of random numbers
    y = nn.relu(nn.conv2d(x, c(groups * o, i, 1, 1), c(groups * o), groups=groups))
    if shuffled:
        apart = nn.transpose(nn.reshape(y, shape=(2, groups, o, 5, 6)), axes=(0, 2, 1, 3, 4))
        y = nn.reshape(apart, shape=y.type.shape)
    y = nn.conv2d(y, c(groups * o, 1, 3, 3), c(groups * o), padding=1, groups=groups * o)
    y = nn.add(nn.conv2d(y, c(groups * i, o, 3, 3), groups=groups, padding=1), x)
    m = Module({"main": Function((x,), nn.global_average_pool(nn.max_pool(y, kernel=2)))})
    a = np.random.default_rng(i).standard_normal(x.type.shape, np.float32)
    want = by_reference(m, x=a)
    np.testing.assert_allclose(m.compile()(a), want, atol=1e-5 * abs(want).max())


@pytest.mark.parametrize("op", [nn.reciprocal, nn.log, nn.divide, lambda v: nn.log(nn.subtract(nn.exp(v), 1.0))])
def test_what_fills_up_blocks_is_never_seen(op: Any) -> None:
    x = Var("x", TensorType((1, 20, 3, 3), f32))
    y = nn.exp(nn.conv2d(x, np.full((20, 20, 1, 1), 0.1, np.float32)))
    made = op(y, y) if op is nn.divide else op(y)
    m = Module({"main": Function((x,), nn.conv2d(made, np.ones((8, 20, 1, 1), np.float32)))})
    got = m.compile()(np.ones((1, 20, 3, 3), np.float32))
    np.testing.assert_allclose(got, by_reference(m, x=np.ones((1, 20, 3, 3), np.float32)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["f32", "i32"])
def test_arithmetic_that_changes_nothing_goes(dtype: str) -> None:
    of = halo.types.as_type(dtype)
    one, zero = np.ones(1, of.dtype), np.zeros((), of.dtype)
    x = Var("x", TensorType((2, 3), of))
    y = nn.multiply(one, nn.divide(nn.multiply(nn.subtract(x, zero), one), one))
    assert simplify(Module({"main": Function((x,), y)})).main.body is x
    for kept in (
        nn.add(x, zero),
        nn.divide(one, x),
        nn.subtract(zero, x),
        nn.multiply(x, np.ones((4, 1, 1), of.dtype)),
    ):
        assert simplify(Module({"main": Function((x,), kept)})).main.body is not x


def test_passes_are_shown() -> None:
    shown = bottleneck().show_passes()
    for name in ("fold_scales", "choose_layouts", "fold_constants", "fuse"):
        assert f"# after {name}" in shown


def test_memory_that_is_alive_at_once_does_not_overlap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = []
        for step in range(rng.integers(1, 20)):
            values.append(Lifetime(int(rng.integers(1, 1000)), step, step + int(rng.integers(0, 5))))
        offsets, total = plan(values)
        for k, a in enumerate(values):
            assert offsets[k] % 64 == 0
            assert offsets[k] + a.bytes <= total
            for j in range(k):
                b = values[j]
                if a.first <= b.last and b.first <= a.last:
                    assert offsets[k] + a.bytes <= offsets[j] or offsets[j] + b.bytes <= offsets[k]
    assert plan([]) == ([], 0)


def test_a_call_checks_a_row_that_the_program_leaves_open() -> None:
    weights = np.random.default_rng(0).standard_normal((3, 4), np.float32)
    net = parse("def main(%x: f32[n, k]) -> f32[n, 4] { %0 = matmul(%x, @w); %0 }", {"w": weights}).compile()
    x = np.random.default_rng(1).standard_normal((5, 3), np.float32)
    np.testing.assert_allclose(net(x), x @ weights, rtol=1e-5)
    with pytest.raises(halo.ArgumentError, match="takes"):
        net(x[:, :2])


def test_a_product_with_weights_in_panels_stays_as_it_is() -> None:
    x, panels = Var("x", TensorType((5, 8), f32)), weights(2, 8, 16)
    m = Module({"main": Function((x,), nn.dense(x, panels, kernel_layout="OI16o", units=20))})
    value = np.random.default_rng(0).standard_normal((5, 8), np.float32)
    plain = panels.transpose(0, 2, 1).reshape(32, 8)[:20]
    np.testing.assert_allclose(m.compile()(value), value @ plain.T, rtol=1e-4, atol=1e-5)


def test_groups_of_one_operator() -> None:
    m = parse("def main(%x: f32[2, 40]) -> f32[2] { %0 = exp(%x); %1 = add(%0, %x); %2 = sum(%1, axes=(1,)); %2 }")
    assert groups(m) == ["exp_add_sum"]
    single = fuse(m, most=1)
    assert calls(single) == ["exp", "add", "sum"]
    x = np.random.default_rng(0).standard_normal((2, 40), np.float32)
    np.testing.assert_allclose(relink(single)(x), m.compile()(x), rtol=1e-6)

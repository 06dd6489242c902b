"""Looking for what is wrong: taps, parts of programs, other calls in place of calls, and models beside another runtime."""

from __future__ import annotations

import gc
import importlib
from typing import Any

import numpy as np
import pytest

import halo
from halo import graph, nn
from halo.graph import compare, parse
from halo.graph.evaluate import evaluate

from .helpers import bottleneck, by_reference

onnx = pytest.importorskip("onnx", reason="extra: onnx")
pytest.importorskip("onnxruntime", reason="extra: dev")
from onnx import numpy_helper, parser  # noqa: E402  # behind what skips without it

RNG = np.random.default_rng(0)
PICTURE = RNG.standard_normal((1, 4, 9, 8), np.float32)


@pytest.fixture
def model() -> Any:
    made = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]> g (float[1,4,9,8] x) => (float[1,6,9,8] y, float[1,6] z) {
        c = Conv<pads = [1, 1, 1, 1]>(x, w, b) n = BatchNormalization(c, b, b, b, v) a = Relu(n) e = Exp(a) l = Log(e)
        y = Add(l, a) p = GlobalAveragePool(y) z = Flatten(p)
    }""")
    arrays = {"w": (6, 4, 3, 3), "b": (6,), "v": (6,)}
    made.graph.initializer.extend(
        numpy_helper.from_array(abs(RNG.standard_normal(s, np.float32)), name) for name, s in arrays.items()
    )
    for k, n in enumerate(made.graph.node):
        n.name = f"node{k}"
    return made


def test_all_is_well(model: Any) -> None:
    found = compare(model, {"x": PICTURE})
    assert found
    assert [r.tensor for r in found.rows] == ["y", "z"]
    every = compare(model.SerializeToString(), {"x": PICTURE}, every=True)
    assert every
    assert [r.tensor for r in every.rows] == ["c", "n", "a", "e", "l", "y", "p", "z"]
    assert every.rows[0].node == "node0"
    assert "Conv node0" in str(every)


def test_the_first_that_differs_and_what_made_it_so(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = graph.from_onnx(model)

    def there(names: Any) -> Any:
        _, taps = right.compile()(PICTURE, taps=list(names))
        return {n: a * (2 if n not in ("c", "n", "a") else 1) for n, a in taps.items()}

    for every in (False, True):
        found = compare(model, {"x": PICTURE}, there, every=every)
        assert not found
        assert found.bad is not None
        assert (found.bad.tensor, found.bad.node, found.bad.operator) == ("e", "node3", "Exp")
        assert found.introduced == "import"

    def wrong(weight: Any, s: Any, e: Any) -> Any:
        return times(weight, nn.multiply(s, np.float32(1.5)), e)

    module = importlib.import_module("halo.graph.passes.fold_scales")
    times = module._times
    monkeypatch.setattr(module, "_times", wrong)
    found = compare(model, {"x": PICTURE})
    assert found.bad is not None
    assert (found.bad.tensor, found.introduced) == ("n", "fold_scales")
    assert "fold_scales made it so" in str(found)


def test_where_nan_starts(model: Any) -> None:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.graph.node[4].input[0] = "c"  # the logarithm of what is negative, too
    made.graph.node[3].output[0] = "unused"
    m = graph.from_onnx(made)
    net = m.compile()

    def there(names: Any) -> Any:
        return {n: np.nan_to_num(a) for n, a in net(PICTURE, taps=list(names))[1].items()}

    for every in (False, True):
        found = compare(made, {"x": PICTURE}, there, every=every)
        assert found.nan is not None
        assert (found.nan.tensor, found.nan.operator) == ("l", "Log")
        assert "NaN starts at l" in str(found)

    def otherwise(names: Any) -> Any:  # what is before the NaN differs too
        return {n: a + (n == "c") for n, a in there(names).items()}

    found = compare(made, {"x": PICTURE}, otherwise, every=True)
    assert found.bad is not None and found.nan is not None
    assert (found.bad.tensor, found.nan.tensor) == ("c", "l")


def test_what_does_not_compare(model: Any) -> None:
    with pytest.raises(halo.ArgumentError, match="no runtime 'tvm'"):
        compare(model, {"x": PICTURE}, "tvm")
    with pytest.raises(halo.ArgumentError, match="the model takes x, not q"):
        compare(model, {"q": PICTURE})


def test_taps() -> None:
    m = bottleneck()
    net = m.compile()
    x = RNG.standard_normal((1, 3, 9, 9), np.float32)
    names = [n for n, e in m.values.items() if n.startswith("%") and "relu" in repr(getattr(e, "op", ""))][:3]
    y, taps = net(x, taps=names)
    np.testing.assert_allclose(y, net(x), rtol=1e-5)
    for name in names:
        part = m.extract(["x"], [name])
        np.testing.assert_allclose(taps[name], by_reference(part, x=x), rtol=1e-4, atol=1e-5)
    assert net(x, taps=[])[1] == {}
    with pytest.raises(halo.ArgumentError, match="no value 'nowhere'"):
        net(x, taps=["nowhere"])
    with pytest.raises(halo.ArgumentError, match="takes no out"):
        net(x, out=np.empty_like(y), taps=names)
    del m
    gc.collect()
    with pytest.raises(halo.ArgumentError, match="keep the Module"):
        net(x, taps=["%0"])


def test_parts_and_other_calls(model: Any) -> None:
    m = graph.from_onnx(model)
    tail = m.extract(["a"], ["y", "z"])
    assert list(tail.inputs) == ["a"]
    a = abs(RNG.standard_normal((1, 6, 9, 8), np.float32))
    y, z = tail.compile()(a)
    np.testing.assert_allclose(y, 2 * a, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(z, y.mean((2, 3)), rtol=1e-4)
    with pytest.raises(halo.ArgumentError, match="depend on x"):
        m.extract([], ["y"])

    softer = m.replace("a", lambda x: nn.softplus(x)).replace("e", lambda x: nn.exp(x))
    assert "softplus" in str(softer)
    c = m.extract(["x"], ["n"]).compile()(PICTURE)
    np.testing.assert_allclose(
        softer.extract(["x"], ["a"]).compile()(PICTURE), np.log1p(np.exp(c)), rtol=1e-4, atol=1e-5
    )
    assert graph.from_onnx(model).compile()(PICTURE)[0].shape == softer.compile()(PICTURE)[0].shape
    with pytest.raises(halo.ArgumentError, match="what replaces it of"):
        m.replace("a", lambda x: nn.flatten(x))
    with pytest.raises(halo.ArgumentError, match="no value"):
        m.replace("q", lambda x: x)


def test_groups_know_their_nodes(model: Any) -> None:
    m = graph.from_onnx(model)
    net = m.compile()
    group = net.groups[0]
    assert {"node0", "node1", "node2"} <= {s for g in net.groups for s in g.sources}
    assert group.seconds is None
    net.profile(runs=2)
    assert all(g.seconds > 0 for g in net.groups)


def test_a_program_at_any_stage_value_by_value() -> None:
    m = bottleneck()
    x = RNG.standard_normal((1, 3, 9, 9), np.float32)
    want = by_reference(m, x=x)
    for stage in (m, m.run_passes()):
        np.testing.assert_allclose(evaluate(stage, {"x": x})[0], want, rtol=1e-4, atol=1e-6)
    loops = parse(
        """def main(%x: f32[n], %c: bool_[]) -> (f32[n], f32[3, n],) {
      %0 = loop trip @three carry (%x) with (%c) -> (f32[n], f32[3, n],)
        do (%i: i64[], %s: f32[n], %c: bool_[]) {
          %0 = if %c (%s) -> f32[n] then (%a: f32[n]) { %0 = exp(%a); %0 } else (%a: f32[n]) { %a };
          %1 = negative(%0); %2 = (%1, %0,); %2
        };
      %1 = %0.0; %2 = %0.1; %3 = (%1, %2,); %3
    }""",
        {"three": np.array(3)},
    )
    for c in (True, False):
        inputs = {"x": np.float32([0.5, -1]), "c": np.array(c)}
        got, want_all = loops.compile()(**inputs), evaluate(loops, inputs)
        for a, b in zip(got, want_all, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)

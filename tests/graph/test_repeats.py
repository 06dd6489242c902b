"""Axes that meet where arrays broadcast: what only a call knows to be 1 is repeated, as NumPy repeats it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo
from halo import Dim, f32, nn
from halo.graph import Function, Module, Var, load, parse
from halo.graph.symbolic import with_extents
from halo.ir.shapes import as_extents, dim_join
from halo.nn import TensorType

RNG = np.random.default_rng(0)
OPERATORS = {
    "add": (nn.add, np.add),
    "multiply": (nn.multiply, np.multiply),
    "maximum": (nn.maximum, np.maximum),
    "where": (lambda a, b: nn.where(nn.greater(a, b), a, b), lambda a, b: np.where(a > b, a, b)),
    "matmul": (
        lambda a, b: nn.matmul(nn.expand_dims(a, axes=-1), nn.expand_dims(b, axes=-2)),
        lambda a, b: np.matmul(a[..., None], b[..., None, :]),
    ),
}


def random(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def program(result: Any, *params: Any) -> Module:
    return Module({"main": Function(params, result)})


def var(name: str, *shape: Any) -> Any:
    return Var(name, TensorType(tuple(Dim(n) if isinstance(n, str) else n for n in shape), f32))


@st.composite
def programs(draw: Any) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The shapes of inputs that broadcast, some of other ranks, and the operators that take them one after the other."""
    rank = draw(st.integers(1, 3))
    axis = st.sampled_from(["a", "a", "b", "c", 1, 3])
    shapes = []
    for _ in range(draw(st.integers(2, 4))):
        own = draw(st.integers(0, rank))
        shapes.append(tuple(n if isinstance(n, int) else f"{n}{k}" for k in range(own, rank) for n in [draw(axis)]))
    operators = [draw(st.sampled_from(["add", "multiply", "maximum", "where"])) for _ in shapes[1:]]
    if shapes[-1] and max(map(len, shapes[:-1])) and draw(st.booleans()):
        operators[-1] = "matmul"
    return shapes, operators


@settings(max_examples=25)
@given(programs(), st.data())
def test_any_program_is_numpys(made: Any, data: Any) -> None:
    shapes, operators = made
    xs = [var(f"x{k}", *shape) for k, shape in enumerate(shapes)]
    value = xs[0]
    for name, x in zip(operators, xs[1:], strict=True):
        value = OPERATORS[name][0](value, x)
    net = program(nn.relu(value), *xs).compile()
    known = {k - len(s): 3 for s in shapes for k, n in enumerate(s) if n == 3}
    for _ in range(4):
        sizes: dict[Any, int] = {1: 1, 3: 3}
        full = {d: known.get(d, data.draw(st.sampled_from([0, 1, 2, 17]), "size")) for d in (-1, -2, -3)}
        for s in shapes:
            for k, n in enumerate(s):
                if n not in sizes:
                    sizes[n] = data.draw(st.sampled_from([1, full[k - len(s)]]), str(n))
        arrays = [random(*(sizes[n] for n in s)) for s in shapes]
        want = arrays[0]
        for name, a in zip(operators, arrays[1:], strict=True):
            want = OPERATORS[name][1](want, a)
        np.testing.assert_array_equal(net(*arrays), np.maximum(want, 0))


def scaled(x: Any, scale: Any) -> Any:
    return nn.layer_norm(x, scale)


def masked(x: Any, mask: Any) -> Any:
    return nn.attention(x, x, x, mask, scale=0.5)


def masked_reference(x: Any, mask: Any) -> Any:
    return nn.attention.reference(x, x, x, mask, scale=0.5)


ONE_WAY = {scaled: lambda n, t: (n, t), masked: lambda n, t, _: (n, t, t)}
"""What scales and masks are broadcast to."""


@pytest.mark.parametrize(
    ("result", "want", "shapes"),
    [
        (lambda x, y: nn.matmul(x, y), np.matmul, [("n", 5, 40), ("m", 40, 33)]),
        (lambda x, y: nn.matmul(x, y), np.matmul, [("n", "k", 40), ("m", 40, "j")]),
        (lambda x, y: nn.einsum(x, y, equation="bij,bjk->bik"), lambda x, y: np.einsum("bij,bjk->bik", x, y),
         [("n", 3, 4), ("m", 4, 5)]),
        (lambda x, y: nn.einsum(x, y, equation="ij,jk->k"), lambda x, y: np.einsum("ij,jk->k", x, y),
         [("n", "t"), ("s", 9)]),
        (lambda x, y: nn.softmax(nn.add(x, y)), lambda x, y: nn.softmax.reference(x + y, axis=-1),
         [("n", 3, "t"), (3, "s")]),
        (scaled, nn.layer_norm.reference, [("n", "t"), ("s",)]),
        (masked, masked_reference, [("n", "t", 8), ("m", "r", "s")]),
        (lambda x, y: nn.attention(x, y, y, scale=0.5), lambda x, y: nn.attention.reference(x, y, y, scale=0.5),
         [("n", 6, 8), ("m", 7, 8)]),
        (lambda x, y: nn.sum(nn.subtract(x, y), axes=(0,)), lambda x, y: (x - y).sum(0), [("n", 4), ("m", 4)]),
        (lambda x, y: nn.relu(nn.transpose(nn.add(x, y), axes=(1, 0))), lambda x, y: np.maximum((x + y).T, 0),
         [("n", "t"), ("m", "s")]),
        (lambda x, y: nn.concatenate(nn.add(x, y), nn.add(x, y), axis=0), lambda x, y: np.concatenate([x + y] * 2),
         [("n", 4), ("m", 4)]),
    ],
)  # fmt: skip
def test_operators_take_what_is_repeated(result: Any, want: Any, shapes: Any) -> None:
    """Called as a net, and as a Tensor, which takes what only a call tells to be repeated as it is."""
    net = program(result(*(params := [var(n, *s) for n, s in zip("xy", shapes, strict=True)])), *params).compile()
    stage = result(*(halo.Input(n, f32, shape=s) for n, s in zip("xy", shapes, strict=True)))
    for ones in ("", "m", "n", "s", "t", "ms", "nt"):
        sizes = {n: 1 if n in ones else 5 for n in "nmts"} | {"k": 9, "j": 20, "r": 1 if ones else 5}
        given = {name: random(*(sizes.get(n, n) for n in s)) for name, s in zip("xy", shapes, strict=True)}
        x, y = given.values()
        of = ONE_WAY[result](*x.shape) if result in ONE_WAY else ()
        if any(n not in (1, m) for n, m in zip(y.shape[::-1], of[::-1], strict=False)):
            for call in (net, stage):
                with pytest.raises(halo.HaloError, match="broadcasts"):
                    call(**given)
            continue
        expected = want(x, y)
        for call in (net, stage):
            np.testing.assert_allclose(call(**given), expected, rtol=1e-4, atol=1e-5)


def pair() -> Module:
    return parse("def main(%x: f32[n, 4], %y: f32[m, 4]) -> f32[join(m, n), 4] { %0 = add(%x, %y); %1 = exp(%0); %1 }")


def test_text_parses_back() -> None:
    assert str(parse(str(pair()))) == str(pair())
    assert as_extents(("join(n, join(m, 1)) + 1",)) == (dim_join(Dim("m"), Dim("n")) + 1,)


def test_one_net_for_each_repeated_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    net = pair().compile()

    def noted(m: Module, of: Any) -> Module:
        compiled.append(of)
        return with_extents(m, of)

    monkeypatch.setattr("halo.graph.repeats.with_extents", noted)
    for a, b in ((5, 1), (7, 1), (1, 3), (9, 9), (2, 1), (1, 1)):
        x, y = random(a, 4), random(b, 4)
        np.testing.assert_allclose(net(x, y), np.exp(x + y), rtol=1e-6)
    assert [of for of in compiled if of in ({"m": 1}, {"n": 1})] == [{"m": 1}, {"n": 1}]


def test_what_does_not_broadcast_is_refused_and_out_is_kept() -> None:
    net, out = pair().compile(), np.full((3, 4), 7, np.float32)
    with pytest.raises(halo.HaloError, match=r"add broadcasts m to join\(m, n\)|add broadcasts n to join\(m, n\)"):
        net(random(3, 4), random(2, 4), out=out)
    with pytest.raises(halo.HaloError, match="out for"):
        net(random(1, 4), random(5, 4), out=out)
    assert (out == 7).all()
    x, y = random(1, 4), random(3, 4)
    assert net(x, y, out=out) is out
    np.testing.assert_allclose(out, np.exp(x + y), rtol=1e-6)


def test_an_extent_that_meets_a_constant() -> None:
    """3 and 4 meet the same axis: it is 1, though each alone could be equal."""
    net = parse("""def main(%x: f32[n], %y: f32[3], %z: f32[4]) -> (f32[3], f32[4]) {
        %0 = add(%x, %y); %1 = add(%x, %z); %2 = (%0, %1); %2 }""").compile()
    x, y, z = random(1), random(3), random(4)
    for got, want in zip(net(x, y, z), (x + y, x + z), strict=True):
        np.testing.assert_array_equal(got, want)
    with pytest.raises(halo.HaloError, match="broadcasts n to"):
        net(random(3), y, z)


def test_a_broadcast_goes_one_way() -> None:
    net = parse(
        "def main(%x: f32[n], %y: f32[m, 2]) -> f32[m, n] { %0 = broadcast_to(%x, shape=(<m>, <n>)); %0 }"
    ).compile()
    np.testing.assert_array_equal(net(random(3) * 0, random(2, 2)), np.zeros((2, 3)))
    one = parse("def main(%x: f32[n], %y: f32[m, 2]) -> f32[m] { %0 = broadcast_to(%x, shape=(<m>,)); %0 }").compile()
    x = random(1)
    np.testing.assert_array_equal(one(x, random(4, 2)), np.broadcast_to(x, 4))
    with pytest.raises(halo.HaloError, match="broadcasts n to m"):
        one(random(4), random(1, 2))


def test_extents_that_only_running_tells() -> None:
    """How many entries are not zero is nobody's name: the kernel itself finds out whether the axis is repeated."""
    onnx = pytest.importorskip("onnx", reason="extra: onnx")
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]> g (float[n] x, float[m] z) => (float[k] y) {
        i = NonZero(x) zero = Constant<value_ints = [0]>() j = Squeeze(i, zero) found = Gather(x, j) y = Add(found, z) }""")
    net = halo.graph.from_onnx(model).compile()
    z = random(3)
    for x in (np.array([0, 2, 0], np.float32), np.array([1, 2, 0, 4], np.float32)):
        np.testing.assert_array_equal(net(x, z), x[x != 0] + z)
    x = np.array([1, 2, 3, 4], np.float32)
    np.testing.assert_array_equal(net(x, z[:1]), x + z[:1])
    with pytest.raises(halo.HaloError):
        net(x, z)


def test_looking_inside_a_call_that_repeats(tmp_path: Path) -> None:
    net, x, y = (m := pair()).compile(), random(300, 4), random(1, 4)
    assert net.inputs == m.inputs
    assert len(net.profile(x, y, runs=2)) == len(net.groups)
    assert net.benchmark(x, y, seconds=0.01) > 0
    result, taps = net(x, y, taps=("0",)) if "0" in m.values else (net(x, y), {})
    np.testing.assert_allclose(result, np.exp(x + y), rtol=1e-6)
    for name, a in taps.items():
        np.testing.assert_allclose(a, x + y, err_msg=name)
    net.save(tmp_path / "net")
    loaded = load(tmp_path / "net")
    np.testing.assert_array_equal(loaded(x, x), net(x, x))
    with pytest.raises(halo.HaloError):  # there is no program in a file
        loaded(x, y)


def test_calls_from_many_threads() -> None:
    net, found = pair().compile(), []

    def run(a: int, b: int) -> None:
        x, y = random(a, 4), random(b, 4)
        found.append(np.array_equal(net(x, y), net(x, y)) and np.allclose(net(x, y), np.exp(x + y), rtol=1e-5))

    threads = [threading.Thread(target=run, args=pair) for pair in ((5, 1), (1, 5), (5, 5), (6, 1), (1, 6), (3, 3))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [True] * len(threads)

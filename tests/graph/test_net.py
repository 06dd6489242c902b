"""Nets: right values, re-entrant, `out=`, what does not fit is said, and what can be looked at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import halo
from halo import Dim, nn
from halo.errors import ArgumentError
from halo.graph import Function, Module, Net, Tuple, Var, kernels, parse

from .helpers import bottleneck, by_reference

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def net() -> Net:
    return bottleneck().compile()


def picture() -> np.ndarray:
    return RNG.standard_normal((1, 3, 9, 9), np.float32)


def test_the_values_are_those_of_the_references(net: Net) -> None:
    x = picture()
    want = by_reference(bottleneck(), x=x)
    np.testing.assert_allclose(net(x), want, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(net(x=x), net(x))


def test_many_threads_call_one_net(net: Net) -> None:
    inputs = [picture() for _ in range(24)]
    alone = [net(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(net, inputs * 4))
    for k, got in enumerate(together):
        np.testing.assert_array_equal(got, alone[k % len(inputs)])


def test_out_and_inputs_of_any_strides(net: Net) -> None:
    x = picture()
    out = np.empty((1, 10), np.float32)
    assert net(x, out=out) is out
    np.testing.assert_array_equal(out, net(x))
    turned = np.asfortranarray(x)
    np.testing.assert_array_equal(net(turned), out)
    first = net(x)
    net(picture())
    np.testing.assert_array_equal(first, out)  # results are no views of what the next call writes


@pytest.mark.parametrize("call", [
    lambda net: net(),
    lambda net: net(np.zeros((1, 3, 9, 8), np.float32)),
    lambda net: net(np.zeros((1, 3, 9, 9))),
    lambda net: net(picture(), picture()),
    lambda net: net(picture(), x=picture()),
    lambda net: net(y=picture()),
    lambda net: net(picture(), out=np.zeros((1, 9), np.float32)),
])  # fmt: skip
def test_what_does_not_fit_is_said(net: Net, call: object) -> None:
    with pytest.raises(halo.ArgumentError):
        call(net)


def test_each_output_has_a_name_of_its_own() -> None:
    text = "def main(%x: f32[2]) -> (f32[2], f32[2],) { %0 = relu(%x); %1 = negative(%0); %2 = (%0, %1,); %2 }"
    x = np.float32([1, -1])
    for names in ((), ("output1",), ("output1", "output0")):
        m = parse(text, outputs=names)
        net = m.compile()
        np.testing.assert_array_equal(net(x), [[1, 0], [-1, 0]])
        assert len(net.outputs) == 2
        assert set(names) <= set(net.outputs)
        _, taps = net(x, taps=["%0"])
        np.testing.assert_array_equal(taps["%0"], [1, 0])
        with pytest.raises(halo.ArgumentError, match="out is 2 arrays, not 1"):
            net(x, out=[x])
    with pytest.raises(halo.ArgumentError, match="two outputs are named 'a'"):
        parse(text, outputs=("a", "a"))


def test_equal_layers_share_a_kernel(net: Net) -> None:
    names = [g.name for g in net.groups]
    assert len(set(names)) < len(names)
    shared = {g.name: g.kernel for g in net.groups}
    assert all(g.kernel is shared[g.name] for g in net.groups)


def test_each_kernel_is_in_the_disk_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path))
    m = parse("""def main(%x: f32[3, 5]) -> f32[3] {
      %0 = softmax(%x, axis=1);
      %1 = relu(%0);
      %2 = sum(%1, axes=(1,));
      %2
    }""")
    x = RNG.standard_normal((3, 5), np.float32)
    parse("def main(%x: f32[3]) -> f32[3] { %0 = negative(%x); %0 }").compile()  # what every process needs is there
    before = halo.cache.info().entries
    made = m.compile()
    many = len(made.groups)
    assert many > 1
    assert halo.cache.info().entries == before + many + 1  # and the code that drives them
    hits = halo.cache.info().hits
    np.testing.assert_array_equal(m.compile()(x), made(x))
    assert halo.cache.info().hits == hits + many + 1


def test_looking_inside(net: Net) -> None:
    group = next(g for g in net.groups if "add" in g.operators)
    assert group.operators == ("conv2d", "add", "relu")
    assert "parallel" in str(group.schedule())
    rows = net.profile(runs=2)
    assert len(rows) == len(net.groups)
    assert all(r.seconds > 0 and r.bytes > 0 and r.roof > 0 for r in rows)
    assert all(name in str(rows) for name in ("GFLOP/s", "of the roof"))
    assert net.memory.arena > 0
    assert "kernels" in repr(net)
    assert net.benchmark(picture(), seconds=0.01) > 0


def test_a_group_is_scheduled_anew() -> None:
    module = bottleneck()
    plain = module.compile()
    name = next(g.name for g in plain.groups if g.operators == ("dense",))
    seen = []

    def reschedule(f: halo.Func) -> None:
        seen.append(f.name)
        f.unschedule()

    x = picture()
    np.testing.assert_array_equal(module.compile(schedules={name: reschedule})(x), plain(x))
    assert seen
    same = next(g for g in plain.groups if g.name == name).schedule()
    np.testing.assert_array_equal(module.compile(schedules={name: same})(x), plain(x))
    with pytest.raises(halo.ArgumentError, match="no group"):
        module.compile(schedules={"conv3d": reschedule})


def test_two_outputs_and_two_inputs() -> None:
    text = """def main(%a: f32[2, 3], %b: f32[2, 3]) -> (f32[2, 3], f32[2, 3],) {
      %0 = add(%a, %b);
      %1 = relu(%0);
      %2 = exp(%1);
      %3 = (%0, %2,);
      %3
    }"""
    net = parse(text, outputs=("sum", "power")).compile()
    a, b = RNG.standard_normal((2, 2, 3), np.float32)
    total, power = net(a, b=b)
    np.testing.assert_array_equal(total, a + b)
    np.testing.assert_allclose(power, np.exp(np.maximum(a + b, 0)), rtol=1e-6)
    assert list(net.outputs) == ["sum", "power"]


def test_saved_and_loaded(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from halo.graph import artefact, load

    path, x = tmp_path / "small.halo", picture()
    net.save(path)
    again = load(path)
    np.testing.assert_array_equal(again(x), net(x))
    assert list(again.outputs) == list(net.outputs)
    assert [g.schedule() for g in again.groups] == [g.schedule() for g in net.groups]
    assert "compiled again" not in capsys.readouterr().err
    again.save(tmp_path / "again.halo")
    np.testing.assert_array_equal(load(tmp_path / "again.halo")(x), net(x))
    monkeypatch.setattr(artefact, "_made_by", lambda: "another machine")
    np.testing.assert_array_equal(load(path)(x), net(x))
    assert "compiled again" in capsys.readouterr().err


def test_a_net_is_saved_over_the_file_that_it_reads_from(net: Net, tmp_path: Path) -> None:
    from halo.graph import load

    path, x = tmp_path / "small.halo", picture()
    net.save(path)
    loaded = load(path)
    loaded.save(path)
    np.testing.assert_array_equal(loaded(x), net(x))
    np.testing.assert_array_equal(load(path)(x), net(x))
    assert [p.name for p in tmp_path.iterdir()] == ["small.halo"]


@pytest.mark.parametrize("dtype", [*halo.types.ALL, *halo.types.STORED], ids=lambda t: t.name)
def test_constants_of_every_type_are_saved(dtype: Any, tmp_path: Path) -> None:
    from halo.graph import load

    rows = np.arange(6).reshape(3, 2).astype(dtype.dtype)
    net = parse(f"def main(%i: i64[n]) -> {dtype.name}[n, 2] {{ %0 = take(@rows, %i); %0 }}", {"rows": rows}).compile()
    net.save(tmp_path / "net")
    assert load(tmp_path / "net")(np.array([2, 0])).tobytes() == rows[[2, 0]].tobytes()


def test_what_is_no_saved_net(net: Net, tmp_path: Path) -> None:
    from halo.graph import load

    path = tmp_path / "small.halo"
    net.save(path)
    data = path.read_bytes()
    for wrong in (b"", b"not a net at all, surely", data[:100], data[:-1000], data[:16] + b"?" + data[17:]):
        (tmp_path / "wrong").write_bytes(wrong)
        with pytest.raises(halo.ArgumentError, match=r"no net|cut off|is damaged"):
            load(tmp_path / "wrong")


@pytest.mark.parametrize(("body", "shape"), [
    ("%a = relu(%x); %b = transpose(%a); %c = relu(%b); %0 = add(%c, %y); %0", (40, 70)),
    ("%a = transpose(%x); %0 = add(%a, %z); %0", (2, 40, 70)),  # what is broadcast is no tile of the transposition
    ("%a = transpose(%x); %0 = reshape(%a, shape=(70, 40)); %0", (70, 40)),
    ("%a = transpose(%x); %b = relu(%a); %0 = transpose(%b); %0", (70, 40)),
])  # fmt: skip
def test_transpositions_fuse_with_what_is_about_them(body: str, shape: tuple[int, ...]) -> None:
    given = {"x": (70, 40), "y": (40, 70), "z": (2, 1, 70)}
    used = {name: RNG.standard_normal(s, np.float32) for name, s in given.items() if f"%{name}" in body}
    params = ", ".join(f"%{name}: f32{[*given[name]]}" for name in used)
    made = parse(f"def main({params}) -> f32{[*shape]} {{ {body} }}")
    np.testing.assert_array_equal(made.compile()(**used), by_reference(made, **used))


def test_kernels_that_are_known_are_not_scheduled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    x, first = picture(), bottleneck().compile()

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(kernels, "scheduled", never)
    again = bottleneck().compile()
    np.testing.assert_array_equal(again(x), first(x))
    monkeypatch.undo()
    relu = parse("def main(%x: f32[n, m]) -> f32[n, m] { %0 = relu(%x); %0 }")
    relu.compile()
    kernel = relu.compile().groups[0].kernel
    turned = np.asfortranarray(RNG.standard_normal((5, 7), np.float32))
    np.testing.assert_array_equal(kernel(turned), np.maximum(turned, 0))


def test_an_operator_from_outside_of_any_rank() -> None:
    """A Func of a pack of indices is lifted at the rank of its argument, alone and in a fused group."""

    @nn.op(nn.Kind.ELEMENTWISE)
    def twice_outside(x):
        return x

    @twice_outside.strategy("direct")
    def _(x):
        source = x.func

        @halo.func
        def twice(*i):
            return source[i] * 2

        return nn.tensor(twice, shape=x.shape)

    try:
        for shape in ((), (5,), (2, 3, 4)):
            x = np.asarray(RNG.standard_normal(shape), np.float32)
            np.testing.assert_array_equal(twice_outside(x), x * 2)
            v = Var("x", nn.TensorType(shape, halo.f32))
            net = Module({"main": Function((v,), nn.relu(twice_outside(v)))}).compile()
            np.testing.assert_array_equal(net(x), np.maximum(x * 2, 0))
            assert len(net.groups) == 1
    finally:
        del nn.OPS["twice_outside"]


def test_operators_from_outside_that_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"relu is an operator of halo\.nn"):

        @nn.op(nn.Kind.ELEMENTWISE)
        def relu(x):
            return x

    @nn.op(nn.Kind.ELEMENTWISE)
    def wrong_outside(x):
        return x

    v = Var("x", nn.TensorType((3,), halo.f32))
    try:
        with pytest.raises(ArgumentError, match="no strategy for these types") as caught:
            Module({"main": Function((v,), wrong_outside(v))}).compile()
        assert caught.value.loc is not None
        assert caught.value.loc.file == __file__
        wrong_outside.strategy("direct")(lambda x: x.func)
        with pytest.raises(ArgumentError, match=r"'direct' of wrong_outside gives .* and not an nn.Tensor"):
            wrong_outside(np.ones(3, np.float32))
    finally:
        del nn.OPS["wrong_outside"]
    with pytest.raises(ArgumentError, match="chosen by its passes"):
        nn.relu(v, strategy="direct")


def test_programs_that_read_what_nobody_gives_are_refused() -> None:
    x, y = (Var(name, nn.TensorType((3,), halo.f32)) for name in "xy")
    with pytest.raises(ArgumentError, match=r"the program reads y, f32\[3\], which is none of its inputs"):
        Module({"main": Function((x,), nn.add(x, y))}).compile()
    with pytest.raises(ArgumentError, match="two inputs are named 'x'"):
        Module({"main": Function((x, Var("x", y.type)), x)})


def test_the_code_of_an_operator_from_outside_is_its_own() -> None:
    """Two of one name are two, though programs say the same."""

    def made(by: int) -> Net:
        @nn.op(nn.Kind.ELEMENTWISE)
        def scaled_outside(x):
            return x

        @scaled_outside.strategy("direct")
        def _(x):
            return nn.elementwise("scaled", lambda v: v * by, x)

        assert not scaled_outside.built_in
        return Module({"main": Function((v := Var("x", nn.TensorType((3,), halo.f32)),), scaled_outside(v))}).compile()

    x = np.float32([1, 2, 3])
    try:
        for by in (2, 3):
            np.testing.assert_array_equal(made(by)(x), x * by)
    finally:
        del nn.OPS["scaled_outside"]
    assert nn.relu.built_in
    executed = eval("lambda x: x", {})  # of no module
    assert executed.__module__ in (None, "builtins")
    for outside in (lambda x: x, executed):
        nn.relu.strategies.append(nn.Strategy("outside", outside))
        assert not nn.relu.built_in
        nn.relu.strategies.pop()


@pytest.mark.parametrize("rows", [6, "n"])
def test_a_reshape_of_an_argument_or_of_a_result_takes_no_kernel(rows: int | str) -> None:
    n = Dim(rows) if isinstance(rows, str) else rows
    x, w = Var("x", nn.TensorType((n, 4, 5), halo.f32)), np.ones((20, 8), np.float32)
    product = nn.matmul(nn.reshape(x, shape=(n, 20)), w)
    results = nn.reshape(product, shape=(n, 2, 4)), nn.reshape(product, shape=(1, n, 8)), nn.exp(product)
    net = Module({"main": Function((x,), results[0])}).compile()
    assert [g.operators for g in net.groups] == [("dense",)]
    many = Module({"main": Function((x,), Tuple(results))}, ("a", "b", "c")).compile()
    a = np.random.default_rng(0).standard_normal((6, 4, 5), np.float32)
    want = a.reshape(6, 20) @ w
    into = np.empty((6, 2, 8), np.float32)[:, :, ::2]
    for data, out in ((a, None), (np.asfortranarray(a), None), (a, into)):
        np.testing.assert_allclose(net(data, out=out), want.reshape(6, 2, 4), rtol=1e-5)
    for got, shape in zip(many(a), ((6, 2, 4), (1, 6, 8)), strict=False):
        np.testing.assert_allclose(got, want.reshape(shape), rtol=1e-5)
    np.testing.assert_allclose(many(a)[2], np.exp(want), rtol=1e-4)

"""Sharing: one kernel for what differs in the names of its extents; parts of results are computed in their places."""

from __future__ import annotations

from typing import Any

import numpy as np

from halo.graph import constants, load, parse
from halo.graph.evaluate import evaluate

RNG = np.random.default_rng(0)
TWICE = """def main(%x: f32[n, 4], %y: f32[m, 4]) -> (f32[n], i64[m], i64[n],) {
  %0 = exp(%x); %1 = sum(%0, axes=(1,)); %2 = exp(%y); %3 = sum(%2, axes=(1,)); %4 = argsort(%3); %5 = argsort(%1);
  %6 = (%1, %4, %5,); %6 }"""


def test_extents_of_other_names_make_no_other_kernel(tmp_path: Any) -> None:
    m = parse(TWICE)
    after = m.run_passes()
    assert len(after.functions) == 1 + 2
    assert "(%y, n=<m>)" in str(after)
    assert str(parse(str(after), constants(after))) == str(after)
    net = m.compile()
    net.save(tmp_path / "shared.halo")
    x, y = RNG.random((5, 4), np.float32), RNG.random((70, 4), np.float32)
    a, b = np.exp(x).sum(1), np.exp(y).sum(1)
    for found in (net(x, y), load(tmp_path / "shared.halo")(x, y), evaluate(after, {"x": x, "y": y})):
        np.testing.assert_allclose(found[0], a, rtol=1e-5)
        np.testing.assert_array_equal(found[1], np.argsort(b, kind="stable"))
        np.testing.assert_array_equal(found[2], np.argsort(a, kind="stable"))
    assert [r.bytes for r in net.profile(x, y, runs=1) if "exp" in r.name] == [4 * 5 * 5, 4 * 70 * 5]


def parts(count: int, then: str) -> Any:
    names = [f"n{k}" for k in range(count)]
    params = ", ".join(f"%x{k}: f32[{n}]" for k, n in enumerate(names))
    lines = [f"%{k} = exp(%x{k});" for k in range(count)]
    joined = f"%{count} = concatenate({', '.join(f'%{k}' for k in range(count))});"
    return parse(
        f"def main({params}) -> {then.format(total=' + '.join(names), whole=f'%{count}', lines=' '.join([*lines, joined]))}"
    )


def test_parts_of_a_result_are_computed_where_they_are() -> None:
    net = parts(9, "f32[{total}] {{ {lines} {whole} }}").compile()
    assert {g.operators for g in net.groups} == {("exp",)}
    assert len({g.name for g in net.groups}) == 1
    xs = [RNG.random(k % 4, np.float32) for k in range(9)]
    np.testing.assert_allclose(net(*xs), np.exp(np.concatenate(xs)), rtol=1e-6)
    out = np.empty(len(np.concatenate(xs)), np.float32)
    assert net(*xs, out=out) is out
    np.testing.assert_allclose(out, np.exp(np.concatenate(xs)), rtol=1e-6)


def test_parts_that_are_reshaped_are_computed_in_the_whole() -> None:
    m = parse("""def main(%x: f32[1, n, 4, 6], %y: f32[1, m, 4, 6]) -> f32[1, 24*m + 24*n] {
      %0 = transpose(%x, axes=(0, 2, 3, 1)); %1 = reshape(%0, shape=(1, <24*n>));
      %2 = transpose(%y, axes=(0, 2, 3, 1)); %3 = reshape(%2, shape=(1, <24*m>));
      %4 = concatenate(%3, %1, axis=1); %4 }""")
    net = m.compile()
    assert {g.operators for g in net.groups} == {("transpose",)}
    x, y = RNG.random((1, 3, 4, 6), np.float32), RNG.random((1, 2, 4, 6), np.float32)
    want = np.concatenate([a.transpose(0, 2, 3, 1).reshape(-1) for a in (y, x)])[None]
    np.testing.assert_array_equal(net(x, y), want)
    out = np.empty_like(want)
    assert net(x, y, out=out) is out
    np.testing.assert_array_equal(out, want)


def test_an_extent_of_many_has_a_name_of_its_own() -> None:
    net = parts(9, "i64[{total}] {{ {lines} %10 = argsort({whole}, descending=True); %10 }}").compile()
    (order,) = [g for g in net.groups if "argsort" in g.name]
    assert str(order.function.params[0].type) == "f32[part0]"
    xs = [RNG.random(k % 4, np.float32) for k in range(9)]
    np.testing.assert_array_equal(net(*xs), np.argsort(-np.concatenate(xs), kind="stable"))


def test_what_differs_in_quotients_of_extents_is_one_kernel() -> None:
    """Half a width is to a kernel what a quarter is; where the quotients tell that two extents are equal, they stay."""
    m = parse("""def main(%x: f32[1, 4, h, w]) -> f32[1, 4, (h + 15)//16, (w + 15)//16] {
      %0 = max_pool(%x, kernel=1, strides=2); %1 = exp(%0); %2 = add(%1, %0);
      %3 = max_pool(%2, kernel=1, strides=2); %4 = exp(%3); %5 = add(%4, %3);
      %6 = max_pool(%5, kernel=1, strides=2); %7 = exp(%6); %8 = add(%7, %6);
      %9 = max_pool(%8, kernel=1, strides=2); %9 }""")
    after = m.run_passes()
    names = [g for g in after.functions if g != "main"]
    assert len(names) < 5, names
    assert str(parse(str(after), constants(after))) == str(after)
    net = m.compile()
    for shape in ((1, 4, 33, 17), (1, 4, 1, 40), (1, 4, 64, 5)):
        x = RNG.random(shape, np.float32)
        want = x
        for _ in range(3):
            want = np.exp(want[:, :, ::2, ::2]) + want[:, :, ::2, ::2]
        np.testing.assert_allclose(net(x), want[:, :, ::2, ::2], rtol=1e-5)
        np.testing.assert_allclose(evaluate(after, {"x": x})[0], net(x), rtol=1e-5)


def test_quotients_that_tell_more_than_names_stay() -> None:
    """The sizes of both are equal for the net knows what they are of: an axis of each name of its own would be another."""
    m = parse("""def main(%x: f32[1, 4, h, w]) -> f32[1, 4, (h + 1)//2, (w + 1)//2] {
      %0 = max_pool(%x, kernel=1, strides=2); %1 = conv2d(%x, @k, strides=2); %2 = add(%0, %1); %3 = exp(%2); %3 }""",
      {"k": RNG.random((4, 4, 1, 1), np.float32)})  # fmt: skip
    x = RNG.random((1, 4, 9, 12), np.float32)
    np.testing.assert_allclose(m.compile()(x), evaluate(m, {"x": x})[0], rtol=1e-5)

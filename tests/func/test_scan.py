"""halo.scan: against loops in NumPy, and under every schedule of the steps the same bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo

RNG = np.random.default_rng(7)
B, N = 3, 5


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def sigmoid(v):
    return 1 / (1 + halo.exp(-v))


def lstm():
    """h and c, and the gates in between as a Func with a reduction."""
    h, c = halo.Func("h"), halo.Func("c")

    @halo.func
    def gate(t, b, g, j, *, x: halo.f32[:, :, :, :], u: halo.f32[:, :, :]):
        return x[t, b, g, j] + sum(u[g, j, k] * h[t - 1, b, k] for k in halo.rdom(u.shape[2]))

    @halo.func
    def c_step(t, b, j):
        kept = sigmoid(gate[t, b, 1, j]) * c[t - 1, b, j]
        return kept + sigmoid(gate[t, b, 0, j]) * halo.tanh(gate[t, b, 2, j])

    @halo.func
    def h_step(t, b, j):
        return sigmoid(gate[t, b, 3, j]) * halo.tanh(c_step[t, b, j])

    return halo.scan((h, c), init=(0.0, 0.0), step=(h_step, c_step))


def lstm_in_numpy(x, u):
    h, c, hs, cs = np.zeros((x.shape[1], u.shape[1])), np.zeros((x.shape[1], u.shape[1])), [], []
    s = lambda v: 1 / (1 + np.exp(-v))
    for xt in x:
        g = xt + np.einsum("gjk,bk->bgj", u, h)
        c = s(g[:, 1]) * c + s(g[:, 0]) * np.tanh(g[:, 2])
        h = s(g[:, 3]) * np.tanh(c)
        hs.append(h)
        cs.append(c)
    return np.array(hs), np.array(cs)


def test_an_lstm():
    x, u = floats(7, B, 4, N), floats(4, N, N)
    want_h, want_c = lstm_in_numpy(x, u)
    h, c = lstm()
    np.testing.assert_allclose(h(x=x, u=u), want_h, atol=1e-6)
    np.testing.assert_allclose(c(x=x, u=u), want_c, atol=1e-6)
    both = halo.Pipeline([h, c])(x=x, u=u)
    np.testing.assert_array_equal(both[0], h(x=x, u=u))
    np.testing.assert_array_equal(both[1], c(x=x, u=u))
    for target in ("python", "numba"):
        np.testing.assert_array_equal(h.compile(x=x, u=u, target=target)(x, u), both[0])


def test_only_the_last_step_is_kept_in_two():
    h, _ = lstm()
    x = halo.Input("x", halo.f32, ndim=4)
    b, j = halo.vars("b j")
    last = halo.Func("last")
    last[b, j] = h[x.shape[0] - 1, b, j]
    allocated = [line.split() for line in last.loops().splitlines() if line.startswith("alloc")]
    assert [words[:3] for words in allocated] == [["alloc", "h[2", "of"], ["alloc", "c[2", "of"]]
    data, u = floats(6, B, 4, N), floats(4, N, N)
    np.testing.assert_allclose(last(x=data, u=u, shape=(B, N)), lstm_in_numpy(data, u)[0][-1], atol=1e-6)
    np.testing.assert_array_equal(last(x=data, u=u, shape=(B, N)), h(x=data, u=u)[-1])


def test_the_object_form_is_the_same():
    t, b, j = halo.vars("t b j")
    x, u = halo.Input("x", halo.f32, ndim=3), halo.Input("u", halo.f32, ndim=2)
    r = halo.rdom(u.shape[0], names="k")
    h, step = halo.Func("h"), halo.Func("step")
    step[t, b, j] = halo.tanh(x[t, b, j] + halo.sum(u[j, r.k] * h[t - 1, b, r.k], r))
    halo.scan(h, 0.0, step, x.shape[0])

    g = halo.Func("h")

    @halo.func(name="step")
    def same(t, b, j, *, x: halo.f32[:, :, :], u: halo.f32[:, :]):
        return halo.tanh(x[t, b, j] + sum(u[j, k] * g[t - 1, b, k] for k in halo.rdom(u.shape[0])))

    halo.scan(g, 0.0, same)
    assert h.loops() == g.loops()
    data, w = floats(4, B, N), floats(N, N)
    np.testing.assert_array_equal(h(x=data, u=w), g(x=data, u=w))


def ints(*shape):
    return RNG.integers(-9, 9, shape).astype(np.int32)


def running(op=lambda x, h: x + h, init=0, **options):
    """h[t, j] = op(x[t, j], h[t - 1, j])."""
    t, j = halo.vars("t j")
    x = halo.Input("x", halo.i32, ndim=2)
    h, step = halo.Func("h"), halo.Func("step")
    step[t, j] = op(x[t, j], h[t + 1 if options.get("reverse") else t - 1, j])
    return halo.scan(h, init, step, **options)


@pytest.mark.parametrize("steps", [0, 1, 2, 9])
def test_lengths_and_directions(steps):
    x = ints(steps, 6)
    np.testing.assert_array_equal(running()(x=x), np.cumsum(x, 0, dtype=np.int32))
    np.testing.assert_array_equal(running(reverse=True)(x=x), np.cumsum(x[::-1], 0, dtype=np.int32)[::-1])
    if steps > 2:
        h, n = running(length=halo.Param("n", halo.i32)), steps - 1
        np.testing.assert_array_equal(h(x=x, n=n, shape=(n, 6)), np.cumsum(x[:-1], 0, dtype=np.int32))


def test_where_it_starts():
    x, start = ints(4, 6), ints(6)
    want = np.cumsum(x, 0, dtype=np.int32) + start
    np.testing.assert_array_equal(running(init=start)(x=x), want)
    np.testing.assert_array_equal(running(init=halo.Input("h0", halo.i32, ndim=1))(x=x, h0=start), want)
    j, before = halo.Var("j"), halo.Func("before")
    before[j] = halo.Input("h0", halo.i32, ndim=1)[j] * 2
    np.testing.assert_array_equal(running(init=before)(x=x, h0=start), want + start)


def test_parts():
    x = ints(8, 6)
    want = np.cumsum(x, 0, dtype=np.int32)
    np.testing.assert_array_equal(running().realize((3, 2), origin=(4, 3), x=x), want[4:7, 3:5])
    np.testing.assert_array_equal(running()(x=x, shape=(5, 6)), want[:5])
    with pytest.raises(halo.BoundsError, match=r"h is needed at 0..8 along axis 0, .* 0..7 only"):
        running()(x=x, shape=(9, 6))


def test_binding_copies_the_steps():
    y = halo.Input("y", halo.i32, ndim=2)
    t, j = halo.vars("t j")
    twice = halo.Func("twice")
    twice[t, j] = y[t, j] * 2
    x = ints(5, 6)
    h = running()
    bound = h(x=halo.pad(twice, "edge", bounds=[(0, y.shape[0]), None]))
    np.testing.assert_array_equal(bound(y=x, shape=x.shape), np.cumsum(2 * x, 0, dtype=np.int32))
    np.testing.assert_array_equal(h(x=x), np.cumsum(x, 0, dtype=np.int32))


def test_states_of_several_shapes_and_a_stencil():
    """Two layers: the second reads the new state of the first, and both read what was, clamped to its neighbours."""
    t, i, j = halo.vars("t i j")
    x, w = halo.Input("x", halo.i32, ndim=2), halo.Input("w", halo.i32, ndim=2)
    a, b, a1, b1 = (halo.Func(n) for n in ("a", "b", "a1", "b1"))
    before = halo.pad(a, "edge", bounds=[None, (0, x.shape[1])])
    a1[t, i] = x[t, i] + before[t - 1, i - 1] - before[t - 1, i + 1]
    r = halo.rdom(x.shape[1], names="k")
    b1[t, j] = b[t - 1, j] + halo.sum(w[j, r.k] * a1[t, r.k], r)
    halo.scan((a, b), (0, 1), (a1, b1))
    xs, ws = ints(6, 4), ints(9, 4)
    now_a, now_b, want_a, want_b = np.zeros(4, np.int32), np.ones(9, np.int32), [], []
    for xt in xs:
        p = np.pad(now_a, 1, mode="edge")
        now_a = xt + p[:-2] - p[2:]
        now_b = now_b + ws @ now_a
        want_a.append(now_a)
        want_b.append(now_b)
    np.testing.assert_array_equal(b(x=xs, w=ws), want_b)
    got_a, got_b = halo.Pipeline([a, b])(x=xs, w=ws)
    np.testing.assert_array_equal(got_a, want_a)
    np.testing.assert_array_equal(got_b, want_b)


def test_a_scan_of_a_scan():
    h = running()
    t, j = halo.vars("t j")
    g, step = halo.Func("g"), halo.Func("step2")
    step[t, j] = g[t - 1, j] + h[t, j]
    halo.scan(g, 0, step)
    x = ints(5, 6)
    np.testing.assert_array_equal(g(x=x), np.cumsum(np.cumsum(x, 0), 0))


SITES = ("t", "b", "none")


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_no_schedule_of_the_steps_changes_a_bit(data):
    x, u = floats(4, B, 4, N), floats(4, N, N)
    h, c = lstm()
    want = halo.Pipeline([h, c])(x=x, u=u)
    h, c = lstm()
    leader = c
    stages = [(h["gate"], "bgj"), (h["c_step"], "bj"), (h["h_step"], "bj")]
    for f, axes in stages:
        site = data.draw(st.sampled_from(SITES))
        if site == "none":
            continue
        f.compute_at(leader.update(1), "t")
        if data.draw(st.booleans()):
            f.vectorize("j", data.draw(st.sampled_from([2, 4, 8])), tail=data.draw(st.sampled_from(["guard", "auto"])))
        if data.draw(st.booleans()):
            f.parallel("b")
        if data.draw(st.booleans()):
            f.unroll(data.draw(st.sampled_from(list(axes[:-1]))), 2)
        if data.draw(st.booleans()) and len(axes) == 3:
            f.reorder("g", "b")
    for s in (h, c):
        steps = s.update(1)
        if data.draw(st.booleans()):
            steps.vectorize("j", data.draw(st.sampled_from([4, 8])))
        if data.draw(st.booleans()):
            steps.parallel("b")
        if data.draw(st.booleans()):
            s.update(0).vectorize("j", 4)
    if data.draw(st.booleans()):
        h["gate"].in_(h["c_step"])
    got = halo.Pipeline([h, c])(x=x, u=u)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_random_scans_equal_a_loop(data):
    """Up to three integer states that read each other through products with matrices, neighbours, or at the point."""
    count, reverse = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    t, b, j = halo.vars("t b j")
    x, w = halo.Input("x", halo.i32, ndim=3), halo.Input("w", halo.i32, ndim=2)
    states = [halo.Func(f"s{k}") for k in range(count)]
    steps = [halo.Func(f"f{k}") for k in range(count)]
    before = t + 1 if reverse else t - 1
    terms = []
    for k, f in enumerate(steps):
        kinds = [(data.draw(st.sampled_from("product here past step".split())), data.draw(st.integers(0, count - 1)))
                 for _ in range(data.draw(st.integers(1, 3)))]  # fmt: skip
        value = x[t, b, j] * (k + 1)
        for kind, other in kinds:
            s = states[other]
            if kind == "product":
                r = halo.rdom(w.shape[0], names="q")
                value = value + halo.sum(w[j, r.q] * s[before, b, r.q], r)
            elif kind == "here":
                value = value - s[before, b, j] * 3
            elif kind == "past":
                value = value + halo.pad(s, "edge", bounds=[None, None, (0, N)])[before, b, j - 1]
            elif other < k:
                value = value + steps[other][t, b, j]
        f[t, b, j] = value & 1023
        terms.append(kinds)
    inits = [data.draw(st.integers(-3, 3)) for _ in states]
    halo.scan(tuple(states), tuple(inits), tuple(steps), reverse=reverse)
    n = data.draw(st.integers(1, 6))
    xs, ws = ints(n, B, N), ints(N, N)
    now = [np.full((B, N), v, np.int32) for v in inits]
    want = np.zeros((count, n, B, N), np.int32)
    for at in reversed(range(n)) if reverse else range(n):
        new: list = []
        for k, kinds in enumerate(terms):
            value = xs[at] * (k + 1)
            for kind, other in kinds:
                if kind == "product":
                    value = value + now[other] @ ws.T
                elif kind == "here":
                    value = value - now[other] * 3
                elif kind == "past":
                    value = value + now[other][:, [0, *range(N - 1)]]
                elif other < k:
                    value = value + new[other]
            new.append(value & 1023)
        now = new
        want[:, at] = now
    asked = data.draw(st.permutations(range(count)))[: data.draw(st.integers(1, count))]
    pipeline, arrays = halo.Pipeline([states[k] for k in asked]), {"x": xs, "w": ws}
    got = pipeline(**{name: arrays[name] for name in pipeline.inputs})
    for k, found in zip(asked, got, strict=True):
        np.testing.assert_array_equal(found, want[k])
    k = asked[0]
    last = halo.Func("last")
    last[b, j] = states[k][0 if reverse else x.shape[0] - 1, b, j]
    got = last(shape=(B, N), **{name: arrays[name] for name in last.inputs})
    np.testing.assert_array_equal(got, want[k, 0 if reverse else n - 1])


def refused(call):
    with pytest.raises(halo.HaloError) as caught:
        call()
    return str(caught.value)


def test_refusals():
    x = ints(4, 6)

    def reading(index):
        t, j = halo.vars("t j")
        h, step = halo.Func("h"), halo.Func("step")
        step[t, j] = halo.Input("x", halo.i32, ndim=2)[t, j] + h[index(t), j]
        return lambda: halo.scan(h, 0, step)(x=x)

    assert "read at a step that comes later" in refused(reading(lambda t: t + 1))
    assert "h[t] is what this step computes" in refused(reading(lambda t: t))
    assert "a step reads the states at the one before it" in refused(reading(lambda t: t - 2))
    assert "a step reads the states at the one before it" in refused(reading(lambda t: 2 * t))
    assert "the steps of a scan come one after another" in refused(lambda: running().update(1).parallel("t").func(x=x))
    for change in (lambda s: s.reorder("j", "t"), lambda s: s.split("t", "o", "i", 2), lambda s: s.unroll("t", 2)):
        assert "stays outermost and serial" in refused(lambda change=change: change(running().update(1)).func(x=x))
    assert "is computed in every step" in refused(lambda: (h := running(), h["step"].compute_root(), h(x=x)))
    assert "is a part of the steps of h" in refused(lambda: running()["step"](x=x))
    assert "defined already" in refused(lambda: halo.scan(running(), 0, halo.Func("f")))
    assert "a Func that is defined" in refused(lambda: halo.scan(halo.Func("h"), 0, halo.Func("f")))
    assert "2 states, 1 inits and 1 steps" in refused(
        lambda: halo.scan((halo.Func("a"), halo.Func("b")), (0,), (halo.Func("c"),))
    )


def test_states_with_directives_and_no_place_are_computed_at_the_root():
    h = halo.Func("h")

    @halo.func
    def step(t, j, *, x: halo.f32[:, :]):
        return halo.tanh(sum(h[t - 1, k] for k in halo.rdom(N)) + x[t, j])

    @halo.func
    def last(j):
        return 2 * h[3, j]

    halo.scan(h, init=0.0, step=step)
    h.update(0).vectorize("j", 4)
    h.update(1).vectorize("j", 4)
    x, state = floats(4, N), np.zeros(N, np.float32)
    for row in x:
        state = np.tanh(state.sum() + row)
    assert np.allclose(last(x, shape=(N,)), 2 * state, atol=1e-6)


@pytest.mark.parametrize("last", [0, 1])
def test_a_stage_that_states_of_different_ranks_share(last: int) -> None:
    """What it reads of one depends on the step, and the loop over the steps is that of either state."""
    m, p, rows, after, top, start = map(halo.Func, ("m", "p", "rows", "after", "top", "start"))
    t, i, j = halo.vars("t i j")
    x, r = halo.Input("x", halo.f64, shape=(3, 3)), halo.rdom(3, names="k")
    start[i, j] = x[i, j]
    top[t] = halo.f64(-np.inf)
    top[t] = halo.max(top[t], m[t - 1, r.k, t])
    rows[t, i, j] = m[t - 1, i, j] / 2 + top[t]
    after[t] = p[t - 1] * top[t]
    states = [(m, start, rows), (p, halo.f64(1), after)]
    halo.scan(*zip(*(states if last else states[::-1]), strict=True), 3)
    f = halo.Func("f")
    f[i, j] = p[2] + m[2, i, j]
    a = np.random.default_rng(0).standard_normal((3, 3))
    want, product = a, 1.0
    for k in range(3):
        largest = want[:, k].max()
        want, product = want / 2 + largest, product * largest
    np.testing.assert_allclose(f(x=a, shape=(3, 3)), want + product)

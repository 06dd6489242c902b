"""Updates that share a loop body become separate stages exactly where that gives the same values.

Each body is also run as Python on plain lists, both interleaved (as written) and stage by stage, on random data: where the
translation accepts the body, the two must agree; where it refuses, some data tell them apart (unless noted).
"""

from __future__ import annotations

import random

import pytest

from halo.errors import DefinitionError
from halo.frontend.capture import capture
from halo.ir import functions as halo

from .written import updates

SIZE, STEPS = 16, 4

# Update bodies over one loop variable r, and whether they may be separate stages.
BODIES = [
    (("f[2*r] = a[r]", "f[2*r + 1] = 3"), True),  # even and odd elements
    (("f[r] = a[r]", "f[r] += 1"), True),  # the same element in the same iteration only
    (("f[r] = a[r]", "f[r + 8] = f[r]"), True),
    (("f[r + 1] = a[r]", "f[r] = 5"), True),  # r + 1 is overwritten later either way
    (("f[r] = a[r]", "f[r + 1] = 5"), False),
    (("f[r] = a[r]", "f[r + 1] = f[r]"), False),
    (("f[r + 1] = a[r]", "f[r + 9] = f[r]"), True),  # what r - 1 wrote is there either way
    (("f[r] = a[r]", "f[r + 9] = f[r + 1]"), False),  # reads what the next iteration writes
    (("f[r] += a[r]", "f[r] *= 2"), True),
    (("f[0] += a[r]", "f[1] += a[r]"), True),
    (("f[0] += a[r]", "f[r + 1] = 2"), True),  # ranges that do not meet
    (("f[0] += a[r]", "f[0] *= 2"), False),
    (("f[0] += a[r]", "f[r] = f[0]"), False),
    (("f[3 - r] = a[r]", "f[3 - r] += 1"), True),
    (("f[3 - r] = a[r]", "f[2 - r + 1] -= f[3 - r]"), True),
    (("f[r] = f[r + 1]", "f[r + 8] = f[r]"), True),
    (("f[r] = f[r + 8]", "f[r + 8] = a[r]"), True),
    (("f[r + 1] = f[r]", "f[r] = a[r]"), True),  # an iteration reads and overwrites its own element
    (("f[r] = f[r + 1]", "f[r] += a[r]", "f[2*r + 9] = f[r]"), True),
]


def function(lines, head="    f[i] = 0\n"):
    body = "".join(f"        {line}\n" for line in lines)
    text = f"def f(i, *, a):\n{head}    for r in halo.rdom({STEPS}):\n{body}"
    scope = {"halo": halo}
    exec(text, scope)
    return capture(scope["f"], text)


def run(order, data):
    """The statements in the given order of (iteration, statement), on f = 0, 1, 2, ..."""
    f = [k * k + 1 for k in range(SIZE + STEPS)]
    for r, line in order:
        exec(line, {"f": f, "a": data, "r": r})
    return f


def agree(lines, data):
    interleaved = [(r, s) for r in range(STEPS) for s in lines]
    stages = [(r, s) for s in lines for r in range(STEPS)]
    return run(interleaved, data) == run(stages, data)


@pytest.mark.parametrize(("lines", "separate"), BODIES, ids=lambda b: "; ".join(b) if isinstance(b, tuple) else "")
def test_bodies(lines, separate):
    draw = random.Random(1)
    samples = [[draw.randrange(100) for _ in range(SIZE)] for _ in range(20)]
    if separate:
        assert len(function(lines).definitions().updates) == len(lines)
        assert all(agree(lines, data) for data in samples)
    else:
        with pytest.raises(DefinitionError, match="two updates of one loop body") as e:
            function(lines).definitions()
        assert e.value.hint == "write two loops, or one update with halo.scatter"
        assert not all(agree(lines, data) for data in samples)


def test_integer_sums_may_be_reordered():
    lines = ("f[a[r]] += 1", "f[a[r + 1]] += 2")
    assert len(function(lines, "    f[i] = 0\n").definitions().updates) == 2
    for head in ("    f[i] = 0.0\n", "", "    f[i] = a[i]\n"):  # floats, or nothing says that they are not
        with pytest.raises(DefinitionError, match="two updates"):
            function(lines, head).definitions()


def test_the_outer_loop_is_shared_and_the_inner_ones_are_not():
    def good(i, j, *, a):
        good[i, j] = 0
        for r in halo.rdom(4):
            good[r, 0] = a[r]
            for k in halo.rdom((1, 3)):
                good[r, k] = good[r, 0] + k

    def bad(i, j, *, a):
        bad[i, j] = 0
        for r in halo.rdom(4):
            bad[r, 0] = a[r]
            for k in halo.rdom((1, 3)):
                bad[r + 1, k - 1] = k

    assert updates(good) == ["good[r, 0] = a[r] for r in 4", "good[r, k] = good[r, 0] + k for r, k in 4, (1, 3)"]
    with pytest.raises(DefinitionError, match="two updates"):
        updates(bad)


def test_two_loops_are_in_order_whatever_they_touch():
    def f(i, *, a):
        f[i] = 0
        for r in halo.rdom(4):
            f[a[r]] = 1
        for r in halo.rdom(4):
            f[a[r] + 1] = f[a[r]]

    assert len(updates(f)) == 2


def test_elements_of_tuples_are_apart():
    def f(i, *, a):
        f[i] = 0, 0
        for r in halo.rdom(4):
            f[0][0] = a[r]
            f[0][1] = a[r] + 1

    assert len(updates(f)) == 2


def test_values_that_were_read_before_an_update():
    def bad(i):
        bad[i] = i
        t = bad[i]
        bad[i] = 3
        bad[i] += t

    def good(i):
        good[i] = i
        t = good[1]
        good[0] = 3
        good[2] += t

    with pytest.raises(DefinitionError, match="reads bad before the update") as e:
        updates(bad)
    assert [note for _, note in e.value.related] == ["the update", "used here"]
    assert updates(good) == ["good[0] = 3", "good[2] += good[1]"]


def test_symbolic_offsets():
    def good(i, *, a, n):
        good[i] = 0
        for r in halo.rdom(4):
            good[r + n + a.shape[0]] = a[r]
            good[a.shape[0] + (r + n)] += 1

    def bad(i, *, a, n):
        bad[i] = 0
        for r in halo.rdom(4):
            bad[r + n] = a[r]
            bad[r] += 1

    assert len(updates(good)) == 2
    with pytest.raises(DefinitionError, match="two updates"):
        updates(bad)

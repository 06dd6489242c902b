from __future__ import annotations

import pytest

from halo.ir.node import interning
from halo.ir.pipeline import Pipeline

from .helpers import BLUR, HIST, define, loops_of, scheduled


def default(setup: str, *outputs: str, code: str = "") -> Pipeline:
    with interning():
        return scheduled(define(setup, code), *outputs)


def inlined(p: Pipeline) -> list[str]:
    return [f.name for f in p.functions if f.compute.kind == "inline"]


HEAD = """
y, x = Var("y"), Var("x")
img = Input("img", i32, ndim=2)
a, b, c, d = Func("a"), Func("b"), Func("c"), Func("d")
"""


@pytest.mark.parametrize(
    ("definitions", "expected"),
    [
        ("a[y, x] = img[y, x] * 2\nd[y, x] = a[y, x] + 1", ["a"]),
        ("a[y, x] = img[y, x] * 2\nd[y, x] = a[y, x] * a[y, x]", ["a"]),  # one index
        ("a[y, x] = img[y, x] * 2\nd[y, x] = a[y, x] + a[y, x + 1]", []),
        ("a[y, x] = img[y, x + 1]\nd[y, x] = a[y, x] + a[y, x + 1]", ["a"]),  # only a load
        ("a[y, x] = i32(3)\nd[y, x] = a[y, x] + a[y, x + 1]", ["a"]),  # a constant
        ("a[y, x] = img[y, x] * 2\nb[y, x] = a[y, x] + 1\nd[y, x] = b[y, x] + b[y, x + 1]", ["a"]),
        ("a[y, x] = img[y, x] * 2\nb[y, x] = a[y, x]\nd[y, x] = b[y, x] + b[y, x + 1]", ["b"]),  # b is only a load
        ("a[y, x] = img[y, x] * 2\nb[y, x] = a[y, x] + 1\nc[y, x] = a[y, x + 1]\nd[y, x] = b[y, x] + c[y, x]", ["b", "c"]),
        ("a[y, x] = img[y, x] * 2\nb[y, x] = a[y, x] + 1\nc[y, x] = a[y, x] * 5\nd[y, x] = b[y, x] + c[y, x]",
         ["a", "b", "c"]),
        ("a[y, x] = img[y, x] * 2\na[y, x] += 1\nd[y, x] = a[y, x] + 1", []),  # an update
        ("a[y, x] = img[y, x] * 2\nd[y, x] = 0\nr = rdom(3, names='r')\nd[y, x] += a[y, x + r.r]", []),
        ("a[y, x] = img[y, x] * 2\nd[y, x] = 0\nd[y, x] += a[y, x]", ["a"]),
    ],
)  # fmt: skip
def test_what_is_inlined(definitions: str, expected: list[str]) -> None:
    assert inlined(default(HEAD + definitions, "d")) == expected


def test_an_inlined_reader_passes_its_reads_on() -> None:
    setup = HEAD + "a[y, x] = img[y, x] * 2\nb[y, x] = a[y, x] * 3\nd[y, x] = b[y, x] + b[y, x + 1]"
    assert inlined(default(setup, "d", code="b.compute_inline()")) == ["b"]
    assert inlined(default(setup, "d", code="b.compute_root()")) == ["a"]


def test_chains_of_pointwise_stages_are_one_loop() -> None:
    lines = ["s = [Func(f's{k}') for k in range(30)]", "s[0][y, x] = img[y, x] + 1"]
    lines += [f"s[{k}][y, x] = s[{k - 1}][y, x] * {k} + 1" for k in range(1, 30)]
    p = default(HEAD + "\n".join([*lines, "d = s[29]"]), "d")
    assert len(inlined(p)) == 29


def test_outputs_and_stencils_are_vectorised_and_parallel() -> None:
    p = default(BLUR, "blur_y")
    assert [loops_of(p, f.name) for f in p.functions] == ["y:parallel x x_v:vectorize"] * 2
    assert {f.compute.kind for f in p.functions} == {"root"}


def test_of_one_axis_the_vectors_are_parallel() -> None:
    p = default(HIST, "cdf")
    assert loops_of(p, "cdf") == "i:parallel i_v:vectorize"


def test_scatters_stay_as_they_are() -> None:
    assert loops_of(default(HIST, "cdf"), "hist", 1) == "ry rx"


def test_vectors_move_inside_reductions() -> None:
    conv = HEAD + "d[y, x] = 0\nr = rdom(3, 3, names='ky kx')\nd[y, x] += img[y + r.ky, x + r.kx]"
    assert loops_of(default(conv, "d"), "d", 1) == "y:parallel x ky kx x_v:vectorize"
    matmul = HEAD + "d[y, x] = 0\nr = rdom(img.shape[1], names='k')\nd[y, x] += img[y, r.k] * img[r.k, x]"
    assert loops_of(default(matmul, "d"), "d", 1) == "y:parallel k x x_v:vectorize"
    scan = HEAD + "d[y, x] = img[y, x]\nr = rdom((1, 9), names='t')\nd[r.t, x] += d[r.t - 1, x]"
    assert loops_of(default(scan, "d"), "d", 1) == "x:parallel t x_v:vectorize"


def test_scans_along_the_last_axis_are_parallel_over_the_others() -> None:
    scan = HEAD + "d[y, x] = img[y, x]\nr = rdom((1, 9), names='t')\nd[y, r.t] += d[y, r.t - 1]"
    assert loops_of(default(scan, "d"), "d", 1) == "y:parallel t"


def test_no_axis_no_loops() -> None:
    setup = HEAD + "d[()] = 0\nr = rdom(9, names='r')\nd[()] += img[0, r.r]"
    p = default(setup, "d")
    assert (loops_of(p, "d"), loops_of(p, "d", 1)) == ("", "r")


def test_any_directive_turns_it_off() -> None:
    p = default(BLUR, "blur_y", code='blur_x.compute_root()\nblur_y.split("x", "xo", "xi", 8)')
    assert (loops_of(p, "blur_x"), loops_of(p, "blur_y")) == ("y x", "y xo xi")


def test_places_in_a_stage_without_directives_are_loops_of_the_plain_nest() -> None:
    p = default(BLUR, "blur_y", code='blur_x.store_root().compute_at(blur_y, "y")')
    assert loops_of(p, "blur_y") == "y x"
    p = default(HEAD + "a[y, x] = img[y, x] * 2\nb[y, x] = a[y, x] + a[y, x + 1]\nd[y, x] = b[y, x] + 1", "d",
                code='a.compute_at(b, "y")')  # fmt: skip
    assert p["b"].compute.kind == "root"


def test_inline_reductions_are_computed_in_the_innermost_loop() -> None:
    p = default(HEAD + "r = rdom(3, names='k')\nd[y, x] = 1 + sum(img[y, x + r.k], r)", "d")
    assert inlined(p) == ["d_sum"]
    assert loops_of(p, "d_sum", 1) == "y x k"


def test_the_pieces_of_a_reduction_keep_their_loops() -> None:
    setup = HEAD + "d[y, x] = 0\nr = rdom(9, names='r')\nd[y, x] += img[y, x + r.r]"
    code = 'i = d.update(0).split("r", "ro", "ri", 3).parallel("y").rfactor({"ro": "u"})'
    p = default(setup, "d", code=code)
    assert p["d_intm"].compute.kind == "root"
    assert loops_of(p, "d_intm", 1) == "y:parallel x u ri"
    assert loops_of(p, "d_intm") == "u:parallel y x x_v:vectorize"

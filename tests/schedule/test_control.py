from __future__ import annotations

from collections.abc import Callable

from halo.ir.node import interning
from halo.ir.text import to_text

from .helpers import BLUR, define, nest, refusals, scheduled

SETUP = BLUR + 'k = Param("k", f32)\nn = Param("n", i32)\nblur_y[y, x] += u16(n) + u16(k)\n'


def branches(code: str, stage: int = 0) -> list[tuple[str, str]]:
    """(condition, loops) of the specialisations, then those of what is left."""
    with interning():
        d = scheduled(define(SETUP, code), "blur_y")["blur_y"].definitions[stage]
        return [*((to_text(c), nest(loops)) for c, loops in d.specializations), ("", nest(d.loops))]


def test_a_branch_starts_with_the_directives_so_far() -> None:
    code = """
wide = blur_y.parallel("y").specialize(img.shape[1] >= 64)
wide.vectorize("x", 32)
blur_y.unroll("x", 2)
"""
    assert branches(code) == [("img.shape[1] >= 64", "y:parallel x x_v:vectorize"), ("", "y:parallel x x_u:unroll")]


def test_the_first_condition_that_holds_decides() -> None:
    code = """
blur_y.specialize(n > 9).vectorize("x", 32)
blur_y.specialize(n > 3).vectorize("x", 8)
"""
    assert [c for c, _ in branches(code)] == ["index(n) >= 10", "index(n) >= 4", ""]


def test_the_same_condition_is_the_same_branch() -> None:
    code = 'blur_y.specialize(n > 9).vectorize("x", 32)\nblur_y.parallel("y")\nblur_y.specialize(n > 9).serial("y")'
    assert branches(code) == [("index(n) >= 10", "y x x_v:vectorize"), ("", "y:parallel x")]


def test_specialisations_nest() -> None:
    code = """
a = blur_y.specialize(n > 9).vectorize("x", 32)
a.specialize(img.shape[0] == 4).unroll("y")
a.parallel("y")
"""
    assert branches(code) == [
        ("index(n) >= 10 and img.shape[0] == 4", "y:unroll x x_v:vectorize"),
        ("index(n) >= 10", "y:parallel x x_v:vectorize"),
        ("", "y x"),
    ]


def test_updates_specialise() -> None:
    assert branches('blur_y.update(0).specialize(n > 9).vectorize("x", 32)', 1)[0][1] == "y x x_v:vectorize"


def test_conditions_are_typed() -> None:
    def condition(code: str) -> str:
        return branches(f"blur_y.specialize({code})")[0][0]

    assert condition("k > 0.5") == "k > 0.5"
    assert condition("(k > 1) & (n != 3)") == "k > 1.0 and index(n) != 3"
    assert condition("~(img.shape[0] % 2 == 0)") == "img.shape[0] % 2 != 0"
    assert condition("(n == 1) | (blur_y.shape[1] < n)") == "index(n) == 1 or blur_y.shape[1] < index(n)"
    assert condition("max(img.shape[0], 2*n) // 3 <= 8") == "max(img.shape[0], 2*index(n))//3 <= 8"


REFUSED = {
    "an expression of a variable": "blur_y.specialize(x > 3)",
    "an expression of data": "blur_y.specialize(img[0, 0] > 3)",
    "no condition": "blur_y.specialize(n + 1)",
    "a constant": "blur_y.specialize(True)",
    "a parameter that there is not": 'blur_y.specialize(Param("q", i32) > 3)',
    "the extent of an intermediate stage": "blur_y.specialize(blur_x.shape[0] > 3)",
    "together in a branch": 'blur_y.specialize(n > 3).compute_with(blur_x, "y")',
    "a loop of another branch": 'blur_y.specialize(n > 3).split("x", "xo", "xi", 8)\nblur_y.vectorize("xi")',
    "a loop that the branch has not": 'blur_y.specialize(n > 3).vectorize("xi", 8)',
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_specialize", refusals(SETUP, REFUSED, "blur_y"))


MEMO = """
y, x = Var("y"), Var("x")
img = Input("img", i32, ndim=2)
k, q = Param("k", i32), Param("q", f32)
e = halo.extern(print, [img], i32, 2, name="e")
f, g, h, u, d = Func("f"), Func("g"), Func("h"), Func("u"), Func("d")
u[y, x] = halo.undef(i32)
u[y, x] += img[y, x]
d[y, x] = halo.debug_print(img[y, x])
f[y, x] = img[y, x] * k + cast(i32, q)
g[y, x] = f[y, x] + f[y, x + 1]
h[y, x] = g[y, x] + g[y + 1, x] + e[y, x] + d[y, x]
"""

MEMO_REFUSED = {
    "an output": "h.memoize()",
    "inline": "g.memoize()",
    "inline, said so": "g.compute_inline().memoize()",
    "stored further out": 'g.compute_at(h, "x").store_at(h, "y").memoize()',
    "stored at the root": 'g.compute_at(h, "y").store_root().memoize()',
    "memory further out": 'g.compute_at(h, "y").hoist_storage_root().memoize()',
    "on the stack": 'g.compute_root().store_in("stack").memoize()',
    "in a thread of its own": "g.compute_root().async_().memoize()",
    "twice": "g.compute_root().memoize().memoize(k)",
    "a key of floats": "g.compute_root().memoize(q)",
    "a key that is true or false": "g.compute_root().memoize(k > 3)",
    "a key that varies": "g.compute_root().memoize(x)",
    "a key that is a number": "g.compute_root().memoize(1.5)",
    "a key of data": "g.compute_root().memoize(img[0, 0])",
    "a Python function": "e.compute_root().memoize()",
    "what prints": "d.compute_root().memoize()",
    "what is undefined": "u.compute_root().memoize()\nh[y, x] += u[y, x]",
    "what needs a Python function": "k2 = Func('k2')\nk2[y, x] = e[y, x] + 1\nk2.compute_root().memoize()\nh[y, x] += k2[y, x]",
    "with another stage": 'd.compute_root()\ng.compute_root().compute_with(d, "y").memoize()',
    "with another stage, as the first": 'd.compute_root().compute_with(g, "y")\ng.compute_root().memoize()',
}


def test_memoize() -> None:
    def key(code: str) -> str | None:
        with interning():
            f = scheduled(define(MEMO, f"g.compute_root().{code}"), "h")["g"]
            assert f.memoized is not None
            return None if f.memoized[0] is None else to_text(f.memoized[0])

    assert key("memoize()") is None
    assert key("memoize(7)") == "7"
    assert key("memoize(k * 2 + img.shape[0])") == "img.shape[0] + 2*index(k)"


def test_what_memoize_refuses(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_memoize", refusals(MEMO, MEMO_REFUSED, "h"))

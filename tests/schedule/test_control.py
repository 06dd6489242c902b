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

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from halo.ir.node import interning
from halo.ir.pipeline import Pipeline

from .helpers import Interpreter, define, loops_of, refusals, scheduled

SUM = """
x = Var("x")
img = Input("img", u8, ndim=2)
n = Param("n", i32)
f, g = Func("f"), Func("g")
f[x] = {type}({start})
r = rdom({count}, names="r")
s, e = f[x], cast({type}, img[x, r.r])
f[x] = {value}
g[x] = f[x] + {type}(n)
"""


def setup(value: str = "s + e", type: str = "i32", start: int = 3, count: Any = 9) -> str:
    return SUM.format(type=type, start=start, count=count, value=value)


def results(p: Pipeline, image: Callable[[int, int], int]) -> list[Any]:
    values = Interpreter(p, {"img": image}, {"x": (0, 5)}, {"n": 7}).run()
    return [values["g"][x,] for x in range(5)]


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [("s + e", "i32", "u16"), ("s + e", "i32", "i64"), ("s - e", "i32", "i16"), ("s * e", "u8", "i32"),
     ("s + e", "u8", "u32"), ("max(s, e)", "i32", "u8"), ("min(e, s)", "i32", "i16"), ("s ^ e", "i32", "u32"),
     ("select(e > 100, s + e, s)", "u16", "i32")],
)  # fmt: skip
def test_other_types_give_the_same(value: str, old: str, new: str) -> None:
    with interning():
        for image in (lambda x, r: 255, lambda x, r: (37 * x + 91 * r) % 256):
            plain = scheduled(define(setup(value, old)), "g")
            p = scheduled(define(setup(value, old), f"f.change_type('{new}').compute_root()"), "g")
            assert results(p, image) == results(plain, image)
        assert [f.name for f in p.functions] == [f"f_{new}", "f", "g"]
        assert [t.name for t in p[f"f_{new}"].types] == [new]
        assert [t.name for t in p["f"].types] == [old]


def test_the_new_func_has_the_directives_so_far() -> None:
    code = """
f.compute_root().vectorize("x", 4).update(0).split("r", "ro", "ri", 3)
t = f.change_type(u16)
t.update(0).unroll("ri")
"""
    with interning():
        p = scheduled(define(setup(), code), "g")
        assert (loops_of(p, "f_u16"), loops_of(p, "f_u16", 1)) == ("x x_v:vectorize", "x ro ri:unroll")
        assert p["f_u16"].compute.kind == "root"
        assert p["f"].compute.kind == "inline"


REFUSED = {
    "too small a type": "f.change_type(u8)",
    "a float type": "f.change_type(f32)",
    "no type": 'f.change_type("int")',
}
OTHERS = {
    "an unknown length": (setup(count="n"), "f.change_type(u16)"),
    "an operator that is not known": (setup("s // 2 + e"), "f.change_type(i64)"),
    "a saturating sum": (setup("sat_add(s, e)", "u16"), "f.change_type(u32)"),
    "a sum that wraps": (setup("s + e", "u16", count=300), "f.change_type(i8)"),
    "no update": (setup(), "g.change_type(u16)"),
    "a product in a smaller type": (setup("s * e"), "f.change_type(i16)"),
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    texts = [refusals(setup(), REFUSED, "g")]
    texts += [refusals(text, {title: code}, "g") for title, (text, code) in OTHERS.items()]
    golden("errors/ScheduleError_change_type", "\n\n\n".join(texts))

"""What `tensorize` refuses, each with the text of its error; and that it is data."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

import halo
from halo.ir.intrinsic import declared

from .helpers import define

PRODUCT = """
y, x = halo.vars("y x")
a, b = halo.Input("a", {a}, ndim=2), halo.Input("b", {b}, ndim=2)
f = Func("f")
r = rdom(a.shape[1], names="k")
f[y, x] = {sums}(0)
f[y, x] += {value}
dot = halo.intrinsics.dot_u8i8_i32
"""
PLAIN = {"a": "u8", "b": "i8", "sums": "i32", "value": "i32(a[y, r.k]) * i32(b[x, r.k])"}
TILED = 'u = f.update(0).split("x", "xo", "xi", 16).split("k", "ko", "ki", 4).reorder("y", "xo", "ko", "xi", "ki")\n'
TENSOR = TILED + 'u.tensorize("xi", dot)\n'

LOOPS = {
    "no such loop": 'f.update(0).tensorize("xi", dot)',
    "as many loops": 'f.update(0).split("x", "xo", "xi", 16).reorder("y", "k", "xo", "xi").tensorize("xi", dot)',
    "of that length": TILED.replace("16", "8") + 'u.tensorize("xi", dot)',
    "loops that are marked": TILED + 'u.vectorize("ki").tensorize("xi", dot)',
    "no intrinsic": TILED + 'u.tensorize("xi", 4)',
    "not declared": TILED + 'u.tensorize("xi", "dot_u8i8")',
    "cut afterwards": TENSOR + 'u.split("xi", "xj", "xi", 4)',
    "moved afterwards": TENSOR + 'u.reorder("xi", "xo")',
    "marked afterwards": TENSOR + 'u.vectorize("ki")',
    "serial again": TENSOR + 'u.serial("xi").serial("ki")',
    "inside of vectors": TENSOR + 'u.vectorize("xo", 2)',
    "a parallel reduction": TENSOR + 'u.atomic().parallel("ko")',
    "in one piece with others": 'g = Func("g")\ng[y, x] = f[y, x]\n' + TENSOR
    + 'h = Func("h")\nh[y, x] = i32(0)\nh[y, x] += i32(a[y, r.k]) * i32(b[x, r.k])\n'
    + TENSOR.replace("f.", "h.").replace("u", "w") .replace("wpdate", "update")
    + 'w.compute_with(u, "xi")\ng[y, x] += h[y, x]\nf.compute_root()\nh.compute_root()\nf = g',
}  # fmt: skip
MEANINGS = {
    "another type": PLAIN | {"a": "i8"},
    "a sum of another type": PLAIN | {"sums": "halo.i64", "value": "halo.i64(a[y, r.k]) * halo.i64(b[x, r.k])"},
    "another operation": PLAIN | {"value": "i32(a[y, r.k]) + i32(b[x, r.k])"},
    "a further factor": PLAIN | {"value": "i32(a[y, r.k]) * i32(b[x, r.k]) * y"},
    "a product that wraps": PLAIN | {"value": "i32(halo.i8(a[y, r.k]) * b[x, r.k])"},
    "a condition on values": PLAIN | {"value": "i32(a[y, r.k]) * i32(b[x, r.k])", "where": "a[y, r.k] > 3"},
    "itself": PLAIN | {"value": "i32(a[y, r.k]) * i32(halo.i8(f[y, x]))"},
}


def refused(setup: str, code: str) -> str:
    try:
        scope = define(setup, code)
        scope["f"].compile()
    except halo.ScheduleError as e:
        return str(e)
    raise AssertionError(f"not refused: {code}")


def product(**parts: str) -> str:
    where = parts.pop("where", "")
    text = "import halo\n" + PRODUCT.format(**parts)
    return text.replace("f[y, x] +=", f"r.where({where})\nf[y, x] +=") if where else text


def test_loops_that_do_not_fit(golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n, i in declared.items() if not i.built_in]:  # by other tests
        monkeypatch.delitem(declared, name)
    texts = [f"## {title}\n\n{refused(product(**PLAIN), code)}" for title, code in LOOPS.items()]
    golden("schedule/tensorize_loops", "\n\n\n".join(texts))


def test_other_meanings(golden: Callable[[str, str], None]) -> None:
    texts = [f"## {title}\n\n{refused(product(**parts), TENSOR)}" for title, parts in MEANINGS.items()]
    golden("schedule/tensorize_meanings", "\n\n\n".join(texts))


FLOATS = PLAIN | {"a": "halo.bf16", "b": "halo.bf16", "sums": "f32", "value": "f32(a[y, r.k]) * f32(b[x, r.k])"}


def test_what_it_may_not_do(golden: Callable[[str, str], None]) -> None:
    made = 'f.compute_root()\ng = Func("g")\ng[y, x] = a[y, x]\nh = Func("h")\nh[y, x] = i32(0)\n'
    made += "h[y, x] += i32(g[y, r.k]) * i32(b[x, r.k])\nf = h\n"
    cases = {
        "floats that round otherwise": (
            product(**FLOATS), TENSOR.replace('"ki", 4', '"ki", 2').replace("dot", "halo.intrinsics.dot_bf16_f32")),
        "a stage computed inside": (product(**PLAIN), made + TENSOR + 'g.compute_at(h, "xi")'),
        "places that meet": (
            product(**PLAIN).replace('rdom(a.shape[1], names="k")', 'rdom(a.shape[1], 32, names="k j")')
            .replace("f[y, x] += ", "f[y, r.j // 2] += ").replace("b[x,", "b[r.j,"),
            TENSOR.replace('"x"', '"j"').replace('"y", ', "")),
    }  # fmt: skip
    golden("schedule/tensorize_refused", "\n\n\n".join(f"## {t}\n\n{refused(*c)}" for t, c in cases.items()))


def test_it_is_data() -> None:
    f = define(product(**PLAIN), TENSOR)["f"]
    s = f.schedule()
    assert str(s).endswith('.tensorize("xi", halo.intrinsics.dot_u8i8_i32)')
    assert pickle.loads(pickle.dumps(s)) == s
    assert halo.Schedule.from_json(s.to_json()) == s
    text = f.loops()
    assert "for xi in 0..16 tensorize dot_u8i8_i32:\n          for ki in 0..4 tensorize:" in text
    other = define(product(**PLAIN))["f"]
    exec(str(s), {"f": other, "halo": halo})
    assert other.schedule() == s and other.loops() == text
    with pytest.raises(halo.ScheduleError, match='"dot_u8i8_i31" is not declared'):
        halo.Schedule.from_json(s.to_json().replace("dot_u8i8_i32", "dot_u8i8_i31"))


def test_loops_are_shown_without_types() -> None:
    f = define(product(**PLAIN | {"a": "None", "b": "None"}), TENSOR)["f"]
    assert "tensorize dot_u8i8_i32:" in f.loops()

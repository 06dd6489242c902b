"""Bodies of definitions: locals, conditions, unrolled loops, packs, tuples. What each line becomes, as text."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from halo import types
from halo.errors import DefinitionError
from halo.frontend.capture import capture
from halo.ir import functions as halo

from .written import definitions, pure, values

TAPS = (1, 4, 6, 4, 1)
KERNEL = [[1, 2], [3, 4]]
LUT = np.arange(256, dtype=np.uint8)


class Settings(NamedTuple):
    radius: int = 2
    scale: float = 0.5


SETTINGS = Settings()
RADIUS_BITS = 5


# Signatures ----------------------------------------------------------------------------------------------------------


def test_index_variables_in_order():
    def f(z, y, x):
        return z + y * x

    d = definitions(f)
    assert d.vars == ("z", "y", "x")
    assert [a.name for a in d.pure.args] == ["z", "y", "x"]
    assert d.updates == () and d.inputs == ()
    assert pure(f) == "z + y*x"


def test_no_index_variable():
    def f(*, a):
        return a[()]

    assert definitions(f).vars == ()
    assert pure(f) == "a[]"


def test_locations():
    def f(y, x, *, img):
        t = img[y, x - 1]
        return t + 1

    d = definitions(f)
    line = f.__code__.co_firstlineno
    (value,) = d.pure.values
    assert (d.pure.loc.line, d.pure.loc.column) == (line + 2, 8)
    assert (value.loc.line, value.loc.column, value.loc.end_column) == (line + 2, 15, 20)
    access = value.args[0]
    assert (access.loc.line, access.loc.column, access.loc.end_column) == (line + 1, 12, 25)
    assert access.indices[1].loc.column == 19
    assert d.inputs[0].loc.line == line


# Locals and operators ------------------------------------------------------------------------------------------------


def test_locals_are_substituted():
    def f(y, x, *, img):
        """With a docstring."""
        a = b = img[y, x]
        a += 1
        c, (d, *e) = a, (b, 2, 3)
        return a * c + d + e[0] * e[1]

    assert pure(f) == "(img[y, x] + 1)*(img[y, x] + 1) + img[y, x] + 6"


def test_a_local_is_one_shared_node():
    def f(y, *, a):
        t = a[y]
        return t * t

    (value,) = definitions(f).pure.values
    assert value.args[0] is value.args[1]


@pytest.mark.parametrize(
    "text",
    ["a[y] + 1", "a[y] - y", "2*a[y]", "a[y]/2", "a[y]//y", "a[y] % 3", "a[y]**2", "a[y] << 1", "a[y] >> 1", "a[y] & 7",
     "a[y] | 1", "a[y] ^ y", "-a[y]", "~a[y]", "a[y] < 1", "a[y] <= y", "a[y] > 1", "a[y] >= 1", "a[y] == 1",
     "a[y] != 1"],
)  # fmt: skip
def test_operators(text):
    source = f"def f(y, *, a):\n    return {text}\n"
    scope: dict[str, object] = {}
    exec(source, scope)
    (value,) = capture(scope["f"], source).definitions().pure.values
    assert repr(value) == text


def test_constants_are_folded_by_python():
    def f(y):
        n = 7 // 2 + 2**3
        return y + n * (3 if n > 10 else 5) + int(np.floor(2.7)) + math.floor(-0.5) + round(2.5) + len("abc")

    assert pure(f) == "y + 33 + 2 + -1 + 2 + 3"


def test_numpy_scalars_keep_their_type():
    def f(y, *, a):
        return a[y] * np.uint8(3) + np.float32(0.5)

    assert pure(f) == "a[y]*u8(3) + f32(0.5)"


def test_attributes_of_constants():
    def f(y):
        return y + SETTINGS.radius + SETTINGS.scale + math.pi + np.iinfo(np.int16).max

    assert pure(f) == f"y + 2 + 0.5 + {math.pi!r} + 32767"


def test_lists_change_by_element():
    def f(y, *, a):
        sums = [0] * 3
        for k in range(6):
            sums[k % 3] = sums[k % 3] + a[y + k]
        return sums[0] * sums[1] + sums[2]

    assert pure(f) == "(0 + a[y + 0] + a[y + 3])*(0 + a[y + 1] + a[y + 4]) + (0 + a[y + 2] + a[y + 5])"


def test_walrus_and_texts():
    def f(y, *, a):
        name = f"{'ra'!s}{'d' + 'ius'}"
        return (t := a[y]) * t + getattr(SETTINGS, name) + len(f"{3:>4}")

    assert pure(f) == "a[y]*a[y] + 2 + 4"


# Conditions ----------------------------------------------------------------------------------------------------------


def test_if_elif_else():
    def f(x, *, a):
        if x < 1:
            return 0
        elif x < 2:
            return a[x - 1]
        else:
            return a[x - 2]

    assert pure(f) == "select(x < 1, 0, select(x < 2, a[x - 1], a[x - 2]))"


def test_returns_and_what_follows():
    def f(x, *, a):
        if x < 1:
            if a[x] > 3:
                return 1
            t = 5
        else:
            t = 6
        if x > 8:
            return 2
        return t + x

    assert pure(f) == (
        "select(select(x < 1, a[x] > 3, False) or x > 8, select(select(x < 1, a[x] > 3, False), 1, 2), "
        "select(x < 1, 5, 6) + x)"
    )


def test_both_branches_return_on_some_path():
    def f(x):
        if x < 5:
            if x < 1:
                return 1
        elif x < 7:
            return 3
        return 4

    assert pure(f) == "select(select(x < 5, x < 1, x < 7), select(x < 5, 1, 3), 4)"


def test_locals_merge():
    def f(x, *, a):
        t, u, same = 1, a[x], "k"
        if x > 3:
            t = t + 1
            u, t = t, u
        v = (t, u)
        if a[x] > 0:
            v = (u, t)
        return v[0] + v[1] * (same == "k")

    t, u = "select(x > 3, a[x], 1)", "select(x > 3, 2, a[x])"
    assert pure(f) == f"select(a[x] > 0, {u}, {t}) + select(a[x] > 0, {t}, {u})*True"


def test_a_constant_condition_chooses():
    def f(x, *, a):
        if SETTINGS.radius > 1:
            t = a[x]
        else:
            t = undefined_here  # noqa: F821  (unbound on purpose)
        return t if not None else also_undefined  # noqa: F821  (unbound on purpose)

    assert pure(f) == "a[x]"


def test_conditional_expressions_and_guards():
    def f(x, *, a):
        return a[x - 1] if 0 < x < 9 else -1

    assert pure(f) == "select(x > 0 and x < 9, a[x - 1], -1)"


def test_and_or_not():
    def f(x, *, a):
        if (x > 0 and a[x - 1] > 2) or not x:
            return 1
        return 1 if x and True and a[x] else 0

    assert pure(f) == ("select(x > 0 and a[x - 1] > 2 or not bool_(x), 1, select(bool_(x) and bool_(a[x]), 1, 0))")


def test_the_value_of_and_or():
    def f(x, *, a, b):
        return (a[x] or b[x]) + (None or 3) + (0 and a[x]) + (2 and x)

    assert pure(f) == "(a[x] or b[x]) + 3 + 0 + x"


def test_conditions_of_numbers():
    def f(x, *, a):
        if -a[x]:
            return 1
        elif ~RADIUS_BITS:
            return 2
        return 3

    assert pure(f) == "select(bool_(-a[x]), 1, 2)"


def test_deciding_constants_cut_and_or_short():
    def f(x, *, a):
        return 1 if (a[x] > 0 and False and nothing[x]) or (a[x] > 1 or True) else 0  # noqa: F821  (unbound on purpose)

    assert pure(f) == "1"


def test_chained_comparisons_and_membership():
    def f(x, *, a):
        return (1 < a[x] <= x < 5) + (a[x] in (1, 2)) + (x not in [3]) + (2 in (1, 2)) + (x is not None)

    assert pure(f) == "(a[x] > 1 and a[x] <= x and x < 5) + (a[x] == 1 or a[x] == 2) + (not x == 3) + True + True"


def test_assert_on_constants():
    def f(x):
        assert SETTINGS.radius == 2, "never"
        return x

    assert pure(f) == "x"


# Loops at capture ----------------------------------------------------------------------------------------------------


def test_unrolled_loops_accumulate():
    def f(y, x, *, img):
        total = 0
        for dy in range(-1, 2):
            for k, t in enumerate(TAPS[:2]):
                total += t * img[y + dy, x + k]
        return total / 16

    terms = [f"{t}*img[y + {dy}, x + {k}]" for dy in (-1, 0, 1) for k, t in ((0, 1), (1, 4))]
    assert pure(f) == f"(0 + {' + '.join(terms)})/16"


def test_break_continue_and_return_in_a_loop():
    def f(x):
        total = x
        for k in range(10):
            if k == 1:
                continue
            if k == 4:
                break
            total = total + k
        for k in (1, 2, 3):
            if x == k:
                return k * 10
        return total

    assert pure(f) == (
        "select(x == 1 or x == 2 or x == 3, select(x == 1 or x == 2, select(x == 1, 10, 20), 30), x + 0 + 2 + 3)"
    )


def test_comprehensions_over_constants():
    def f(x, *, a):
        rows = [a[x + k] for k in range(4) if k % 2]
        table = {k: v for k, v in zip("ab", rows, strict=True)}
        pairs = sum(p * q for p in rows for q in (1, x) if p is not None)
        return table["a"] * table["b"] + pairs + len({k % 2 for k in range(9)}) + max(*rows) + sum(k for k in TAPS)

    assert pure(f) == (
        "a[x + 1]*a[x + 3] + (a[x + 1]*1 + a[x + 1]*x + a[x + 3]*1 + a[x + 3]*x) + 2 + max(a[x + 1], a[x + 3]) + 16"
    )


def test_sets_dicts_and_stars():
    def f(x, *, a):
        first, *rest = (a[x], *(x, 1), 2)
        table = {"a": rest[0], "b": 4}
        return first + table["a"] + table.get("b") + len({1, 2}) + (2 in {2, 3}) + [1, 2].count(2)

    assert pure(f) == "a[x] + x + 4 + 2 + True + 1"


def test_a_comprehension_has_its_own_names():
    def f(x):
        k = 7
        total = sum(k for k in (1, 2))
        return x + k + total

    assert pure(f) == "x + 7 + 3"


def test_any_all_prod_of_constants_and_expressions():
    def f(x, *, a):
        hit = any(a[x + k] > 0 for k in range(2))
        every = all([a[x] > 1, True, a[x]])
        return (hit and every) * math.prod([a[x], 2, x]) + min([x, 3])

    assert pure(f) == ("((a[x + 0] > 0 or a[x + 1] > 0) and (a[x] > 1 and bool_(a[x])))*(a[x]*2*x) + min(x, 3)")


# Packs ---------------------------------------------------------------------------------------------------------------


def test_packs_of_index_variables():
    def f(n, *i, img, w):
        return img[i] + w[(*i, n)] * i[-1] + len(i)

    d = definitions(f, 3)
    assert d.vars == ("n", "i0", "i1")
    assert [(a.name, a.ndim) for a in d.inputs] == [("img", 2), ("w", 3)]
    assert pure(f, 3) == "img[i0, i1] + w[i0, i1, n]*i1 + 2"


def test_slices_and_sums_of_packs():
    def f(*i, img):
        return img[i[:-1] + (i[-1] + 1,)] + img[(0, *i[1:])]

    assert pure(f, 2) == "img[i0, i1 + 1] + img[0, i1]"
    assert pure(f, 1) == "img[i0 + 1] + img[0]"


def test_the_rank_of_a_pack_follows_from_the_inputs():
    def f(n, *i, img, w):
        return img[i] + w[(*i, n)]

    c = capture(f)
    assert (c.index_names, c.pack, c.ndim) == (("n",), "i", None)
    assert c.offsets() == {"img": 0, "w": 1}
    assert c.rank_for({"img": 2, "w": 3}) == 3
    assert c.rank_for({"w": 1}) == 1
    assert c.rank_for({"img": 2, "w": 5}) is None
    assert c.rank_for({}) is None


def test_definitions_are_kept_for_each_rank():
    def f(*i, img):
        return img[i]

    c = capture(f)
    assert c.definitions(2) is c.definitions(2)
    assert c.definitions(2) is not c.definitions(3)


# Tuples and tables ---------------------------------------------------------------------------------------------------


def test_tuples():
    def f(x, *, a):
        low = a[x], 1
        return low if x > 0 else (0, a[x])

    assert values(f) == ["select(x > 0, a[x], 0)", "select(x > 0, 1, a[x])"]


def test_lookup_tables():
    def f(y, x, *, img):
        return LUT[img[y, x]] + LUT[-1] + KERNEL[y][x] + KERNEL[1][x] + KERNEL[1][-1] + np.asarray(KERNEL)[x, 0]

    assert pure(f) == "LUT[img[y, x]] + u8(255) + KERNEL[y, x] + table[x] + 4 + table[x, 0]"
    tables = [e.target for e in walk(definitions(f)) if type(e.target).__name__ == "Table"]
    assert sorted((t.name, t.type.name, t.data.shape) for t in tables) == [
        ("KERNEL", "i32", (2, 2)), ("LUT", "u8", (256,)), ("table", "i32", (2,)), ("table", "i64", (2, 2)),
    ]  # fmt: skip


def walk(d):
    from halo.ir.surface import Access
    from halo.ir.surface_walk import walk

    return [e for e in walk(d.pure.values) if isinstance(e, Access)]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([1, 2], "i32"), ([1, 2**40], "i64"), ((0.5, 1), "f32"), ([True, False], "bool_"), (range(4), "i32"),
     (np.array([1.0]), "f64"), ([np.uint8(1), np.uint8(2)], "u8")],
)  # fmt: skip
def test_types_of_tables(numbers, expected):
    def f(x):
        return numbers[x]

    (access,) = walk(definitions(f))
    assert access.target.type.name == expected


def test_one_table_is_one_object():
    def f(x):
        return LUT[x] + LUT[x + 1]

    first, second = walk(definitions(f))
    assert first.target is second.target


def test_types_convert():
    def f(x, *, a):
        return types.u16(a[x]) + a[x].astype(types.f32) + types.u8(3) + np.int16(a[x]) + bool(a[x])

    assert pure(f) == "u16(a[x]) + f32(a[x]) + u8(3) + i16(a[x]) + bool_(a[x])"


def test_shapes():
    def f(y, x, *, img):
        h, w = img.shape
        return img[h - 1 - y, x] + w + img.shape[-1] + len(img.shape) + len(img) + img.ndim

    assert pure(f) == ("img[img.shape[0] - 1 - y, x] + img.shape[1] + img.shape[1] + 2 + img.shape[0] + 2")


def test_pad_views():
    def f(y, x, *, img):
        p = halo.pad(img, "edge")
        return p[y, x - 1] + halo.pad(img, "constant", value=7)[y, x]

    (value,) = definitions(f).pure.values
    views = [a.target for a in value.args]
    assert [(v.mode, repr(v.value), v.ndim) for v in views] == [("edge", "0", 2), ("constant", "7", 2)]


# What is refused -----------------------------------------------------------------------------------------------------


def test_a_local_that_one_branch_assigns():
    def f(x):
        if x > 1:
            t = 3
        return t

    with pytest.raises(DefinitionError, match="t is assigned only in one branch") as e:
        definitions(f)
    assert e.value.related[0][0].line == f.__code__.co_firstlineno + 1


def test_locals_that_do_not_merge():
    def f(x):
        mode = "a"
        if x > 1:
            mode = "b"
        return x if mode == "a" else 0

    with pytest.raises(DefinitionError, match="mode is different in the branches"):
        definitions(f)

"""What the decorated form refuses: the whole text of each error is pinned in tests/golden/errors."""

from __future__ import annotations

import linecache
import math
import textwrap
from collections.abc import Callable

import numpy as np
import pytest

from halo.errors import DefinitionError
from halo.frontend.capture import capture
from halo.ir import functions as halo
from halo.types import u8

REFUSED = {
    "undefined_name": """
        def f(y, x, *, image):
            return imgae[y, x] + 1
    """,
    "defined_below": """
        def f(y, x):
            return below[y, x]
    """,
    "while": """
        def f(x):
            n = 3
            while n > 0:
                n -= 1
            return x
    """,
    "try": """
        def f(x, *, a):
            try:
                return a[x]
            except IndexError:
                return 0
    """,
    "nested_function": """
        def f(x):
            def g(v):
                return v
            return g(x)
    """,
    "annotated_local": """
        def f(x, *, a: u8[:]):
            total: int = 0
            return total + a[x]
    """,
    "range_of_expressions": """
        def f(x, *, a, n):
            total = 0
            for k in range(n):
                total += a[x + k]
            return total
    """,
    "local_lost_in_rdom": """
        def f(x, *, a):
            total = 0
            for k in halo.rdom(9):
                total += a[x + k]
            return total
    """,
    "loop_without_update": """
        def f(x, *, a):
            for k in halo.rdom(9):
                t = a[k]
            return t
    """,
    "return_in_rdom": """
        def f(x, *, a):
            for k in halo.rdom(9):
                if a[k] > x:
                    return k
            return -1
    """,
    "continue_in_rdom": """
        def f(x, *, a):
            for k in halo.rdom(9):
                if a[k] > x:
                    continue
                f[k] += 1
    """,
    "wrong_number_of_targets": """
        def f(x, *, a: u8[:, :]):
            return sum(a[j, k] for j, k, x in halo.rdom(a))
    """,
    "rdom_named_as_variable": """
        def f(x, *, a):
            return sum(a[x] for x in halo.rdom(9))
    """,
    "mixed_loops_of_a_reduction": """
        def f(x, *, a):
            return sum(a[x + j, k] for j in range(3) for k in halo.rdom(9))
    """,
    "interleaved_updates": """
        def f(x, *, a):
            f[x] = 0
            for k in halo.rdom(9):
                f[k] = a[k]
                f[k + 1] = f[k]
    """,
    "stale_read": """
        def f(x):
            f[x] = x
            before = f[x]
            f[x] = 3
            f[x] += before
    """,
    "update_before_pure": """
        def f(y, x, *, a):
            f[y, 0] = a[y]
    """,
    "pure_in_one_branch": """
        def f(x, *, a):
            if x > 3:
                f[x] = a[x]
            f[x] += 1
    """,
    "pure_reads_itself": """
        def f(x):
            f[x] = f[x - 1] + 1
    """,
    "returns_itself": """
        def f(x):
            return f[x - 1] + 1
    """,
    "returns_and_assigns": """
        def f(x, *, a):
            f[x] = a[x]
            return f[x]
    """,
    "other_func_assigned": """
        def f(x, *, a):
            a[x] = 3
    """,
    "values_of_other_number": """
        def f(x):
            f[x] = 0, 1
            f[x] = 3
    """,
    "no_return": """
        def f(x, *, a):
            if a[x] > 0:
                return 1
    """,
    "nothing": """
        def f(y, x):
            pass
    """,
    "return_of_a_list": """
        def f(x):
            return [x, x + 1]
    """,
    "comparison_alone": """
        def f(x):
            f[x] == 0
    """,
    "value_unused": """
        def f(x, *, a):
            a[x]
            return 0
    """,
    "assert_of_an_expression": """
        def f(x, *, a):
            assert a[x] > 0
            return a[x]
    """,
    "assert_that_fails": """
        def f(x):
            assert len(TAPS) == 5, f"five taps, not {len(TAPS)}"
            return x
    """,
    "raise": """
        def f(x):
            if len(TAPS) != 5:
                raise ValueError(f"five taps, not {len(TAPS)}")
            return x
    """,
    "raise_at_run_time": """
        def f(x, *, a):
            if a[x] < 0:
                raise ValueError("negative")
            return a[x]
    """,
    "rank": """
        def f(y, x, *, img):
            return img[y, x] + img[y]
    """,
    "array_as_scalar": """
        def f(y, x, *, img):
            return img[y, x] + img
    """,
    "scalar_as_array": """
        def f(y, x, *, gain):
            return (gain + 1) * gain[y]
    """,
    "pack_among_indices": """
        def f(*i, img):
            return img[i, 3]
    """,
    "rank_of_a_pack": """
        def f(*i, img):
            return img[i]
    """,
    "slice": """
        def f(y, *, img):
            return img[y, :]
    """,
    "subscript_of_an_expression": """
        def f(y, *, img):
            return img[y][3]
    """,
    "one_branch": """
        def f(x):
            if x > 3:
                t = 1
            return t
    """,
    "branches_that_do_not_merge": """
        def f(x):
            mode = "a"
            if x > 3:
                mode = "b"
            return 1 if mode == "a" else 2
    """,
    "no_meaning": """
        def f(x, *, a):
            return math.gamma(a[x])
    """,
    "print": """
        def f(x, *, a):
            print(a[x])
            return a[x]
    """,
    "int": """
        def f(x, *, a):
            return int(a[x])
    """,
    "python_raises": """
        def f(x):
            return x + 1 // (len(TAPS) - 3)
    """,
    "table_index": """
        def f(x, *, a):
            return KERNEL[3][a[x]]
    """,
    "table_index_of_several": """
        def f(x, *, a):
            return np.eye(3)[a[x], 5]
    """,
    "list_that_changes": """
        def f(x, *, a):
            rows = []
            rows.append(a[x])
            return rows[0]
    """,
    "helper": """
        def f(x, *, a):
            return helper(a[x]) + 1
    """,
    "helper_arguments": """
        def f(x, *, a):
            return helper(a[x], 3)
    """,
    "lambda_arguments": """
        def f(x):
            g = lambda v: v
            return g(x, 3)
    """,
    "odd_annotation": """
        def f(x, *, a: float16):
            return a[x]
    """,
    "set_of_expressions": """
        def f(x, *, a):
            return len({a[x], 2})
    """,
    "comprehension_condition": """
        def f(x, *, a):
            return sum(k for k in range(3) if a[x] > k)
    """,
    "iteration_over_an_expression": """
        def f(x, *, a):
            return sum([v for v in a[x]])
    """,
    "list_over_rdom": """
        def f(x, *, a):
            return sum([a[k] for k in halo.rdom(3)])
    """,
    "element_of_one_value": """
        def f(x, *, a):
            f[x] = a[x]
            f[x] += f[x - 1][0]
    """,
    "no_such_element": """
        def f(x, *, a):
            f[x] = a[x], 1
            f[x][2] += 1
    """,
    "unpacking": """
        def f(y, x, *, img):
            a, b, c = img.shape[0], y
            return a + b
    """,
    "too_many_indices_of_a_table": """
        def f(x, *, a):
            return KERNEL[a[x], 0, 1]
    """,
    "long_unrolled_loop": """
        def f(x, *, a):
            total = 0
            for k in range(1000000):
                total += a[x + k]
            return total
    """,
    "attribute_assigned": """
        def f(x, *, a):
            a.x = 3
            return a[x]
    """,
    "attribute": """
        def f(x, *, a):
            return a[x].astyp(u8)
    """,
}

TAPS, KERNEL = (1, 2, 1), [[1, 2], [3, 4]]


HELPER = "def helper(v):\n    return v.real\n"


def from_file(text: str, file: str) -> dict:
    """What the text defines, as if it were the file."""
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict = {}
    exec(compile(text, file, "exec", dont_inherit=True), scope)
    return scope


def captured(text: str):
    text = textwrap.dedent(text).lstrip("\n")
    scope = {"halo": halo, "np": np, "math": math, "u8": u8, "TAPS": TAPS, "KERNEL": KERNEL, "float16": 3}
    scope["helper"] = from_file(HELPER, "<helper.py>")["helper"]
    exec(compile(text, "<string>", "exec", dont_inherit=True), scope)
    made = capture(scope["f"], text)
    scope["below"] = None
    return made


@pytest.mark.parametrize("name", REFUSED)
def test_errors(name: str, golden: Callable[[str, str], None]):
    with pytest.raises(DefinitionError) as e:
        captured(REFUSED[name]).definitions(None if name == "rank_of_a_pack" else 1)
    golden(f"errors/DefinitionError_{name}", str(e.value))


def generator(x):
    yield x


async def coroutine(x):
    return x


def keywords(x, **inputs):
    return x


def default(y, x=3):
    return x


@pytest.mark.parametrize("function", [generator, coroutine, keywords, default, len, 3, type("C", (), {})])
def test_what_cannot_be_decorated(function, golden: Callable[[str, str], None]):
    with pytest.raises(DefinitionError) as e:
        capture(function)
    name = getattr(function, "__name__", "int")
    golden(f"errors/DefinitionError_decorating_{name}", e.value.message + f"\n  try: {e.value.hint}")


def test_every_error_has_a_place_and_fits_a_line():
    for text in REFUSED.values():
        with pytest.raises(DefinitionError) as e:
            captured(text).definitions()
        assert e.value.loc is not None
        assert len(e.value.message) < 160 and "\n" not in e.value.message

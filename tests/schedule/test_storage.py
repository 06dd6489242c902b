from __future__ import annotations

from collections.abc import Callable

from halo.ir.node import interning
from halo.ir.pipeline import Function

from .helpers import define, refusals, scheduled

SETUP = """
y, x, c = Var("y"), Var("x"), Var("c")
img = Input("img", u16, ndim=3)
k = Param("k", i32)
f, g = Func("f"), Func("g")
f[y, x, c] = img[y, x, c] + u16(k)
g[y, x, c] = f[y, x, c] + f[y - 1, x, c]
"""


def stored(code: str, promises: bool = True) -> Function:
    with interning():
        return scheduled(define(SETUP, f"f.compute_root().{code}"), "g", promises=promises)["f"]


def test_storage() -> None:
    assert stored('reorder_storage("c", "y", "x")').storage_order == (2, 0, 1)
    assert stored('reorder_storage("c", "y")').storage_order == (2, 1, 0)
    assert stored('reorder_storage("x", "y").reorder_storage("c", "x")').storage_order == (2, 0, 1)
    assert stored('align_storage("x", 16)').align_storage == ((1, 16),)
    folds = stored('fold_storage("y", 4).fold_storage("c", 2).fold_storage("y", 2)').fold
    assert [e[:2] for e in folds] == [(0, 2), (2, 2)]
    assert all(loc is not None for _, _, loc in folds)
    assert stored('store_in("stack")').memory == "stack"
    assert stored('compute_at(g, "x").hoist_storage(g, "y").ring_buffer(2)').ring == 2
    assert stored('align_bounds("x", 16, -1).align_bounds("y", 2)').align_bounds == ((0, 2, 0), (1, 16, 15))
    assert stored('align_extent("x", 16)').align_extent == ((1, 16),)


def test_bounds() -> None:
    with interning():
        f = scheduled(define(SETUP, 'f.compute_root().bound("c", 0, 3).bound("x", k, img.shape[1] // 2)'), "g")["f"]
        (_, lo, n), (_, c_lo, c_n) = f.bound
        assert (c_lo.value, c_n.value) == (0, 3)
        assert lo.type.name == n.type.name == "index"
    f = stored('bound_extent("c", 4)')
    assert f.bound[0][1] is None
    assert stored('bound_storage("x", k + 1)').bound_storage[0][0] == 1


def test_estimates_change_nothing() -> None:
    assert stored('set_estimate("x", 0, 1024)').bound == ()


def test_without_promises_bounds_and_folds_are_left_out() -> None:
    f = stored(
        'bound("c", 0, 3).fold_storage("y", 4).bound_storage("x", 99).align_bounds("x", 8).vectorize("c")', False
    )
    assert (f.bound, f.fold, f.bound_storage) == ((), (), ())
    assert f.align_bounds == ((1, 8, 0),)
    assert [d.name for d in f.definitions[0].loops.dims] == ["y", "x", "c", "c_v"]


REFUSED = {
    "unknown axis": 'f.fold_storage("z", 4)',
    "a loop that is no axis": 'f.split("x", "xo", "xi", 8).align_storage("xo", 8)',
    "an axis twice": 'f.reorder_storage("x", "x")',
    "an order of one": 'f.reorder_storage("x")',
    "an unknown memory": 'f.store_in("shared")',
    "a size that is no constant": 'f.fold_storage("y", k)',
    "a size of zero": 'f.fold_storage("y", 0)',
    "an empty bound": 'f.bound("c", 0, 0)',
    "a bound that is no integer": 'f.bound("c", 0, 3.5)',
    "a bound that varies": 'f.bound("c", 0, x)',
    "an unknown parameter": 'f.compute_root().bound("c", 0, Param("n", i32))',
    "too few estimates": "f.set_estimates([(0, 9)])",
    "estimates that are no pairs": "f.set_estimates([0, 9])",
    "a ring of what is inline": "f.ring_buffer(2)",
    "a ring that nothing goes round in": 'f.compute_at(g, "y").ring_buffer(2)',
    "a ring at the root": "f.compute_root().ring_buffer(2)",
    "a ring between the same loops": 'f.compute_at(g, "x").store_at(g, "y").hoist_storage(g, "y").ring_buffer(2)',
    "a ring of no places": 'f.compute_at(g, "x").hoist_storage(g, "y").ring_buffer(0)',
    "the extent of another stage": 'f.compute_root().bound("c", 0, f.shape[2])',
}


def test_refusals(golden: Callable[[str, str], None]) -> None:
    golden("errors/ScheduleError_storage", refusals(SETUP, REFUSED, "g"))

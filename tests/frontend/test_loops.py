"""Loops over `halo.rdom`: inline reductions, update stages, scans, scatters."""

from __future__ import annotations

import pytest

from halo.errors import DefinitionError
from halo.ir import functions as halo
from halo.types import u8, u32

from .written import definitions, pure, updates, values

DOMAIN = halo.rdom(3, (-1, 3), names="a b")
TRIANGLE = halo.rdom(4, 4, names="p q")
TRIANGLE.where(TRIANGLE.p <= TRIANGLE.q)


# Inline reductions ---------------------------------------------------------------------------------------------------


def test_a_convolution():
    def f(y, x, *, img, w):
        return sum(img[y + ky, x + kx] * w[ky, kx] for ky, kx in halo.rdom(3, 3))

    assert pure(f) == "sum(img[y + ky, x + kx]*w[ky, kx] for ky, kx in rdom(3, 3))"


def test_nested_generators_are_one_domain():
    def f(y, x, *, img):
        return max(img[y + ky, x + kx] for ky in halo.rdom(3) if ky != y for kx in halo.rdom((-1, 3)) if kx < ky)

    assert pure(f) == "max(img[y + ky, x + kx] for ky, kx in rdom(3, (-1, 3)) if ky != y and kx < ky)"


def test_domains_by_array_range_pair_and_expression():
    def f(*, img, n):
        return (
            sum(img[y, x] for y, x in halo.rdom(img)),
            sum(img[k, 0] for k in halo.rdom(range(1, 9))),
            sum(img[k, 0] for k in halo.rdom(range(n, img.shape[0] - 1))),
            sum(img[k, j] for k, j in halo.rdom((1, n), 2 * n)),
        )

    d = definitions(f)
    assert [(i.name, getattr(i, "ndim", None)) for i in d.inputs] == [("img", 2), ("n", None)]
    assert values(f) == [
        "sum(img[y, x] for y, x in rdom(img.shape[0], img.shape[1]))",
        "sum(img[k, 0] for k in rdom((1, 8)))",
        "sum(img[k, 0] for k in rdom((n, img.shape[0] - 1 - n)))",
        "sum(img[k, j] for k, j in rdom((1, n), 2*n))",
    ]


def test_a_length_is_not_the_array_that_it_is_of():
    def f(y, *, a):
        return sum(a[y, r] for r in halo.rdom(a.shape[1]))

    assert pure(f) == "sum(a[y, r] for r in rdom(a.shape[1]))"


def test_start_values_and_every_operator():
    def f(x, *, a):
        r = halo.rdom(4)
        return (
            sum((a[x + k] for k in r), u32(0)),
            sum((a[x + k] for k in r), start=x),
            halo.prod(a[k] for k in r),
            min(a[k] for k in r),
            any(a[k] > 0 for k in r),
            all(a[k] > 0 for k in r),
            halo.mean(a[k] for k in r),
            halo.max(a[k] for k in r),
        )

    texts = values(f)
    assert texts[:2] == ["sum((a[x + k] for k in rdom(4)), u32(0))", "sum((a[x + k] for k in rdom(4)), x)"]
    assert [t.split("(")[0] for t in texts[2:]] == ["prod", "min", "any", "all", "mean", "max"]


def test_arguments_of_extrema():
    def f(y, *, a):
        j, k, v = halo.argmin(a[y + j, k] for j, k in halo.rdom(3, 4))
        return j, k, v

    def g(y, *, a):
        return halo.argmax(a[y + j] for j in halo.rdom(3))[1]

    one = "argmin(a[y + j, k] for j, k in rdom(3, 4))"
    assert values(f) == [f"{one}[0]", f"{one}[1]", f"{one}[2]"]
    first, second, third = definitions(f).pure.values
    assert first.reduction is second.reduction is third.reduction
    assert pure(g) == "argmax(a[y + j] for j in rdom(3))[1]"


def test_a_domain_made_outside_is_renamed():
    def f(y, *, a):
        return sum(a[y + i, j] for i, j in DOMAIN) + sum(a[i, j] for i, j in TRIANGLE)

    assert pure(f) == ("sum(a[y + i, j] for i, j in rdom(3, (-1, 3))) + sum(a[i, j] for i, j in rdom(4, 4) if i <= j)")


def test_packs_of_reduction_variables():
    sizes = (3, 4)

    def f(*i, img):
        return sum(img[tuple(p + q for p, q in zip(i, r, strict=True))] for r in halo.rdom(*sizes))

    def g(*i, img):
        return sum(img[(k, *r)] for k, *r in halo.rdom(2, *sizes)) + len(i)

    assert pure(f, 2) == "sum(img[i0 + r0, i1 + r1] for r0, r1 in rdom(3, 4))"
    assert pure(g, 1) == "sum(img[k, r0, r1] for k, r0, r1 in rdom(2, 3, 4)) + 1"


def test_reductions_in_helpers_rename_what_collides():
    def total(img, y):
        return sum(img[y, x] for x in halo.rdom(3))

    def f(y, x, *, img):
        return total(img, y) + total(img, x)

    assert pure(f) == "sum(img[y, x_] for x_ in rdom(3)) + sum(img[x, x_] for x_ in rdom(3))"


def test_underscores_as_targets():
    def f(x, *, a):
        return sum(a[x] for _, _ in halo.rdom(2, 3))

    assert pure(f) == "sum(a[x] for _, _1 in rdom(2, 3))"


# Updates -------------------------------------------------------------------------------------------------------------


def test_a_histogram():
    def hist(i, *, img: u8[:, :]):
        hist[i] = u32(0)
        for ry, rx in halo.rdom(img):
            hist[img[ry, rx]] += 1

    assert pure(hist) == "u32(0)"
    assert updates(hist) == ["hist[img[ry, rx]] += 1 for ry, rx in img.shape[0], img.shape[1]"]
    assert definitions(hist).updates[0].loc.line == hist.__code__.co_firstlineno + 3


def test_the_pure_stage_may_be_left_out():
    def f(i, *, a):
        for r in halo.rdom(a.shape[0]):
            f[a[r]] += 1

    def g(i):
        g[i] *= i

    assert definitions(f).pure is None and updates(f) == ["f[a[r]] += 1 for r in a.shape[0]"]
    assert definitions(g).pure is None and updates(g) == ["g[i] *= i"]


def test_a_scan_and_updates_at_constants():
    def acc(y, t, *, img):
        acc[y, t] = 0
        acc[y, 0] = img[y, 0]
        for k in halo.rdom(range(1, img.shape[1])):
            acc[y, k] = acc[y, k - 1] + img[y, k]
        acc[0, t] -= acc[1, t]

    assert updates(acc) == [
        "acc[y, 0] = img[y, 0]",
        "acc[y, k] = acc[y, k - 1] + img[y, k] for k in (1, img.shape[1] - 1)",
        "acc[0, t] -= acc[1, t]",
    ]


def test_nested_loops_are_one_domain():
    def f(i, *, a):
        for j in halo.rdom(3):
            t = a[j]
            for k in halo.rdom((j * 0 + 1, 2) if False else (1, 2)):
                f[j + k] += t * a[k]

    (update,) = definitions(f).updates
    assert updates(f) == ["f[j + k] += a[j]*a[k] for j, k in 3, (1, 2)"]
    assert {v.rdom for v in (update.args[0].args[0], update.args[0].args[1])} == {update.rdom}


def test_predicates():
    def f(i, *, a, n):
        f[i] = 0
        if n > 3:
            for k in halo.rdom(a.shape[0]):
                if a[k] > 0:
                    f[k + 1] += 1
                    if 9 < a[k] < 12:
                        f[0] = 5
        if i > 2:
            f[i] += 3

    assert updates(f) == [
        "f[k + 1] += 1 for k in a.shape[0] if n > 3 and a[k] > 0",
        "f[0] = 5 for k in a.shape[0] if n > 3 and a[k] > 0 and (a[k] > 9 and a[k] < 12)",
        "f[i] += 3 if i > 2",
    ]


def test_if_and_else_are_two_updates():
    def f(i, *, a):
        f[i] = 0
        for k in halo.rdom(9):
            if a[k] > 0:
                f[k] = a[k]
            elif a[k] > -3:
                f[k] = 1
            else:
                f[k + 20] = 7

    assert updates(f) == [
        "f[k] = a[k] for k in 9 if a[k] > 0",
        "f[k] = 1 for k in 9 if not a[k] > 0 and a[k] > -3",
        "f[k + 20] = 7 for k in 9 if not a[k] > 0 and not a[k] > -3",
    ]


def test_an_if_of_what_is_updated_selects():
    def f(i, *, a):
        f[i] = 0
        if f[i] > a[i]:
            f[i] += 1
        else:
            f[i] = 2 * f[i]

    assert updates(f) == ["f[i] = select(f[i] > a[i], f[i] + 1, 2*f[i])"]


def test_a_scan_with_if_and_else_selects():
    def runs(t, *, a):
        runs[t] = 0
        for k in halo.rdom((1, 9)):
            if a[k] > 0:
                runs[k] = runs[k - 1] + 1
            else:
                runs[k] = 0

    assert updates(runs) == ["runs[k] = select(a[k] > 0, runs[k - 1] + 1, 0) for k in (1, 9)"]


def test_a_pure_stage_in_both_branches():
    def f(i, *, a):
        if i < 2:
            f[i] = a[i]
        else:
            f[i] = 0
        f[i] += 1

    assert pure(f) == "select(i < 2, a[i], 0)"
    assert updates(f) == ["f[i] += 1"]


def test_unrolled_updates():
    def f(i, *, a):
        f[i] = a[i]
        for k in range(3):
            f[k] = k
            f[i] *= 2

    assert updates(f) == ["f[0] = 0", "f[i] *= 2", "f[1] = 1", "f[i] *= 2", "f[2] = 2", "f[i] *= 2"]


def test_tuple_updates():
    def f(i, *, a):
        f[i] = 0, a[i]
        for k in halo.rdom(4):
            f[k] = f[k][1], f[k][0] + f[k + 1][-1]
        lo, hi = f[i]
        f[i][1] = lo + hi
        f[i] += 1, 2
        f[i] = f[i + 0]

    assert values(f) == ["0", "a[i]"]
    assert updates(f) == [
        "f[k] = f[k][1], f[k][0] + f[k + 1][1] for k in 4",
        "f[i] = _, f[i][0] + f[i][1]",
        "f[i] += 1, 2",
        "f[i] = f[i + 0][0], f[i + 0][1]",
    ]


def test_scatter_and_gather():
    def f(i):
        f[i] = i
        f[halo.scatter(3, 5)] = halo.gather(f[5], f[3])

    assert updates(f) == ["f[scatter(3, 5)] = gather(f[5], f[3])"]


def test_undef():
    def f(i, *, a):
        f[i] = halo.undef
        f[3] = a[3]

    assert pure(f) == "undef"


def test_every_augmented_operator():
    def f(i):
        f[i] = 1
        f[i] -= 1
        f[i] &= 3
        f[i] <<= 2
        f[i] **= 2

    assert updates(f) == ["f[i] -= 1", "f[i] &= 3", "f[i] <<= 2", "f[i] **= 2"]


def test_reductions_inside_updates():
    def f(i, *, a):
        for k in halo.rdom(4):
            f[k] += sum(a[k, j] for j in halo.rdom(5) if j > k)

    assert updates(f) == ["f[k] += sum(a[k, j] for j in rdom(5) if j > k) for k in 4"]


def test_loop_bodies_hold_locals_and_unrolled_loops():
    def f(i, *, a):
        for k in halo.rdom(4):
            t = 0
            for d in range(3):
                t += a[k + d]
            f[k] += t

    assert updates(f) == ["f[k] += 0 + a[k + 0] + a[k + 1] + a[k + 2] for k in 4"]


def test_locals_do_not_survive_the_iteration():
    def f(i, *, a):
        f[i] = 0
        t = 3
        for k in halo.rdom(4):
            f[k] += t
            t = a[k]

    def g(i, *, a):
        g[i] = 0
        for k in halo.rdom(4):
            t = a[k]
            g[k] += t
        g[i] += t

    for function in (f, g):
        with pytest.raises(DefinitionError, match="t is assigned in the body of this loop"):
            definitions(function)

"""Keyword-only parameters: arrays and scalars, ranks, annotations, defaults."""

from __future__ import annotations

import numpy as np
import pytest

from halo import types
from halo.errors import DefinitionError
from halo.frontend.capture import capture
from halo.ir import functions as halo
from halo.ir.surface import Input, Param

from .written import definitions, pure


def described(f, rank=None):
    return [(i.name, i.type, i.ndim, i.contiguous) if isinstance(i, Input) else (i.name, i.type, i.default)
            for i in definitions(f, rank).inputs]  # fmt: skip


def test_use_decides():
    def f(y, x, *, gain, img, lut):
        return lut[img[y, x]] * gain

    assert described(f) == [("gain", None, None), ("img", None, 2, False), ("lut", None, 1, False)]


def test_annotations():
    def f(y, x, *, img: types.u16[:, ::1], lut: types.f32, gain: types.f32, n: np.int64, k: i8):  # noqa: F821  (unbound on purpose)
        return img[y, x] * gain + lut[n] + k

    assert described(f) == [
        ("img", types.u16, 2, True), ("lut", types.f32, 1, False), ("gain", types.f32, None), ("n", types.i64, None),
        ("k", types.i8, None),
    ]  # fmt: skip


def test_annotations_that_are_texts():
    def f(y, x, *, img: types.u16[:, :], gain: types.f32):
        return img[y, x] * gain

    assert described(f) == [("img", types.u16, 2, False), ("gain", types.f32, None)]


FOUR = np.int16(4)


def test_defaults_are_of_scalars():
    def f(x, *, a, gain=1.5, n: types.u8 = 3, on=True, k=FOUR):
        return a[x] * gain + n + on + k

    assert described(f) == [
        ("a", None, 1, False), ("gain", None, 1.5), ("n", types.u8, 3), ("on", None, True), ("k", None, np.int16(4)),
    ]  # fmt: skip


def test_an_unused_parameter_is_a_scalar():
    def f(x, *, unused):
        return x

    assert described(f) == [("unused", None, None)]


def test_a_length_in_rdom_is_a_scalar_unless_it_is_subscripted():
    def f(x, *, n, img):
        return sum(img[k] for k in halo.rdom(n)) + sum(img[k] for k in halo.rdom(img))

    assert described(f) == [("n", None, None), ("img", None, 1, False)]
    assert pure(f) == "sum(img[k] for k in rdom(n)) + sum(img[k] for k in rdom(img.shape[0]))"


def test_ranks_by_pad_and_shape():
    def f(y, x, *, img, other):
        h, w = other.shape
        return halo.pad(img, "wrap")[y, x] + h * w

    assert described(f) == [("img", None, 2, False), ("other", None, 2, False)]


def test_the_hint_needs_no_source():
    scope = {}
    exec(compile("def f(y, *, img: int, gain=2.0): return img[y]", "<string>", "exec", dont_inherit=True), scope)
    hints = capture(scope["f"]).inputs_hint
    assert [(n, h.annotation) for n, h in hints.items()] == [("img", int), ("gain", None)]
    assert hints["gain"].default == 2.0


def one_axis(y, x, *, img):
    return img[y] + img[y, x]


def annotated(y, x, *, img: types.u8[:, :]):
    return img[y]


def both(y, x, *, img):
    return img[y, x] * img


def scalar_first(y, x, *, gain):
    t = gain + 1
    return gain[y] + t


def annotated_array(y, *, img: types.u8[:]):
    return img * y


def no_rank(*, img):
    return len(img)


def odd_annotation(y, *, gain: "a volt"):  # noqa: F722  (no type on purpose)
    return gain


def odd_default(y, *, gain=(1, 2)):
    return gain


def array_default(y, *, img: types.u8[:] = 3):
    return img[y]


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (one_axis, "img has one axis and is subscripted by 2"),
        (annotated, "img has 2 axes and is subscripted by 1"),
        (both, "img is an array here, not a value"),
        (scalar_first, "gain is used as an array and as a scalar"),
        (annotated_array, "img is an array here, not a value"),
        (no_rank, "nothing says how many axes it has"),
        (odd_annotation, "annotation of gain is not a type"),
        (odd_default, "default of gain is not a number"),
        (array_default, "only scalars have defaults"),
    ],
)
def test_what_contradicts_itself(f, message):
    with pytest.raises(DefinitionError, match=message) as e:
        definitions(f)
    assert e.value.loc is not None


def test_parameters_of_object_form_funcs_are_shared():
    gain, img = Param("gain", types.f32), Input("img", types.u8, ndim=1)

    def f(x):
        return img[x] * gain

    assert definitions(f).inputs == ()
    assert pure(f) == "img[x]*gain"

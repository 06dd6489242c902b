"""NonMaxSuppression of many boxes beside ONNX Runtime: spread and heaped ones, with limits and without, of open extents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import halo
from halo import graph, nn

LIMITS = ([2**31], [3], [0])


def model(limit: list[int], threshold: float, least: float | None, centred: int) -> Any:
    from onnx import TensorProto, helper

    given = [helper.make_tensor("m", TensorProto.INT64, [1], limit),
             helper.make_tensor("t", TensorProto.FLOAT, [1], [threshold])]  # fmt: skip
    if least is not None:
        given.append(helper.make_tensor("l", TensorProto.FLOAT, [1], [least]))
    node = helper.make_node("NonMaxSuppression", ["b", "s", *(t.name for t in given)], ["y"], center_point_box=centred)
    inputs = [helper.make_tensor_value_info("b", TensorProto.FLOAT, ["B", "N", 4]),
              helper.make_tensor_value_info("s", TensorProto.FLOAT, ["B", "C", "N"])]  # fmt: skip
    output = helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 3])
    g = helper.make_graph([node], "g", inputs, [output], given)
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize(
    ("threshold", "least", "centred"), [(0.5, None, 0), (0.3, 0.4, 0), (0.5, 0.4, 1), (0.0, None, 0)]
)
def test_boxes(limit: list[int], threshold: float, least: float | None, centred: int) -> None:
    import onnxruntime

    proto = model(limit, threshold, least, centred)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    net = graph.from_onnx(proto).compile()
    rng = np.random.default_rng(0)
    for batch, classes, n, spread in (
        (1, 1, 1, 1),
        (1, 2, 100, 3),
        (2, 3, 65, 30),
        (1, 1, 700, 4),
        (3, 1, 16, 1),
        (1, 1, 0, 1),
    ):
        at, size = rng.random((batch, n, 2)) * spread, rng.random((batch, n, 2))
        b = np.concatenate([at, size if centred else at + size], -1).astype(np.float32)
        b[:, ::7] = b[:, ::7][..., [2, 3, 0, 1]] if not centred else b[:, ::7]  # from any corner
        s = rng.random((batch, classes, n), np.float32)
        s[..., ::5] = np.float32(0.75)  # equal ones
        np.testing.assert_array_equal(net(b=b, s=s), session.run(None, {"b": b, "s": s})[0])


@pytest.mark.parametrize("n", [1, 2, 3, 15, 17])
@pytest.mark.parametrize("least", [None, 0.3])
def test_few_boxes(n: int, least: float | None) -> None:
    rng = np.random.default_rng(n)
    b, s = rng.random((2, 2, n, 4), np.float32), -np.sort(-rng.random((2, 2, n), np.float32))
    attrs = {"most": 3, "threshold": 0.2, "least": least}
    np.testing.assert_array_equal(
        nn.overlap_suppression(b, s, **attrs), nn.overlap_suppression.reference(b, s, **attrs)
    )


def test_a_limit_that_a_call_tells() -> None:
    boxes = halo.Input("b", halo.f32, shape=(1, "c", "n", 4))
    scores = halo.Input("s", halo.f32, shape=(1, "c", "n"))
    kept = nn.overlap_suppression(boxes, scores, most=halo.Dim("n"), threshold=0.4, least=0.1)
    rng = np.random.default_rng(1)
    for c, n in ((1, 5), (3, 40), (2, 17)):
        b, s = rng.random((1, c, n, 4), np.float32), -np.sort(-rng.random((1, c, n), np.float32))
        want = nn.overlap_suppression.reference(b, s, most=n, threshold=0.4, least=0.1)
        np.testing.assert_array_equal(kept(b=b, s=s), want)

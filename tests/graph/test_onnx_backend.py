"""The backend on cases of ONNX's own suite: right, of the right types, and by nothing but halo's own kernels."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import halo

onnx = pytest.importorskip("onnx", reason="extra: onnx")
from onnx import parser  # noqa: E402  (once it is known to be there)

from halo.graph import onnx_backend  # noqa: E402  (once it is known to be there)
from halo.graph.onnx_backend import PASSED, Case, HaloBackend, matrix, table  # noqa: E402  (once it is known to be there)

DENIED = ("add", "subtract", "multiply", "divide", "matmul", "dot", "einsum", "tensordot", "exp", "log", "sqrt", "tanh", "sum",
          "prod", "mean", "max", "min", "amax", "amin", "argmax", "argmin", "cumsum", "where", "take", "take_along_axis", "sort",
          "argsort", "unique", "nonzero", "pad", "tile", "repeat", "concatenate", "stack", "transpose", "clip", "round", "power",
          "maximum", "minimum", "equal", "less", "greater", "convolve", "interp")  # fmt: skip

ONE_OF_EACH = """test_abs test_add_bcast test_and_bcast3v1d test_argmax_keepdims_example test_averagepool_3d_default
    test_basic_conv_with_padding
    test_batchnorm_example test_bitshift_left_uint8 test_bitwise_not_2d test_clip_default_inbounds test_compress_0
    test_concat_2d_axis_1 test_conv_with_strides_padding test_convinteger_with_padding test_convtranspose_pads
    test_cumsum_1d_exclusive test_depthtospace_example test_dequantizelinear test_edge_pad test_einsum_batch_matmul
    test_expand_dim_changed test_eyelike_with_dtype test_gather_negative_indices test_gathernd_example_int32_batch_dim1
    test_gelu_tanh_1 test_gemm_all_attributes test_globalmaxpool test_hardmax_axis_1 test_instancenorm_example test_isinf
    test_layer_normalization_4d_axis2 test_logsoftmax_axis_1 test_lrn test_matmul_4d
    test_maxpool_with_argmax_2d_precomputed_pads
    test_mod_mixed_sign_int8 test_nonmaxsuppression_two_classes test_nonzero_example test_onehot_with_axis
    test_pow_types_float32_int32
    test_prelu_broadcast test_qlinearmatmul_2D_uint8_float32 test_quantizelinear_axis test_range_float_type_positive_delta
    test_reduce_log_sum_exp_default_axes_keepdims_random test_reshape_negative_dim test_resize_upsample_sizes_nearest
    test_reversesequence_time test_rms_normalization_2d_axis1 test_scatter_elements_with_reduction_max test_scatternd_add
    test_shape_start_1_end_2 test_slice_negative_axes test_softmax_large_number test_split_variable_parts_2d_opset18
    test_squeeze_negative_axes test_sum_example test_tile test_top_k_smallest test_tril_one_row_neg
    test_unique_sorted_without_axis test_unique_sorted_with_axis_3d
    test_where_long_example test_xor_bcast4v4d test_sce_mean_weight_ii_4d test_nllloss_NCd1d2_with_weight
    test_attention_4d_gqa test_gridsample_bicubic test_affine_grid_2d test_dft_opset19 test_col2im_pads
    test_det_nd test_melweightmatrix test_deform_conv_with_mask_bias test_tfidfvectorizer_tf_batch_uniandbigrams_skip5""".split()


@pytest.fixture(scope="module")
def suite() -> dict[str, tuple[Any, ...]]:
    return {name: rest for name, *rest in onnx_backend._cases()}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_cases_of_the_suite_by_halo_alone(
    name: str, suite: dict[str, tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sets, rtol, atol = suite[name]
    net = HaloBackend.prepare(model)
    for inputs, outputs in sets:
        with monkeypatch.context() as m:
            for f in DENIED:
                m.setattr(np, f, _denied(f))
            for package in ("onnx.reference", "onnxruntime", "scipy"):
                m.setitem(sys.modules, package, None)
            found = net.run(inputs)
        for got, want in zip(found, outputs, strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def _denied(name: str) -> Any:
    def deny(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"numpy.{name} is called")

    return deny


def _model(nodes: str, inputs: str, output: str = "float[n] y", opset: int = 18) -> Any:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g ({inputs}) => ({output}) {{ {nodes} }}')


def test_shapes_from_values_of_inputs() -> None:
    net = HaloBackend.prepare(_model("y = Reshape(x, s)", "float[2,3] x, int64[2] s"))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for shape in ([3, 2], [-1, 1], [6, 1]):
        np.testing.assert_array_equal(net.run([x, np.array(shape)])[0], x.reshape(shape))
    with pytest.raises(halo.ArgumentError, match=r"y \(reshape\) takes .* == 6, and they are 8 and 6"):
        net.run([x, np.array([4, 2])])


def test_values_are_for_one_program() -> None:
    made = _model("y = AffineGrid(x, s)", "float[1,1,2] x, int64[3] s", opset=20)
    with pytest.raises(halo.UnknownValueError, match="computed when the model runs"):
        halo.graph.from_onnx(made)
    net = halo.graph.from_onnx(made, values={"s": np.array([1, 1, 2])}).compile()
    np.testing.assert_array_equal(net(np.float32([[[2, 0.5]]]), np.array([1, 1, 2])), [[[-0.5], [1.5]]])


def test_functions_of_a_model_are_expanded() -> None:
    made = parser.parse_model("""<ir_version: 8, opset_import: ["": 18, "own": 1]>
        g (float[3] x) => (float[3] y) { y = own.twice<k = 3.0>(x) }
        <opset_import: ["": 18], domain: "own"> twice<k>(a) => (b) {
            c = Constant<value_float: float = @k>() d = Add(a, a) b = Mul(d, c)
        }""")
    x = np.float32([1, 2, -3])
    np.testing.assert_array_equal(HaloBackend.prepare(made).run([x])[0], 6 * x)


def test_a_function_of_itself_is_refused() -> None:
    made = parser.parse_model("""<ir_version: 8, opset_import: ["": 18, "own": 1]>
        g (float[3] x) => (float[3] y) { y = own.again(x) }
        <opset_import: ["": 18, "own": 1], domain: "own"> again(a) => (b) { b = own.again(a) }""")
    with pytest.raises(halo.ArgumentError, match="not supported"):
        HaloBackend.prepare(made)


def test_the_report_counts() -> None:
    cases = [Case("a", frozenset({"Add"}), PASSED, True), Case("b", frozenset({"Add", "Mul"}), "failed", False)]
    assert table(cases).splitlines()[-1].split() == ["all", "1", "failed,", "1", "passed"]
    assert "| Add | 1 | 2 |" in matrix(cases)


def test_the_suite_runs_in_processes_beside_this_one() -> None:
    cases = onnx_backend.report("^test_(spacetodepth_example|relu|string_concat|strnormalizer_nostop.*)$", processes=2)
    assert {c.name: c.outcome for c in cases if c.outcome == PASSED} == {
        "test_relu": PASSED,
        "test_spacetodepth_example": PASSED,
    }
    assert {c.outcome for c in cases if c.name not in ("test_relu", "test_spacetodepth_example")} == {"skipped"}

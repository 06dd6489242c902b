"""Multiply a u8 and an i8 matrix of 1024 x 1024 into i32, as quantised networks do."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import halo

from ..case import Case

N = 1024


def case() -> Case:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (N, N), np.uint8), rng.integers(-128, 128, (N, N), np.int8)
    return Case("matmul_int8", {"a": a, "b": b}, (N, N), np.int32, func, schedule, product, bytes=6 * N * N, flops=2 * N**3,
                computes="dot8",
                peers={"halide": halide_product, "onnxruntime": onnx_product})  # fmt: skip


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Exact in f64: the sums are below 2**25."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int32)


def func() -> halo.Func:
    @halo.func
    def packed(ko, j, ki, *, b: halo.i8[:, ::1]):
        return b[4 * ko + ki, j]

    @halo.func
    def product(i, j, *, a: halo.u8[:, ::1], b: halo.i8[:, ::1]):
        return sum(halo.i32(a[i, k]) * halo.i32(packed[k // 4, j, k % 4]) for k in halo.rdom(a.shape[1]))

    @halo.func
    def matmul(i, j):
        return product[i, j]

    return matmul


def schedule(matmul: halo.Func) -> None:
    product, packed = matmul["product"], matmul["packed"]
    matmul.tile("i", "j", "i", "j", "ii", "jj", 8, 32).vectorize("jj", 16).unroll("jj").unroll("ii")
    matmul.reorder("j", "i", "ii", "jj").parallel("j")
    product.compute_at(matmul, "i").vectorize("j", 16).unroll("j").unroll("i")  # 16 registers of sums
    update = product.update(0).split("k", "ko", "ki", 4).split("j", "j", "ji", 16).reorder("ko", "i", "j", "ji", "ki")
    update.unroll("j").unroll("i").tensorize("ji", halo.intrinsics.dot_u8i8_i32)
    # 32 packed columns stay in the first cache
    packed.compute_at(matmul, "j").bound("ki", 0, 4).reorder("ko", "j", "ki").vectorize("j", 16).vectorize("ki")


def halide_product() -> Any:
    import halide as hl

    x, y, xi, yi, ki, ko = map(hl.Var, ("x", "y", "xi", "yi", "ki", "ko"))
    a, b = hl.ImageParam(hl.UInt(8), 2, "a"), hl.ImageParam(hl.Int(8), 2, "b")
    k = hl.RDom([(0, 4), (0, N // 4)], "k")
    packed, prod, out = hl.Func("packed"), hl.Func("prod"), hl.Func("out")
    packed[ki, x, ko] = b[x, 4 * ko + ki]
    prod[x, y] = hl.i32(0)
    prod[x, y] += hl.i32(a[4 * k.y + k.x, y]) * hl.i32(packed[k.x, x, k.y])
    out[x, y] = prod[x, y]
    out.bound(x, 0, N).bound(y, 0, N)
    out.tile(x, y, xi, yi, 64, 6).reorder(xi, yi, y, x).vectorize(xi, 16).unroll(xi).unroll(yi).parallel(x)
    prod.compute_at(out, y).vectorize(x, 16).unroll(x).unroll(y)
    prod.update().split(x, x, xi, 16).reorder(k.x, xi, x, y, k.y)
    prod.update().atomic().vectorize(k.x).vectorize(xi).unroll(x).unroll(y)  # Halide finds vpdpbusd in it
    packed.compute_at(out, x).bound(ki, 0, 4).reorder(ki, x, ko).vectorize(x, 64).unroll(ki)
    for buffer in (a, b):
        for d, stride in enumerate((1, N)):
            buffer.dim(d).set_bounds(0, N).set_stride(stride)
    return out.compile_to_callable([a, b], hl.get_jit_target_from_environment())


def onnx_product() -> Any:
    """MatMulInteger of ONNX Runtime, both matrices given in the call."""
    import onnxruntime
    from onnx import TensorProto, helper

    types = {"a": TensorProto.UINT8, "b": TensorProto.INT8, "c": TensorProto.INT32}
    a, b, c = (helper.make_tensor_value_info(name, type, [N, N]) for name, type in types.items())
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["c"])], "product", [a, b], [c])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        binding = session.io_binding()
        binding.bind_cpu_input("a", a)
        binding.bind_cpu_input("b", b)
        binding.bind_output("c", "cpu", 0, np.int32, out.shape, out.ctypes.data)
        session.run_with_iobinding(binding)

    return run

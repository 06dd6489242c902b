"""Matrix multiplication at the speed of BLAS: a tile of the result stays in registers while the sum runs over k, and
the columns of b that it needs are packed once for all rows."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo


@halo.func
def product(i, j, *, a: halo.f32[:, ::1], b: halo.f32[:, ::1]):
    return sum(a[i, k] * b[k, j] for k in halo.rdom(a.shape[1]))


@halo.func
def matmul(i, j):
    return product[i, j]


matmul.tile("i", "j", "i", "j", "ii", "jj", 6, 64).vectorize("jj", 16).unroll("jj").unroll("ii")
matmul.reorder("j", "i", "ii", "jj").parallel("j")
product.compute_at(matmul, "i").vectorize("j", 16).unroll("j").unroll("i")
product.update(0).reorder("k", "i", "j").vectorize("j", 16).unroll("j").unroll("i")
matmul.inputs["b"].in_(product).compute_at(matmul, "j").vectorize("i1", 16).unroll("i1")


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return matmul(a=a, b=b)


def main() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((1024, 1024), np.float32) for _ in range(2))
    ours, blas = photo.best_ms(multiply, a, b), photo.best_ms(np.matmul, a, b)
    print(f"matmul of 1024 x 1024    {ours:9.2f} ms   NumPy {blas:9.2f} ms   {2 * 1024**3 / ours / 1e6:.1f} GFLOP/s")


if __name__ == "__main__":
    main()

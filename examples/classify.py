"""What is in a photograph: a network with real weights (EfficientNet-Lite0, ImageNet), and the stages in front of it.

A network's file begins with 224 x 224 values of type f32. Where they come from is the user's own code, and usually another
library's. Here it is an operator like any other, two stages of halo, and one program with the network: from the bytes of a
photograph of any size to the probabilities of a thousand classes.
"""

from __future__ import annotations

import numpy as np

import halo
from benchmarks import models
from halo import graph, nn

from . import photo, resampling

SIZE = 224
CLASSES = {
    281: "tabby",
    282: "tiger cat",
    285: "Egyptian cat",
    287: "lynx",
    504: "coffee mug",
    967: "espresso",
    968: "cup",
}


@nn.op(nn.Kind.OPAQUE)
def prepared(photograph: nn.TensorType) -> nn.TensorType:
    """The middle of a photograph, u8[height, width, 3], as the network wants it: f32[1, 3, 224, 224], from -1 to 1."""
    return nn.TensorType((1, 3, SIZE, SIZE), halo.f32)


@prepared.strategy("a mean, weighted by a triangle")
def _(photograph: nn.Tensor) -> nn.Tensor:
    img = photograph.func
    height, width, _ = photograph.shape

    @halo.func
    def step():
        """How many pixels of the photograph lie side by side in one of the result."""
        return halo.f32(halo.min(height, width)) / SIZE

    taps = resampling.taps(halo.min(height, width), SIZE)
    down, right = ((*resampling.along(n, SIZE, step, taps), n, taps) for n in (height, width))
    rows, columns = resampling.resized(img, down, right)

    @halo.func
    def normalised(n, c, y, x):
        return (columns[c, y, x] - 127) / 128

    normalised.reorder("y", "n", "c", "x").parallel("y", 4).vectorize("x", 16)
    columns.compute_at(normalised, "c").vectorize("x", 16)
    columns.update(0).reorder("c", "y", "k", "x").vectorize("x", 16)
    rows.compute_at(normalised, "y").bound("c", 0, 3).vectorize("x", 16)
    rows.update(0).reorder("y", "k", "x", "c").vectorize("x", 16).unroll("c")
    return nn.tensor(normalised, shape=(1, 3, SIZE, SIZE))


def classifier() -> graph.Net:
    """The program: a photograph, u8[height, width, 3], to probabilities, f32[1, 1000]."""
    network = graph.from_onnx(models.network("efficientnet-lite0"))

    @graph.function
    def classify(photograph):
        return nn.softmax(network(prepared(photograph)))

    return classify.module(nn.TensorType(("height", "width", 3), halo.u8)).compile()


def best(net: graph.Net, picture: np.ndarray, count: int = 3) -> list[tuple[int, float]]:
    """The `count` most probable classes and their probabilities."""
    (found,) = net(picture)
    return [(int(k), float(found[k])) for k in found.argsort()[::-1][:count]]


def main() -> None:
    net = classifier()
    for name in ("chelsea", "coffee"):
        picture = photo.colour(name)
        answer = ", ".join(f"{CLASSES.get(k, f'class {k}')} {p:.0%}" for k, p in best(net, picture))
        print(f"{name:<10} {picture.shape[1]} x {picture.shape[0]}   {photo.best_ms(net, picture):6.2f} ms   {answer}")
    print(f"\nThe stage in front of the network, one of its {len(net.groups)} groups:\n\n{net.groups[0].func.loops()}")


if __name__ == "__main__":
    main()

"""What a line of text says: pixels, resized and normalised by stages of halo, through PP-OCRv4's recogniser, one program.

The network takes lines 48 pixels high and of any length. For every 8 pixels along one it gives how probable each letter of
its dictionary is there, and how probable it is that there is none (entry 0). The text is what is left of the most probable
ones without repetitions and nones: greedy decoding of Connectionist Temporal Classification (Graves et al., 2006).
"""

from __future__ import annotations

import numpy as np

import halo
from benchmarks import models
from halo import graph, nn

from . import photo, resampling

HEIGHT = 48


def length(height, width):
    """Of a line of that size, once it is 48 pixels high."""
    return (width * HEIGHT + height - 1) // height


@nn.op(nn.Kind.OPAQUE)
def prepared_line(line: nn.TensorType) -> nn.TensorType:
    """A picture of a line, u8[height, width, 3], as the network wants it: f32[1, 3, 48, length], from -1 to 1, blue first."""
    return nn.TensorType((1, 3, HEIGHT, length(*line.shape[:2])), halo.f32)


@prepared_line.strategy("a mean, weighted by a triangle")
def _(line: nn.Tensor) -> nn.Tensor:
    img = line.func
    height, width, _ = line.shape
    size = length(height, width)

    @halo.func
    def step():
        return halo.f32(height) / HEIGHT

    @halo.func
    def step_along():
        return halo.f32(width) / size

    down_taps = resampling.taps(height, HEIGHT)
    right_taps = resampling.taps(width, size)
    down = (*resampling.along(height, HEIGHT, step, down_taps), height, down_taps)
    right = (*resampling.along(width, size, step_along, right_taps), width, right_taps)
    rows, columns = resampling.resized(img, down, right)

    @halo.func
    def normalised(n, c, y, x):
        return columns[2 - c, y, x] / 127.5 - 1

    normalised.reorder("y", "n", "c", "x").parallel("y", 4).vectorize("x", 16)
    columns.compute_at(normalised, "c").vectorize("x", 16)
    rows.compute_at(normalised, "y").bound("c", 0, 3).vectorize("x", 16)
    return nn.tensor(normalised, shape=(1, 3, HEIGHT, size))


class Reader:
    """`Reader()(picture)` is the text of a picture of a line, u8[height, width, 3], and how sure the network is of it."""

    def __init__(self) -> None:
        network = graph.from_onnx(models.network("ocr-recogniser"))
        letters = network.metadata["character"].splitlines()
        self.letters = ["", *letters, " "]

        @graph.function
        def read(line):
            return network(prepared_line(line))

        self.net = read.module(nn.TensorType(("height", "width", 3), halo.u8)).compile()

    def __call__(self, picture: np.ndarray) -> tuple[str, float]:
        (found,) = self.net(picture)
        best = found.argmax(axis=1)
        kept = [k for k in range(len(best)) if best[k] and (k == 0 or best[k] != best[k - 1])]
        text = "".join(self.letters[best[k]] for k in kept).strip()  # margins are blanks
        return text, float(np.mean([found[k, best[k]] for k in kept])) if kept else 0.0


def rendered(text: str, size: int = 40) -> np.ndarray:
    """`text`, black on white, by Pillow: u8[height, width, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    margin = size // 3
    picture = Image.new("RGB", (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin), "white")
    ImageDraw.Draw(picture).text((margin - left, margin - top), text, font=font, fill="black")
    return np.asarray(picture)


LINES = (
    "Halide separates algorithm and schedule",
    "The quick brown fox jumps over 13 lazy dogs",
    "halo 2026: 0.72 s -> 0.32 s",
)


def main() -> None:
    reader = Reader()
    for text in LINES:
        picture = rendered(text)
        found, sure = reader(picture)
        same = "as written" if found == text else f"written was {text}"
        size = f"{picture.shape[1]} x {picture.shape[0]}"
        print(f"{size:<10} {photo.best_ms(reader.net, picture):6.2f} ms   {found} ({sure:.0%}, {same})")


if __name__ == "__main__":
    main()

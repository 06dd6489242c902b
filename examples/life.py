"""Conway's Game of Life on a torus: several generations in one pipeline, each stage bound to the one before."""

from __future__ import annotations

import numpy as np

import halo
from examples import photo


@halo.func
def life(y, x, *, board: halo.u8[:, :]):
    neighbours = sum(board[y + dy, x + dx] for dy in range(-1, 2) for dx in range(-1, 2) if dy != 0 or dx != 0)
    return halo.u8((neighbours == 3) | ((neighbours == 2) & (board[y, x] == 1)))


def generations(n):
    """`n` generations as one function of the board: `f(board=g)` is f with g in the place of its input."""
    f = life
    for _ in range(n - 1):
        f = life(board=f)
    return f


life.compute_root().parallel("y", 16).vectorize("x", 32)
four = generations(4)


def run(board: np.ndarray, n: int) -> np.ndarray:
    """The board after 4 * n generations."""
    for _ in range(n):
        board = four(board=halo.pad(board, "wrap"))
    return board


def reference(board: np.ndarray, n: int) -> np.ndarray:
    for _ in range(4 * n):
        around = sum(np.roll(board, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)
        board = ((around == 3) | ((around == 2) & (board == 1))).astype(np.uint8)
    return board


def main() -> None:
    board = (photo.grey() > 128).astype(np.uint8)
    times = photo.best_ms(run, board, 25), photo.best_ms(reference, board, 25, repeat=1)
    photo.report("life", run(board, 25) * 255, *times)


if __name__ == "__main__":
    main()

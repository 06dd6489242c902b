"""What `make demo` shows: the blur and the local Laplacian filter of a photograph, their times, and a loop nest."""

from __future__ import annotations

import numpy as np

from examples import blur, local_laplacian, photo


def main() -> None:
    picture = photo.colour("astronaut")
    grey = photo.grey("astronaut").astype(np.uint16) * 85
    large = np.tile(grey, (4, 4))

    print(f"{'':<24} {'halo':>9}")
    blurred = (blur.blur(blur.blur(grey)) // 85).astype(np.uint8)
    times = photo.best_ms(blur.blur, large), photo.best_ms(blur.reference, large)
    photo.report("3x3 blur, 4 megapixels", blurred, *times)
    times = photo.best_ms(local_laplacian.enhance, picture), photo.best_ms(local_laplacian.reference, picture, repeat=1)
    photo.report("local Laplacian", local_laplacian.enhance(picture, alpha=1.0), *times)
    print("\nThe loop nest of the blur:\n")
    print(blur.blur_y.loops())


if __name__ == "__main__":
    main()

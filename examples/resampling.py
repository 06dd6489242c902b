"""Pictures in another size: along an axis, each pixel is a mean of those under it, weighted by a triangle, as Pillow's is."""

from __future__ import annotations

import halo


def taps(extent, size):
    """How many pixels may count for one, where `extent` become `size`."""
    return 2 * halo.max(extent, size) // size + 1


def along(extent, size, step, count):
    """For entry `i` of `size`, in the middle of `extent` pixels: the first pixel that counts, and what each of `count` from
    there on counts. `step[()]`: how many pixels lie side by side in one entry."""

    @halo.func
    def centre(i):
        return (halo.f32(i) - halo.f32(size - 1) / 2) * step[()] + halo.f32(extent - 1) / 2

    @halo.func
    def reach():
        return halo.max(step[()], 1.0)

    @halo.func
    def first(i):
        return halo.i32(halo.ceil(centre[i] - reach[()]))

    @halo.func
    def weight(i, k):
        at = first[i] + k
        return halo.max(1 - abs(at - centre[i]) / reach[()], 0.0) if 0 <= at < extent else 0.0

    @halo.func
    def share(i, k):
        return weight[i, k] / sum(weight[i, j] for j in halo.rdom(count))

    return first.compute_root(), share.compute_root()


def resized(img, down, right):
    """`img`, [y, x, c], with its rows resampled, [y, c, x], and then its columns too, [c, y, x]. `down` and `right`: of that
    axis what `along` gives, its extent and how many `taps` it has."""
    (top, above, height, down_taps), (left, beside, width, right_taps) = down, right

    @halo.func
    def rows(y, c, x):
        return sum(above[y, k] * img[halo.clamp(top[y] + k, 0, height - 1), x, c] for k in halo.rdom(down_taps))

    @halo.func
    def columns(c, y, x):
        return sum(beside[x, k] * rows[y, c, halo.clamp(left[x] + k, 0, width - 1)] for k in halo.rdom(right_taps))

    return rows, columns

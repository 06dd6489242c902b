"""The local Laplacian filter of a u16 RGB picture: 8 levels of pyramids at 8 intensities, about a hundred stages."""

from __future__ import annotations

from typing import Any

import numpy as np

import halo

from .case import Case

HEIGHT, WIDTH = 1536, 2560
PYRAMID, LEVELS = 8, 8  # Beyond the picture every level of a pyramid is constant but for two cells: all peers use that.
TABLE = 256  # entries of the remapping table to an intensity
ALPHA, BETA = float(np.float32(1 / 7)), 1.0
GREY = np.float32(np.array((0.299, 0.587, 0.114)) / 65535).tolist()
EPSILON = float(np.float32(0.01))


def case() -> Case:
    img = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 3), np.uint16)
    # An index into the table is off by one where it is rounded otherwise, and colour enlarges that.
    return Case("local_laplacian", {"img": img}, img.shape, np.uint16, func, schedule, numpy_laplacian, tolerance=3e-3,
                bytes=12 * HEIGHT * WIDTH, channels=3, flops=400 * HEIGHT * WIDTH,
                peers={"halide": halide_laplacian, "numba": numba_laplacian})  # fmt: skip


def func() -> halo.Func:
    y, x, c, k = halo.vars("y x c k")

    def define(name: str, at: Any, value: Any) -> halo.Func:
        f = halo.Func(name)
        f[at] = value
        return f

    def down(name: str, f: halo.Func, *i: Any) -> halo.Func:
        rows = define(f"{name}_rows", (*i, y, x), (f[(*i, y, 2 * x - 1)] + 3.0 * (f[(*i, y, 2 * x)] + f[(*i, y, 2 * x + 1)])
                                                  + f[(*i, y, 2 * x + 2)]) / 8.0)  # fmt: skip
        return define(name, (*i, y, x), (rows[(*i, 2 * y - 1, x)] + 3.0 * (rows[(*i, 2 * y, x)] + rows[(*i, 2 * y + 1, x)])
                                         + rows[(*i, 2 * y + 2, x)]) / 8.0)  # fmt: skip

    def up(f: halo.Func, *i: Any) -> Any:
        (y0, y1), (x0, x1) = ((v // 2 - 1 + 2 * (v % 2), v // 2) for v in (y, x))
        rows = [0.25 * f[(*i, at, x0)] + 0.75 * f[(*i, at, x1)] for at in (y0, y1)]
        return 0.25 * rows[0] + 0.75 * rows[1]

    img = halo.Input("img", halo.u16, ndim=3)
    rgb = halo.pad(img, "edge")
    grey = define("grey", (y, x), GREY[0] * rgb[y, x, 0] + GREY[1] * rgb[y, x, 1] + GREY[2] * rgb[y, x, 2])
    tone = x / float(TABLE)
    table = define("table", (x,), ALPHA * tone * halo.exp(-tone * tone / 2.0))
    level = k * (1.0 / (LEVELS - 1))
    entry = halo.clamp(halo.i32(grey[y, x] * float((LEVELS - 1) * TABLE)), 0, (LEVELS - 1) * TABLE)
    remapped = define("remapped_0", (k, y, x), BETA * (grey[y, x] - level) + level + table[entry - TABLE * k])

    ends = [(-2, (n + 7) // 8 + 4) for n in img.shape[:2]]
    inputs, remaps = [grey], [remapped]
    for j in range(1, PYRAMID):
        finer = inputs[-1], remaps[-1]
        if j == 4:
            finer = halo.pad(finer[0], "edge", bounds=ends), halo.pad(finer[1], "edge", bounds=[None, *ends])
        inputs.append(down(f"grey_{j}", finer[0]))
        remaps.append(down(f"remapped_{j}", finer[1], k))

    outputs: list[halo.Func] = []
    for j in reversed(range(PYRAMID)):
        level = inputs[j][y, x] * float(LEVELS - 1)
        i = halo.clamp(halo.i32(level), 0, LEVELS - 2)
        low, high = (remaps[j][n, y, x] - up(remaps[j + 1], n) if outputs else remaps[j][n, y, x] for n in (i, i + 1))
        detail = (1.0 - (level - i)) * low + (level - i) * high
        outputs.append(define(f"output_{j}", (y, x), up(outputs[-1]) + detail if outputs else detail))
    outputs.reverse()

    colour = outputs[0][y, x] * (rgb[y, x, c] / 65535.0 + EPSILON) / (grey[y, x] + EPSILON)
    return define("local_laplacian", (y, x, c), halo.u16(halo.clamp(colour, 0.0, 1.0) * 65535.0))


def schedule(result: halo.Func) -> None:
    inputs = [result["grey"], *(result[f"grey_{j}"] for j in range(1, PYRAMID))]
    remaps, outputs = ([result[f"{name}_{j}"] for j in range(PYRAMID)] for name in ("remapped", "output"))
    result.bound("c", 0, 3).split("y", "yo", "y", 64).parallel("yo").vectorize("x", 16).vectorize("c")
    result.never_partition("yo", "y")
    result["table"].compute_root().vectorize("x", 16)
    inputs[0].compute_root().parallel("y", 32).vectorize("x", 16)
    outputs[0].compute_at(result, "y").vectorize("x", 16)
    for j in range(1, PYRAMID):
        for f in (inputs[j], remaps[j]):
            result[f"{f.name}_rows"].compute_inline()
            f.compute_root().vectorize("x", 16)
        remaps[j].reorder_storage("y", "k", "x").reorder("y", "k", "x")
        if j < 5:
            inputs[j].parallel("y", 32)
            remaps[j].split("y", "yo", "y", 8).reorder("yo", "y", "k", "x", "x_v").parallel("yo")
            outputs[j].store_at(result, "yo").compute_at(result, "y").vectorize("x", 16)
        else:
            outputs[j].compute_root()
        if j > 2:  # where there is little work, less code is compiled sooner
            for f in (inputs[j], remaps[j], outputs[j]):
                f.never_partition("x")
    # Of the finest level the output needs two intensities; the pyramids get all of them, row by row, from a copy.
    remaps[0].compute_inline()
    finest = remaps[0].clone_in(result["remapped_1_rows"])
    finest.store_at(remaps[1], "yo").compute_at(remaps[1], "y").reorder_storage("y", "k", "x").reorder("y", "k", "x")
    finest.vectorize("x", 16)
    for f in (result, inputs[0]):
        f.specialize(result.inputs["img"].shape[2] == 3)  # then the stride of x is known


def halide_laplacian() -> Any:
    import halide as hl

    x, y, c, k, yo = map(hl.Var, ("x", "y", "c", "k", "yo"))

    def define(name: str, at: Any, value: Any) -> Any:
        f = hl.Func(name)
        f[at] = value
        return f

    def down(name: str, f: Any, *i: Any) -> tuple[Any, Any]:
        rows = define(f"{name}_rows", (x, y, *i), (f[(2 * x - 1, y, *i)] + 3.0 * (f[(2 * x, y, *i)] + f[(2 * x + 1, y, *i)])
                                                  + f[(2 * x + 2, y, *i)]) / 8.0)  # fmt: skip
        return rows, define(name, (x, y, *i), (rows[(x, 2 * y - 1, *i)] + 3.0 * (rows[(x, 2 * y, *i)] + rows[(x, 2 * y + 1, *i)])
                                         + rows[(x, 2 * y + 2, *i)]) / 8.0)  # fmt: skip

    def up(f: Any, *i: Any) -> Any:
        (x0, x1), (y0, y1) = ((v // 2 - 1 + 2 * (v % 2), v // 2) for v in (x, y))
        rows = [0.25 * f[(x0, at, *i)] + 0.75 * f[(x1, at, *i)] for at in (y0, y1)]
        return 0.25 * rows[0] + 0.75 * rows[1]

    img = hl.ImageParam(hl.UInt(16), 3, "img")
    rgb = hl.BoundaryConditions.repeat_edge(img)
    grey = define("grey", (x, y), GREY[0] * rgb[0, x, y] + GREY[1] * rgb[1, x, y] + GREY[2] * rgb[2, x, y])
    tone = hl.f32(x) / float(TABLE)
    table = define("table", (x,), ALPHA * tone * hl.exp(-tone * tone / 2.0))
    level = hl.f32(k) * hl.f32(1.0 / (LEVELS - 1))
    entry = hl.clamp(hl.i32(grey[x, y] * float((LEVELS - 1) * TABLE)), 0, (LEVELS - 1) * TABLE)
    remapped = define("remapped_0", (x, y, k), BETA * (grey[x, y] - level) + level + table[entry - TABLE * k])

    inputs, remaps = [grey], [remapped]
    ends = [hl.Range(-2, (img.dim(d).extent() + 7) // 8 + 4) for d in (1, 2)]
    for j in range(1, PYRAMID):
        finer = inputs[-1], remaps[-1]
        if j == 4:
            finer = tuple(hl.BoundaryConditions.repeat_edge(f, ends) for f in finer)
        inputs.append(down(f"grey_{j}", finer[0])[1])
        rows, coarser = down(f"remapped_{j}", finer[1], k)
        remaps.append(coarser)
        if j == 1:
            finest = remapped.clone_in(rows)

    outputs: list[Any] = []
    for j in reversed(range(PYRAMID)):
        level = inputs[j][x, y] * float(LEVELS - 1)
        i = hl.clamp(hl.i32(level), 0, LEVELS - 2)
        low, high = (remaps[j][x, y, n] - up(remaps[j + 1], n) if outputs else remaps[j][x, y, n] for n in (i, i + 1))
        detail = (1.0 - (level - i)) * low + (level - i) * high
        outputs.append(define(f"output_{j}", (x, y), up(outputs[-1]) + detail if outputs else detail))
    outputs.reverse()

    colour = outputs[0][x, y] * (hl.f32(rgb[c, x, y]) / 65535.0 + EPSILON) / (grey[x, y] + EPSILON)
    result = define("local_laplacian", (c, x, y), hl.u16(hl.clamp(colour, 0.0, 1.0) * 65535.0))

    img.dim(0).set_bounds(0, 3).set_stride(1)
    img.dim(1).set_stride(3)
    result.output_buffer().dim(0).set_bounds(0, 3).set_stride(1)
    result.output_buffer().dim(1).set_stride(3)
    result.split(y, yo, y, 64).parallel(yo).reorder(c, x, y, yo).vectorize(x, 16).vectorize(c)
    table.compute_root().vectorize(x, 16)
    grey.compute_root().parallel(y, 32).vectorize(x, 16)
    outputs[0].compute_at(result, y).vectorize(x, 16)
    for j in range(1, PYRAMID):
        inputs[j].compute_root()
        remaps[j].compute_root()
        if j < 5:
            inputs[j].parallel(y, 32).vectorize(x, 16)
            remaps[j].split(y, yo, y, 8).reorder_storage(x, k, y).reorder(x, k, y, yo).parallel(yo).vectorize(x, 16)
            outputs[j].store_at(result, yo).compute_at(result, y).fold_storage(y, 8).vectorize(x, 16)
        else:
            remaps[j].parallel(k)
            outputs[j].compute_root()
    finest.store_at(remaps[1], yo).compute_at(remaps[1], y).reorder_storage(x, k, y).reorder(x, k, y).vectorize(x, 16)
    return result.compile_to_callable([img], hl.get_jit_target_from_environment())


def numba_laplacian() -> Any:
    import numba

    m, (red, green, blue) = MARGIN, map(np.float32, GREY)

    @numba.njit(inline="always")
    def clip(v, n):
        return min(max(v, 0), n - 1)

    @numba.njit(parallel=True, fastmath=True)
    def begin(img, table, grey, remapped):
        h, w, _ = img.shape
        for y in numba.prange(h + 2 * m):
            for x in range(w + 2 * m):
                p = img[clip(y - m, h), clip(x - m, w)]
                g = red * np.float32(p[0]) + green * np.float32(p[1]) + blue * np.float32(p[2])
                grey[y, x] = g
                entry = clip(int(g * np.float32((LEVELS - 1) * TABLE)), (LEVELS - 1) * TABLE + 1)
                for k in range(LEVELS):
                    level = np.float32(k) / np.float32(LEVELS - 1)
                    remapped[k, y, x] = np.float32(BETA) * (g - level) + level + table[entry + TABLE * (LEVELS - 1 - k)]

    @numba.njit(parallel=True, fastmath=True)
    def down(fine, coarse):
        depth, h, w = coarse.shape
        fh, fw = fine.shape[1:]
        for y in numba.prange(h):
            for k in range(depth):
                for x in range(w):
                    total = np.float32(0)
                    for dy in range(4):
                        fy = clip(2 * (y - m) + dy - 1 + m, fh)
                        for dx in range(4):
                            fx = clip(2 * (x - m) + dx - 1 + m, fw)
                            weight = np.float32((3 if 0 < dy < 3 else 1) * (3 if 0 < dx < 3 else 1)) / np.float32(64)
                            total += weight * fine[k, fy, fx]
                    coarse[k, y, x] = total

    @numba.njit(inline="always")
    def up(coarse, k, y, x):
        y0, x0 = (y - m) // 2, (x - m) // 2
        y1, x1 = y0 - 1 + 2 * ((y - m) % 2) + m, x0 - 1 + 2 * ((x - m) % 2) + m
        y0, x0 = y0 + m, x0 + m
        low, high = np.float32(0.25), np.float32(0.75)
        return (low * (low * coarse[k, y1, x1] + high * coarse[k, y1, x0])
                + high * (low * coarse[k, y0, x1] + high * coarse[k, y0, x0]))  # fmt: skip

    @numba.njit(parallel=True, fastmath=True)
    def collapse(grey, remapped, coarser, below, out):
        last = coarser.shape[0] == 0
        for y in numba.prange(out.shape[1]):
            for x in range(out.shape[2]):
                level = grey[0, y, x] * np.float32(LEVELS - 1)
                i = clip(int(level), LEVELS - 1)
                f = level - np.float32(i)
                low, high = remapped[i, y, x], remapped[i + 1, y, x]
                if last:
                    out[0, y, x] = (np.float32(1) - f) * low + f * high
                else:
                    low, high = low - up(coarser, i, y, x), high - up(coarser, i + 1, y, x)
                    out[0, y, x] = up(below, 0, y, x) + (np.float32(1) - f) * low + f * high

    @numba.njit(parallel=True, fastmath=True)
    def finish(img, grey, toned, out):
        h, w, _ = img.shape
        one, top, epsilon = np.float32(1), np.float32(65535), np.float32(EPSILON)
        for y in numba.prange(h):
            for x in range(w):
                gain = toned[0, y + m, x + m] / (grey[0, y + m, x + m] + epsilon)
                for c in range(3):
                    value = gain * (np.float32(img[y, x, c]) / top + epsilon)
                    out[y, x, c] = np.uint16(min(max(value, np.float32(0)), one) * top)

    def laplacian(img, out):
        h, w, _ = img.shape
        tone = np.arange(-(LEVELS - 1) * TABLE, (LEVELS - 1) * TABLE + 1, dtype=np.float32) / np.float32(TABLE)
        table = np.float32(ALPHA) * tone * np.exp(-tone * tone / np.float32(2))

        def pyramid(depth):
            return [np.empty((depth, (h >> j) + 2 * m, (w >> j) + 2 * m), np.float32) for j in range(PYRAMID)]

        greys, remaps, outs = pyramid(1), pyramid(LEVELS), pyramid(1)
        begin(img, table, greys[0][0], remaps[0])
        for levels in (greys, remaps):
            for j in range(1, PYRAMID):
                down(levels[j - 1], levels[j])
        none = np.empty((0, 0, 0), np.float32)
        for j in reversed(range(PYRAMID)):
            last = j == PYRAMID - 1
            collapse(greys[j], remaps[j], none if last else remaps[j + 1], none if last else outs[j + 1], outs[j])
        finish(img, greys[0], outs[0], out)

    return laplacian


MARGIN = 4


def numpy_laplacian(img: np.ndarray) -> np.ndarray:
    p = np.pad(img, [(MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)], "edge")
    grey = p.astype(np.float32) @ np.float32(GREY)
    tone = np.arange(-(LEVELS - 1) * TABLE, (LEVELS - 1) * TABLE + 1, dtype=np.float32) / TABLE
    table = np.float32(ALPHA) * tone * np.exp(-tone * tone / 2)
    entry = np.clip((grey * ((LEVELS - 1) * TABLE)).astype(int), 0, (LEVELS - 1) * TABLE)
    levels = np.arange(LEVELS, dtype=np.float32) / np.float32(LEVELS - 1)
    remapped = np.stack([BETA * (grey - level) + level + table[entry + TABLE * (LEVELS - 1 - k)]
                         for k, level in enumerate(levels)])  # fmt: skip

    def shrink(a: np.ndarray) -> np.ndarray:
        """Along the last axis, which is moved to the place before it."""
        a = np.concatenate([a[..., :1]] * 5 + [a] + [a[..., -1:]] * 5, axis=-1)
        return np.swapaxes((a[..., :-3:2] + 3 * (a[..., 1:-2:2] + a[..., 2:-1:2]) + a[..., 3::2]) / 8, -1, -2)

    def grow(a: np.ndarray) -> np.ndarray:
        """Along the last axis, which is moved to the place before it."""
        near = a[..., 2:-2]
        both = np.stack([0.25 * a[..., 1:-3] + 0.75 * near, 0.25 * a[..., 3:-1] + 0.75 * near], axis=-1)
        return np.swapaxes(both.reshape(*both.shape[:-2], -1), -1, -2)

    def pyramid(a: np.ndarray) -> list[np.ndarray]:
        levels = [a]
        for _ in range(1, PYRAMID):
            levels.append(shrink(shrink(levels[-1])))
        return levels

    inputs, remaps = pyramid(grey), pyramid(remapped)
    output: Any = None
    for j in reversed(range(PYRAMID)):
        laplacian = remaps[j] if output is None else remaps[j] - grow(grow(remaps[j + 1]))
        level = inputs[j] * (LEVELS - 1)
        i = np.clip(level.astype(int), 0, LEVELS - 2)
        low, high = (np.take_along_axis(laplacian, (i + d)[None], 0)[0] for d in range(2))
        detail = low + (level - i) * (high - low)
        output = detail if output is None else grow(grow(output)) + detail
    inside = (slice(MARGIN, -MARGIN),) * 2
    gain = (output / (grey + np.float32(EPSILON)))[inside]
    colour = gain[..., None] * (img / np.float32(65535) + np.float32(EPSILON))
    return (np.clip(colour, 0, 1) * 65535).astype(np.uint16)

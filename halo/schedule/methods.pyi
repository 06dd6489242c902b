"""The chained methods of Funcs and their stages. Written by tests/schedule/test_methods.py from the directives."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

from typing_extensions import Self

from ..func.func import Func
from ..func.schedulable import Schedulable, Stage
from ..ir.intrinsic import Intrinsic
from ..ir.surface import Expr, Input

# ruff: noqa
# fmt: off

class StageMethods:
    def split(self, old: str | Expr, outer: str | Expr, inner: str | Expr, factor: int | Expr, tail: str = ...) -> Self:
        """Split loop `old` into `outer` and `inner`, `inner` running `factor` times.

            for x in 0..n: s[x]   ->   for xo in 0..ceil(n/8):
                                         for xi in 0..8: s[8*xo + xi]

        `tail` says what happens where 8 does not divide n: "guard" tests each point, "round_up" computes further, and
        "shift_inwards" slides the last tile back; "auto" is the fastest legal one. A new loop may reuse the old name.
        """
    def fuse(self, outer: str | Expr, inner: str | Expr, fused: str | Expr) -> Self:
        """Make one loop `fused` of the loops `outer` and `inner`, in the place of `inner`.

        for y in 0..h:             ->   for yx in 0..h*w:
          for x in 0..w: s[y, x]          s[yx // w, yx % w]
        """
    def reorder(self, *loops: str | Expr) -> Self:
        """Permute loops, given outermost first, among the places that they have now; the others stay.

        f.reorder("x", "y")        for y: for c: for x: s   ->   for x: for c: for y: s
        """
    @overload
    def tile(self, old: Sequence[str | Expr], outer: Sequence[str | Expr], inner: Sequence[str | Expr], factors: Sequence[int | Expr], tail: str = ...) -> Self:
        """Split loops and reorder the parts, so that tiles run one after the other.

            for y: for x: s[y, x]   ->   for yo: for xo:
                                           for yi in 0..8: for xi in 0..32: s[8*yo + yi, 32*xo + xi]

        `tile(y, x, yo, xo, yi, xi, fy, fx)`; `tile(y, x, yi, xi, fy, fx)` keeps the old names for the outer loops; for any
        number of loops, lists `old`, `outer`, `inner`, `factors`: `tile([z, y, x], [zo, yo, xo], [zi, yi, xi], [fz, fy, fx])`.
        `tail`: what is done where a factor does not divide an extent, as in `split`.
        """
    @overload
    def tile(self, y: str | Expr, x: str | Expr, yo: str | Expr, xo: str | Expr, yi: str | Expr, xi: str | Expr, fy: int | Expr, fx: int | Expr, tail: str = ...) -> Self:
        """Split loops and reorder the parts, so that tiles run one after the other.

            for y: for x: s[y, x]   ->   for yo: for xo:
                                           for yi in 0..8: for xi in 0..32: s[8*yo + yi, 32*xo + xi]

        `tile(y, x, yo, xo, yi, xi, fy, fx)`; `tile(y, x, yi, xi, fy, fx)` keeps the old names for the outer loops; for any
        number of loops, lists `old`, `outer`, `inner`, `factors`: `tile([z, y, x], [zo, yo, xo], [zi, yi, xi], [fz, fy, fx])`.
        `tail`: what is done where a factor does not divide an extent, as in `split`.
        """
    @overload
    def tile(self, y: str | Expr, x: str | Expr, yi: str | Expr, xi: str | Expr, fy: int | Expr, fx: int | Expr, tail: str = ...) -> Self:
        """Split loops and reorder the parts, so that tiles run one after the other.

            for y: for x: s[y, x]   ->   for yo: for xo:
                                           for yi in 0..8: for xi in 0..32: s[8*yo + yi, 32*xo + xi]

        `tile(y, x, yo, xo, yi, xi, fy, fx)`; `tile(y, x, yi, xi, fy, fx)` keeps the old names for the outer loops; for any
        number of loops, lists `old`, `outer`, `inner`, `factors`: `tile([z, y, x], [zo, yo, xo], [zi, yi, xi], [fz, fy, fx])`.
        `tail`: what is done where a factor does not divide an extent, as in `split`.
        """
    def rename(self, old: str | Expr, new: str | Expr) -> Self:
        """Give loop `old` the name `new`.
        """
    def serial(self, v: str | Expr) -> Self:
        """Run the iterations of loop `v` one after the other: what a loop does unless it is told otherwise.
        """
    def parallel(self, v: str | Expr, n: int | None = ..., tail: str = ...) -> Self:
        """Run the iterations of loop `v` on all threads. With `n`, split first: tasks of `n` iterations.
        `tail`: what is done where `n` does not divide the extent, as in `split`.

        f.parallel("y", 8)      for y: s   ->   parallel for y: for y_p in 0..8: s
        """
    def vectorize(self, v: str | Expr, n: int | None = ..., tail: str = ...) -> Self:
        """Run loop `v` as the lanes of vectors. With `n`, split first: `v` goes on outside of `v_v`, which has `n` lanes.

            f.vectorize("x", 8)     for x: s   ->   for x: vector x_v in 0..8: s

        Without `n`: the whole loop if its extent is a constant of at most the natural width, else the natural width.
        `tail`: what is done where the lanes do not divide the extent, as in `split`.
        """
    def unroll(self, v: str | Expr, n: int | None = ..., tail: str = ...) -> Self:
        """Write the body of loop `v` out once an iteration. With `n`, split first: `v` goes on outside of `v_u`.
        `tail`: what is done where `n` does not divide the extent, as in `split`.

        f.unroll("x", 2)        for x: s[x]   ->   for x: s[2*x]; s[2*x + 1]
        """
    def unscheduled(self) -> Self:
        """Keep the loops as they are: with this directive, as with any, a Func does not get the default schedule.
        """
    def partition(self, v: str | Expr, mode: str) -> Self:
        """Say whether loop `v` is cut into a first part, a steady part free of boundary conditions, and a last part.

            for x in 0..n: if 0 < x: a else: b   ->   for x in 0..1: b;  for x in 1..n: a

        `mode`: "auto" does where it pays, "always" also inside the first and last parts of other loops, "never" keeps one copy.
        """
    def never_partition(self, *loops: str | Expr) -> Self:
        """`partition(v, "never")` for each of the loops.
        """
    def always_partition(self, *loops: str | Expr) -> Self:
        """`partition(v, "always")` for each of the loops.
        """
    def never_partition_all(self) -> Self:
        """`partition(v, "never")` for all loops that there are now.
        """
    def always_partition_all(self) -> Self:
        """`partition(v, "always")` for all loops that there are now.
        """
    def specialize(self, condition: Expr) -> Stage:
        """Make a second nest for the calls where `condition` (of parameters and extents) holds.

            f.specialize(w >= 16).vectorize("x", 16)     ->   if w >= 16: for y: for x: vector x_v in 0..16: s
                                                              else:       for y: for x: s

        Returns that nest's stage, which starts with the directives given so far; the other nest goes on with those that
        follow. The first condition that holds decides; the same condition again gives the same stage.
        """
    def prefetch(self, f: Schedulable | Input, at: str | Expr, distance: int | Expr = ..., from_: str | Expr | None = ..., strategy: str = ...) -> Self:
        """Ask, in each iteration of loop `at`, for the memory of `f` (a Func or an Input) that will be read `distance`
        iterations later: one cache line after the other of the box that is needed then. (Halide's prefetch.)

            for y: for x: g[y, x] = f[y, x]     ->   for y:
            g.prefetch(f, "y", 2)                      prefetch f[y + 2, ...]
                                                       for x: g[y, x] = f[y, x]

        `from_` names the loop that is `distance` iterations further on, where that is one around `at`. Of a box that is not
        all in memory the `strategy` "guard" asks for nothing and "clamp" for the part that is; "non_faulting" asks for
        addresses beyond it too, which no processor minds.

        ScheduleError where `f` is not read in loop `at`, or has no memory outside of it.
        """
    def stream_stores(self) -> Self:
        """Store past the caches: for results larger than they are, which nobody reads soon. (Halide's stream_stores.)

        Vectors of 16 aligned bytes and more are stored so, and all that is under no mask; the rest is stored as ever.
        """
    def stream_loads(self, funcs: Sequence[Schedulable | Input] | None = ...) -> Self:
        """Load what `funcs` (a Func, an Input or a list; everything, if it is left out) hold without keeping it in caches:
        for what is larger than they are and is read once. (Halide's stream_loads.) An x86 loads memory of the usual kind in
        one way only: there it changes nothing.
        """
    def compute_with(self, f: Schedulable, v: str | Expr, align: str | Mapping[str | Expr, str] = ...) -> Self:
        """Run this stage's loops inside those of `f`, from the outermost to `v`; in each iteration `f` goes first.

        for y: for x: f[y, x] = ...   ->   for y:
        for y: for x: g[y, x] = ...          for x: f[y, x] = ...
                                             for x: g[y, x] = ...

        Where their ranges differ the shared loops cover both, and each stage does its part where an iteration is its own.
        `align` moves this stage's iterations along those of `f`: "start" so that the first ones meet, "end" the last ones;
        a dict says it loop by loop, {"y": "start"}.
        """
    def eager_inline(self, *funcs: Schedulable) -> Self:
        """Put the definitions of the pure `funcs` in the place of their values in this stage now, before what follows looks at it.

        f[x] = g[f[x], img[r]]  (g[a, b] = a + b)   ->   f[x] = f[x] + img[r]:  rfactor sees the sum
        """
    def atomic(self) -> Self:
        """Allow parallel and vectorised reduction loops: each site is updated in one piece, in any order.

            parallel for r: f[g[r]] = f[g[r]] + e     ->   parallel for r: atomically f[g[r]] += e

        The update must be associative and commutative. Floats then round in whatever order they come.
        """
    def rfactor(self, vars: Mapping[str | Expr, str | Expr]) -> Func:
        """Fold in pieces: `f_intm` folds what the other reduction loops cover, for each value of `u`; `f` folds those.

            f[x] += e[r]   ->   f_intm[u, x] = 0                      u runs where "ro" did
            (r split into       f_intm[u, x] += e[8*u + ri]           pieces: may be parallel, vectorised, ...
            ro, ri)             f[x] += f_intm[ro, x]

        `vars` maps loops of the reduction to names of new variables, which become the outermost axes of `f_intm` in this
        order. The operator must be associative; the pieces keep the order of the terms unless it commutes. Returns
        `f_intm`, which starts with the directives given to this stage so far.
        """
    def tensorize(self, v: str | Expr, intrinsic: Intrinsic | str) -> Self:
        """Replace the loops from `v` in by `intrinsic`, an instruction of the machine that computes the same.

            f.update(0).tensorize("xi", halo.intrinsics.dot_u8i8_i32)

            for xi in 0..16:                                        f[16*xo..16*xo + 16] =
              for k in 0..4:                                   ->     vpdpbusd(f[16*xo..16*xo + 16], a[0..4], b[...])
                f[16*xo + xi] += i32(a[k])*i32(b[16*xo + xi, k])

        The loops must be those of the intrinsic's meaning, in any order: as many, as long, over the same definition. Tiles
        that a tail cuts, and targets without the instruction, run the loops. Floats that the instruction rounds otherwise
        need `atomic()` or `fastmath`. (TVM's `tensorize`.)
        """
class FuncMethods:
    def reorder_storage(self, *axes: str | Expr) -> Self:
        """Lay the axes out in memory in this order, outermost first, among the places that they have now.

        f.reorder_storage("x", "y")     f[y, x] at address x*h + y instead of y*w + x
        """
    def align_storage(self, v: str | Expr, n: int) -> Self:
        """Pad the stored extent of axis `v` to a multiple of `n`.
        """
    def fold_storage(self, v: str | Expr, n: int) -> Self:
        """Keep `n` entries of an axis in a circular buffer: entry `v` lies at `v % n`.

        A call that needs more of them at a time runs a copy that was lowered without this.
        """
    def store_in(self, memory: str) -> Self:
        """Put the values on the "heap", the "stack" or in "register"s; "auto" is the stack for small constant sizes.

        The heap is a pool: each allocation asks it. On the "stack" an array of any size asks for memory only where it has
        to be larger than any before: in a loop, in its first iterations. Arrays that are not there at the same time share
        it. "register"s are for constant sizes. (Halide's MemoryType; "stack" of other sizes is its pseudostack.)
        """
    def bound(self, v: str | Expr, lo: int | Expr, n: int | Expr) -> Self:
        """Compute exactly `n` entries of axis `v` from `lo` on, so that loops over it may have a constant extent.

        A call that needs others runs a copy that was lowered without this.
        """
    def bound_extent(self, v: str | Expr, n: int | Expr) -> Self:
        """Compute exactly `n` entries of axis `v`, from wherever the first one that is needed lies.
        """
    def bound_storage(self, v: str | Expr, n: int | Expr) -> Self:
        """Allocate `n` entries of axis `v`, whatever the analysis finds.

        A call that needs more runs a copy that was lowered without this.
        """
    def promise_output(self, what: str, axis: int, n: int | Expr, k: int = ...) -> Self:
        """Specialise the code on what is known of the arrays that calls want element `k` of the values in: that the "stride"
        (in elements), the "min" or the "extent" of an axis is `n`. `f.output_buffer(k).dim(axis)` says it as Halide does.

        A call that does not keep it runs a copy that was lowered without this. It says nothing of a Func that is no output.
        """
    def promise_alignment(self, n: int, k: int = ...) -> Self:
        """Specialise the code on the arrays that calls want element `k` of the values in: their addresses are multiples of
        `n` bytes, a power of two. `f.output_buffer(k).set_host_alignment(n)` says it as Halide does.

        A call that does not keep it runs a copy that was lowered without this. It says nothing of a Func that is no output.
        """
    def align_bounds(self, v: str | Expr, n: int, remainder: int = ...) -> Self:
        """Compute more of axis `v` than is needed: from a multiple of `n` (plus `remainder`) on, a multiple of `n` entries.
        """
    def align_extent(self, v: str | Expr, n: int) -> Self:
        """Compute more of axis `v` than is needed: a multiple of `n` entries, from the first one that is needed on.
        """
    def set_estimate(self, v: str | Expr, lo: int | Expr, n: int | Expr) -> Self:
        """Say that a call usually asks for `n` entries of axis `v` from `lo` on. Nothing depends on it but search.
        """
    def set_estimates(self, boxes: Sequence[tuple[int | Expr, int | Expr]]) -> Self:
        """`set_estimate` for all axes, outermost first: `boxes` has a pair `(lo, n)` for each.
        """
    def memoize(self, eviction_key: int | Expr | None = ...) -> Self:
        """Keep the values for later calls, and compute them only if no call before did.

        alloc f: produce f; s   ->   memoize f by k, img: produce f: if f_missed: ...; s

        They are found again by all that they follow from: parameters, the region, and the content of what is read of each
        input, so that the result never depends on it; hashing an input takes about as long as reading it. What was used
        longest ago leaves the cache when it is full (`halo.memoization_cache`, `halo.options(memoize_bytes=...)`), or what
        has the number `eviction_key` (of parameters and extents) when `halo.memoization_cache_evict` says so. Producers
        computed at the same place that nothing else reads are not computed either. (Halide's `memoize`.)
        """
    def compute_root(self) -> Self:
        """Compute all that is needed before any stage that reads it.

        for y: for x: f[y, x] = g[y, x - 1] + g[y, x]   ->   for y: for x: g[y, x] = ...
                                                             for y: for x: f[y, x] = g[y, x - 1] + g[y, x]
        """
    def compute_at(self, f: Schedulable, v: str | Expr) -> Self:
        """Compute, in each iteration of loop `v` of `f`, what that iteration needs. The loop may be made by a later split.

            for y:                                  ->   for y:
              for x: f[y, x] = g[y, x - 1] + ...           for x: g[y, x] = ...
                                                           for x: f[y, x] = g[y, x - 1] + ...

        `f` is a Func (every stage of it that reads this one) or one stage of it, `f.update(k)`.
        """
    def compute_inline(self) -> Self:
        """Compute each value where it is read, again each time. With updates: inside the innermost loop of each reader.
        """
    def store_root(self) -> Self:
        """Keep the values for the whole run. Computed inside a serial loop, only what earlier iterations left out is
        computed in each, and only as much is kept as later ones read.
        """
    def store_at(self, f: Schedulable, v: str | Expr) -> Self:
        """Keep the values for one iteration of loop `v` of `f`, a loop around the one where they are computed.

        for yo:                                ->   for yo:
          for yi:                                     alloc g
            alloc g; for x: g[y, x] = ...             for yi:
            for x: f[y, x] = g[y - 1, x] + ...          for x: g[y, x] = ...  (only rows not there yet)
        """
    def hoist_storage(self, f: Schedulable, v: str | Expr) -> Self:
        """Allocate once an iteration of loop `v` of `f`, further out than the values are kept: fewer allocations.
        """
    def hoist_storage_root(self) -> Self:
        """Allocate once a run, further out than the values are kept.
        """
    def ring_buffer(self, n: int) -> Self:
        """Keep the values of the last `n` iterations apart: `n` times the storage, taken in turns. (Halide's `ring_buffer`.)

            f.compute_at(g, "y").hoist_storage_root().ring_buffer(2)   ->   hoist f ring 2:
                                                                              for y:
                                                                                alloc f[...] slot y % 2
                                                                                ...

        The iterations are those of the loops between where `hoist_storage` allocates and where the values are kept, counted
        through all of them. With `async_` the producer fills one place while its readers are at another: double buffering.
        """
    def async_(self) -> Self:
        """Compute in a thread of its own, beside what reads the values, which waits for them. (Halide's `async`.)

            f.store_root().compute_at(g, "y").async_()   ->   fork f_ready = 0, f_room = 2:
                                                                for y: acquire f_room; produce f; release f_ready
                                                              beside:
                                                                for y: acquire f_ready; produce g; release f_room

        Stored outside of the loop that it is computed in (`store_at`, `store_root`), it runs ahead: as far as a window that
        slides leaves room for in what `fold_storage` keeps (two iterations, if that is not given), or as `ring_buffer` has
        places; without either it runs beside its readers within each iteration. Where there is one thread only, or no more
        can be had, the same is computed in the order that it has without this. Of an output it says nothing.
        """
    def trace_loads(self) -> Self:
        """Print each value of this Func when it is read: `7 loaded from f[2, 5]`.
        """
    def trace_stores(self) -> Self:
        """Print each value of this Func when it is computed: `7 stored to f[2, 5]`.
        """
    def trace_realizations(self) -> Self:
        """Print when memory for this Func comes and goes, and when its values are computed, with their ranges:
        `begin realization of f[0..9]`, `begin production of f[0..9]`, and the same with `end`.
        """
    def add_trace_tag(self, tag: str) -> Self:
        """Print a text for whoever reads the trace, as each run begins: `tag of f: TEXT`.
        """
    def debug_to_file(self, file: str) -> Self:
        """Write what is computed to a file in NumPy's format (Halide has its own), each time that all of it is there.

        f.compute_root().debug_to_file("f.npy")     after a run np.load("f.npy") is the region of f that was computed

        Of a Func that is computed in a loop the file has the last region. Each element of a tuple has a file: f.0.npy, ...
        """
    def in_(self, consumer: Sequence[Schedulable] | None = ...) -> Func:
        """Make a Func that copies this one, and let `consumer` (a Func or a list; all, if it is left out) read the copy.

            g[x] = f[x - 1] + f[x]   ->   f_in_g[x] = f[x]
                                          g[x] = f_in_g[x - 1] + f_in_g[x]

        The new Func, `f_in` or `f_in_g`, has the axes of `f` and is scheduled on its own: what `g` reads is staged, or `f`
        is computed in one layout and read in another. Of an input, its axes are called `i0`, `i1`, ...
        """
    def clone_in(self, consumer: Sequence[Schedulable]) -> Func:
        """Make a second Func like this one, its directives so far included, and let `consumer` (a Func or a list) read it.

            g[x] = f[x];  h[x] = f[x]   ->   g[x] = f_clone_g[x];  h[x] = f[x]

        The new Func, `f_clone_g`, is computed apart from `f` and scheduled on its own.
        """
    def change_type(self, t: Any) -> Func:
        """Accumulate in the integer type `t`: a new Func has the updates, and this one converts what it gives.

            f[x] = u32(0)                ->   f_u16[x] = u16(0)
            f[x] += u32(img[x + r])           f_u16[x] += u16(img[x + r])
                                              f[x] = u32(f_u16[x])

        Refused unless the result is proven the same, from the ranges of types and the lengths of reductions. Returns the
        new Func, `f_u16`, which has the directives given so far; this one is computed inline until it gets others.
        """

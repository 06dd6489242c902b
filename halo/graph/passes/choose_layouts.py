"""Choose layouts: convolutions take their channels in blocks of a vector, and what follows them works on these.

    relu(conv2d(x, w, b))
    ->  %0 = layout_transform(x, NCHW -> NCHW16c)               where x is not blocked already
        relu(conv2d(%0, layout_transform(w, OIHW -> OIHW16i16o), layout_transform(b, O -> O16o), NCHW16c))
        ... and back where an operator needs the plain order

Weights are in the order that the kernel reads them in; of constants, `fold_constants` computes that once. Few channels,
such as a picture's three, stay as they are. Groups of channels that are no whole blocks are filled up with zeros each
(NGCHW -> NGCHW16c), or merged with their neighbours, whichever leaves less to multiply.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from halo import nn
from halo.ir.shapes import DimExpr
from halo.jit.target import Target
from halo.nn.matrix import panels

from ..ir import Call, Expr, Function, Global, walk, with_children
from ..module import Module, in_bodies


def choose_layouts(m: Module) -> Module:
    return in_bodies(m, _chosen)


def _chosen(f: Function) -> Function:
    run = _Run(Target.host())
    run.foresee(f.body)
    for e in walk(f.body):
        run.visit(e)
    return replace(f, body=run.plain(f.body))


class Blocks(NamedTuple):
    """Channels in blocks of `size` (1: in the plain order), in each of so many groups."""

    size: int
    groups: int = 1

    def moved(self, e: Expr, shape: Any, back: bool = False) -> Expr:
        """`e`, of the four axes `shape`, from the plain order to this one, or `back`."""
        n, c, *points = shape
        logical = (n, self.groups, c // self.groups, *points)
        blocked = nn.Layout(f"NGCHW{self.size}c").physical(logical)
        plain, packed = tuple(shape), (n, blocked[1] * blocked[2], *blocked[3:])
        if tuple(points) == (1, 1) and logical[2] % self.size == 0:
            return nn.reshape(e, shape=plain if back else packed)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
        if self.groups == 1:
            return _transformed(e, plain, "NCHW", f"NCHW{self.size}c", back)
        made = nn.reshape(e, shape=blocked if back else logical)
        made = _transformed(made, logical, "NGCHW", f"NGCHW{self.size}c", back)
        return nn.reshape(made, shape=plain if back else packed)  # type: ignore[no-any-return]  # operators take and give tensors and expressions

    def packed(self, e: Expr, axes: str, blocks: str) -> Expr:
        """Weights whose first axis is in these groups, their `axes` in the order with `blocks`."""
        if self.groups == 1:
            return nn.layout_transform(e, src=axes, dst=axes + blocks)  # type: ignore[no-any-return]  # operators take and give tensors and expressions
        o, *rest = e.type.shape
        split = nn.reshape(e, shape=(self.groups, o // self.groups, *rest))
        made = nn.layout_transform(split, src=f"G{axes}", dst=f"G{axes}{blocks}")
        return nn.reshape(made, shape=(-1, *made.type.shape[2:]))  # type: ignore[no-any-return]  # operators take and give tensors and expressions


PLAIN, SPREAD = Blocks(1), Blocks(0)


def _transformed(e: Expr, shape: tuple[Any, ...], src: str, dst: str, back: bool) -> Expr:
    src, dst = (dst, src) if back else (src, dst)
    return nn.layout_transform(e, src=src, dst=dst, shape=shape)  # type: ignore[no-any-return]  # operators take and give tensors and expressions


class _Run:
    """`made` has what became of each expression in each order, `blocks` the one that it is computed in."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.made: dict[tuple[int, Blocks], Expr] = {}
        self.blocks: dict[int, Blocks] = {}
        self.wanted: dict[int, Blocks] = {}  # by the convolution that reads it
        self.filling: dict[int, float] = {}  # what fills up the last blocks, where it is not 0

    def foresee(self, body: Expr) -> None:
        for e in reversed(list(walk(body))):
            if isinstance(e, Call) and not isinstance(e.op, Global) and e.children:
                if e.op is nn.conv2d and self._direct(e) and not _is_depthwise(e):
                    self.wanted[id(e.children[0])] = self._grouped(e)[1]
                elif id(e) in self.wanted and (e.op.follows or e.op is nn.conv2d):
                    self.wanted.setdefault(id(e.children[0]), self.wanted[id(e)])

    def visit(self, e: Expr) -> None:
        new, blocks = self._new(e)
        self.made[id(e), blocks] = new
        self.blocks[id(e)] = blocks

    def _new(self, e: Expr) -> tuple[Expr, Blocks]:
        if isinstance(e, Call) and not isinstance(e.op, Global):
            if e.op is nn.conv2d and self._direct(e):
                return self._conv(e)
            if e.op is nn.dense and e.attrs["kernel_layout"] == "OI":
                return self._dense(e), PLAIN
            if e.op.follows:
                many = [c for c in e.children if not _has_one_channel(c)]  # the others are broadcast along channels
                blocks = max(self.blocks[id(c)] for c in many or e.children)
                if blocks != PLAIN and len(e.type.shape) == 4 and _fits(e, blocks) and self._fills(e, blocks):
                    return self._following(e, blocks), blocks
        return with_children(e, tuple(self.plain(c) for c in e.children)), PLAIN

    # Of what became of them ------------------------------------------------------------------------------------------

    def plain(self, e: Expr) -> Expr:
        """`e` in the plain order."""
        found = self.made.get((id(e), PLAIN))
        if found is None:
            blocks = self.blocks[id(e)]
            found = self.made[id(e), PLAIN] = blocks.moved(self.made[id(e), blocks], e.type.shape, back=True)
        return found

    def blocked(self, e: Expr, blocks: Blocks) -> Expr:
        """`e`, of at most four axes, in blocks of channels."""
        found = self.made.get((id(e), blocks))
        if found is None:
            plain = self._of_four_axes(e)
            found = self.made[id(e), blocks] = blocks.moved(plain, plain.type.shape)
        return found

    def spread(self, e: Expr) -> Expr:
        """`e`, of at most four axes and one channel, to be broadcast along channels in blocks: in blocks of one."""
        found = self.made.get((id(e), SPREAD))
        if found is None:
            plain = self._of_four_axes(e)
            found = self.made[id(e), SPREAD] = nn.reshape(plain, shape=(*plain.type.shape, 1))
        return found

    def _of_four_axes(self, e: Expr) -> Expr:
        shape = e.type.shape
        return self.plain(e) if len(shape) == 4 else nn.reshape(self.plain(e), shape=(*(1,) * (4 - len(shape)), *shape))

    # Operators -------------------------------------------------------------------------------------------------------

    def _direct(self, e: Call) -> bool:
        return (e.attrs["layout"], e.attrs["kernel_layout"], e.attrs["out_layout"]) == ("NCHW", "OIHW", "")

    def _conv(self, e: Call) -> tuple[Expr, Blocks]:
        x, weight, bias = e.args
        assert x is not None and weight is not None
        lanes = self.target.natural_lanes(e.type.dtype)
        if _is_depthwise(e):
            before = self.blocks[id(x)]
            before = after = self.wanted.get(id(e), Blocks(lanes)) if before == PLAIN else before
            packed = after.packed(self.plain(weight), "OIHW", f"{lanes}o")
            groups, few = packed.type.shape[0] * lanes, False
        else:
            groups, before, after = self._grouped(e)
            merged = self.plain(weight)
            if groups < e.attrs["groups"]:
                merged = nn.merge_groups(merged, groups=e.attrs["groups"], into=groups)
            few = (
                before == Blocks(lanes) and groups == 1 and merged.type.shape[1] < lanes and self.blocks[id(x)] == PLAIN
            )
            packed = Blocks(lanes, groups).packed(merged, "OIHW", f"{lanes}o" if few else f"{lanes}i{lanes}o")
        shift = None if bias is None else after.packed(self.plain(bias), "O", f"{lanes}o")
        kernel = "OIHW" + (f"{lanes}o" if few or _is_depthwise(e) else f"{lanes}i{lanes}o")
        attrs = {**e.attrs, "layout": "NCHW" if few else f"NCHW{lanes}c", "kernel_layout": kernel,
                 "out_layout": f"NCHW{lanes}c", "groups": groups}  # fmt: skip
        args = (self.plain(x) if few else self.blocked(x, before), packed, shift)
        return replace(e, args=args, attributes=tuple(attrs.items())), after

    def _grouped(self, e: Call) -> tuple[int, Blocks, Blocks]:
        """In how many groups a convolution is computed, and the order of its argument's and of its result's channels."""
        lanes = self.target.natural_lanes(e.type.dtype)
        given: int = e.attrs["groups"]
        o, i = e.children[1].type.static[:2]

        def products(groups: int) -> int:
            """Of one point, with what fills up the last blocks of every group."""
            a, b = (-(-n // (groups * lanes)) * lanes for n in (i * given, o))
            return int(groups * a * b)

        groups = min((g for g in range(given, 0, -1) if given % g == 0), key=products)
        ends = (i * given // groups, o // groups)
        before, after = (Blocks(lanes, 1 if n % lanes == 0 else groups) for n in ends)
        return groups, before, after

    def _dense(self, e: Call) -> Expr:
        x, weight, bias = e.args
        assert x is not None and weight is not None
        *_, rows, units = e.type.shape
        kernel = panels(self.target, rows, units, e.type.dtype)
        packed = nn.layout_transform(self.plain(weight), src="OI", dst=kernel)
        attrs = {**e.attrs, "kernel_layout": kernel, "units": units}
        args = (self.plain(x), packed, None if bias is None else self.plain(bias))
        return replace(e, args=args, attributes=tuple(attrs.items()))

    def _following(self, e: Call, blocks: Blocks) -> Expr:
        attrs = e.attrs | ({"layout": f"NCHW{blocks.size}c"} if "layout" in e.attrs else {})
        if e.op in (nn.concatenate, nn.repeat):
            attrs["axis"] %= 4  # the block is one axis more
        elif e.op is nn.pad:
            attrs |= {"before": (*attrs["before"], 0), "after": (*attrs["after"], 0)}

        def moved(a: Expr) -> Expr:
            broadcast = _has_one_channel(a) and (e.type.shape[1] != 1 or self.blocks[id(a)] == PLAIN)
            return self.spread(a) if broadcast else self.blocked(a, blocks)

        args = tuple(None if a is None else moved(a) for a in e.args)
        return replace(e, args=args, attributes=tuple(attrs.items()))

    def _fills(self, e: Call, blocks: Blocks) -> bool:
        """Whether what fills up the blocks of `e` will be finite: a convolution multiplies it with zeros."""
        channels = e.type.shape[1]
        if channels % (blocks.size * blocks.groups) == 0:
            return True
        given = [self.filling.get(id(a), 0.0) if channels in a.type.shape[-3:-2] else 1.0 for a in e.children]
        if "layout" in e.attrs:
            return not any(given)
        assert isinstance(e.op, nn.Op) and e.op.reference is not None
        attrs = {k: _with_ones(v) for k, v in e.attributes if v != e.op.signature.parameters[k].default}
        arrays = iter(np.full((1,) * 4, v, a.type.dtype.dtype) for v, a in zip(given, e.children, strict=True))
        with np.errstate(all="ignore"):
            found = np.asarray(e.op.reference(*(None if a is None else next(arrays) for a in e.args), **attrs))
        if not found.size:  # a slice that begins behind the first entry
            return False
        self.filling[id(e)] = float(found.reshape(-1)[0])
        return bool(np.isfinite(found).all())


def _with_ones(value: Any) -> Any:
    """An attribute with 1 for each extent in it that only a call knows."""
    if isinstance(value, tuple):
        return tuple(map(_with_ones, value))
    return 1 if isinstance(value, DimExpr) else value


def _has_one_channel(e: Expr) -> bool:
    return e.type.shape[-3:-2] in ((), (1,))


def _is_depthwise(e: Call) -> bool:
    o, i, *_ = e.children[1].type.shape
    return bool(i == 1 < o == e.attrs["groups"])


def _fits(e: Call, blocks: Blocks) -> bool:
    """Whether blocks of channels stay whole: those of all parts of a concatenation, those of the result."""

    def along() -> bool:
        return blocks.groups == 1 and all(c.type.shape[1] % blocks.size == 0 for c in (e, *e.children))

    match e.op:
        case nn.concatenate:
            # one channel would be in blocks of one where it is the plain order that a part comes from
            return along() or (e.attrs["axis"] % 4 != 1 and e.type.shape[1] != 1)
        case nn.depth_to_space:
            return along() and e.attrs["mode"] == "DCR"
        case nn.pad:
            return bool(e.attrs["before"][1] == e.attrs["after"][1] == 0)
        case nn.repeat:
            return bool(e.attrs["axis"] % 4 != 1)
    return True

"""Choose layouts: convolutions take their channels in blocks of a vector, and what follows them works on these.

    relu(conv2d(x, w, b))
    ->  %0 = layout_transform(x, NCHW -> NCHW16c)               where x is not blocked already
        relu(conv2d(%0, layout_transform(w, OIHW -> OIHW16i16o), layout_transform(b, O -> O16o), NCHW16c))
        ... and back where an operator needs the plain order

Weights are in the order that the kernel reads them in; of constants, `fold_constants` computes that once. Few channels,
such as a picture's three, stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from halo import nn
from halo.jit.target import Target
from halo.nn.matrix import panel

from ..ir import Call, Expr, Function, Global, Module, in_bodies, walk, with_children


def choose_layouts(m: Module) -> Module:
    return in_bodies(m, _chosen)


def _chosen(f: Function) -> Function:
    run = _Run(Target.host())
    for e in walk(f.body):
        run.visit(e)
    return replace(f, body=run.plain(f.body))


class _Run:
    """`made` has what became of each expression: in blocks of so many channels (1: in the plain order)."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.made: dict[tuple[int, int], Expr] = {}
        self.block: dict[int, int] = {}

    def visit(self, e: Expr) -> None:
        new, block = self._new(e)
        self.made[id(e), block] = new
        self.block[id(e)] = block

    def _new(self, e: Expr) -> tuple[Expr, int]:
        if isinstance(e, Call) and not isinstance(e.op, Global):
            if e.op is nn.conv2d and self._direct(e):
                return self._conv(e)
            if e.op is nn.dense:
                return self._dense(e), 1
            if e.op.follows:
                block = max(self.block[id(c)] for c in e.children)
                if block > 1 and len(e.type.shape) == 4 and _fits(e, block):
                    return self._following(e, block), block
        return with_children(e, tuple(self.plain(c) for c in e.children)), 1

    # Of what became of them ------------------------------------------------------------------------------------------

    def plain(self, e: Expr) -> Expr:
        """`e` in the plain order."""
        found = self.made.get((id(e), 1))
        if found is None:
            b = self.block[id(e)]
            found = self.made[id(e), 1] = _moved(self.made[id(e), b], f"NCHW{b}c", "NCHW", e.type.shape)
        return found

    def blocked(self, e: Expr, block: int) -> Expr:
        """`e`, of at most four axes, in blocks of channels; one that is broadcast along them has blocks of one."""
        found = self.made.get((id(e), block))
        if found is None:
            found, shape = self.plain(e), e.type.shape
            if len(shape) < 4:
                shape = (*(1,) * (4 - len(shape)), *shape)
                found = nn.reshape(found, shape=shape)
            if shape[1] == 1:
                found = nn.reshape(found, shape=(*shape, 1))
            else:
                found = _moved(found, "NCHW", f"NCHW{block}c", shape)
            self.made[id(e), block] = found
        return found

    # Operators -------------------------------------------------------------------------------------------------------

    def _direct(self, e: Call) -> bool:
        plain = (e.attrs["layout"], e.attrs["kernel_layout"], e.attrs["out_layout"]) == ("NCHW", "OIHW", "")
        return plain and e.type.dtype.is_float

    def _conv(self, e: Call) -> tuple[Expr, int]:
        x, weight, bias = e.args
        assert x is not None and weight is not None
        lanes = self.target.natural_lanes(e.type.dtype)
        groups, weight = self._groups(e, self.plain(weight), lanes)
        few = groups == 1 and weight.type.shape[1] < lanes and self.block[id(x)] == 1
        layout = "NCHW" if few else f"NCHW{lanes}c"
        kernel = f"OIHW{lanes}o" if few or weight.type.shape[1] == 1 < groups else f"OIHW{lanes}i{lanes}o"
        packed = nn.layout_transform(weight, src="OIHW", dst=kernel)
        shift = None if bias is None else nn.layout_transform(self.plain(bias), src="O", dst=f"O{lanes}o")
        attrs = {**e.attrs, "layout": layout, "kernel_layout": kernel, "out_layout": f"NCHW{lanes}c",
                 "groups": groups}  # fmt: skip
        args = (self.plain(x) if few else self.blocked(x, lanes), packed, shift)
        return replace(e, args=args, attributes=tuple(attrs.items())), lanes

    def _groups(self, e: Call, weight: Expr, lanes: int) -> tuple[int, Expr]:
        """So many groups that each has whole blocks of channels, and the weights for them; one a channel stays so."""
        groups: int = e.attrs["groups"]
        o, i, *_ = weight.type.shape
        if groups > 1 and i == 1 and o == groups:
            return -(-o // lanes) * lanes, weight
        fits = (g for g in range(groups, 0, -1) if groups % g == 0 and o // g % lanes == 0 == i * (groups // g) % lanes)
        into = next(fits, 1)
        merged = weight if into == groups else nn.merge_groups(weight, groups=groups, into=into)
        return into, merged

    def _dense(self, e: Call) -> Expr:
        x, weight, bias = e.args
        assert x is not None and weight is not None
        *_, rows, units = e.type.shape
        width = panel(self.target, rows, units, e.type.dtype).vectors * self.target.natural_lanes(e.type.dtype)
        packed = nn.layout_transform(self.plain(weight), src="OI", dst=f"OI{width}o")
        attrs = {**e.attrs, "kernel_layout": f"OI{width}o", "units": units}
        args = (self.plain(x), packed, None if bias is None else self.plain(bias))
        return replace(e, args=args, attributes=tuple(attrs.items()))

    def _following(self, e: Call, block: int) -> Expr:
        attrs = e.attrs | ({"layout": f"NCHW{block}c"} if "layout" in e.attrs else {})
        if e.op in (nn.concatenate, nn.repeat):
            attrs["axis"] %= 4  # the block is one axis more
        args = tuple(None if a is None else self.blocked(a, block) for a in e.args)
        return replace(e, args=args, attributes=tuple(attrs.items()))


def _fits(e: Call, block: int) -> bool:
    """Whether the parts of a concatenation along channels are whole blocks; what is repeated are no channels."""
    if e.op is nn.repeat:
        return bool(e.attrs["axis"] % 4 != 1)
    if e.op is not nn.concatenate:
        return True
    axis = e.attrs["axis"] % 4
    return axis != 1 or all(c.type.shape[1] % block == 0 for c in e.children)


def _moved(e: Expr, src: str, dst: str, shape: Any) -> Expr:
    """`e` from one layout to the other; where one point is all there is, both orders are the same."""
    block = max(nn.Layout(src).block("C"), nn.Layout(dst).block("C"))
    if tuple(shape[2:]) == (1, 1) and shape[1] % block == 0:
        return nn.reshape(e, shape=nn.Layout(dst).physical(shape))  # type: ignore[no-any-return]  # operators take and give tensors and expressions
    return nn.layout_transform(e, src=src, dst=dst, shape=tuple(shape))  # type: ignore[no-any-return]  # operators take and give tensors and expressions

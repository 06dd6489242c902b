"""Choose Winograd: convolutions on blocks of channels whose constant weights are better transformed once.

conv2d(x, w, b)  ->  conv2d_winograd(x, winograd_weights(w, tile=4), b, tile=4)     where that is clearly faster
"""

from __future__ import annotations

from dataclasses import replace

from halo import nn
from halo.nn.winograd import winograd_tile

from ..ir import Call, Expr, Function, rewrite
from ..module import Module, in_bodies
from ..patterns import of_constants


def choose_winograd(m: Module) -> Module:
    return in_bodies(m, _chosen)


def _chosen(f: Function) -> Function:
    known = of_constants(f.body)

    def step(e: Expr, old: Expr) -> Expr:
        if isinstance(e, Call) and e.op is nn.conv2d and id(old.children[1]) in known:
            return _transformed(e)
        return e

    return replace(f, body=rewrite(f.body, step))


def _transformed(e: Call) -> Call:
    x, weight, bias = e.args
    tile = winograd_tile(e.types, e.attrs)
    if not tile:
        return e
    made = nn.winograd_weights(weight, tile=tile, kernel_layout=e.attrs["kernel_layout"])
    attrs = {"tile": tile, "padding": e.attrs["padding"], "layout": e.attrs["layout"]}
    return replace(e, op=nn.conv2d_winograd, args=(x, made, bias), attributes=tuple(attrs.items()))

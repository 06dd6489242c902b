"""Fuse: neighbouring operators become one primitive function, by the rule of Relay's FuseOps, phases 0 and 1.

Each edge has the kind of the operator it leads to; a node may fuse into its immediate post-dominator if all the paths
there allow it: onto an anchor's result elementwise operators, onto elementwise and injective ones their like, and what is
elementwise into the reduction, softmax, norm or pool of windows apart that reads it once. Two anchors never share a group.
Nothing fuses into the arguments of other anchors: there it would be computed once for every tap. Equal groups become one
function of the module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from halo.ir.shapes import dims_of
from halo.nn import Kind, Op

from ..ir import Call, Expr, Function, Global, Var, sources_of, walk, with_children
from ..module import Module, in_bodies
from ..sharing import Shared

MOST = 64  # operators in a group


def fuse(m: Module, most: int = MOST) -> Module:
    """`most`: operators in a group; with 1 each is a kernel of its own."""
    shared = Shared()

    def fused(f: Function) -> Function:
        nodes = _nodes(f.body)
        _post_dominate(nodes)
        for phase in (0, 1):
            for node in nodes:
                _try(node, phase, most)
        _apart(nodes)
        return replace(f, body=_grouped(f.body, nodes, shared))

    m = in_bodies(m, fused)
    return m.with_main(m.main, **shared.functions)


@dataclass(eq=False)
class _Group:
    """A set of nodes that are to be one kernel, as a union-find tree; `kind` is the largest of theirs."""

    kind: Kind
    up: _Group | None = None
    count: int = 1

    def root(self) -> _Group:
        g = self
        while g.up is not None:
            g = g.up
        return g


@dataclass(eq=False)
class _Node:
    expr: Expr
    kind: Kind
    group: _Group
    external: bool = False  # it is seen from outside, so nothing fuses through it
    readers: list[tuple[_Node, Kind]] = field(default_factory=list)
    parent: _Node | None = None  # the immediate post-dominator
    reach: Kind = Kind.OPAQUE  # the largest kind on the way there
    depth: int = 0


def _nodes(body: Expr) -> list[_Node]:
    found: dict[int, _Node] = {}
    for e in walk(body):
        kind = e.op.kind if isinstance(e, Call) and not isinstance(e.op, Global) else Kind.OPAQUE
        node = found[id(e)] = _Node(e, kind, _Group(kind))
        for c in e.children:
            edge = Kind.REDUCTION if _reads_once(e) else kind
            if kind is Kind.BROADCAST and c.type.shape == e.type.shape:
                edge = Kind.ELEMENTWISE
            found[id(c)].readers.append((node, edge))
    found[id(body)].external = True
    return list(found.values())


def _post_dominate(nodes: list[_Node]) -> None:
    for node in reversed(nodes):
        if node.external or not node.readers:
            continue
        parent, reach = node.readers[0]
        common: _Node | None = parent
        for other, kind in node.readers[1:]:
            common, reach = _meet(common, other, max(reach, kind))
        node.parent, node.reach = common, reach
        node.depth = 1 if common is None else common.depth + 1


def _meet(a: _Node | None, b: _Node | None, reach: Kind) -> tuple[_Node | None, Kind]:
    """Where the ways from `a` and `b` meet for good, and the largest kind on them."""
    while a is not b:
        if a is None or b is None:
            return None, Kind.OPAQUE
        if a.depth < b.depth:
            reach, b = max(reach, b.reach), b.parent
        elif b.depth < a.depth:
            reach, a = max(reach, a.reach), a.parent
        else:
            reach, a, b = max(reach, a.reach, b.reach), a.parent, b.parent
    return a, reach


def _try(node: _Node, phase: int, most: int) -> None:
    sink, kind = node.parent, node.group.kind  # with what fused into it before
    if sink is None or kind is Kind.OPAQUE or node.group.root() is sink.group.root():
        return
    if node.group.root().count + sink.group.root().count > most:
        return
    if sink.kind is Kind.ANCHOR and not _reads_once(sink.expr):
        return
    if kind is Kind.ANCHOR:
        if phase == 0 and node.reach is Kind.ELEMENTWISE:
            _commit_if(node, sink, lambda g, last: g <= Kind.BROADCAST)
    elif kind <= Kind.BROADCAST:
        if node.reach <= Kind.REDUCTION:
            _commit_if(node, sink, lambda g, last: g <= (Kind.ANCHOR if last else Kind.INJECTIVE))
    elif kind is Kind.INJECTIVE and phase == 1:
        _commit_if(node, sink, lambda g, last: g <= Kind.INJECTIVE)


def _commit_if(source: _Node, sink: _Node, allowed: Callable[[Kind, bool], bool]) -> None:
    """Put what lies between `source` and `sink` into one group, if the groups of all the nodes there are `allowed`."""
    between: dict[int, _Node] = {}
    todo = [reader for reader, _ in source.readers]
    while todo:
        node = todo.pop()
        if id(node) in between:
            continue
        if not allowed(node.group.root().kind, node is sink):
            return
        between[id(node)] = node
        if node is not sink:
            todo += [reader for reader, _ in node.readers]
    if sink.kind is Kind.REDUCTION and any(id(node.expr) in _once(sink.expr) for node in (source, *between.values())):
        return
    for node in (source, *between.values()):
        _merge(node.group.root(), sink.group.root())


def _reads_once(e: Expr) -> bool:
    """Whether it is an anchor to which what is elementwise before it is no more than a load."""
    return isinstance(e, Call) and isinstance(e.op, Op) and e.op.kind is Kind.ANCHOR and e.op.once(e.attrs)


def _once(e: Expr) -> set[int]:
    """The arguments of a reduction that are not reduced, as the scale of a norm: in its group they would be computed for
    each line."""
    return {id(c) for c in e.children[1:]} - {id(c) for c in e.children[:1]}


def _merge(a: _Group, into: _Group) -> None:
    if a is not into:
        a.up = into
        into.kind = max(into.kind, a.kind)
        into.count += a.count


def _apart(nodes: list[_Node]) -> None:
    """A reshape that is the last of its group leaves it: it is the memory of its argument, which is better computed along the
    axes that it has."""
    of = {id(node.expr): node for node in nodes}
    for last in {id(node.group.root()): node for node in nodes}.values():
        node = last
        while isinstance(node.expr, Call) and isinstance(node.expr.op, Op) and node.expr.op.view:
            source = of[id(node.expr.children[0])]
            if source.group.root() is not node.group.root():
                break
            node.group, node = _Group(node.kind), source


# Groups become functions ---------------------------------------------------------------------------------------------


def _grouped(body: Expr, nodes: list[_Node], shared: Shared) -> Expr:
    """`body` with a call for each group; equal groups are one of the functions `shared`, which are added to."""
    members: dict[int, list[_Node]] = {}
    for node in nodes:
        members.setdefault(id(node.group.root()), []).append(node)
    new: dict[int, Expr] = {}
    for node in nodes:
        e = node.expr
        group = members[id(node.group.root())]
        if not isinstance(e, Call) or isinstance(e.op, Global):
            new[id(e)] = with_children(e, tuple(new[id(c)] for c in e.children))
        elif node is group[-1]:
            inner = [n.expr for n in group]
            own = {id(x) for x in inner}
            args = list({id(c): c for x in inner for c in x.children if id(c) not in own}.values())
            function = _function(inner, args)
            name, extents = shared.add("_".join(x.op.name for x in inner if isinstance(x, Call)), function)
            sources = sources_of(*(x for x in inner if isinstance(x, Call)))
            label = sources[0] if sources else ""
            callee = Global(name, function.type)
            new[id(e)] = Call(callee, tuple(new[id(a)] for a in args), tuple(extents.items()), label, sources)
    return new[id(body)]


def _function(inner: list[Expr], args: list[Expr]) -> Function:
    dims = {name for a in args for n in a.type.shape for name in dims_of(n)}
    stem = "p"
    while any(d.startswith(stem) for d in dims):  # they are parameters of the kernel as well
        stem += "_"
    params = tuple(Var(f"{stem}{k}", a.type) for k, a in enumerate(args))
    made: dict[int, Expr] = {id(a): p for a, p in zip(args, params, strict=True)}
    for e in inner:
        made[id(e)] = with_children(e, tuple(made[id(c)] for c in e.children))
    return Function(params, made[id(inner[-1])], primitive=True)

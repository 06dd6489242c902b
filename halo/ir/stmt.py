"""Statements: loop nests, before and after storage is laid out.

`build_nest` makes `For`, `Let`, `If`, `Produce`, `Realize`, `Provide` over `Array`s indexed axis by axis;
`flatten` turns `Realize`/`Provide`/`Read` into `Allocate`/`Store`/`Load` over flat `Buffer`s. No pass mixes the two.
"""

from __future__ import annotations

from typing import Any

from ..errors import Location
from .expr import Array, Buffer, Expr, Var
from .node import Node, node

__all__ = ["Acquire", "Allocate", "Atomic", "Block", "CallExtern", "Check", "Evaluate", "Extern", "Fetch", "For", "Fork",
           "Free", "Hoist", "If", "Keep", "Let", "Memoize", "Prefetch", "Produce", "Provide", "Realize", "Recall", "Release",
           "Semaphore", "Stmt", "Store", "Stream", "View", "block", "substmts"]  # fmt: skip


class Stmt(Node):
    __slots__ = ()


@node
class For(Stmt):
    """`body` for `var` in lo..lo+extent. `kind`: serial, parallel, vectorize or unroll; a vectorised or unrolled loop
    has a constant extent when it reaches its pass. `partition`: auto, always or never. `label` is the loop's name in
    the schedule (`blur_y.xo`), for printing. The loops that an instruction of the machine is to replace are of the kind
    tensorize, and the outermost of them says which `intrinsic`: an `ir.intrinsic.Tensor`."""

    var: Var
    lo: Expr
    extent: Expr
    kind: str
    body: Stmt
    partition: str = "auto"
    label: str = ""
    intrinsic: Any = None


@node
class Let(Stmt):
    """`var = value` in `body`."""

    var: Var
    value: Expr
    body: Stmt


@node
class If(Stmt):
    """`likely`: the condition of a split's tail or of a boundary, true in the steady state."""

    cond: Expr
    then: Stmt
    orelse: Stmt | None = None
    likely: bool = False


@node
class Block(Stmt):
    stmts: tuple[Stmt, ...]


@node
class Produce(Stmt):
    """Marks the computation of one stage group: `what` is the Function's Array."""

    what: Array
    body: Stmt


@node
class Realize(Stmt):
    """Storage for `what` over the box `bounds` (lo and extent an axis) while `body` runs. `fold`: axis -> circular size.
    `memory`: auto, heap, stack or register. `slot`: which place of the ring that the Hoist round it holds. `ahead`: how
    many iterations of the outermost loop inside its producer may be in front of its readers, in a thread of its own; 0 if
    it may only run beside them, None if nothing limits it."""

    what: Array
    bounds: tuple[tuple[Expr, Expr], ...]
    body: Stmt
    memory: str = "auto"
    fold: tuple[tuple[int, int], ...] = ()
    slot: Expr | None = None
    ahead: int | None = None


@node
class Hoist(Stmt):
    """The memory of `what` is allocated here, with room for `extents`, `ring` times, and used by each Realize inside."""

    what: Array
    body: Stmt
    extents: tuple[Expr, ...] = ()
    ring: int = 1


@node
class Memoize(Stmt):
    """`body` with the values of `what`, whose Realize is around it, as a call before left them, if one did with the same
    `region` (lo and extent an axis), the same `values` and the same content of `inputs` in their `boxes`; `missed` is
    false then. `what` is the `stage`-th of its pipeline. `key` is by which the values can be evicted. `when`: they are
    not needed otherwise."""

    what: Array
    missed: Var
    stage: int
    region: tuple[tuple[Expr, Expr], ...]
    values: tuple[Expr, ...]
    inputs: tuple[Array, ...]
    boxes: tuple[tuple[tuple[Expr, Expr], ...], ...]
    body: Stmt
    key: Expr | None = None
    when: Expr | None = None


@node
class Keep(Stmt):
    """All values are there of the Memoize (or Recall) that says whether they were `missed`: later calls may have them."""

    missed: Var


@node
class Provide(Stmt):
    """`what[indices] = values`, all elements of a tuple at once: every value is evaluated before any store.
    `values[k]` may be None (element k keeps its value). `pred`: store only where true."""

    what: Array
    indices: tuple[Expr, ...]
    values: tuple[Expr | None, ...]
    pred: Expr | None = None
    atomic: bool = False


@node
class Prefetch(Stmt):
    """Ask for elements `items` of `what` over `box` (lo and extent an axis), by a strategy: "guard" where all of that is
    in memory, "clamp" the part that is, "non_faulting" whatever it is. Before the box is known it is None, and what is
    meant is what the rest of the block reads when `loop` is `distance` iterations further; `loc` is the directive's."""

    what: Array
    strategy: str
    box: tuple[tuple[Expr, Expr], ...] | None
    items: tuple[int, ...] = (0,)
    loop: Var | None = None
    distance: Expr | None = None
    loc: Location | None = None


@node
class Fetch(Stmt):
    """Ask for the cache lines from element `first` to element `last` of `buffer`."""

    buffer: Buffer
    first: Expr
    last: Expr


@node
class Stream(Stmt):
    """`body`, whose stores to `stores` and loads from `loads` are not to be kept in caches: Arrays, then Buffers."""

    stores: tuple[Array | Buffer, ...]
    loads: tuple[Array | Buffer, ...]
    body: Stmt


@node
class Extern(Stmt):
    """Call `function` over whole regions: `outputs` is written over its produced box, `inputs` are read."""

    function: Any
    outputs: Array
    inputs: tuple[Array, ...]
    box: tuple[tuple[Expr, Expr], ...]


@node
class View(Node):
    """A region as memory: `buffer` from element `index` on, `extents` by `strides` (in elements)."""

    buffer: Buffer
    index: Expr
    extents: tuple[Expr, ...]
    strides: tuple[Expr, ...]


@node
class CallExtern(Stmt):
    """What `flatten` makes of an Extern: call `function`, which machine code knows as `symbol`, on `views` and on the
    numbers `args`. It writes the first `outputs` of the views."""

    symbol: str
    function: Any
    outputs: int
    views: tuple[View, ...]
    args: tuple[Expr, ...] = ()


@node
class Allocate(Stmt):
    """`size` elements of `buffer` while `body` runs. `bound`: a constant upper bound of size, if one is known. `shared`: the
    buffer that it lies in if the condition holds."""

    buffer: Buffer
    size: Expr
    body: Stmt
    bound: int | None = None
    shared: tuple[Buffer, Expr] | None = None


@node
class Recall(Stmt):
    """What `flatten` makes of a Memoize: `size` elements of each of `buffers`, the memory that the cache keeps them in,
    while `body` runs. `views` are the boxes of the inputs."""

    buffers: tuple[Buffer, ...]
    size: Expr
    missed: Var
    stage: int
    values: tuple[Expr, ...]
    views: tuple[View, ...]
    body: Stmt
    key: Expr | None = None
    when: Expr | None = None


@node
class Free(Stmt):
    """The memory of `buffer` goes back here, before its Allocate ends: nothing uses it any more."""

    buffer: Buffer


@node
class Store(Stmt):
    """`buffer[index] = value` in the lanes where `pred` is true. `atomic`: what it reads of that very element is still
    there when it is written."""

    buffer: Buffer
    index: Expr
    value: Expr
    pred: Expr | None = None
    atomic: bool = False


@node
class Atomic(Stmt):
    """`body`, a load, some computation and stores, in one piece: no other Atomic of the same `buffer` and `index` comes
    between. Where an update is one Store, that is marked `atomic` itself."""

    buffer: Buffer
    index: Expr
    body: Stmt


@node
class Check(Stmt):
    """Stop the kernel with status `code` and the values of `args` unless `cond`. Only before anything is written."""

    cond: Expr
    code: int
    args: tuple[Expr, ...] = ()


@node
class Evaluate(Stmt):
    value: Expr


class Semaphore:
    """A count that threads wait for: an object, told apart by identity."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


@node
class Fork(Stmt):
    """`producer` in a thread of its own, beside `consumer`; it ends when both do. Where there is no such thread, `alone`
    does the work of both. `semaphores`: what they wait for each other with, and how much each holds at first."""

    semaphores: tuple[tuple[Semaphore, int], ...]
    producer: Stmt
    consumer: Stmt
    alone: Stmt


@node
class Acquire(Stmt):
    """Wait until `semaphore` holds something, and take one of it."""

    semaphore: Semaphore


@node
class Release(Stmt):
    """Add one to `semaphore`."""

    semaphore: Semaphore


def block(*stmts: Stmt | None) -> Stmt:
    """The statements in order, nested blocks spliced, `None`s dropped."""
    flat: list[Stmt] = []
    for s in stmts:
        if isinstance(s, Block):
            flat.extend(s.stmts)
        elif s is not None:
            flat.append(s)
    return flat[0] if len(flat) == 1 else Block(tuple(flat))


def substmts(s: Stmt) -> tuple[Stmt, ...]:
    """The statements directly inside of `s`."""
    match s:
        case For() | Let() | Produce() | Realize() | Hoist() | Memoize() | Allocate() | Recall() | Atomic() | Stream():
            return (s.body,)
        case If():
            return (s.then,) if s.orelse is None else (s.then, s.orelse)
        case Block():
            return s.stmts
        case Fork():
            return (s.producer, s.consumer, s.alone)
    return ()

"""Statements: loops, parallel tasks, memory, checks. A stack of what is left to do replaces recursion, so that
pipelines of hundreds of stages nest as deeply as they like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import CompileError
from ..ir.expr import Broadcast, Buffer, Const
from ..ir.stmt import (
    Acquire,
    Allocate,
    Atomic,
    Block,
    CallExtern,
    Check,
    Evaluate,
    Fetch,
    For,
    Fork,
    Free,
    If,
    Keep,
    Let,
    Produce,
    Recall,
    Release,
    Semaphore,
    Stmt,
    Store,
    Stream,
)
from .emit_atomic import store_atomic
from .emit_effect import report
from .emit_function import ERROR, LOCKS, PARKED, Function
from .emit_hint import FENCE, fence, fetch
from .emit_lock import lock
from .emit_memoize import keep, recall
from .emit_memory import told, view_words, wanted
from .emit_slot import take
from .emit_store import store

__all__ = ["count_loops", "emit_body"]

STACK_ARRAY = 256 << 10  # bytes up to which one array lives on the stack...
STACK_FRAME = 1 << 20  # ... and all those of one function together: a thread has room for a few of these

Work = list[Any]  # statements, and functions to call between them


def emit_body(f: Function, body: Stmt) -> None:
    """All of `body`, appended to `f`."""
    work: Work = [body]
    while work:
        step = work.pop()
        if not isinstance(step, Stmt):
            step()
            continue
        handler = STATEMENTS.get(type(step))
        if handler is None:
            raise CompileError(f"a {type(step).__name__} statement has no machine code")
        handler(f, step, work)
    if f.unfenced:
        f.last.append(FENCE)


def _block(f: Function, s: Block, work: Work) -> None:
    work += reversed(s.stmts)


def _produce(f: Function, s: Produce, work: Work) -> None:
    """What the stage stores past the caches is there for all threads when it ends."""
    outer, f.unfenced = f.unfenced, False

    def end() -> None:
        fence(f)
        f.unfenced = outer

    work += [end, s.body]


def _stream(f: Function, s: Stream, work: Work) -> None:
    outer = f.streamed_stores, f.streamed_loads
    f.streamed_stores, f.streamed_loads = frozenset(s.stores), frozenset(s.loads)

    def end() -> None:
        f.streamed_stores, f.streamed_loads = outer

    work += [end, s.body]


def _fetch(f: Function, s: Fetch, work: Work) -> None:
    fetch(f, s)


def _let(f: Function, s: Let, work: Work) -> None:
    level = f.level(s.value)
    f.bind(s.var, f.value(s.value))
    f.levels[s.var] = level
    work.append(s.body)


def _evaluate(f: Function, s: Evaluate, work: Work) -> None:
    f.value(s.value)


def _if(f: Function, s: If, work: Work) -> None:
    then, other, done = f.label(), f.label() if s.orelse else "", f.label()
    f.do(f"br i1 {f.value(s.cond)}, label %{then}, label %{other or done}{', !prof !2' if s.likely else ''}")
    f.begin(then)
    mark = f.mark()

    def otherwise() -> None:
        f.restore(mark)
        f.do(f"br label %{done}")
        f.begin(other)

    def end() -> None:
        f.restore(mark)
        f.jump(done)

    work.append(end)
    if s.orelse is not None:
        work += [s.orelse, otherwise]
    work.append(s.then)


# -- loops -----------------------------------------------------------------------------------------------------------


def _for(f: Function, s: For, work: Work) -> None:
    if isinstance(s.extent, Const) and s.extent.value <= 0:
        return
    if s.kind == "parallel":
        _parallel(f, s)
    elif isinstance(s.extent, Const) and s.extent.value == 1:
        f.bind(s.var, f.value(s.lo))
        f.levels[s.var] = f.level(s.lo)
        work.append(s.body)
    elif f.loops_apart:
        _apart(f, s)
    else:
        _serial(f, s, work)


def _serial(f: Function, s: For, work: Work) -> None:
    """A loop that tests at its end, behind a test whether it runs at all."""
    lo, extent = f.value(s.lo), f.value(s.extent)
    hi = extent if isinstance(s.lo, Const) and s.lo.value == 0 else f.new(f"add nsw i64 {lo}, {extent}")
    body, done = f.loop(s)
    if isinstance(s.extent, Const):
        f.do(f"br label %{body}")
    else:
        f.do(f"br i1 {f.new(f'icmp sgt i64 {extent}, 0')}, label %{body}, label %{done}, !prof !2")
    before = f.block
    f.stored_all()
    mark = f.mark()
    f.begin(body)
    at = len(f.lines)
    var = f.new("")
    f.bind(s.var, var)
    f.depth += 1
    f.levels[s.var] = f.depth

    def end() -> None:
        following = f.new(f"add nsw i64 {var}, 1")
        f.lines[at] = f"{var} = phi i64 [ {lo}, %{before} ], [ {following}, %{f.block} ]"
        f.do(f"br i1 {f.new(f'icmp slt i64 {following}, {hi}')}, label %{body}, label %{done}")
        f.begin(done)
        f.restore(mark)
        f.stored_all()
        f.depth -= 1
        if f.depth == 0:
            f.separate()

    work += [end, s.body]


def _parallel(f: Function, s: For) -> None:
    """The body as a function of its own, `i32 task(i64 var, ptr closure)`; the closure holds 8 bytes a value."""
    task = f.task()
    task.values[s.var] = "%i"
    emit_body(task, s.body)
    name = f.module.add(task)
    fence(f)
    lo, extent = f.value(s.lo), f.value(s.extent)
    _called(f, f"@halo_par_for(ptr @{name}, ptr {closure_of(f, task)}, i64 {lo}, i64 {extent})")


def _apart(f: Function, s: For) -> None:
    """A serial loop as a function of its own."""
    task = f.task(threaded=False)
    task.owned |= f.owned
    emit_body(task, s)
    name = f.module.add(task)
    _called(f, f"@{name}(i64 0, ptr {closure_of(f, task)})")


def _called(f: Function, call: str) -> None:
    status = f.new(f"call i32 {call}")
    f.fail_if(f.new(f"icmp ne i32 {status}, 0"), status)
    f.stored_all()


def closure_of(f: Function, task: Function) -> str:
    """The address of what `task` captured of `f`: 8 bytes a value."""
    closure = f.at_entry(f"alloca [{max(len(task.captures), 1)} x i64], align 8")
    for k, (key, type) in enumerate(task.captures):
        where = f.new(f"getelementptr i64, ptr {closure}, i64 {k}") if k else closure
        f.do(f"store {type} {_captured(f, key)}, ptr {where}, align 8")
    return closure


def _captured(f: Function, key: Any) -> str:
    if key is ERROR:
        return f.error()
    if key is LOCKS:
        return f.locks()
    if isinstance(key, Semaphore):
        return f.semaphore(key)
    return f.pointer(key) if isinstance(key, Buffer) else f.value(key)


def _fork(f: Function, s: Fork, work: Work) -> None:
    """Each half as a function of its own, called beside each other; or, without a thread for one, the work of both."""
    counts = f.at_entry(f"alloca [{2 * len(s.semaphores)} x i64], align 16")
    for k, (semaphore, n) in enumerate(s.semaphores):
        f.bind(semaphore, f.new(f"getelementptr i64, ptr {counts}, i64 {2 * k}"))
        f.do(f"store i64 {n}, ptr {f.semaphore(semaphore)}, align 8")
    (producer, given), (consumer, taken) = _half(f, s.producer), _half(f, s.consumer)
    job = f.at_entry("alloca [8 x i64], align 16")
    fence(f)
    parked = f.new(f"call ptr @halo_fork(ptr {job}, ptr @{producer}, ptr {given})")
    beside, alone, done = f.label(), f.label(), f.label()
    f.do(f"br i1 {f.new(f'icmp eq ptr {parked}, null')}, label %{alone}, label %{beside}")
    f.begin(beside)
    mark = f.mark()
    own = f.new(f"call i32 @{consumer}(i64 {f.new(f'ptrtoint ptr {parked} to i64')}, ptr {taken})")
    status = f.new(f"call i32 @halo_join(ptr {job}, i32 {own})")
    f.fail_if(f.new(f"icmp ne i32 {status}, 0"), status)
    f.do(f"br label %{done}")
    f.begin(alone)
    f.restore(mark)

    def end() -> None:
        f.restore(mark)
        f.jump(done)
        f.stored_all()

    work += [end, s.alone]


def _half(f: Function, s: Stmt) -> tuple[str, str]:
    """The name and the closure of the function that does `s`. When it fails, whoever waits for it is told."""
    half = f.task()
    half.values[PARKED] = half.at_entry("inttoptr i64 %i to ptr")
    told = (half.semaphore(semaphore) for semaphore in dict.fromkeys(_released(s)))
    half.hold("\n".join(f"call void @halo_close(ptr {pointer})" for pointer in told))
    emit_body(half, s)
    half.drop()
    return f.module.add(half), closure_of(f, half)


def _released(s: Stmt) -> Iterator[Semaphore]:
    """The semaphores around `s` that it, or what is forked in it, adds to."""
    todo: list[tuple[Any, frozenset[Semaphore]]] = [(s, frozenset())]
    while todo:
        s, own = todo.pop()
        match s:
            case Release() if s.semaphore not in own:
                yield s.semaphore
            case Block():
                todo += [(t, own) for t in s.stmts]
            case Fork():
                own |= {semaphore for semaphore, _ in s.semaphores}
                todo += [(t, own) for t in (s.producer, s.consumer, s.alone)]
            case If():
                todo += [(t, own) for t in (s.then, s.orelse)]
            case For() | Let() | Produce() | Allocate():
                todo.append((s.body, own))


def _acquire(f: Function, s: Acquire, work: Work) -> None:
    status = f.new(f"call i32 @halo_acquire(ptr {f.semaphore(s.semaphore)}, ptr {f.values[PARKED]})")
    f.fail_if(f.new(f"icmp ne i32 {status}, 0"), status)
    f.stored_all()


def _release(f: Function, s: Release, work: Work) -> None:
    fence(f)
    f.do(f"call void @halo_signal(ptr {f.semaphore(s.semaphore)})")


# -- memory ----------------------------------------------------------------------------------------------------------


def count_loops(s: Stmt) -> int:
    """How many loops `s` runs one after the other, not counting those inside."""
    match s:
        case For():
            return 1
        case Block():
            return sum(map(count_loops, s.stmts))
        case If():
            return count_loops(s.then) + (0 if s.orelse is None else count_loops(s.orelse))
        case Let() | Allocate() | Produce() | Atomic():
            return count_loops(s.body)
    return 0


def _allocate(f: Function, s: Allocate, work: Work) -> None:
    """From the pool; or on the stack, of which a slot serves what has no known size or no room."""
    f.owned.add(s.buffer)
    mark = f.mark()
    if s.buffer.kind != "stack":
        end = _from_pool(f, s)
    elif (bytes := _bytes(s)) is not None and bytes <= STACK_ARRAY and f.stack_bytes + bytes <= STACK_FRAME:
        f.stack_bytes += bytes
        f.bind(s.buffer, f.at_entry(f"alloca [{bytes} x i8], align 64"))
        end = None
    else:
        end = _in_slot(f, s)
    work.append(lambda: f.restore(mark))
    work += [s.body] if end is None else [end, s.body]


def _bytes(s: Allocate) -> int | None:
    """The most that `s` can need, if that is known."""
    size = s.size.value if isinstance(s.size, Const) else s.bound
    return None if size is None else int(max(size, 1)) * s.buffer.type.bytes


def _from_pool(f: Function, s: Allocate) -> Callable[[], None]:
    bytes = wanted(f, s.size, s.buffer.type)
    if s.shared is not None:
        output, same = s.shared
        bytes = f.new(f"select i1 {f.value(same)}, i64 1, i64 {bytes}")
    pointer = f.new(f"call noalias ptr @halo_malloc(i64 {bytes})")
    f.fail_if(f.new(f"icmp eq ptr {pointer}, null"), "-1")
    f.bind(s.buffer, pointer)
    if s.shared is not None:
        f.bind(s.buffer, f.new(f"select i1 {f.value(same)}, ptr {f.pointer(output)}, ptr {pointer}"))
    if _is_freed(s.body, s.buffer):
        where = f.at_entry("alloca ptr")
        f.do(f"store ptr {pointer}, ptr {where}")
        f.freeing[s.buffer] = lambda: f.do(f"call void @halo_release(ptr {where})")
        f.hold(f"call void @halo_release(ptr {where})")
    else:
        f.hold(f"call void @halo_free(ptr {pointer})")
    return f.release


def _in_slot(f: Function, s: Allocate) -> Callable[[], None] | None:
    slot, pointer = take(f, s.buffer, wanted(f, s.size, s.buffer.type))
    f.bind(s.buffer, pointer)
    if not _is_freed(s.body, s.buffer):
        return lambda: f.free_slots.append(slot)
    f.freeing[s.buffer] = lambda: f.free_slots.append(slot)
    return None


def _is_freed(s: Stmt, b: Buffer) -> bool:
    """Whether `s` frees `b`: in straight code, as `lifetimes` has it."""
    match s:
        case Let() | Allocate() | Recall() | Produce():
            return _is_freed(s.body, b)
        case Block():
            return any(_is_freed(t, b) for t in s.stmts)
    return isinstance(s, Free) and s.buffer is b


def _free(f: Function, s: Free, work: Work) -> None:
    free = f.freeing.pop(s.buffer, None)
    if free is not None:  # else it is on the stack
        free()


def _store(f: Function, s: Store, work: Work) -> None:
    """A condition that all lanes share becomes a branch round the whole statement."""
    pred = s.pred
    while isinstance(pred, Broadcast):
        pred = pred.value
    if pred is not None and pred.lanes == 1:
        work.append(If(pred, s.replace(pred=None)))
    elif s.atomic:
        store_atomic(f, s)
    else:
        store(f, s)


def _atomic(f: Function, s: Atomic, work: Work) -> None:
    if lock(f, s):
        work.append(f.release)
    work.append(s.body)


def _check(f: Function, s: Check, work: Work) -> None:
    bad, good = f.label(), f.label()
    f.do(f"br i1 {f.value(s.cond)}, label %{good}, label %{bad}, !prof !2")
    f.begin(bad)
    mark = f.mark()
    for k, arg in enumerate(s.args):
        where = f.new(f"getelementptr i64, ptr {f.error()}, i64 {k}") if k else f.error()
        f.do(f"store i64 {report(f, arg.type, f.value(arg))}, ptr {where}, align 8")
    f.restore(mark)
    f.fail(str(s.code))
    f.begin(good)


def _call_extern(f: Function, s: CallExtern, work: Work) -> None:
    """A call of `i32 symbol(words, error)`: for each view its address, extents and strides."""
    f.module.declare(f"declare i32 @{s.symbol}(ptr, ptr)")
    words = told(f, [word for v in s.views for word in view_words(f, v)])
    status = f.new(f"call i32 @{s.symbol}(ptr {words}, ptr {f.error()})")
    f.fail_if(f.new(f"icmp ne i32 {status}, 0"), status)
    f.stored_all()


STATEMENTS: dict[type, Callable[[Function, Any, Work], None]] = {
    Block: _block, Produce: _produce, Let: _let, Evaluate: _evaluate, If: _if, For: _for, Allocate: _allocate, Free: _free,
    Store: _store, Atomic: _atomic, Check: _check, CallExtern: _call_extern, Fork: _fork, Acquire: _acquire,
    Release: _release, Recall: recall, Keep: keep, Fetch: _fetch, Stream: _stream,
}  # fmt: skip

; What kernels call: parallel loops on the crew (crew.ll) or a threading layer of Numba's, and memory from a pool.
; `@halo_state` is the only state; runtime.py sees it as `State`, field by field in this order.

%State = type {
  ptr,              ; 0 thread_count   i32 (), how many threads the calling thread may use, or null until that is needed
  ptr,              ; 1 parallel_for   the threading layer's, or null: the crew runs loops
  ptr,              ; 2 load           void (), fills in the two above
  i64,              ; 3 exclusive      the layer serves one caller at a time
  i64,              ; 4 busy           an exclusive layer is serving one
  i64,              ; 5 limit          bytes that the pool may keep
  i64,              ; 6 kept           bytes that it keeps
  i64,              ; 7 live           bytes in use
  i64,              ; 8 peak           the most that ever were
  i64,              ; 9 calls          of halo_malloc
  [160 x %Bin]      ; free blocks, by size
}
%Bin = type { i64, ptr }            ; lock, first block
%Block = type { ptr, i64, i64, ptr } ; what malloc gave, size, bin, next block; the data starts 64 bytes further
%Loop = type { ptr, ptr, i64, i64, i64, i32 } ; task, closure, next iteration, end, iterations a grab, status

@halo_state = global %State zeroinitializer

declare ptr @malloc(i64)
declare void @free(ptr)
declare i64 @llvm.ctlz.i64(i64, i1)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)

; Parallel loops

; task(i, closure) for i in lo..lo+n. The first status that is not 0 stops the loop and is returned.
define i32 @halo_par_for(ptr %task, ptr %closure, i64 %lo, i64 %n) nounwind {
entry:
  %loop = alloca %Loop
  %dims = alloca i64
  %few = icmp sle i64 %n, 1
  br i1 %few, label %serial, label %loaded
loaded:
  %count.f = load atomic ptr, ptr @halo_state acquire, align 8
  %missing = icmp eq ptr %count.f, null
  br i1 %missing, label %load, label %count
load:
  %load.at = getelementptr %State, ptr @halo_state, i32 0, i32 2
  %load.f = load ptr, ptr %load.at
  call void %load.f()
  br label %loaded
count:
  %threads = call i32 %count.f()
  %alone = icmp sle i32 %threads, 1
  br i1 %alone, label %serial, label %plan
plan:
  %threads.64 = zext i32 %threads to i64
  %workers = call i64 @llvm.umin.i64(i64 %n, i64 %threads.64)
  %end = add i64 %lo, %n
  %share = shl i64 %threads.64, 5
  %part = udiv i64 %n, %share
  %grab = call i64 @llvm.umax.i64(i64 %part, i64 1)
  call void @fill(ptr %loop, ptr %task, ptr %closure, i64 %lo, i64 %end, i64 %grab)
  %layer.at = getelementptr %State, ptr @halo_state, i32 0, i32 1
  %layer = load ptr, ptr %layer.at
  %own = icmp eq ptr %layer, null
  br i1 %own, label %crew, label %acquire
crew:
  %seats = sub i64 %workers, 1
  %shares = call i1 @crew_run(ptr %loop, i64 %seats, i32 %threads)
  br i1 %shares, label %done, label %serial
acquire:
  %exclusive.at = getelementptr %State, ptr @halo_state, i32 0, i32 3
  %busy.at = getelementptr %State, ptr @halo_state, i32 0, i32 4
  %exclusive = load i64, ptr %exclusive.at
  %shared = icmp eq i64 %exclusive, 0
  br i1 %shared, label %launch, label %try
try:
  %was = atomicrmw xchg ptr %busy.at, i64 1 acquire
  %free = icmp eq i64 %was, 0
  br i1 %free, label %launch, label %serial
launch:
  store i64 %workers, ptr %dims
  call void %layer(ptr @worker, ptr null, ptr %dims, ptr null, ptr %loop, i64 0, i64 0, i32 %threads)
  br i1 %shared, label %done, label %release
release:
  store atomic i64 0, ptr %busy.at release, align 8
  br label %done
done:
  %status.at = getelementptr %Loop, ptr %loop, i32 0, i32 5
  %status = load atomic i32, ptr %status.at acquire, align 4
  ret i32 %status
serial:
  %stop = add i64 %lo, %n
  br label %head
head:
  %i = phi i64 [ %lo, %serial ], [ %next, %body ]
  %s = phi i32 [ 0, %serial ], [ %result, %body ]
  %more = icmp slt i64 %i, %stop
  %fine = icmp eq i32 %s, 0
  %go = and i1 %more, %fine
  br i1 %go, label %body, label %finish
body:
  %next = add i64 %i, 1
  %result = call i32 %task(i64 %i, ptr %closure)
  br label %head
finish:
  ret i32 %s
}

; The count of a process that has no layer.
define i32 @halo_one_thread() nounwind {
  ret i32 1
}

define internal void @fill(ptr %loop, ptr %task, ptr %closure, i64 %next, i64 %end, i64 %grab) nounwind alwaysinline {
  %closure.at = getelementptr %Loop, ptr %loop, i32 0, i32 1
  %next.at = getelementptr %Loop, ptr %loop, i32 0, i32 2
  %end.at = getelementptr %Loop, ptr %loop, i32 0, i32 3
  %grab.at = getelementptr %Loop, ptr %loop, i32 0, i32 4
  %status.at = getelementptr %Loop, ptr %loop, i32 0, i32 5
  store ptr %task, ptr %loop
  store ptr %closure, ptr %closure.at
  store i64 %next, ptr %next.at
  store i64 %end, ptr %end.at
  store i64 %grab, ptr %grab.at
  store i32 0, ptr %status.at
  ret void
}

; What the layer runs on each thread: grab the next iterations until there are none. Its own partition is ignored.
define internal void @worker(ptr %args, ptr %dims, ptr %steps, ptr %loop) nounwind {
entry:
  %closure.at = getelementptr %Loop, ptr %loop, i32 0, i32 1
  %next.at = getelementptr %Loop, ptr %loop, i32 0, i32 2
  %end.at = getelementptr %Loop, ptr %loop, i32 0, i32 3
  %grab.at = getelementptr %Loop, ptr %loop, i32 0, i32 4
  %status.at = getelementptr %Loop, ptr %loop, i32 0, i32 5
  %task = load ptr, ptr %loop
  %closure = load ptr, ptr %closure.at
  %end = load i64, ptr %end.at
  %grab = load i64, ptr %grab.at
  br label %pull
pull:
  %from = atomicrmw add ptr %next.at, i64 %grab monotonic
  %some = icmp slt i64 %from, %end
  br i1 %some, label %chunk, label %done
chunk:
  %left = sub i64 %end, %from
  %size = call i64 @llvm.umin.i64(i64 %grab, i64 %left)
  %to = add i64 %from, %size
  br label %each
each:
  %i = phi i64 [ %from, %chunk ], [ %next, %ran ]
  %status = load atomic i32, ptr %status.at monotonic, align 4
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %run, label %done
run:
  %result = call i32 %task(i64 %i, ptr %closure)
  %good = icmp eq i32 %result, 0
  br i1 %good, label %ran, label %fail
ran:
  %next = add i64 %i, 1
  %again = icmp slt i64 %next, %to
  br i1 %again, label %each, label %pull
fail:
  %first = cmpxchg ptr %status.at, i32 0, i32 %result release monotonic
  br label %done
done:
  ret void
}

; Memory

; A block of at least `bytes`, aligned to 64; null when there is none. Sizes are rounded up to a quarter of a power of 2.
define noalias ptr @halo_malloc(i64 %bytes) nounwind {
entry:
  %absurd = icmp ugt i64 %bytes, 70368744177664
  br i1 %absurd, label %none, label %classify
classify:
  %wanted = call i64 @llvm.umax.i64(i64 %bytes, i64 65)
  %below = sub i64 %wanted, 1
  %zeros = call i64 @llvm.ctlz.i64(i64 %below, i1 true)
  %log = sub i64 63, %zeros
  %quarter = sub i64 %log, 2
  %step = shl i64 1, %quarter
  %slack = sub i64 %step, 1
  %over = add i64 %wanted, %slack
  %steps = lshr i64 %over, %quarter
  %size = shl i64 %steps, %quarter
  %octave = sub i64 %log, 6
  %first = shl i64 %octave, 2
  %within = sub i64 %steps, 5
  %bin = add i64 %first, %within
  br label %look
look: ; a block of this size, or of up to twice: intermediates that shrink from stage to stage share two
  %k = phi i64 [ %bin, %classify ], [ %k.next, %onward ]
  %bin.at = getelementptr %State, ptr @halo_state, i32 0, i32 10, i64 %k
  %head.at = getelementptr %Bin, ptr %bin.at, i32 0, i32 1
  %peek = load atomic ptr, ptr %head.at monotonic, align 8
  %empty = icmp eq ptr %peek, null
  br i1 %empty, label %onward, label %try
try:
  %locked = call i1 @lock(ptr %bin.at)
  br i1 %locked, label %pop, label %fresh
pop:
  %block = load ptr, ptr %head.at
  %gone = icmp eq ptr %block, null
  br i1 %gone, label %miss, label %hit
miss:
  store atomic i64 0, ptr %bin.at release, align 8
  br label %onward
onward:
  %k.next = add i64 %k, 1
  %distance = sub i64 %k.next, %bin
  %near = icmp ule i64 %distance, 4
  %there = icmp ult i64 %k.next, 160
  %on = and i1 %near, %there
  br i1 %on, label %look, label %fresh
hit:
  %next.at = getelementptr %Block, ptr %block, i32 0, i32 3
  %next = load ptr, ptr %next.at
  store ptr %next, ptr %head.at
  store atomic i64 0, ptr %bin.at release, align 8
  %old.size.at = getelementptr %Block, ptr %block, i32 0, i32 1
  %old.size = load i64, ptr %old.size.at
  %kept.at = getelementptr %State, ptr @halo_state, i32 0, i32 6
  %kept = atomicrmw sub ptr %kept.at, i64 %old.size monotonic
  br label %found
fresh:
  %new = call ptr @fresh(i64 %size, i64 %bin)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %none, label %found
found:
  %result = phi ptr [ %block, %hit ], [ %new, %fresh ]
  %taken = phi i64 [ %old.size, %hit ], [ %size, %fresh ]
  %calls.at = getelementptr %State, ptr @halo_state, i32 0, i32 9
  %calls = atomicrmw add ptr %calls.at, i64 1 monotonic
  %live.at = getelementptr %State, ptr @halo_state, i32 0, i32 7
  %before = atomicrmw add ptr %live.at, i64 %taken monotonic
  %live = add i64 %before, %taken
  %peak.at = getelementptr %State, ptr @halo_state, i32 0, i32 8
  %peak = load atomic i64, ptr %peak.at monotonic, align 8
  %higher = icmp ugt i64 %live, %peak
  br i1 %higher, label %raise, label %give
raise:
  %old = atomicrmw umax ptr %peak.at, i64 %live monotonic
  br label %give
give:
  %data = getelementptr i8, ptr %result, i64 64
  ret ptr %data
none:
  ret ptr null
}

; Free what `slot` points to, once.
define void @halo_release(ptr %slot) nounwind {
  %data = load ptr, ptr %slot
  store ptr null, ptr %slot
  call void @halo_free(ptr %data)
  ret void
}

define void @halo_free(ptr %data) nounwind {
entry:
  %nothing = icmp eq ptr %data, null
  br i1 %nothing, label %done, label %account
account:
  %block = getelementptr i8, ptr %data, i64 -64
  %size.at = getelementptr %Block, ptr %block, i32 0, i32 1
  %bin.no.at = getelementptr %Block, ptr %block, i32 0, i32 2
  %next.at = getelementptr %Block, ptr %block, i32 0, i32 3
  %size = load i64, ptr %size.at
  %bin = load i64, ptr %bin.no.at
  %live.at = getelementptr %State, ptr @halo_state, i32 0, i32 7
  %live = atomicrmw sub ptr %live.at, i64 %size monotonic
  %limit.at = getelementptr %State, ptr @halo_state, i32 0, i32 5
  %kept.at = getelementptr %State, ptr @halo_state, i32 0, i32 6
  %limit = load i64, ptr %limit.at
  %large = icmp ugt i64 %size, %limit
  br i1 %large, label %drop, label %room
room:
  %before = atomicrmw add ptr %kept.at, i64 %size monotonic
  %after = add i64 %before, %size
  %full = icmp ugt i64 %after, %limit
  br i1 %full, label %empty, label %keep
empty: ; what is kept is of sizes that are asked for no longer: begin afresh
  call void @halo_trim()
  br label %keep
keep:
  %bin.at = getelementptr %State, ptr @halo_state, i32 0, i32 10, i64 %bin
  %locked = call i1 @lock(ptr %bin.at)
  br i1 %locked, label %push, label %unkeep
push:
  %head.at = getelementptr %Bin, ptr %bin.at, i32 0, i32 1
  %next = load ptr, ptr %head.at
  store ptr %next, ptr %next.at
  store ptr %block, ptr %head.at
  store atomic i64 0, ptr %bin.at release, align 8
  br label %done
unkeep:
  %less = atomicrmw sub ptr %kept.at, i64 %size monotonic
  br label %drop
drop:
  %raw = load ptr, ptr %block
  call void @free(ptr %raw)
  br label %done
done:
  ret void
}

; A block from the system, the pool and the cache of memoized stages emptied first if it must be.
define internal ptr @fresh(i64 %size, i64 %bin) nounwind noinline {
entry:
  %total = add i64 %size, 128
  %once = call ptr @malloc(i64 %total)
  %full = icmp eq ptr %once, null
  br i1 %full, label %again, label %align
again:
  %emptied = call i32 @halo_memo_shrink(i64 0)
  call void @halo_trim()
  %twice = call ptr @malloc(i64 %total)
  %none = icmp eq ptr %twice, null
  br i1 %none, label %fail, label %align
align:
  %raw = phi ptr [ %once, %entry ], [ %twice, %again ]
  %address = ptrtoint ptr %raw to i64
  %up = add i64 %address, 63
  %aligned = and i64 %up, -64
  %block = inttoptr i64 %aligned to ptr
  %size.at = getelementptr %Block, ptr %block, i32 0, i32 1
  %bin.at = getelementptr %Block, ptr %block, i32 0, i32 2
  store ptr %raw, ptr %block
  store i64 %size, ptr %size.at
  store i64 %bin, ptr %bin.at
  ret ptr %block
fail:
  ret ptr null
}

; Give every free block back to the system.
define void @halo_trim() nounwind {
entry:
  %kept.at = getelementptr %State, ptr @halo_state, i32 0, i32 6
  br label %bins
bins:
  %k = phi i64 [ 0, %entry ], [ %k.next, %bin.done ]
  %bin.at = getelementptr %State, ptr @halo_state, i32 0, i32 10, i64 %k
  %locked = call i1 @lock(ptr %bin.at)
  br i1 %locked, label %take, label %bin.done
take:
  %head.at = getelementptr %Bin, ptr %bin.at, i32 0, i32 1
  %first = load ptr, ptr %head.at
  store ptr null, ptr %head.at
  store atomic i64 0, ptr %bin.at release, align 8
  br label %blocks
blocks:
  %block = phi ptr [ %first, %take ], [ %next, %release ]
  %end = icmp eq ptr %block, null
  br i1 %end, label %bin.done, label %release
release:
  %size.at = getelementptr %Block, ptr %block, i32 0, i32 1
  %next.at = getelementptr %Block, ptr %block, i32 0, i32 3
  %size = load i64, ptr %size.at
  %next = load ptr, ptr %next.at
  %raw = load ptr, ptr %block
  call void @free(ptr %raw)
  %less = atomicrmw sub ptr %kept.at, i64 %size monotonic
  br label %blocks
bin.done:
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, 160
  br i1 %more, label %bins, label %done
done:
  ret void
}

; Whether the bin could be locked. Giving up is always right (the system serves instead), so nobody ever hangs on a
; thread that was suspended, or that a fork left behind.
define internal i1 @lock(ptr %bin) nounwind {
entry:
  br label %spin
spin:
  %k = phi i32 [ 0, %entry ], [ %k.next, %held ]
  %was = atomicrmw xchg ptr %bin, i64 1 acquire
  %mine = icmp eq i64 %was, 0
  br i1 %mine, label %done, label %held
held:
  %k.next = add i32 %k, 1
  %more = icmp ult i32 %k.next, 256
  br i1 %more, label %spin, label %done
done:
  %got = phi i1 [ true, %spin ], [ false, %held ]
  ret i1 %got
}

; In the child of a fork: nobody is left to release what was locked.
define void @halo_after_fork() nounwind {
entry:
  %busy.at = getelementptr %State, ptr @halo_state, i32 0, i32 4
  store i64 0, ptr %busy.at
  br label %bins
bins:
  %k = phi i64 [ 0, %entry ], [ %k.next, %bins ]
  %bin.at = getelementptr %State, ptr @halo_state, i32 0, i32 10, i64 %k
  store i64 0, ptr %bin.at
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, 160
  br i1 %more, label %bins, label %done
done:
  ret void
}

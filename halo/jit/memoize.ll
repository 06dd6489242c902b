; The cache of memoized stages: what a stage computed, by the digest of all that it depends on.
; `@halo_memo_state` is the only state; runtime.py sees it as `MemoState`, field by field in this order.

%Memo = type {
  i64,              ; 0 lock
  i64,              ; 1 limit          bytes that entries may take
  i64,              ; 2 bytes          that they take
  i64,              ; 3 hits
  i64,              ; 4 misses
  i64,              ; 5 entries
  ptr,              ; 6 first          the entry used last
  ptr,              ; 7 last           the one whose use is longest ago
  [16384 x ptr]      ; 8 chains of entries, by the low bits of their digests
}
%Entry = type {
  i64,              ; 0 references     kernels that use it, and the cache itself
  i64,              ; 1 kept           it is, or was, in the cache: its values are all there
  i64,              ; 2 bytes
  i64, i64,         ; 3 4 digest
  i64, i64,         ; 5 6 whether it has a key by which it can be evicted, and that
  ptr,              ; 7 next of its chain
  ptr, ptr          ; 8 9 used before it, used after it
}                   ; the values start 128 bytes further

@halo_memo_state = global %Memo zeroinitializer

; The entry with the digest that `key` comes to, found or new; null when there is no memory. `evictable`: by `evict`.
define ptr @halo_memo_find(ptr %key, i64 %bytes, i64 %evictable, i64 %evict) nounwind {
entry:
  call void @finish(ptr %key)
  %second = getelementptr %Key, ptr %key, i32 0, i32 1
  %low = load i64, ptr %key
  %high = load i64, ptr %second
  %size = add i64 %bytes, 128
  %misses.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 4
  %locked = call i1 @lock_long(ptr @halo_memo_state)
  br i1 %locked, label %search, label %miss
search:
  %found = call ptr @chained(i64 %low, i64 %high)
  %none = icmp eq ptr %found, null
  br i1 %none, label %absent, label %hit
absent:
  store atomic i64 0, ptr @halo_memo_state release, align 8
  br label %miss
hit:
  %hits.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 3
  %hits = load i64, ptr %hits.at
  %hits.more = add i64 %hits, 1
  store i64 %hits.more, ptr %hits.at
  %used = atomicrmw add ptr %found, i64 1 monotonic
  call void @unlist(ptr %found)
  call void @list(ptr %found)
  store atomic i64 0, ptr @halo_memo_state release, align 8
  ret ptr %found
miss:
  %missed = atomicrmw add ptr %misses.at, i64 1 monotonic
  %wide = icmp ult i64 %size, %bytes
  %asked = select i1 %wide, i64 -1, i64 %size
  %new = call ptr @halo_malloc(i64 %asked)
  %empty = icmp eq ptr %new, null
  br i1 %empty, label %done, label %fill
fill:
  %kept.at = getelementptr %Entry, ptr %new, i32 0, i32 1
  %size.at = getelementptr %Entry, ptr %new, i32 0, i32 2
  %low.at = getelementptr %Entry, ptr %new, i32 0, i32 3
  %high.at = getelementptr %Entry, ptr %new, i32 0, i32 4
  %evictable.at = getelementptr %Entry, ptr %new, i32 0, i32 5
  %evict.at = getelementptr %Entry, ptr %new, i32 0, i32 6
  store i64 1, ptr %new
  store i64 0, ptr %kept.at
  store i64 %size, ptr %size.at
  store i64 %low, ptr %low.at
  store i64 %high, ptr %high.at
  store i64 %evictable, ptr %evictable.at
  store i64 %evict, ptr %evict.at
  br label %done
done:
  ret ptr %new
}

; All values of the entry are there: later calls may have them, unless they are too many or someone was faster.
define void @halo_memo_keep(ptr %entry) nounwind {
start:
  %size.at = getelementptr %Entry, ptr %entry, i32 0, i32 2
  %low.at = getelementptr %Entry, ptr %entry, i32 0, i32 3
  %high.at = getelementptr %Entry, ptr %entry, i32 0, i32 4
  %limit.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 1
  %bytes.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 2
  %entries.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 5
  %size = load i64, ptr %size.at
  %low = load i64, ptr %low.at
  %high = load i64, ptr %high.at
  %limit = load i64, ptr %limit.at
  %large = icmp ugt i64 %size, %limit
  br i1 %large, label %done, label %try
try:
  %locked = call i1 @lock_long(ptr @halo_memo_state)
  br i1 %locked, label %search, label %done
search:
  %there = call ptr @chained(i64 %low, i64 %high)
  %first = icmp eq ptr %there, null
  br i1 %first, label %put, label %unlock
put:
  %kept.at = getelementptr %Entry, ptr %entry, i32 0, i32 1
  store i64 1, ptr %kept.at
  %own = atomicrmw add ptr %entry, i64 1 monotonic
  %chain = call ptr @chain(i64 %low)
  %next.at = getelementptr %Entry, ptr %entry, i32 0, i32 7
  %next = load ptr, ptr %chain
  store ptr %next, ptr %next.at
  store ptr %entry, ptr %chain
  call void @list(ptr %entry)
  %bytes = load i64, ptr %bytes.at
  %more = add i64 %bytes, %size
  store i64 %more, ptr %bytes.at
  %entries = load i64, ptr %entries.at
  %one.more = add i64 %entries, 1
  store i64 %one.more, ptr %entries.at
  call void @shrink(i64 %limit)
  br label %unlock
unlock:
  store atomic i64 0, ptr @halo_memo_state release, align 8
  br label %done
done:
  ret void
}

; The entry is used no more by whom it was given to.
define void @halo_memo_release(ptr %entry) nounwind {
start:
  %none = icmp eq ptr %entry, null
  br i1 %none, label %done, label %drop
drop:
  %before = atomicrmw sub ptr %entry, i64 1 acq_rel
  %last = icmp eq i64 %before, 1
  br i1 %last, label %free, label %done
free:
  call void @halo_free(ptr %entry)
  br label %done
done:
  ret void
}

; Entries out of the cache until they take at most `limit` bytes, those used longest ago first; whether it could be locked.
define i32 @halo_memo_shrink(i64 %limit) nounwind {
entry:
  %locked = call i1 @lock_long(ptr @halo_memo_state)
  br i1 %locked, label %go, label %done
go:
  call void @shrink(i64 %limit)
  store atomic i64 0, ptr @halo_memo_state release, align 8
  br label %done
done:
  %did = zext i1 %locked to i32
  ret i32 %did
}

; The entries with this eviction key out of the cache; whether it could be locked.
define i32 @halo_memo_evict(i64 %key) nounwind {
entry:
  %locked = call i1 @lock_long(ptr @halo_memo_state)
  br i1 %locked, label %go, label %done
go:
  %first.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 6
  %first = load ptr, ptr %first.at
  br label %each
each:
  %entry.at = phi ptr [ %first, %go ], [ %next, %following ]
  %end = icmp eq ptr %entry.at, null
  br i1 %end, label %unlock, label %look
look:
  %next.at = getelementptr %Entry, ptr %entry.at, i32 0, i32 8
  %evictable.at = getelementptr %Entry, ptr %entry.at, i32 0, i32 5
  %evict.at = getelementptr %Entry, ptr %entry.at, i32 0, i32 6
  %next = load ptr, ptr %next.at
  %evictable = load i64, ptr %evictable.at
  %evict = load i64, ptr %evict.at
  %has = icmp ne i64 %evictable, 0
  %same = icmp eq i64 %evict, %key
  %meant = and i1 %has, %same
  br i1 %meant, label %take, label %following
take:
  call void @take(ptr %entry.at)
  br label %following
following:
  br label %each
unlock:
  store atomic i64 0, ptr @halo_memo_state release, align 8
  br label %done
done:
  %did = zext i1 %locked to i32
  ret i32 %did
}

; In the child of a fork: a cache that somebody was changing is forgotten, what it holds stays for good.
define void @halo_memo_after_fork() nounwind {
entry:
  %held = load i64, ptr @halo_memo_state
  %changing = icmp ne i64 %held, 0
  br i1 %changing, label %forget, label %done
forget:
  %bytes.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 2
  %entries.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 5
  %lists = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 6
  store i64 0, ptr %bytes.at
  store i64 0, ptr %entries.at
  call void @llvm.memset.p0.i64(ptr %lists, i8 0, i64 131088, i1 false)
  store atomic i64 0, ptr @halo_memo_state release, align 8
  br label %done
done:
  ret void
}

; What is below is done by who holds the lock.

define internal ptr @chain(i64 %low) nounwind {
  %k = and i64 %low, 16383
  %at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 8, i64 %k
  ret ptr %at
}

define internal ptr @chained(i64 %low, i64 %high) nounwind {
entry:
  %chain = call ptr @chain(i64 %low)
  br label %each
each:
  %at = phi ptr [ %chain, %entry ], [ %next.at, %other ]
  %found = load ptr, ptr %at
  %end = icmp eq ptr %found, null
  br i1 %end, label %done, label %look
look:
  %low.at = getelementptr %Entry, ptr %found, i32 0, i32 3
  %high.at = getelementptr %Entry, ptr %found, i32 0, i32 4
  %its.low = load i64, ptr %low.at
  %its.high = load i64, ptr %high.at
  %same.low = icmp eq i64 %its.low, %low
  %same.high = icmp eq i64 %its.high, %high
  %same = and i1 %same.low, %same.high
  br i1 %same, label %done, label %other
other:
  %next.at = getelementptr %Entry, ptr %found, i32 0, i32 7
  br label %each
done:
  ret ptr %found
}

define internal void @shrink(i64 %limit) nounwind {
entry:
  %bytes.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 2
  %last.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 7
  br label %head
head:
  %bytes = load i64, ptr %bytes.at
  %last = load ptr, ptr %last.at
  %over = icmp ugt i64 %bytes, %limit
  %some = icmp ne ptr %last, null
  %more = and i1 %over, %some
  br i1 %more, label %body, label %done
body:
  call void @take(ptr %last)
  br label %head
done:
  ret void
}

; The entry out of the cache; who uses it still has it.
define internal void @take(ptr %entry) nounwind {
start:
  %bytes.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 2
  %entries.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 5
  %size.at = getelementptr %Entry, ptr %entry, i32 0, i32 2
  %low.at = getelementptr %Entry, ptr %entry, i32 0, i32 3
  %low = load i64, ptr %low.at
  %chain = call ptr @chain(i64 %low)
  br label %each
each:
  %at = phi ptr [ %chain, %start ], [ %after, %other ]
  %found = load ptr, ptr %at
  %it = icmp eq ptr %found, %entry
  br i1 %it, label %unchain, label %other
other:
  %after = getelementptr %Entry, ptr %found, i32 0, i32 7
  br label %each
unchain:
  %next.at = getelementptr %Entry, ptr %entry, i32 0, i32 7
  %next = load ptr, ptr %next.at
  store ptr %next, ptr %at
  call void @unlist(ptr %entry)
  %size = load i64, ptr %size.at
  %bytes = load i64, ptr %bytes.at
  %less = sub i64 %bytes, %size
  store i64 %less, ptr %bytes.at
  %entries = load i64, ptr %entries.at
  %fewer = sub i64 %entries, 1
  store i64 %fewer, ptr %entries.at
  call void @halo_memo_release(ptr %entry)
  ret void
}

; The entry as the one used last.
define internal void @list(ptr %entry) nounwind {
start:
  %first.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 6
  %last.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 7
  %older.at = getelementptr %Entry, ptr %entry, i32 0, i32 8
  %newer.at = getelementptr %Entry, ptr %entry, i32 0, i32 9
  %first = load ptr, ptr %first.at
  store ptr %first, ptr %older.at
  store ptr null, ptr %newer.at
  store ptr %entry, ptr %first.at
  %alone = icmp eq ptr %first, null
  %its.newer = getelementptr %Entry, ptr %first, i32 0, i32 9
  %link = select i1 %alone, ptr %last.at, ptr %its.newer
  store ptr %entry, ptr %link
  ret void
}

define internal void @unlist(ptr %entry) nounwind {
start:
  %first.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 6
  %last.at = getelementptr %Memo, ptr @halo_memo_state, i32 0, i32 7
  %older.at = getelementptr %Entry, ptr %entry, i32 0, i32 8
  %newer.at = getelementptr %Entry, ptr %entry, i32 0, i32 9
  %older = load ptr, ptr %older.at
  %newer = load ptr, ptr %newer.at
  %newest = icmp eq ptr %newer, null
  %its.older = getelementptr %Entry, ptr %newer, i32 0, i32 8
  %front = select i1 %newest, ptr %first.at, ptr %its.older
  store ptr %older, ptr %front
  %oldest = icmp eq ptr %older, null
  %its.newer = getelementptr %Entry, ptr %older, i32 0, i32 9
  %back = select i1 %oldest, ptr %last.at, ptr %its.newer
  store ptr %newer, ptr %back
  ret void
}

; As @lock, with more patience: entries are freed under it.
define internal i1 @lock_long(ptr %lock) nounwind {
entry:
  br label %spin
spin:
  %k = phi i32 [ 0, %entry ], [ %k.next, %held ]
  %got = call i1 @lock(ptr %lock)
  br i1 %got, label %done, label %held
held:
  %k.next = add i32 %k, 1
  %more = icmp ult i32 %k.next, 4096
  br i1 %more, label %spin, label %done
done:
  ret i1 %got
}

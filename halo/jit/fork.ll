; Threads for the halves of forks, and the semaphores that they wait for each other with. Every half that runs has a thread
; of its own, so none waits for a place in a pool. `@halo_threads` is the only state; runtime.py sees it as `Threads`.

%Threads = type {
  i64,              ; 0 lock
  ptr,              ; 1 idle       the first thread that has nothing to do
  i64,              ; 2 count      threads that there are
  i64,              ; 3 limit      the most that there may be
  ptr               ; 4 set_thread_count  void (i32), how many threads loops of the calling thread may use
}
%Thread = type { ptr, ptr, ptr, ptr }         ; its lock, that of who waits for it, next idle one, its job
%Job = type { ptr, ptr, ptr, i32, i32, %Semaphore } ; task, closure, thread, status, thread count, whether it is done
%Semaphore = type { i64, ptr }                ; what it holds (-1: somebody waits), the lock of who waits

; A semaphore that is closed holds half of this or more.
; CLOSED = 1 << 40

@halo_threads = global %Threads { i64 0, ptr null, i64 0, i64 64, ptr null }

declare i64 @PyThread_start_new_thread(ptr, ptr)
declare ptr @PyThread_allocate_lock()
declare void @PyThread_free_lock(ptr)
declare i32 @PyThread_acquire_lock(ptr, i32)
declare void @PyThread_release_lock(ptr)

; Run task(lock, closure) in another thread. What the caller may wait on meanwhile; null if no thread is to be had, or loops
; may use one only: then nothing runs.
define ptr @halo_fork(ptr %job, ptr %task, ptr %closure) nounwind {
entry:
  br label %loaded
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
  br i1 %alone, label %none, label %take
take:
  %thread = call ptr @take_thread()
  %failed = icmp eq ptr %thread, null
  br i1 %failed, label %none, label %start
start:
  %closure.at = getelementptr %Job, ptr %job, i32 0, i32 1
  %thread.at = getelementptr %Job, ptr %job, i32 0, i32 2
  %threads.at = getelementptr %Job, ptr %job, i32 0, i32 4
  %done.at = getelementptr %Job, ptr %job, i32 0, i32 5
  store ptr %task, ptr %job
  store ptr %closure, ptr %closure.at
  store ptr %thread, ptr %thread.at
  store i32 %threads, ptr %threads.at
  store i64 0, ptr %done.at
  %job.at = getelementptr %Thread, ptr %thread, i32 0, i32 3
  store ptr %job, ptr %job.at
  %own = load ptr, ptr %thread
  call void @PyThread_release_lock(ptr %own)
  %other.at = getelementptr %Thread, ptr %thread, i32 0, i32 1
  %other = load ptr, ptr %other.at
  ret ptr %other
none:
  ret ptr null
}

; Wait until the other half is done. Its status, or `own`, that of the caller's half; of two errors the one that is not
; just that the other stopped.
define i32 @halo_join(ptr %job, i32 %own) nounwind {
entry:
  %thread.at = getelementptr %Job, ptr %job, i32 0, i32 2
  %thread = load ptr, ptr %thread.at
  %other.at = getelementptr %Thread, ptr %thread, i32 0, i32 1
  %other = load ptr, ptr %other.at
  %done.at = getelementptr %Job, ptr %job, i32 0, i32 5
  %waited = call i32 @halo_acquire(ptr %done.at, ptr %other)
  %status.at = getelementptr %Job, ptr %job, i32 0, i32 3
  %status = load i32, ptr %status.at
  call void @give_thread(ptr %thread)
  %stopped = icmp eq i32 %status, -4
  %fine = icmp eq i32 %status, 0
  %no.error = or i1 %stopped, %fine
  %mine = icmp ne i32 %own, 0
  %prefer = and i1 %no.error, %mine
  %result = select i1 %prefer, i32 %own, i32 %status
  ret i32 %result
}

; Take one of what `semaphore` holds, waiting on `lock` if it holds nothing. -4 if it is closed.
define i32 @halo_acquire(ptr %semaphore, ptr %lock) nounwind {
entry:
  br label %look
look:
  %k = phi i32 [ 0, %entry ], [ %k.next, %wait ]
  %seen = load atomic i64, ptr %semaphore monotonic, align 8
  %some = icmp sgt i64 %seen, 0
  br i1 %some, label %take, label %wait
wait:
  call void @pause()
  %k.next = add i32 %k, 1
  %more = icmp ult i32 %k.next, 100
  br i1 %more, label %look, label %take
take:
  %waiter.at = getelementptr %Semaphore, ptr %semaphore, i32 0, i32 1
  store ptr %lock, ptr %waiter.at
  %held = atomicrmw sub ptr %semaphore, i64 1 acq_rel
  %had = icmp sgt i64 %held, 0
  br i1 %had, label %test, label %park
park:
  %parked = call i32 @PyThread_acquire_lock(ptr %lock, i32 1)
  %now = load atomic i64, ptr %semaphore acquire, align 8
  br label %test
test:
  %left = phi i64 [ %held, %take ], [ %now, %park ]
  %closed = icmp sge i64 %left, 549755813888
  %result = select i1 %closed, i32 -4, i32 0
  ret i32 %result
}

; Add one to what `semaphore` holds. Who waited for it may be gone with it as soon as it is told.
define void @halo_signal(ptr %semaphore) nounwind {
  call void @add(ptr %semaphore, i64 1)
  ret void
}

; Nothing more will be added to `semaphore`: let nobody wait for it.
define void @halo_close(ptr %semaphore) nounwind {
  call void @add(ptr %semaphore, i64 1099511627776)
  ret void
}

define internal void @add(ptr %semaphore, i64 %n) nounwind alwaysinline {
entry:
  %waiter.at = getelementptr %Semaphore, ptr %semaphore, i32 0, i32 1
  %held = atomicrmw add ptr %semaphore, i64 %n acq_rel
  %waiting = icmp slt i64 %held, 0
  br i1 %waiting, label %wake, label %done
wake:
  %lock = load ptr, ptr %waiter.at
  call void @PyThread_release_lock(ptr %lock)
  br label %done
done:
  ret void
}

; What a thread does all its life: wait for a job, do it. Without one it ends.
define internal void @thread_main(ptr %thread) nounwind {
entry:
  %own = load ptr, ptr %thread
  %job.at = getelementptr %Thread, ptr %thread, i32 0, i32 3
  br label %idle
idle:
  %woken = call i32 @PyThread_acquire_lock(ptr %own, i32 1)
  %job = load ptr, ptr %job.at
  %over = icmp eq ptr %job, null
  br i1 %over, label %end, label %run
run:
  %threads.at = getelementptr %Job, ptr %job, i32 0, i32 4
  %threads = load i32, ptr %threads.at
  %set.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 4
  %set.f = load ptr, ptr %set.at
  call void %set.f(i32 %threads)
  %closure.at = getelementptr %Job, ptr %job, i32 0, i32 1
  %task = load ptr, ptr %job
  %closure = load ptr, ptr %closure.at
  %lock = ptrtoint ptr %own to i64
  %status = call i32 %task(i64 %lock, ptr %closure)
  %status.at = getelementptr %Job, ptr %job, i32 0, i32 3
  store i32 %status, ptr %status.at
  %done.at = getelementptr %Job, ptr %job, i32 0, i32 5
  call void @halo_signal(ptr %done.at)
  br label %idle
end:
  call void @forget(ptr %thread)
  ret void
}

; An idle thread, or a new one; null if there are too many, or the system gives none.
define internal ptr @take_thread() nounwind {
entry:
  %idle.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 1
  %peek = load atomic ptr, ptr %idle.at monotonic, align 8
  %empty = icmp eq ptr %peek, null
  br i1 %empty, label %new, label %try
try:
  %locked = call i1 @lock(ptr @halo_threads)
  br i1 %locked, label %pop, label %new
pop:
  %first = load ptr, ptr %idle.at
  %gone = icmp eq ptr %first, null
  br i1 %gone, label %miss, label %hit
miss:
  store atomic i64 0, ptr @halo_threads release, align 8
  br label %new
hit:
  %next.at = getelementptr %Thread, ptr %first, i32 0, i32 2
  %next = load ptr, ptr %next.at
  store ptr %next, ptr %idle.at
  store atomic i64 0, ptr @halo_threads release, align 8
  ret ptr %first
new:
  %thread = call ptr @new_thread()
  ret ptr %thread
}

define internal void @give_thread(ptr %thread) nounwind {
entry:
  %idle.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 1
  %next.at = getelementptr %Thread, ptr %thread, i32 0, i32 2
  %job.at = getelementptr %Thread, ptr %thread, i32 0, i32 3
  store ptr null, ptr %job.at
  %locked = call i1 @lock(ptr @halo_threads)
  br i1 %locked, label %push, label %dismiss
push:
  %first = load ptr, ptr %idle.at
  store ptr %first, ptr %next.at
  store ptr %thread, ptr %idle.at
  store atomic i64 0, ptr @halo_threads release, align 8
  ret void
dismiss: ; it wakes, has no job, and ends
  %own = load ptr, ptr %thread
  call void @PyThread_release_lock(ptr %own)
  ret void
}

define internal ptr @new_thread() nounwind noinline {
entry:
  %count.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 2
  %limit.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 3
  %limit = load i64, ptr %limit.at
  %before = atomicrmw add ptr %count.at, i64 1 monotonic
  %few = icmp slt i64 %before, %limit
  br i1 %few, label %memory, label %none
memory:
  %thread = call ptr @malloc(i64 32)
  %no.memory = icmp eq ptr %thread, null
  br i1 %no.memory, label %none, label %locks
locks:
  %own = call ptr @held_lock()
  %other = call ptr @held_lock()
  %other.at = getelementptr %Thread, ptr %thread, i32 0, i32 1
  %job.at = getelementptr %Thread, ptr %thread, i32 0, i32 3
  store ptr %own, ptr %thread
  store ptr %other, ptr %other.at
  store ptr null, ptr %job.at
  %no.own = icmp eq ptr %own, null
  %no.other = icmp eq ptr %other, null
  %no.lock = or i1 %no.own, %no.other
  br i1 %no.lock, label %undo, label %start
start:
  %id = call i64 @PyThread_start_new_thread(ptr @thread_main, ptr %thread)
  %id.low = trunc i64 %id to i32
  %failed = icmp eq i32 %id.low, -1
  br i1 %failed, label %undo, label %done
done:
  ret ptr %thread
undo:
  call void @forget(ptr %thread)
  ret ptr null
none:
  %less = atomicrmw sub ptr %count.at, i64 1 monotonic
  ret ptr null
}

; A lock that is held: waiting on it lasts until it is released.
define internal ptr @held_lock() nounwind {
entry:
  %lock = call ptr @PyThread_allocate_lock()
  %none = icmp eq ptr %lock, null
  br i1 %none, label %done, label %take
take:
  %taken = call i32 @PyThread_acquire_lock(ptr %lock, i32 1)
  br label %done
done:
  ret ptr %lock
}

; Free what belongs to a thread that has ended, or that never was.
define internal void @forget(ptr %thread) nounwind {
entry:
  %other.at = getelementptr %Thread, ptr %thread, i32 0, i32 1
  %own = load ptr, ptr %thread
  %other = load ptr, ptr %other.at
  call void @free_lock(ptr %own)
  call void @free_lock(ptr %other)
  call void @free(ptr %thread)
  %count.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 2
  %less = atomicrmw sub ptr %count.at, i64 1 monotonic
  ret void
}

define internal void @free_lock(ptr %lock) nounwind {
entry:
  %none = icmp eq ptr %lock, null
  br i1 %none, label %done, label %free
free:
  call void @PyThread_release_lock(ptr %lock)
  call void @PyThread_free_lock(ptr %lock)
  br label %done
done:
  ret void
}

; In the child of a fork: the threads are the parent's.
define void @halo_after_fork_of_threads() nounwind {
  %idle.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 1
  %count.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 2
  store i64 0, ptr @halo_threads
  store ptr null, ptr %idle.at
  store i64 0, ptr %count.at
  ret void
}

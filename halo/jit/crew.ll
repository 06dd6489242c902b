; The crew: threads that share parallel loops. Who starts a loop posts it, works on it until nothing is left, and waits for the
; members that are still in it; members join what is posted. So any number of callers are served at once, loops inside of loops
; too, and nobody waits for anybody to come: without members, or a free post, the caller does it all.
; After a loop members stay awake for a while, so that the next one of a network finds them within a microsecond.

%Crew = type {
  i64,              ; 0 lock
  i64,              ; 1 count      members that there are
  i64               ; 2 patience   pauses until who has nothing to do goes to sleep
}
; Seats: in bits 0 to 30 how many members may still join, bit 31 whether the caller sleeps until the last has left, from bit
; 32 on how many are inside. One word, so that none joins what is over.
%Post = type { i64, ptr, ptr, i32, [36 x i8] } ; seats, loop, the lock that its caller sleeps on, how many threads it may use
%Member = type { i64, ptr, [48 x i8] }         ; whether it sleeps, the lock that it sleeps on

; MEMBERS = 255, the most

@halo_crew = global %Crew zeroinitializer, align 64
@halo_members = internal global [255 x %Member] zeroinitializer, align 64
@halo_posts = internal global [64 x %Post] zeroinitializer, align 64
@halo_claimed = internal global [8 x i64] zeroinitializer, align 64 ; a bit for each post that has a caller
@halo_open = internal global [8 x i64] zeroinitializer, align 64    ; a bit for each that has free seats
@halo_idle = internal global [8 x i64] zeroinitializer, align 64    ; members that are awake, from bit 32 on those asleep

declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.usub.sat.i64(i64, i64)

; Run `loop` with up to `seats` members, each of which may use `threads`. False if there is nobody to share it with: nothing has
; run then.
define internal i1 @crew_run(ptr %loop, i64 %seats, i32 %threads) nounwind {
entry:
  %count.at = getelementptr %Crew, ptr @halo_crew, i32 0, i32 1
  %patience.at = getelementptr %Crew, ptr @halo_crew, i32 0, i32 2
  %all = zext i32 %threads to i64
  %others = sub i64 %all, 1
  %wanted = call i64 @llvm.umin.i64(i64 %others, i64 255)
  %count = load atomic i64, ptr %count.at monotonic, align 8
  %enough = icmp uge i64 %count, %wanted
  br i1 %enough, label %claim, label %enlist
enlist:
  call void @enlist(i64 %wanted)
  %enlisted = load atomic i64, ptr %count.at monotonic, align 8
  %nobody = icmp eq i64 %enlisted, 0
  br i1 %nobody, label %no, label %claim
claim:
  %first = load atomic i64, ptr @halo_claimed monotonic, align 8
  br label %look
look:
  %claimed = phi i64 [ %first, %claim ], [ %claimed.now, %take ]
  %full = icmp eq i64 %claimed, -1
  br i1 %full, label %no, label %take
take:
  %free = xor i64 %claimed, -1
  %k = call i64 @llvm.cttz.i64(i64 %free, i1 true)
  %bit = shl i64 1, %k
  %not.bit = xor i64 %bit, -1
  %claimed.next = or i64 %claimed, %bit
  %swapped = cmpxchg ptr @halo_claimed, i64 %claimed, i64 %claimed.next acquire monotonic
  %claimed.now = extractvalue { i64, i1 } %swapped, 0
  %mine = extractvalue { i64, i1 } %swapped, 1
  br i1 %mine, label %prepare, label %look
prepare:
  %post = getelementptr [64 x %Post], ptr @halo_posts, i64 0, i64 %k
  %loop.at = getelementptr %Post, ptr %post, i32 0, i32 1
  %lock.at = getelementptr %Post, ptr %post, i32 0, i32 2
  %threads.at = getelementptr %Post, ptr %post, i32 0, i32 3
  %lock = load ptr, ptr %lock.at
  %has.lock = icmp ne ptr %lock, null
  br i1 %has.lock, label %share, label %make.lock
make.lock:
  %new.lock = call ptr @held_lock()
  store ptr %new.lock, ptr %lock.at
  %made = icmp ne ptr %new.lock, null
  br i1 %made, label %share, label %give.up
give.up:
  %unclaimed = atomicrmw and ptr @halo_claimed, i64 %not.bit release
  br label %no
share:
  store ptr %loop, ptr %loop.at
  store i32 %threads, ptr %threads.at
  store atomic i64 %seats, ptr %post release, align 64
  %opened = atomicrmw or ptr @halo_open, i64 %bit seq_cst
  call void @wake(i64 %seats)
  call void @worker(ptr null, ptr null, ptr null, ptr %loop)
  %open = load atomic i64, ptr @halo_open monotonic, align 8
  %still = and i64 %open, %bit
  %is.open = icmp ne i64 %still, 0
  br i1 %is.open, label %shut, label %close
shut: ; else who took the last seat does so, before leaving
  %shutting = atomicrmw and ptr @halo_open, i64 %not.bit monotonic
  br label %close
close:
  %closed = atomicrmw and ptr %post, i64 -4294967296 acq_rel
  %patience = load i64, ptr %patience.at
  br label %wait
wait:
  %w = phi i64 [ 0, %close ], [ %w.next, %again ]
  %now = load atomic i64, ptr %post acquire, align 64
  %over = icmp eq i64 %now, 0
  br i1 %over, label %done, label %again
again:
  call void @pause()
  %w.next = add i64 %w, 1
  %more = icmp ult i64 %w.next, %patience
  br i1 %more, label %wait, label %park
park:
  %told = atomicrmw or ptr %post, i64 2147483648 acq_rel
  %left.meanwhile = icmp eq i64 %told, 0
  br i1 %left.meanwhile, label %done, label %sleep
sleep:
  %waited.on = load ptr, ptr %lock.at
  %slept = call i32 @PyThread_acquire_lock(ptr %waited.on, i32 1)
  br label %done
done:
  %given.back = atomicrmw and ptr @halo_claimed, i64 %not.bit release
  ret i1 true
no:
  ret i1 false
}

; Wake up to two members, if fewer than `wanted` are awake and have nothing to do. Each who joins does so too while there are
; seats: they wake as a tree.
define internal void @wake(i64 %wanted) nounwind {
entry:
  %idle = load atomic i64, ptr @halo_idle seq_cst, align 8
  %awake = and i64 %idle, 4294967295
  %asleep = lshr i64 %idle, 32
  %missing = sub i64 %wanted, %awake
  %some.missing = icmp sgt i64 %missing, 0
  %some.asleep = icmp ne i64 %asleep, 0
  %go = and i1 %some.missing, %some.asleep
  br i1 %go, label %begin, label %done
begin:
  %calls = call i64 @llvm.umin.i64(i64 %missing, i64 2)
  %count.at = getelementptr %Crew, ptr @halo_crew, i32 0, i32 1
  %count = load atomic i64, ptr %count.at acquire, align 8
  br label %head
head:
  %m = phi i64 [ 0, %begin ], [ %m.next, %next ]
  %left = phi i64 [ %calls, %begin ], [ %left.next, %next ]
  %some = icmp ult i64 %m, %count
  %more = icmp ne i64 %left, 0
  %on = and i1 %some, %more
  br i1 %on, label %look, label %done
look:
  %member = getelementptr [255 x %Member], ptr @halo_members, i64 0, i64 %m
  %woken = call i1 @rouse(ptr %member)
  br i1 %woken, label %release, label %next
release:
  %lock.at = getelementptr %Member, ptr %member, i32 0, i32 1
  %lock = load ptr, ptr %lock.at
  call void @PyThread_release_lock(ptr %lock)
  br label %next
next:
  %fewer = zext i1 %woken to i64
  %left.next = sub i64 %left, %fewer
  %m.next = add i64 %m, 1
  br label %head
done:
  ret void
}

; Whether this was the first to wake the member, which is awake from now on.
define internal i1 @rouse(ptr %member) nounwind {
entry:
  %state = load atomic i64, ptr %member monotonic, align 64
  %sleeps = icmp ne i64 %state, 0
  br i1 %sleeps, label %try, label %no
try:
  %swapped = cmpxchg ptr %member, i64 1, i64 0 seq_cst monotonic
  %first = extractvalue { i64, i1 } %swapped, 1
  br i1 %first, label %yes, label %no
yes: ; one asleep less, one awake more
  %was = atomicrmw add ptr @halo_idle, i64 -4294967295 seq_cst
  ret i1 true
no:
  ret i1 false
}

; What a member does all its life: join loops, sleep where there are none. Who stayed awake in vain lately (`trust` 0) mostly
; does so for an eighth of the time only.
define internal void @member_main(ptr %member) nounwind {
entry:
  %lock.at = getelementptr %Member, ptr %member, i32 0, i32 1
  %patience.at = getelementptr %Crew, ptr @halo_crew, i32 0, i32 2
  %set.at = getelementptr %Threads, ptr @halo_threads, i32 0, i32 4
  %lock = load ptr, ptr %lock.at
  br label %begin
begin:
  %trust = phi i64 [ 4, %entry ], [ %trust.more, %left ], [ %trust.less, %woken ]
  %naps = phi i64 [ 0, %entry ], [ %naps, %left ], [ %naps.next, %woken ]
  %patience = load i64, ptr %patience.at
  %short = lshr i64 %patience, 3
  %turn = and i64 %naps, 7
  %trusts = icmp ne i64 %trust, 0
  %due = icmp eq i64 %turn, 0
  %long = or i1 %trusts, %due
  %limit = select i1 %long, i64 %patience, i64 %short
  br label %awake
awake:
  %k = phi i64 [ 0, %begin ], [ %k.next, %idle ]
  %open = load atomic i64, ptr @halo_open monotonic, align 8
  %nothing = icmp eq i64 %open, 0
  br i1 %nothing, label %idle, label %look
look:
  %p = call i64 @llvm.cttz.i64(i64 %open, i1 true)
  %post = getelementptr [64 x %Post], ptr @halo_posts, i64 0, i64 %p
  %seats = load atomic i64, ptr %post monotonic, align 64
  %free = and i64 %seats, 2147483647
  %full = icmp eq i64 %free, 0
  br i1 %full, label %idle, label %join
join: ; one seat less, one more inside
  %in = add i64 %seats, 4294967295
  %swapped = cmpxchg ptr %post, i64 %seats, i64 %in acq_rel monotonic
  %joined = extractvalue { i64, i1 } %swapped, 1
  br i1 %joined, label %inside, label %idle
inside:
  %busy = atomicrmw sub ptr @halo_idle, i64 1 monotonic
  %others = sub i64 %free, 1
  %last = icmp eq i64 %others, 0
  br i1 %last, label %shut, label %call
shut:
  %bit = shl i64 1, %p
  %not.bit = xor i64 %bit, -1
  %shutting = atomicrmw and ptr @halo_open, i64 %not.bit monotonic
  br label %run
call:
  call void @wake(i64 %others)
  br label %run
run:
  %loop.at = getelementptr %Post, ptr %post, i32 0, i32 1
  %caller.at = getelementptr %Post, ptr %post, i32 0, i32 2
  %threads.at = getelementptr %Post, ptr %post, i32 0, i32 3
  %threads = load i32, ptr %threads.at
  %set.f = load ptr, ptr %set.at
  call void %set.f(i32 %threads)
  %loop = load ptr, ptr %loop.at
  call void @worker(ptr null, ptr null, ptr null, ptr %loop)
  %free.again = atomicrmw add ptr @halo_idle, i64 1 monotonic
  %caller = load ptr, ptr %caller.at
  %before = atomicrmw sub ptr %post, i64 4294967296 acq_rel
  %awaited = icmp eq i64 %before, 6442450944 ; the last, and the caller sleeps
  br i1 %awaited, label %tell, label %left
tell:
  call void @PyThread_release_lock(ptr %caller)
  br label %left
left:
  %trust.up = add i64 %trust, 1
  %trust.more = call i64 @llvm.umin.i64(i64 %trust.up, i64 8)
  br label %begin
idle:
  call void @pause()
  %k.next = add i64 %k, 1
  %patient = icmp ult i64 %k.next, %limit
  br i1 %patient, label %awake, label %sleep
sleep: ; who posts a loop from now on sees it; a loop from before is seen here
  store atomic i64 1, ptr %member seq_cst, align 64
  %told = atomicrmw add ptr @halo_idle, i64 4294967295 seq_cst
  %late = load atomic i64, ptr @halo_open seq_cst, align 8
  %none = icmp eq i64 %late, 0
  br i1 %none, label %wait, label %stay
stay:
  %stays = call i1 @rouse(ptr %member)
  br i1 %stays, label %woken, label %wait
wait:
  %waited = call i32 @PyThread_acquire_lock(ptr %lock, i32 1)
  br label %woken
woken:
  %trust.less = call i64 @llvm.usub.sat.i64(i64 %trust, i64 1)
  %naps.next = add i64 %naps, 1
  br label %begin
}

; Start members until there are `wanted`, or the system gives no more.
define internal void @enlist(i64 %wanted) nounwind noinline {
entry:
  %count.at = getelementptr %Crew, ptr @halo_crew, i32 0, i32 1
  %locked = call i1 @lock(ptr @halo_crew)
  br i1 %locked, label %head, label %done
head:
  %m = load atomic i64, ptr %count.at monotonic, align 8
  %enough = icmp uge i64 %m, %wanted
  br i1 %enough, label %unlock, label %prepare
prepare:
  %member = getelementptr [255 x %Member], ptr @halo_members, i64 0, i64 %m
  %lock.at = getelementptr %Member, ptr %member, i32 0, i32 1
  %lock = call ptr @held_lock()
  %no.lock = icmp eq ptr %lock, null
  br i1 %no.lock, label %unlock, label %start
start:
  store i64 0, ptr %member
  store ptr %lock, ptr %lock.at
  %awake = atomicrmw add ptr @halo_idle, i64 1 seq_cst
  %id = call i64 @PyThread_start_new_thread(ptr @member_main, ptr %member)
  %id.low = trunc i64 %id to i32
  %failed = icmp eq i32 %id.low, -1
  br i1 %failed, label %undo, label %started
started:
  %count = add i64 %m, 1
  store atomic i64 %count, ptr %count.at release, align 8
  br label %head
undo:
  %less = atomicrmw sub ptr @halo_idle, i64 1 seq_cst
  call void @free_lock(ptr %lock)
  br label %unlock
unlock:
  store atomic i64 0, ptr @halo_crew release, align 8
  br label %done
done:
  ret void
}

; Look for loops `n` times, as an idle member does: so patience is measured.
define void @halo_idle_for(i64 %n) nounwind {
entry:
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k.next, %head ]
  %open = load atomic i64, ptr @halo_open monotonic, align 8
  call void @pause()
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %n
  br i1 %more, label %head, label %done
done:
  ret void
}

; In the child of a fork: members and callers are the parent's, and so are the locks that they sleep on.
define void @halo_after_fork_of_crew() nounwind {
entry:
  %count.at = getelementptr %Crew, ptr @halo_crew, i32 0, i32 1
  store i64 0, ptr @halo_crew
  store i64 0, ptr %count.at
  store i64 0, ptr @halo_claimed
  store i64 0, ptr @halo_open
  store i64 0, ptr @halo_idle
  call void @llvm.memset.p0.i64(ptr @halo_posts, i8 0, i64 4096, i1 false)
  ret void
}

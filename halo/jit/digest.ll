; Digests of all that a memoized stage depends on.
;
; SipHash-2-4 (Aumasson and Bernstein, 2012; 128 bits) of words: who asks, the region, parameters, and for every block of
; an input four sums of NH, the universal hash of UMAC (Black, Halevi, Krawczyk, Krovetz and Rogaway, 1999), at four
; offsets of one random key: two blocks that differ have the same sums with probability 2**-128.
; `@halo_memo_secret` is filled with random numbers by runtime.py.

%Key = type { i64, i64, i64, i64, i64 }     ; the four words of SipHash, and how many were absorbed
%Feed = type { [8192 x i8], i64 }           ; a block of an input that is not full yet, and its bytes

@halo_memo_secret = global [132 x <16 x i32>] zeroinitializer, align 64 ; 128 for a block, 3 more offsets; SipHash
@owners = internal global i64 0 ; kernels that have asked

declare i64 @llvm.fshl.i64(i64, i64, i64)
declare i64 @llvm.vector.reduce.add.v8i64(<8 x i64>)
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; Begin one for the kernel whose own number is at `owner` (0: it has none yet), from the first `n` words.
define void @halo_memo_key(ptr %key, ptr %owner, ptr %words, i64 %n) nounwind {
entry:
  %k0.at = getelementptr <16 x i32>, ptr @halo_memo_secret, i64 131
  %k1.at = getelementptr i64, ptr %k0.at, i64 1
  %k0 = load i64, ptr %k0.at
  %k1 = load i64, ptr %k1.at
  %v0 = xor i64 %k0, 8317987319222330741
  %v1.64 = xor i64 %k1, 7237128888997146499
  %v1 = xor i64 %v1.64, 238
  %v2 = xor i64 %k0, 7816392313619706465
  %v3 = xor i64 %k1, 8387220255154660723
  %v1.at = getelementptr %Key, ptr %key, i32 0, i32 1
  %v2.at = getelementptr %Key, ptr %key, i32 0, i32 2
  %v3.at = getelementptr %Key, ptr %key, i32 0, i32 3
  %count.at = getelementptr %Key, ptr %key, i32 0, i32 4
  store i64 %v0, ptr %key
  store i64 %v1, ptr %v1.at
  store i64 %v2, ptr %v2.at
  store i64 %v3, ptr %v3.at
  store i64 0, ptr %count.at
  %known = load atomic i64, ptr %owner monotonic, align 8
  %new = icmp eq i64 %known, 0
  br i1 %new, label %number, label %begin
number:
  %before = atomicrmw add ptr @owners, i64 1 monotonic
  %own = add i64 %before, 1
  %swap = cmpxchg ptr %owner, i64 0, i64 %own monotonic monotonic
  %there = load atomic i64, ptr %owner monotonic, align 8
  br label %begin
begin:
  %id = phi i64 [ %known, %entry ], [ %there, %number ]
  call void @absorb(ptr %key, i64 %id)
  br label %head
head:
  %i = phi i64 [ 0, %begin ], [ %i.next, %body ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %word.at = getelementptr i64, ptr %words, i64 %i
  %word = load i64, ptr %word.at
  call void @absorb(ptr %key, i64 %word)
  %i.next = add i64 %i, 1
  br label %head
done:
  ret void
}

define internal void @absorb(ptr %key, i64 %word) nounwind {
  %v3.at = getelementptr %Key, ptr %key, i32 0, i32 3
  %count.at = getelementptr %Key, ptr %key, i32 0, i32 4
  %v3 = load i64, ptr %v3.at
  %in = xor i64 %v3, %word
  store i64 %in, ptr %v3.at
  call void @rounds(ptr %key, i64 2)
  %v0 = load i64, ptr %key
  %out = xor i64 %v0, %word
  store i64 %out, ptr %key
  %count = load i64, ptr %count.at
  %more = add i64 %count, 1
  store i64 %more, ptr %count.at
  ret void
}

define internal void @rounds(ptr %key, i64 %n) nounwind {
entry:
  %v1.at = getelementptr %Key, ptr %key, i32 0, i32 1
  %v2.at = getelementptr %Key, ptr %key, i32 0, i32 2
  %v3.at = getelementptr %Key, ptr %key, i32 0, i32 3
  %a0 = load i64, ptr %key
  %a1 = load i64, ptr %v1.at
  %a2 = load i64, ptr %v2.at
  %a3 = load i64, ptr %v3.at
  br label %round
round:
  %k = phi i64 [ 0, %entry ], [ %k.next, %round ]
  %v0 = phi i64 [ %a0, %entry ], [ %d0, %round ]
  %v1 = phi i64 [ %a1, %entry ], [ %d1, %round ]
  %v2 = phi i64 [ %a2, %entry ], [ %d2, %round ]
  %v3 = phi i64 [ %a3, %entry ], [ %d3, %round ]
  %b0 = add i64 %v0, %v1
  %r1 = call i64 @llvm.fshl.i64(i64 %v1, i64 %v1, i64 13)
  %b1 = xor i64 %r1, %b0
  %c0 = call i64 @llvm.fshl.i64(i64 %b0, i64 %b0, i64 32)
  %b2 = add i64 %v2, %v3
  %r3 = call i64 @llvm.fshl.i64(i64 %v3, i64 %v3, i64 16)
  %b3 = xor i64 %r3, %b2
  %d0 = add i64 %c0, %b3
  %s3 = call i64 @llvm.fshl.i64(i64 %b3, i64 %b3, i64 21)
  %d3 = xor i64 %s3, %d0
  %c2 = add i64 %b2, %b1
  %s1 = call i64 @llvm.fshl.i64(i64 %b1, i64 %b1, i64 17)
  %d1 = xor i64 %s1, %c2
  %d2 = call i64 @llvm.fshl.i64(i64 %c2, i64 %c2, i64 32)
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %n
  br i1 %more, label %round, label %done
done:
  store i64 %d0, ptr %key
  store i64 %d1, ptr %v1.at
  store i64 %d2, ptr %v2.at
  store i64 %d3, ptr %v3.at
  ret void
}

; The sums of NH of `n` vectors of 64 bytes, at most 128, absorbed.
define internal void @sums(ptr %key, ptr %data, i64 %n) nounwind {
entry:
  br label %vector
vector:
  %i = phi i64 [ 0, %entry ], [ %i.next, %vector ]
  %s0 = phi <8 x i64> [ zeroinitializer, %entry ], [ %t0, %vector ]
  %s1 = phi <8 x i64> [ zeroinitializer, %entry ], [ %t1, %vector ]
  %s2 = phi <8 x i64> [ zeroinitializer, %entry ], [ %t2, %vector ]
  %s3 = phi <8 x i64> [ zeroinitializer, %entry ], [ %t3, %vector ]
  %m.at = getelementptr <16 x i32>, ptr %data, i64 %i
  %k0.at = getelementptr <16 x i32>, ptr @halo_memo_secret, i64 %i
  %k1.at = getelementptr <16 x i32>, ptr %k0.at, i64 1
  %k2.at = getelementptr <16 x i32>, ptr %k0.at, i64 2
  %k3.at = getelementptr <16 x i32>, ptr %k0.at, i64 3
  %m = load <16 x i32>, ptr %m.at, align 1
  %k0 = load <16 x i32>, ptr %k0.at, align 64
  %k1 = load <16 x i32>, ptr %k1.at, align 64
  %k2 = load <16 x i32>, ptr %k2.at, align 64
  %k3 = load <16 x i32>, ptr %k3.at, align 64
  %x0 = add <16 x i32> %m, %k0
  %y0 = bitcast <16 x i32> %x0 to <8 x i64>
  %odd0 = lshr <8 x i64> %y0, splat (i64 32)
  %even0 = and <8 x i64> %y0, splat (i64 4294967295)
  %p0 = mul <8 x i64> %even0, %odd0
  %x1 = add <16 x i32> %m, %k1
  %y1 = bitcast <16 x i32> %x1 to <8 x i64>
  %odd1 = lshr <8 x i64> %y1, splat (i64 32)
  %even1 = and <8 x i64> %y1, splat (i64 4294967295)
  %p1 = mul <8 x i64> %even1, %odd1
  %x2 = add <16 x i32> %m, %k2
  %y2 = bitcast <16 x i32> %x2 to <8 x i64>
  %odd2 = lshr <8 x i64> %y2, splat (i64 32)
  %even2 = and <8 x i64> %y2, splat (i64 4294967295)
  %p2 = mul <8 x i64> %even2, %odd2
  %x3 = add <16 x i32> %m, %k3
  %y3 = bitcast <16 x i32> %x3 to <8 x i64>
  %odd3 = lshr <8 x i64> %y3, splat (i64 32)
  %even3 = and <8 x i64> %y3, splat (i64 4294967295)
  %p3 = mul <8 x i64> %even3, %odd3
  %t0 = add <8 x i64> %s0, %p0
  %t1 = add <8 x i64> %s1, %p1
  %t2 = add <8 x i64> %s2, %p2
  %t3 = add <8 x i64> %s3, %p3
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %n
  br i1 %more, label %vector, label %done
done:
  %w0 = call i64 @llvm.vector.reduce.add.v8i64(<8 x i64> %t0)
  %w1 = call i64 @llvm.vector.reduce.add.v8i64(<8 x i64> %t1)
  %w2 = call i64 @llvm.vector.reduce.add.v8i64(<8 x i64> %t2)
  %w3 = call i64 @llvm.vector.reduce.add.v8i64(<8 x i64> %t3)
  call void @absorb(ptr %key, i64 %w0)
  call void @absorb(ptr %key, i64 %w1)
  call void @absorb(ptr %key, i64 %w2)
  call void @absorb(ptr %key, i64 %w3)
  ret void
}

; The content of an input, absorbed: `view` holds its address, its `rank` extents and its strides in elements of `size`
; bytes. It is taken in the order in which it lies in memory, and that order is absorbed too.
define void @halo_memo_read(ptr %key, ptr %view, i64 %rank, i64 %size) nounwind {
entry:
  %ns = alloca [65 x i64]
  %strides = alloca [65 x i64]
  %at = alloca [64 x i64]
  %feed = alloca %Feed, align 64
  %fill.at = getelementptr %Feed, ptr %feed, i32 0, i32 1
  store i64 0, ptr %fill.at
  %address = load i64, ptr %view
  %shape = getelementptr i64, ptr %view, i64 1
  %steps = getelementptr i64, ptr %shape, i64 %rank
  br label %axis
axis: ; the axes, the one with the smallest stride first, all strides made positive
  %d = phi i64 [ 0, %entry ], [ %d.next, %axis.done ]
  %count = phi i64 [ 0, %entry ], [ %count.next, %axis.done ]
  %base = phi i64 [ %address, %entry ], [ %base.next, %axis.done ]
  %more = icmp slt i64 %d, %rank
  br i1 %more, label %look, label %merge
look:
  %n.at = getelementptr i64, ptr %shape, i64 %d
  %n = load i64, ptr %n.at
  call void @absorb(ptr %key, i64 %n)
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %step, label %done
step:
  %step.at = getelementptr i64, ptr %steps, i64 %d
  %elements = load i64, ptr %step.at
  %bytes = mul i64 %elements, %size
  %single = icmp eq i64 %n, 1
  %same = icmp eq i64 %bytes, 0
  %skipped = or i1 %single, %same
  %d.next = add i64 %d, 1
  br i1 %skipped, label %axis.done, label %turn
turn:
  %down = icmp slt i64 %bytes, 0
  %up = sub i64 0, %bytes
  %stride = select i1 %down, i64 %up, i64 %bytes
  %last = sub i64 %n, 1
  %span = mul i64 %last, %bytes
  %first = add i64 %base, %span
  %base.turned = select i1 %down, i64 %first, i64 %base
  br label %shift
shift:
  %k = phi i64 [ %count, %turn ], [ %k.below, %move ]
  %is.first = icmp eq i64 %k, 0
  br i1 %is.first, label %put, label %compare
compare:
  %k.below = sub i64 %k, 1
  %below.at = getelementptr i64, ptr %strides, i64 %k.below
  %below = load i64, ptr %below.at
  %larger = icmp sgt i64 %below, %stride
  br i1 %larger, label %move, label %put
move:
  %above.at = getelementptr i64, ptr %strides, i64 %k
  store i64 %below, ptr %above.at
  %n.below.at = getelementptr i64, ptr %ns, i64 %k.below
  %n.below = load i64, ptr %n.below.at
  %n.above.at = getelementptr i64, ptr %ns, i64 %k
  store i64 %n.below, ptr %n.above.at
  br label %shift
put:
  %put.stride.at = getelementptr i64, ptr %strides, i64 %k
  store i64 %stride, ptr %put.stride.at
  %put.n.at = getelementptr i64, ptr %ns, i64 %k
  store i64 %n, ptr %put.n.at
  %zero.at = getelementptr i64, ptr %at, i64 %count
  store i64 0, ptr %zero.at
  %one.more = add i64 %count, 1
  br label %axis.done
axis.done: ; where this axis came among them, and whether it was turned, is its place in memory
  %count.next = phi i64 [ %count, %step ], [ %one.more, %put ]
  %base.next = phi i64 [ %base, %step ], [ %base.turned, %put ]
  %place = phi i64 [ -1, %step ], [ %k, %put ]
  %turned = phi i1 [ false, %step ], [ %down, %put ]
  %twice = shl i64 %place, 1
  %flag = zext i1 %turned to i64
  %where = add i64 %twice, %flag
  call void @absorb(ptr %key, i64 %where)
  br label %axis
merge: ; axes that continue each other without a gap are one run of bytes
  %j = phi i64 [ 0, %axis ], [ %j.next, %joined ]
  %run = phi i64 [ %size, %axis ], [ %run.next, %joined ]
  %left = icmp slt i64 %j, %count
  br i1 %left, label %test, label %runs
test:
  %j.stride.at = getelementptr i64, ptr %strides, i64 %j
  %j.stride = load i64, ptr %j.stride.at
  %dense = icmp eq i64 %j.stride, %run
  br i1 %dense, label %joined, label %runs
joined:
  %j.n.at = getelementptr i64, ptr %ns, i64 %j
  %j.n = load i64, ptr %j.n.at
  %run.next = mul i64 %run, %j.n
  %j.next = add i64 %j, 1
  br label %merge
runs: ; short ones are gathered, a row at a time
  %short = icmp slt i64 %run, 64
  %rows = and i1 %short, %left
  %row.n.at = getelementptr i64, ptr %ns, i64 %j
  %row.stride.at = getelementptr i64, ptr %strides, i64 %j
  %row.n = load i64, ptr %row.n.at
  %row.stride = load i64, ptr %row.stride.at
  %j.after = add i64 %j, 1
  %outer = select i1 %rows, i64 %j.after, i64 %j
  br label %piece
piece:
  %here = phi i64 [ %base, %runs ], [ %here.next, %advance ]
  %from = inttoptr i64 %here to ptr
  br i1 %rows, label %row, label %dense.run
row:
  call void @gather(ptr %key, ptr %feed, ptr %from, i64 %row.n, i64 %row.stride, i64 %run)
  br label %odometer
dense.run:
  call void @feed(ptr %key, ptr %feed, ptr %from, i64 %run)
  br label %odometer
odometer:
  %o = phi i64 [ %outer, %row ], [ %outer, %dense.run ], [ %o.next, %wrap ]
  %o.here = phi i64 [ %here, %row ], [ %here, %dense.run ], [ %back, %wrap ]
  %inside = icmp slt i64 %o, %count
  br i1 %inside, label %tick, label %flush
tick:
  %o.at = getelementptr i64, ptr %at, i64 %o
  %o.n.at = getelementptr i64, ptr %ns, i64 %o
  %o.stride.at = getelementptr i64, ptr %strides, i64 %o
  %index = load i64, ptr %o.at
  %o.n = load i64, ptr %o.n.at
  %o.stride = load i64, ptr %o.stride.at
  %following = add i64 %index, 1
  %fits = icmp slt i64 %following, %o.n
  br i1 %fits, label %advance, label %wrap
wrap:
  store i64 0, ptr %o.at
  %passed = mul i64 %index, %o.stride
  %back = sub i64 %o.here, %passed
  %o.next = add i64 %o, 1
  br label %odometer
advance:
  store i64 %following, ptr %o.at
  %here.next = add i64 %o.here, %o.stride
  br label %piece
flush: ; the last block, filled up with zeros to whole vectors
  %fill = load i64, ptr %fill.at
  %up.to = add i64 %fill, 63
  %vectors = lshr i64 %up.to, 6
  %none = icmp eq i64 %vectors, 0
  br i1 %none, label %done, label %rest
rest:
  %whole = shl i64 %vectors, 6
  %missing = sub i64 %whole, %fill
  %end = getelementptr i8, ptr %feed, i64 %fill
  call void @llvm.memset.p0.i64(ptr %end, i8 0, i64 %missing, i1 false)
  call void @sums(ptr %key, ptr %feed, i64 %vectors)
  br label %done
done:
  ret void
}

; `n` bytes, block by block: whole blocks from where they lie.
define internal void @feed(ptr %key, ptr %feed, ptr %data, i64 %n) nounwind {
entry:
  %fill.at = getelementptr %Feed, ptr %feed, i32 0, i32 1
  br label %head
head:
  %from = phi ptr [ %data, %entry ], [ %after, %block ], [ %beyond, %kept ]
  %left = phi i64 [ %n, %entry ], [ %less, %block ], [ %fewer, %kept ]
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %look, label %done
look:
  %fill = load i64, ptr %fill.at
  %empty = icmp eq i64 %fill, 0
  %enough = icmp sge i64 %left, 8192
  %whole = and i1 %empty, %enough
  br i1 %whole, label %block, label %copy
block:
  call void @sums(ptr %key, ptr %from, i64 128)
  %after = getelementptr i8, ptr %from, i64 8192
  %less = sub i64 %left, 8192
  br label %head
copy:
  %space = sub i64 8192, %fill
  %part = call i64 @llvm.smin.i64(i64 %left, i64 %space)
  %to = getelementptr i8, ptr %feed, i64 %fill
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %part, i1 false)
  call void @filled(ptr %key, ptr %feed, i64 %part)
  %beyond = getelementptr i8, ptr %from, i64 %part
  %fewer = sub i64 %left, %part
  br label %kept
kept:
  br label %head
done:
  ret void
}

; The block holds `n` bytes more; a full one is absorbed.
define internal void @filled(ptr %key, ptr %feed, i64 %n) nounwind {
entry:
  %fill.at = getelementptr %Feed, ptr %feed, i32 0, i32 1
  %fill = load i64, ptr %fill.at
  %new = add i64 %fill, %n
  %full = icmp eq i64 %new, 8192
  %kept = select i1 %full, i64 0, i64 %new
  store i64 %kept, ptr %fill.at
  br i1 %full, label %absorb, label %done
absorb:
  call void @sums(ptr %key, ptr %feed, i64 128)
  br label %done
done:
  ret void
}

; `n` pieces of `size` bytes, `stride` bytes apart.
define internal void @gather(ptr %key, ptr %feed, ptr %data, i64 %n, i64 %stride, i64 %size) nounwind {
entry:
  %fill.at = getelementptr %Feed, ptr %feed, i32 0, i32 1
  br label %head
head:
  %from = phi ptr [ %data, %entry ], [ %beyond, %end ], [ %after, %one ]
  %left = phi i64 [ %n, %entry ], [ %fewer, %end ], [ %less, %one ]
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %some, label %done
some:
  %fill = load i64, ptr %fill.at
  %to = getelementptr i8, ptr %feed, i64 %fill
  %space = sub i64 8192, %fill
  %room = udiv i64 %space, %size
  %part = call i64 @llvm.smin.i64(i64 %left, i64 %room)
  %torn = icmp eq i64 %room, 0
  br i1 %torn, label %one, label %several
one:
  call void @feed(ptr %key, ptr %feed, ptr %from, i64 %size)
  %after = getelementptr i8, ptr %from, i64 %stride
  %less = sub i64 %left, 1
  br label %head
several:
  switch i64 %size, label %bytes [ i64 8, label %words
                                   i64 4, label %halves
                                   i64 2, label %quarters ]
words:
  %k8 = phi i64 [ 0, %several ], [ %k8.next, %words ]
  %o8 = mul i64 %k8, %stride
  %from8 = getelementptr i8, ptr %from, i64 %o8
  %to8 = getelementptr i64, ptr %to, i64 %k8
  %v8 = load i64, ptr %from8, align 1
  store i64 %v8, ptr %to8, align 1
  %k8.next = add i64 %k8, 1
  %more8 = icmp slt i64 %k8.next, %part
  br i1 %more8, label %words, label %end
halves:
  %k4 = phi i64 [ 0, %several ], [ %k4.next, %halves ]
  %o4 = mul i64 %k4, %stride
  %from4 = getelementptr i8, ptr %from, i64 %o4
  %to4 = getelementptr i32, ptr %to, i64 %k4
  %v4 = load i32, ptr %from4, align 1
  store i32 %v4, ptr %to4, align 1
  %k4.next = add i64 %k4, 1
  %more4 = icmp slt i64 %k4.next, %part
  br i1 %more4, label %halves, label %end
quarters:
  %k2 = phi i64 [ 0, %several ], [ %k2.next, %quarters ]
  %o2 = mul i64 %k2, %stride
  %from2 = getelementptr i8, ptr %from, i64 %o2
  %to2 = getelementptr i16, ptr %to, i64 %k2
  %v2 = load i16, ptr %from2, align 1
  store i16 %v2, ptr %to2, align 1
  %k2.next = add i64 %k2, 1
  %more2 = icmp slt i64 %k2.next, %part
  br i1 %more2, label %quarters, label %end
bytes:
  %k1 = phi i64 [ 0, %several ], [ %k1.next, %bytes.end ]
  %o1 = mul i64 %k1, %stride
  %p1 = mul i64 %k1, %size
  %from1 = getelementptr i8, ptr %from, i64 %o1
  %to1 = getelementptr i8, ptr %to, i64 %p1
  br label %byte
byte:
  %b = phi i64 [ 0, %bytes ], [ %b.next, %byte ]
  %from.b = getelementptr i8, ptr %from1, i64 %b
  %to.b = getelementptr i8, ptr %to1, i64 %b
  %v1 = load i8, ptr %from.b
  store i8 %v1, ptr %to.b
  %b.next = add i64 %b, 1
  %more.b = icmp slt i64 %b.next, %size
  br i1 %more.b, label %byte, label %bytes.end
bytes.end:
  %k1.next = add i64 %k1, 1
  %more1 = icmp slt i64 %k1.next, %part
  br i1 %more1, label %bytes, label %end
end:
  %copied = mul i64 %part, %size
  call void @filled(ptr %key, ptr %feed, i64 %copied)
  %passed = mul i64 %part, %stride
  %beyond = getelementptr i8, ptr %from, i64 %passed
  %fewer = sub i64 %left, %part
  br label %head
done:
  ret void
}

; End it: the digest, in the first two words of `key`.
define internal void @finish(ptr %key) nounwind {
  %v1.at = getelementptr %Key, ptr %key, i32 0, i32 1
  %v2.at = getelementptr %Key, ptr %key, i32 0, i32 2
  %count.at = getelementptr %Key, ptr %key, i32 0, i32 4
  %count = load i64, ptr %count.at
  call void @absorb(ptr %key, i64 %count)
  %v2 = load i64, ptr %v2.at
  %v2.end = xor i64 %v2, 238
  store i64 %v2.end, ptr %v2.at
  call void @rounds(ptr %key, i64 4)
  %low = call i64 @folded(ptr %key)
  %v1 = load i64, ptr %v1.at
  %v1.end = xor i64 %v1, 221
  store i64 %v1.end, ptr %v1.at
  call void @rounds(ptr %key, i64 4)
  %high = call i64 @folded(ptr %key)
  store i64 %low, ptr %key
  store i64 %high, ptr %v1.at
  ret void
}

define internal i64 @folded(ptr %key) nounwind {
  %v1.at = getelementptr %Key, ptr %key, i32 0, i32 1
  %v2.at = getelementptr %Key, ptr %key, i32 0, i32 2
  %v3.at = getelementptr %Key, ptr %key, i32 0, i32 3
  %v0 = load i64, ptr %key
  %v1 = load i64, ptr %v1.at
  %v2 = load i64, ptr %v2.at
  %v3 = load i64, ptr %v3.at
  %a = xor i64 %v0, %v1
  %b = xor i64 %v2, %v3
  %c = xor i64 %a, %b
  ret i64 %c
}

; The second half of entry.ll: what NumPy's arrays are made of, and new ones.

; Pointer, extents and strides (in elements) of an array into `slot`, and its range of addresses into `range`.
; Its bytes, or -1 if it is not an aligned ndarray of that dtype and rank, without empty axes.
define internal i64 @unpack(ptr %object, ptr %dtype, i64 %ndim, i64 %shift, ptr %slot, ptr %range) nounwind {
entry:
  %type.at = getelementptr %PyObject, ptr %object, i32 0, i32 1
  %type = load ptr, ptr %type.at
  %is.array = icmp eq ptr %type, @numpy_ndarray
  br i1 %is.array, label %head, label %odd
head:
  %data.at = getelementptr %Array, ptr %object, i32 0, i32 1
  %data = load i64, ptr %data.at
  %nd.at = getelementptr %Array, ptr %object, i32 0, i32 2
  %nd = load i32, ptr %nd.at
  %dims.at = getelementptr %Array, ptr %object, i32 0, i32 3
  %dims = load ptr, ptr %dims.at
  %strides.at = getelementptr %Array, ptr %object, i32 0, i32 4
  %strides = load ptr, ptr %strides.at
  %descr.at = getelementptr %Array, ptr %object, i32 0, i32 6
  %descr = load ptr, ptr %descr.at
  %item = shl i64 1, %shift
  %mask = sub i64 %item, 1
  %off = and i64 %data, %mask
  %aligned = icmp eq i64 %off, 0
  %typed = icmp eq ptr %descr, %dtype
  %nd.64 = sext i32 %nd to i64
  %ranked = icmp eq i64 %nd.64, %ndim
  %good.0 = and i1 %aligned, %typed
  %good = and i1 %good.0, %ranked
  store i64 %data, ptr %slot
  br i1 %good, label %axis, label %odd
axis:
  %d = phi i64 [ 0, %head ], [ %d.next, %axis.done ]
  %low = phi i64 [ %data, %head ], [ %low.next, %axis.done ]
  %high = phi i64 [ %data, %head ], [ %high.next, %axis.done ]
  %count = phi i64 [ 1, %head ], [ %count.next, %axis.done ]
  %all = icmp eq i64 %d, %ndim
  br i1 %all, label %done, label %axis.one
axis.one:
  %n.at = getelementptr i64, ptr %dims, i64 %d
  %n = load i64, ptr %n.at
  %s.at = getelementptr i64, ptr %strides, i64 %d
  %s = load i64, ptr %s.at
  %n.less = sub i64 %n, 1
  %n.ok = icmp ult i64 %n.less, 2147483647
  %split = and i64 %s, %mask
  %s.ok = icmp eq i64 %split, 0
  %axis.ok = and i1 %n.ok, %s.ok
  br i1 %axis.ok, label %axis.done, label %odd
axis.done:
  %d.next = add i64 %d, 1
  %extent.at = getelementptr i64, ptr %slot, i64 %d.next
  store i64 %n, ptr %extent.at
  %stride.no = add i64 %d.next, %ndim
  %stride.at = getelementptr i64, ptr %slot, i64 %stride.no
  %step = ashr i64 %s, %shift
  %last = icmp eq i64 %d.next, %ndim
  %point = icmp eq i64 %n, 1
  %any = and i1 %last, %point
  %stride = select i1 %any, i64 1, i64 %step
  store i64 %stride, ptr %stride.at
  %reach = mul i64 %n.less, %s
  %down = call i64 @llvm.smin.i64(i64 %reach, i64 0)
  %up = call i64 @llvm.smax.i64(i64 %reach, i64 0)
  %low.next = add i64 %low, %down
  %high.next = add i64 %high, %up
  %count.next = mul i64 %count, %n
  br label %axis
done:
  %end = add i64 %high, %item
  %end.at = getelementptr i64, ptr %range, i64 1
  store i64 %low, ptr %range
  store i64 %end, ptr %end.at
  %bytes = shl i64 %count, %shift
  ret i64 %bytes
odd:
  ret i64 -1
}

; The same for an output, which must be writable, of the shape of the others of its tuple, and step over itself: each axis
; over all of the next. Its origin is 0.
define internal i64 @unpack_output(ptr %output, ptr %object, ptr %slots, ptr %range) nounwind {
entry:
  %slot.no = load i64, ptr %output
  %slot = getelementptr i64, ptr %slots, i64 %slot.no
  %dtype.at = getelementptr %Output, ptr %output, i32 0, i32 1
  %dtype = load ptr, ptr %dtype.at
  %ndim.at = getelementptr %Output, ptr %output, i32 0, i32 2
  %ndim = load i64, ptr %ndim.at
  %shift.at = getelementptr %Output, ptr %output, i32 0, i32 3
  %shift = load i64, ptr %shift.at
  %bytes = call i64 @unpack(ptr %object, ptr %dtype, i64 %ndim, i64 %shift, ptr %slot, ptr %range)
  %bad = icmp slt i64 %bytes, 0
  br i1 %bad, label %odd, label %flags
flags:
  %flags.at = getelementptr %Array, ptr %object, i32 0, i32 7
  %all.flags = load i32, ptr %flags.at
  %writable = and i32 %all.flags, 1024
  %locked = icmp eq i32 %writable, 0
  %like.at = getelementptr %Output, ptr %output, i32 0, i32 6
  %like.no = load i64, ptr %like.at
  %like = getelementptr i64, ptr %slots, i64 %like.no
  br i1 %locked, label %odd, label %axis
axis:
  %d = phi i64 [ %ndim, %flags ], [ %d.less, %axis.next ]
  %reach = phi i64 [ 1, %flags ], [ %reach.next, %axis.next ]
  %all = icmp eq i64 %d, 0
  br i1 %all, label %done, label %axis.one
axis.one:
  %d.less = sub i64 %d, 1
  %n.at = getelementptr i64, ptr %slot, i64 %d
  %n = load i64, ptr %n.at
  %s.no = add i64 %d, %ndim
  %s.at = getelementptr i64, ptr %slot, i64 %s.no
  %s = load i64, ptr %s.at
  %min.no = add i64 %s.no, %ndim
  %min.at = getelementptr i64, ptr %slot, i64 %min.no
  store i64 0, ptr %min.at
  %first.at = getelementptr i64, ptr %like, i64 %d
  %first = load i64, ptr %first.at
  %alike = icmp eq i64 %n, %first
  %clear = icmp sge i64 %s, %reach
  %point = icmp eq i64 %n, 1
  %steps = or i1 %clear, %point
  %ok = and i1 %steps, %alike
  %over = mul i64 %s, %n
  br i1 %ok, label %axis.next, label %odd
axis.next:
  %reach.next = select i1 %point, i64 %reach, i64 %over
  br label %axis
done:
  ret i64 %bytes
odd:
  ret i64 -1
}

; Whether range number `place` meets none before it.
define internal i1 @apart(ptr %ranges, i64 %place) nounwind {
entry:
  %mine = getelementptr [2 x i64], ptr %ranges, i64 %place
  %mine.end.at = getelementptr i64, ptr %mine, i64 1
  %low = load i64, ptr %mine
  %high = load i64, ptr %mine.end.at
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %all = icmp eq i64 %k, %place
  br i1 %all, label %yes, label %test
test:
  %other = getelementptr [2 x i64], ptr %ranges, i64 %k
  %other.end.at = getelementptr i64, ptr %other, i64 1
  %begin = load i64, ptr %other
  %end = load i64, ptr %other.end.at
  %before = icmp ult i64 %low, %end
  %after = icmp ult i64 %begin, %high
  %meet = and i1 %before, %after
  br i1 %meet, label %no, label %next
next:
  %k.next = add i64 %k, 1
  br label %head
yes:
  ret i1 true
no:
  ret i1 false
}

; numpy.empty(shape, dtype), of the extents that the inputs give if `given` is null; null leaves it to the slow path, which
; has other memory for what is large.
define internal ptr @allocate(ptr %output, ptr %slots, ptr %given) nounwind {
entry:
  %call = alloca [2 x ptr]
  %dtype.at = getelementptr %Output, ptr %output, i32 0, i32 1
  %dtype = load ptr, ptr %dtype.at
  %ndim.at = getelementptr %Output, ptr %output, i32 0, i32 2
  %ndim = load i64, ptr %ndim.at
  %extents.at = getelementptr %Output, ptr %output, i32 0, i32 4
  %extents = load ptr, ptr %extents.at
  %inferred = icmp eq ptr %given, null
  br i1 %inferred, label %infer, label %use
use:
  %type.at = getelementptr %PyObject, ptr %given, i32 0, i32 1
  %type = load ptr, ptr %type.at
  %is.tuple = icmp eq ptr %type, @PyTuple_Type
  br i1 %is.tuple, label %share, label %no
share:
  call void @Py_IncRef(ptr %given)
  br label %make
infer:
  %unknown = icmp eq ptr %extents, null
  br i1 %unknown, label %no, label %tuple
tuple:
  %shape = call ptr @PyTuple_New(i64 %ndim)
  %failed = icmp eq ptr %shape, null
  br i1 %failed, label %error, label %axis
axis:
  %d = phi i64 [ 0, %tuple ], [ %d.next, %axis.one ]
  %all = icmp eq i64 %d, %ndim
  br i1 %all, label %make, label %axis.one
axis.one:
  %slot.at = getelementptr i64, ptr %extents, i64 %d
  %slot = load i64, ptr %slot.at
  %n.at = getelementptr i64, ptr %slots, i64 %slot
  %n = load i64, ptr %n.at
  %number = call ptr @PyLong_FromLongLong(i64 %n)
  %set = call i32 @PyTuple_SetItem(ptr %shape, i64 %d, ptr %number)
  %d.next = add i64 %d, 1
  br label %axis
make:
  %extent.tuple = phi ptr [ %given, %share ], [ %shape, %axis ]
  %dtype.arg = getelementptr ptr, ptr %call, i64 1
  store ptr %extent.tuple, ptr %call
  store ptr %dtype, ptr %dtype.arg
  %array = call ptr @PyObject_VectorcallDict(ptr @numpy_empty, ptr %call, i64 2, ptr null)
  call void @Py_DecRef(ptr %extent.tuple)
  %none = icmp eq ptr %array, null
  br i1 %none, label %error, label %made
made:
  %shift.at = getelementptr %Output, ptr %output, i32 0, i32 3
  %shift = load i64, ptr %shift.at
  %item = shl i64 1, %shift
  %nd.at = getelementptr %Array, ptr %array, i32 0, i32 2
  %nd = load i32, ptr %nd.at
  %axes = sext i32 %nd to i64
  %dims.at = getelementptr %Array, ptr %array, i32 0, i32 3
  %dims = load ptr, ptr %dims.at
  %large.at = getelementptr %Output, ptr %output, i32 0, i32 5
  %large = load i64, ptr %large.at
  br label %count
count:
  %k = phi i64 [ 0, %made ], [ %k.next, %count.one ]
  %bytes = phi i64 [ %item, %made ], [ %bytes.next, %count.one ]
  %counted = icmp eq i64 %k, %axes
  br i1 %counted, label %weigh, label %count.one
count.one:
  %extent.at = getelementptr i64, ptr %dims, i64 %k
  %extent = load i64, ptr %extent.at
  %bytes.next = mul i64 %bytes, %extent
  %k.next = add i64 %k, 1
  br label %count
weigh:
  %small = icmp slt i64 %bytes, %large
  br i1 %small, label %yes, label %leave
leave:
  call void @Py_DecRef(ptr %array)
  ret ptr null
yes:
  ret ptr %array
error:
  call void @PyErr_Clear()
  ret ptr null
no:
  ret ptr null
}

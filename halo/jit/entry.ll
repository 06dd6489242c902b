; A call of a kernel from Python, in machine code. Exact ndarrays of the right dtype and rank, Python numbers, dense
; enough strides and no overlap are served here; for anything else, and for every status but 0, the same arguments go to
; the slow path in Python, which sees all that may be said of them. entry_arrays.ll is the second half of this module.

%Call = type {
  ptr,    ; 0 kernel    i32 (slots, error)
  ptr,    ; 1 slow      Python callable: slow(status, *args, **kwargs)
  i64,    ; 2 inputs    number of arguments
  ptr,    ; 3 arguments %Argument[]
  i64,    ; 4 count     number of output arrays
  ptr,    ; 5 outputs   %Output[]
  i64,    ; 6 named     1: the keyword `out` is one array, and `shape` the shape of one; 2: `out` is a tuple of `count` arrays
  i64,    ; 7 packed    the result is a tuple
  i64,    ; 8 release   bytes of arrays from which on the GIL is released
  i64,    ; 9 positional most arguments and outputs by position
  ptr     ; 10 ahead    i32 (slots), what comes before the outputs, 0 if it allows the call; or null
}
%Argument = type {
  ptr,    ; 0 name      interned str
  i64,    ; 1 kind      0 array, 1 integer, 2 f32, 3 f64, 4 bool_, 5 another scalar (the slow path), 6 not used
  i64,    ; 2 slot      where it goes
  ptr,    ; 3 default   Python object, or null
  ptr,    ; 4 dtype
  i64,    ; 5 ndim
  i64,    ; 6 shift     log2 of the itemsize
  i64,    ; 7 least     of integers; 1 for an array that promises a contiguous last axis
  i64     ; 8 most      of integers
}
%Output = type {
  i64,    ; 0 slot
  ptr,    ; 1 dtype
  i64,    ; 2 ndim
  i64,    ; 3 shift
  ptr,    ; 4 extents   the slot of the extent of each axis, or null where no input gives it
  i64,    ; 5 large     bytes from which on the slow path allocates it
  i64     ; 6 like      the slot of the first output of the same tuple, whose shape it has
}
; The head of PyArrayObject_fields, after a PyObject of 16 bytes: part of NumPy's binary interface.
%PyObject = type { i64, ptr }
%Array = type { %PyObject, ptr, i32, ptr, ptr, ptr, ptr, i32 } ; data, nd, dimensions, strides, base, descr, flags

@numpy_ndarray = external global i8
@numpy_empty = external global i8
@name_of_call = external global i8 ; "__call__"
@PyFloat_Type = external global i8
@PyLong_Type = external global i8
@PyTuple_Type = external global i8
@_Py_NoneStruct = external global i8
@_Py_TrueStruct = external global i8
@_Py_FalseStruct = external global i8

declare ptr @PyCapsule_GetPointer(ptr, ptr)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyLong_FromLongLong(i64)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyObject_VectorcallDict(ptr, ptr, i64, ptr)
declare ptr @PyObject_VectorcallMethod(ptr, ptr, i64, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare void @PyErr_Clear()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)

; METH_FASTCALL | METH_KEYWORDS. `self` is a capsule that holds a %Call of at most 32 objects and 256 slots.
define ptr @halo_entry(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) nounwind {
entry:
  %objects = alloca [32 x ptr]
  %ranges = alloca [64 x i64]
  %slots = alloca [256 x i64]
  %error = alloca [64 x i64]
  %call = call ptr @PyCapsule_GetPointer(ptr %self, ptr null)
  %inputs.at = getelementptr %Call, ptr %call, i32 0, i32 2
  %inputs = load i64, ptr %inputs.at
  %arguments.at = getelementptr %Call, ptr %call, i32 0, i32 3
  %arguments = load ptr, ptr %arguments.at
  %count.at = getelementptr %Call, ptr %call, i32 0, i32 4
  %count = load i64, ptr %count.at
  %outputs.at = getelementptr %Call, ptr %call, i32 0, i32 5
  %outputs = load ptr, ptr %outputs.at
  %total = add i64 %inputs, %count
  %shape.at = getelementptr ptr, ptr %objects, i64 %total
  %collected = call i1 @collect(ptr %call, ptr %args, i64 %nargs, ptr %kwnames, ptr %objects, i64 %total)
  br i1 %collected, label %take, label %slow
take: ; the arguments
  %k = phi i64 [ 0, %entry ], [ %k.next, %taken ]
  %bytes = phi i64 [ 0, %entry ], [ %bytes.next, %taken ]
  %all = icmp eq i64 %k, %inputs
  br i1 %all, label %ahead, label %take.one
take.one:
  %argument = getelementptr %Argument, ptr %arguments, i64 %k
  %object.at = getelementptr ptr, ptr %objects, i64 %k
  %passed = load ptr, ptr %object.at
  %default.at = getelementptr %Argument, ptr %argument, i32 0, i32 3
  %default = load ptr, ptr %default.at
  %absent = icmp eq ptr %passed, null
  %object = select i1 %absent, ptr %default, ptr %passed
  %missing = icmp eq ptr %object, null
  br i1 %missing, label %slow, label %take.it
take.it:
  %range = getelementptr [2 x i64], ptr %ranges, i64 %k
  %size = call i64 @take(ptr %argument, ptr %object, ptr %slots, ptr %range)
  %odd = icmp slt i64 %size, 0
  br i1 %odd, label %slow, label %taken
taken:
  %k.next = add i64 %k, 1
  %bytes.next = add i64 %bytes, %size
  br label %take
ahead:
  %ahead.at = getelementptr %Call, ptr %call, i32 0, i32 10
  %ahead.f = load ptr, ptr %ahead.at
  %nothing = icmp eq ptr %ahead.f, null
  br i1 %nothing, label %give, label %ask
ask:
  %answer = call i32 %ahead.f(ptr %slots)
  %allowed = icmp eq i32 %answer, 0
  br i1 %allowed, label %give, label %slow
give: ; the outputs: each ends as a reference of ours
  %j = phi i64 [ 0, %ahead ], [ 0, %ask ], [ %j.next, %given ]
  %volume = phi i64 [ %bytes, %ahead ], [ %bytes, %ask ], [ %volume.next, %given ]
  %done = icmp eq i64 %j, %count
  br i1 %done, label %run, label %give.one
give.one:
  %output = getelementptr %Output, ptr %outputs, i64 %j
  %place = add i64 %inputs, %j
  %out.at = getelementptr ptr, ptr %objects, i64 %place
  %out.range = getelementptr [2 x i64], ptr %ranges, i64 %place
  %out = load ptr, ptr %out.at
  %fresh = icmp eq ptr %out, null
  br i1 %fresh, label %make, label %use
make:
  %shape = load ptr, ptr %shape.at
  %made = call ptr @allocate(ptr %output, ptr %slots, ptr %shape)
  store ptr %made, ptr %out.at
  %unmade = icmp eq ptr %made, null
  br i1 %unmade, label %undo, label %made.unpack
made.unpack:
  %made.size = call i64 @unpack_output(ptr %output, ptr %made, ptr %slots, ptr %out.range)
  %j.counted = add i64 %j, 1
  %made.odd = icmp slt i64 %made.size, 0
  br i1 %made.odd, label %undo, label %given
use:
  %use.shape = load ptr, ptr %shape.at
  %use.free = icmp eq ptr %use.shape, null
  br i1 %use.free, label %use.unpack, label %undo
use.unpack:
  %use.size = call i64 @unpack_output(ptr %output, ptr %out, ptr %slots, ptr %out.range)
  %use.odd = icmp slt i64 %use.size, 0
  br i1 %use.odd, label %undo, label %use.apart
use.apart:
  %apart = call i1 @apart(ptr %ranges, i64 %place)
  br i1 %apart, label %use.keep, label %undo
use.keep:
  call void @Py_IncRef(ptr %out)
  br label %given
given:
  %given.size = phi i64 [ %made.size, %made.unpack ], [ %use.size, %use.keep ]
  %j.next = add i64 %j, 1
  %volume.next = add i64 %volume, %given.size
  br label %give
run:
  %kernel = load ptr, ptr %call
  %release.at = getelementptr %Call, ptr %call, i32 0, i32 8
  %release = load i64, ptr %release.at
  %big = icmp sge i64 %volume, %release
  br i1 %big, label %run.free, label %run.held
run.free:
  %thread = call ptr @PyEval_SaveThread()
  %status.free = call i32 %kernel(ptr %slots, ptr %error)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %ran
run.held:
  %status.held = call i32 %kernel(ptr %slots, ptr %error)
  br label %ran
ran:
  %status = phi i32 [ %status.free, %run.free ], [ %status.held, %run.held ]
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %return, label %undo
return:
  %first = getelementptr ptr, ptr %objects, i64 %inputs
  %packed.at = getelementptr %Call, ptr %call, i32 0, i32 7
  %packed = load i64, ptr %packed.at
  %single = icmp eq i64 %packed, 0
  br i1 %single, label %return.one, label %return.tuple
return.one:
  %one = load ptr, ptr %first
  ret ptr %one
return.tuple:
  %tuple = call ptr @pack(ptr %first, i64 %count)
  ret ptr %tuple
undo: ; give up the references to outputs before number `u.end`
  %u.end = phi i64 [ %j, %make ], [ %j.counted, %made.unpack ], [ %j, %use ], [ %j, %use.unpack ], [ %j, %use.apart ], [ %count, %ran ]
  %u.status = phi i32 [ 0, %make ], [ 0, %made.unpack ], [ 0, %use ], [ 0, %use.unpack ], [ 0, %use.apart ], [ %status, %ran ]
  br label %undo.head
undo.head:
  %u = phi i64 [ 0, %undo ], [ %u.next, %undo.one ]
  %u.done = icmp eq i64 %u, %u.end
  br i1 %u.done, label %slow, label %undo.one
undo.one:
  %u.place = add i64 %inputs, %u
  %u.at = getelementptr ptr, ptr %objects, i64 %u.place
  %u.object = load ptr, ptr %u.at
  call void @Py_DecRef(ptr %u.object)
  %u.next = add i64 %u, 1
  br label %undo.head
slow:
  %why = phi i32 [ 0, %entry ], [ 0, %take.one ], [ 0, %take.it ], [ 0, %ask ], [ %u.status, %undo.head ]
  %result = call ptr @slow(ptr %call, i32 %why, ptr %args, i64 %nargs, ptr %kwnames)
  ret ptr %result
}

; Each argument and output array to its place, then the shape; null where there is none. False for names and numbers
; that do not fit.
define internal i1 @collect(ptr %call, ptr %args, i64 %nargs, ptr %kwnames, ptr %objects, i64 %total) nounwind {
entry:
  %positional.at = getelementptr %Call, ptr %call, i32 0, i32 9
  %positional = load i64, ptr %positional.at
  %many = icmp sgt i64 %nargs, %positional
  br i1 %many, label %no, label %copy
copy:
  %left = sub i64 %total, %nargs
  %rest = getelementptr ptr, ptr %objects, i64 %nargs
  %copied = shl i64 %nargs, 3
  %left.shape = add i64 %left, 1
  %cleared = shl i64 %left.shape, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %objects, ptr %args, i64 %copied, i1 false)
  call void @llvm.memset.p0.i64(ptr %rest, i8 0, i64 %cleared, i1 false)
  %bare = icmp eq ptr %kwnames, null
  br i1 %bare, label %yes, label %named
named:
  %inputs.at = getelementptr %Call, ptr %call, i32 0, i32 2
  %inputs = load i64, ptr %inputs.at
  %arguments.at = getelementptr %Call, ptr %call, i32 0, i32 3
  %arguments = load ptr, ptr %arguments.at
  %named.at = getelementptr %Call, ptr %call, i32 0, i32 6
  %named.out = load i64, ptr %named.at
  %reachable = add i64 %inputs, 2
  %keywords = call i64 @PyTuple_Size(ptr %kwnames)
  br label %keyword
keyword:
  %w = phi i64 [ 0, %named ], [ %w.next, %next ]
  %w.done = icmp eq i64 %w, %keywords
  br i1 %w.done, label %yes, label %look
look:
  %name = call ptr @PyTuple_GetItem(ptr %kwnames, i64 %w)
  %value.no = add i64 %nargs, %w
  %value.at = getelementptr ptr, ptr %args, i64 %value.no
  %value = load ptr, ptr %value.at
  br label %search
search: ; the names after the last are `out` and `shape`
  %k = phi i64 [ 0, %look ], [ %k.next, %other ]
  %none = icmp eq i64 %k, %reachable
  br i1 %none, label %no, label %compare
compare:
  %known.at = getelementptr %Argument, ptr %arguments, i64 %k
  %known = load ptr, ptr %known.at
  %same = icmp eq ptr %known, %name
  br i1 %same, label %known.name, label %other
other:
  %k.next = add i64 %k, 1
  br label %search
known.name:
  %is.option = icmp sge i64 %k, %inputs
  br i1 %is.option, label %option, label %found
option:
  %is.none = icmp eq ptr %value, @_Py_NoneStruct
  br i1 %is.none, label %next, label %option.given
option.given:
  %one.out = icmp eq i64 %named.out, 1
  br i1 %one.out, label %found, label %several
several:
  %is.out = icmp eq i64 %k, %inputs
  %tuple.out = icmp eq i64 %named.out, 2
  %may.spread = and i1 %is.out, %tuple.out
  br i1 %may.spread, label %tuple, label %no
tuple:
  %type.at = getelementptr %PyObject, ptr %value, i32 0, i32 1
  %type = load ptr, ptr %type.at
  %is.tuple = icmp eq ptr %type, @PyTuple_Type
  br i1 %is.tuple, label %measure, label %no
measure:
  %size = call i64 @PyTuple_Size(ptr %value)
  %outs = sub i64 %total, %inputs
  %fits = icmp eq i64 %size, %outs
  br i1 %fits, label %spread, label %no
spread:
  %j = phi i64 [ 0, %measure ], [ %j.next, %spread.set ]
  %j.done = icmp eq i64 %j, %outs
  br i1 %j.done, label %next, label %spread.one
spread.one:
  %place = add i64 %inputs, %j
  %spread.at = getelementptr ptr, ptr %objects, i64 %place
  %taken = load ptr, ptr %spread.at
  %free = icmp eq ptr %taken, null
  br i1 %free, label %spread.set, label %no
spread.set:
  %item = call ptr @PyTuple_GetItem(ptr %value, i64 %j)
  store ptr %item, ptr %spread.at
  %j.next = add i64 %j, 1
  br label %spread
found:
  %object.at = getelementptr ptr, ptr %objects, i64 %k
  %before = load ptr, ptr %object.at
  %twice = icmp ne ptr %before, null
  br i1 %twice, label %no, label %set
set:
  store ptr %value, ptr %object.at
  br label %next
next:
  %w.next = add i64 %w, 1
  br label %keyword
yes:
  ret i1 true
no:
  ret i1 false
}

; An argument into its slots. Its bytes, or -1 for the slow path.
define internal i64 @take(ptr %argument, ptr %object, ptr %slots, ptr %range) nounwind {
entry:
  %overflow = alloca i32
  %kind.at = getelementptr %Argument, ptr %argument, i32 0, i32 1
  %kind = load i64, ptr %kind.at
  %slot.at = getelementptr %Argument, ptr %argument, i32 0, i32 2
  %slot.no = load i64, ptr %slot.at
  %slot = getelementptr i64, ptr %slots, i64 %slot.no
  %least.at = getelementptr %Argument, ptr %argument, i32 0, i32 7
  %least = load i64, ptr %least.at
  %is.array = icmp eq i64 %kind, 0
  br i1 %is.array, label %array, label %scalar
array:
  %dtype.at = getelementptr %Argument, ptr %argument, i32 0, i32 4
  %dtype = load ptr, ptr %dtype.at
  %ndim.at = getelementptr %Argument, ptr %argument, i32 0, i32 5
  %ndim = load i64, ptr %ndim.at
  %shift.at = getelementptr %Argument, ptr %argument, i32 0, i32 6
  %shift = load i64, ptr %shift.at
  %bytes = call i64 @unpack(ptr %object, ptr %dtype, i64 %ndim, i64 %shift, ptr %slot, ptr %range)
  %loose = icmp eq i64 %least, 0
  %bad = icmp slt i64 %bytes, 0
  %settled = or i1 %loose, %bad
  br i1 %settled, label %array.done, label %promise
promise:
  %last = shl i64 %ndim, 1
  %stride.at = getelementptr i64, ptr %slot, i64 %last
  %stride = load i64, ptr %stride.at
  %dense = icmp eq i64 %stride, 1
  br i1 %dense, label %array.done, label %odd
array.done:
  ret i64 %bytes
scalar:
  store [2 x i64] zeroinitializer, ptr %range
  %type.at = getelementptr %PyObject, ptr %object, i32 0, i32 1
  %type = load ptr, ptr %type.at
  %is.float = icmp eq ptr %type, @PyFloat_Type
  %is.int = icmp eq ptr %type, @PyLong_Type
  switch i64 %kind, label %odd [ i64 1, label %integer i64 2, label %float i64 3, label %float i64 4, label %bool i64 6, label %done ]
integer:
  br i1 %is.int, label %read, label %odd
read:
  %value = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %overflow)
  %over = load i32, ptr %overflow
  %small = icmp eq i32 %over, 0
  %most.at = getelementptr %Argument, ptr %argument, i32 0, i32 8
  %most = load i64, ptr %most.at
  %above = icmp sge i64 %value, %least
  %below = icmp sle i64 %value, %most
  %between = and i1 %above, %below
  %fits = and i1 %between, %small
  store i64 %value, ptr %slot
  br i1 %fits, label %done, label %odd
float:
  br i1 %is.float, label %float.float, label %float.int
float.float:
  %as.float = call double @PyFloat_AsDouble(ptr %object)
  br label %convert
float.int:
  br i1 %is.int, label %float.read, label %odd
float.read:
  %number = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %overflow)
  %number.over = load i32, ptr %overflow
  %as.int = sitofp i64 %number to double
  %exact = icmp eq i32 %number.over, 0
  br i1 %exact, label %convert, label %odd
convert:
  %double = phi double [ %as.float, %float.float ], [ %as.int, %float.read ]
  %wide = icmp eq i64 %kind, 3
  br i1 %wide, label %store.double, label %store.float
store.double:
  store double %double, ptr %slot
  br label %done
store.float:
  %single = fptrunc double %double to float
  store float %single, ptr %slot
  br label %done
bool:
  %true = icmp eq ptr %object, @_Py_TrueStruct
  %false = icmp eq ptr %object, @_Py_FalseStruct
  %is.bool = or i1 %true, %false
  %bit = zext i1 %true to i64
  store i64 %bit, ptr %slot
  br i1 %is.bool, label %done, label %odd
done:
  ret i64 0
odd:
  ret i64 -1
}

define internal ptr @pack(ptr %objects, i64 %count) nounwind {
entry:
  %tuple = call ptr @PyTuple_New(i64 %count)
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k.next, %one ]
  %all = icmp eq i64 %k, %count
  br i1 %all, label %done, label %one
one:
  %object.at = getelementptr ptr, ptr %objects, i64 %k
  %object = load ptr, ptr %object.at
  %set = call i32 @PyTuple_SetItem(ptr %tuple, i64 %k, ptr %object)
  %k.next = add i64 %k, 1
  br label %head
done:
  ret ptr %tuple
}

; slow(status, *args, **kwargs)
define internal ptr @slow(ptr %call, i32 %status, ptr %args, i64 %nargs, ptr %kwnames) nounwind {
entry:
  %slow.at = getelementptr %Call, ptr %call, i32 0, i32 1
  %callable = load ptr, ptr %slow.at
  %bare = icmp eq ptr %kwnames, null
  br i1 %bare, label %build, label %count
count:
  %keywords = call i64 @PyTuple_Size(ptr %kwnames)
  br label %build
build:
  %named = phi i64 [ 0, %entry ], [ %keywords, %count ]
  %passed = add i64 %nargs, %named
  %room = add i64 %passed, 2
  %all = alloca ptr, i64 %room
  store ptr %callable, ptr %all
  %status.64 = sext i32 %status to i64
  %number = call ptr @PyLong_FromLongLong(i64 %status.64)
  %first = getelementptr ptr, ptr %all, i64 1
  store ptr %number, ptr %first
  %rest = getelementptr ptr, ptr %all, i64 2
  %bytes = shl i64 %passed, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %args, i64 %bytes, i1 false)
  %positional = add i64 %nargs, 2
  %result = call ptr @PyObject_VectorcallMethod(ptr @name_of_call, ptr %all, i64 %positional, ptr %kwnames)
  call void @Py_DecRef(ptr %number)
  ret ptr %result
}

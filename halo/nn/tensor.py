"""Tensors: what the operators of `halo.nn` take and give, a stage with its shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import halo
from halo import Func, Input, Param, Type
from halo.errors import ArgumentError, UnknownValueError, here
from halo.ir.shapes import DimExpr, as_extents, shown, told
from halo.ir.surface import Table
from halo.jit.arrays import as_array
from halo.jit.extents import Condition
from halo.types import as_type

__all__ = ["Tensor", "TensorType", "array_of", "tensor", "type_of"]


@dataclass(frozen=True)
class TensorType:
    """An element type, and an extent an axis: an integer, or what a call decides, a `halo.Dim` or arithmetic over Dims, which
    is given as text, too."""

    shape: tuple[Any, ...]
    dtype: Type

    def __post_init__(self) -> None:
        if any(isinstance(n, str) for n in self.shape):
            object.__setattr__(self, "shape", as_extents(self.shape))

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def static(self) -> tuple[int, ...]:
        """The extents, all of them integers. UnknownValueError if one is symbolic."""
        found = tuple(n for n in self.shape if isinstance(n, int))
        if len(found) < self.ndim:
            raise UnknownValueError(f"a shape without names is wanted here, not {shown(self.shape)}", loc=here())
        return found

    @property
    def bytes(self) -> Any:
        """How many there are: an integer where all extents are."""
        return math.prod(self.shape) * self.dtype.bytes

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A stage (a Func, or an Input) and the shape that it is computed over, from 0 on.

    >>> import halo
    >>> from halo import nn
    >>> t = nn.relu(halo.Input("x", halo.f32, shape=("n", 3)))
    >>> t.shape, t.dtype
    ((n, 3), halo.f32)
    >>> t(x=np.array([[-1, 0, 2]], np.float32))
    array([[0., 0., 2.]], dtype=float32)
    """

    func: Any
    shape: tuple[Any, ...]
    dtype: Type
    conditions: tuple[Condition, ...] = ()  # of extents, which a call checks

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def type(self) -> TensorType:
        """Its element type and extents."""
        return TensorType(self.shape, self.dtype)

    def __getitem__(self, indices: Any) -> Any:
        return self.func[indices]

    def __call__(self, *args: Any, out: Any = None, **inputs: Any) -> Any:
        """Run the pipeline that ends here on arrays, as a call of its Func does; symbolic extents come from the inputs, and
        have no position among the arguments."""
        sources = self.func.inputs
        told_by = told(getattr(s, "extents", None) or () for s in sources.values())
        order = [name for name in sources if name not in told_by]
        if len(args) > len(order):
            raise ArgumentError(f"{self} takes {len(order)} arrays, not {len(args)}", loc=here(), legal=tuple(order))
        given = {**dict(zip(order, args, strict=False)), **inputs}

        def of(name: str) -> Any:
            if name in given:
                return given[name]
            for source, value in given.items():
                where = told((getattr(sources.get(source), "extents", None) or (),)).get(name)
                if where is not None:
                    return where.value(int(array_of(value, name).shape[where.axis]))
            raise ArgumentError(f"no input of the call says what {name} is", loc=here())

        extents = {
            name: of(name) for name, source in sources.items() if isinstance(source, Param) and name not in given
        }
        for c in self.conditions:
            if (error := c.failed(of)) is not None:
                raise error
        known = None
        if out is None:
            known = tuple(n.evaluate(of) if isinstance(n, DimExpr) else n for n in self.shape)
        return self.func(out=out, shape=known, **given, **extents)

    def __repr__(self) -> str:
        return f"<nn.Tensor {self.func.name}: {self.type}>"


def tensor(value: Any, shape: Any = None, dtype: Any = None) -> Tensor:
    """`value` as a Tensor: a Tensor, an array (a constant), an Input with a shape, or a Func whose `shape` is given.

    The element type of a Func is found by typing it where `dtype` does not say it. Raises ArgumentError for anything else.

    >>> import halo
    >>> from halo import nn
    >>> f, x = halo.Func("f"), halo.Var("x")
    >>> f[x] = x * 2
    >>> nn.tensor(f, shape=(3,))
    <nn.Tensor f: i32[3]>
    """
    if isinstance(value, Tensor):
        return value
    extents = as_extents(shape)
    if isinstance(value, Input):
        extents = value.extents if extents is None else extents
        if extents is None:
            raise ArgumentError(f"the shape of the input {value.name} is not known", loc=here(),
                                hint=f"halo.Input({value.name!r}, halo.f32, shape=(...))")  # fmt: skip
        return Tensor(value, extents, value.type or halo.f32)
    if isinstance(value, Func):
        if extents is None:
            raise ArgumentError(f"the shape of {value.name} is not known", loc=here(),
                                hint=f"nn.tensor({value.name}, shape=(...))")  # fmt: skip
        ranked = value.at_rank(len(extents))
        return Tensor(ranked, extents, _type_of(ranked) if dtype is None else as_type(dtype))
    array = array_of(value, legal=("arrays", "halo.Input", "nn.Tensor"))
    if dtype is not None:
        array = array.astype(as_type(dtype).dtype)
    return Tensor(_table(array), array.shape, as_type(array.dtype))


def array_of(value: Any, name: str = "a tensor", *, shared: bool = False, legal: tuple[str, ...] = ()) -> Any:
    """What an operator is given as an array: that of a number or a list, and whatever holds one, on its memory, a tensor of
    another library (DLPack) say; with `shared` never a copy. Raises ArgumentError, which calls it `name`, for anything else."""
    if isinstance(value, (np.ndarray, np.generic, int, float, bool, list, tuple)) and not shared:
        try:
            found = np.asarray(value)
        except (ValueError, TypeError, ArgumentError) as error:  # of lists: NumPy says what is wrong with them
            raise ArgumentError(f"{name} is no array: {error}", loc=here(), legal=legal) from error
        if found.dtype == object:
            raise ArgumentError(f"{name} is an array of numbers, not {value!r}", loc=here(), legal=legal)
        return found
    try:
        return as_array(value, name, shared)
    except ArgumentError as error:
        raise ArgumentError(error.message, loc=here(), legal=legal) from error


def _table(array: Any) -> Func:
    """A Func that reads the constant `array`."""
    f = Func("constant")
    i = tuple(halo.Var(f"i{d}") for d in range(array.ndim))
    if not array.ndim:
        f[()] = array[()]
        return f
    f[i] = Table(array, "data")[i]
    return f


def _type_of(f: Func) -> Type:
    from halo.func.signature import signature
    from halo.ir.node import interning

    program = f.program()
    with interning():
        return program.typed(signature(program.arguments, {}, True, False))[program.graph.names[f]].types[0]


def type_of(value: Any) -> TensorType:
    """The type of an array, a Tensor, an Input with a shape, or an expression of a graph."""
    value = tensor(value) if isinstance(value, (Func, Input)) else value
    if isinstance(value, Tensor) or hasattr(value, "__halo_op__"):
        return value.type  # type: ignore[no-any-return]  # nn does not know graphs
    array = array_of(value)
    return TensorType(array.shape, as_type(array.dtype))

"""NumPy's ufuncs by name, and the operations of the language that they are on expressions."""

from __future__ import annotations

__all__ = ["UFUNCS"]

UFUNCS = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "floor_divide": "floordiv",
    "remainder": "mod", "power": "pow", "float_power": "pow", "negative": "neg", "absolute": "abs", "fabs": "abs",
    "minimum": "min", "maximum": "max", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor",
    "invert": "not", "left_shift": "shl", "right_shift": "shr", "less": "lt", "less_equal": "le", "greater": "gt",
    "greater_equal": "ge", "equal": "eq", "not_equal": "ne", "logical_and": "land", "logical_or": "lor",
    "logical_not": "lnot", "rint": "round", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "bitwise_count": "popcount",
    **{n: n for n in ("add", "fmin", "fmax", "isnan", "isinf", "isfinite", "floor", "ceil", "trunc", "sqrt", "cbrt",
                      "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh",
                      "tanh", "hypot", "copysign")},
}  # fmt: skip

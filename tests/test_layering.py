"""Imports go only down: the arrows of the architecture, held against what the files import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HALO = Path(__file__).parent.parent / "halo"
FILES = sorted(HALO.rglob("*.py"))

BASE = {"errors", "types", "config", "timing", "progress"}
CORE = BASE | {"ir", "frontend", "schedule", "lowering", "jit", "ref", "func"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors"},
    "types": {"errors"},
    "timing": set(),
    "progress": {"config"},
    "ir": BASE,
    "frontend": BASE | {"ir"},
    "schedule": BASE | {"ir"},
    "lowering": BASE | {"ir", "schedule"},
    "jit": BASE | {"ir"},
    "ref": BASE | {"ir", "lowering", "jit"},
    "func": CORE,
    "nn": CORE | {""},
    "graph": CORE | {"", "nn"},
    "intrinsics": CORE,
    "show": CORE | {""},
    "fuzz": CORE | {""},
    "": CORE | {"intrinsics", "show"},  # halo/__init__.py
}
LAZY = {
    "numba",
    "llvmlite",
    "ml_dtypes",
    "astunparse",
    "IPython",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "PIL",
    "rich",
    "safetensors",
    "torch",
}  # imported inside functions
HEAVY = {
    "halo.jit.python_print": "astunparse",
    "halo.ref.overloads": "numba",
    "halo.graph.onnx_backend": "onnx",
}  # these may, but are imported lazily too


SHOWING = {"_repr_html_", "explore", "profile", "report", "show"}


def other_room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def room(path: Path) -> str:
    first = path.relative_to(HALO).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imported(path: Path, node: ast.Import | ast.ImportFrom) -> list[str]:
    """The absolute names of the modules that an import statement of `path` names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not node.level:
        return [node.module or ""]
    package = ("halo", *path.relative_to(HALO).parts[:-1])
    parent = ".".join(package[: len(package) - node.level + 1])
    return [f"{parent}.{node.module}"] if node.module else [f"{parent}.{alias.name}" for alias in node.names]


def at_import_time(tree: ast.AST) -> list[ast.AST]:
    """The nodes that run when the module is imported: not inside functions, nor under `if TYPE_CHECKING`."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not lazy and not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            found += [child, *at_import_time(child)]
    return found


def that_show(tree: ast.AST) -> set[ast.AST]:
    """The nodes of methods that show an object: only these look up, to `show`, and type checkers."""
    methods = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in SHOWING)
    checked = (n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))
    return {inner for top in (*methods, *checked) for inner in ast.walk(top)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HALO)))
def test_imports(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    they_go_down(path, tree)
    heavy_ones_are_lazy(path, tree)


def they_go_down(path: Path, tree: ast.AST) -> None:
    own, showing = room(path), that_show(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in imported(path, node):
                head, *rest = name.split(".")
                if head == "halo":
                    other = rest[0] if rest else ""
                    if node in showing and other_room(name) == "show":
                        continue
                    assert other == own or other in MAY_IMPORT[own], f"{own} may not import {name} (line {node.lineno})"
                elif head == "llvmlite":
                    assert path == HALO / "jit" / "llvm.py", f"only jit/llvm.py imports llvmlite (line {node.lineno})"


def heavy_ones_are_lazy(path: Path, tree: ast.AST) -> None:
    for node in at_import_time(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = imported(path, node)
            heavy = {name.split(".")[0] for name in names} & LAZY | {name for name in names if name in HEAVY}
            heavy -= {HEAVY.get(".".join(("halo", *path.relative_to(HALO).with_suffix("").parts)), "")}
            assert not heavy, f"{heavy} imported at module level (line {node.lineno})"

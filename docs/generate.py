"""The pages that are made from the package itself: directives, errors, options. Run by MkDocs (mkdocs-gen-files).

What they show is computed when the site is built, so that it cannot be out of date.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from examples_of_directives import EXAMPLES, Example  # noqa: E402  (the path is set above)

import halo  # noqa: E402  (the path is set above)
from halo import nn  # noqa: E402  (the path is set above)
from halo.schedule.directive import registry  # noqa: E402  (the path is set above)

GRID = (6, 8)
ERRORS = DOCS.parent / "tests" / "golden" / "errors"
FAMILIES = {
    "loops": ("split", "fuse", "reorder", "tile", "rename", "serial", "parallel", "vectorize", "unroll", "partition",
              "never_partition", "never_partition_all", "always_partition", "always_partition_all", "unscheduled"),
    "place": ("compute_root", "compute_at", "compute_inline", "compute_with", "store_root", "store_at", "hoist_storage",
              "hoist_storage_root"),
    "storage": ("reorder_storage", "align_storage", "fold_storage", "ring_buffer", "store_in", "bound", "bound_extent",
                "bound_storage", "align_bounds", "align_extent", "promise_output", "promise_alignment"),
    "copies": ("in_", "clone_in", "eager_inline"),
    "reductions": ("rfactor", "atomic", "change_type"),
    "control": ("specialize", "async_", "memoize", "prefetch", "stream_stores", "stream_loads", "tensorize"),
}  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """(path, Markdown) of every page."""
    yield "directives.md", "\n".join(_directives())
    yield "errors.md", "\n".join(_errors())
    yield "operators.md", "\n".join(_operators())


def _directives() -> Iterator[str]:
    yield "# Directives\n"
    yield "Each directive is a method of Funcs, or of `f.update(k)`. No directive can change a result; what could is refused."
    yield "The nests and the grids on this page were made by the compiler when the page was built.\n"
    named = {name for names in FAMILIES.values() for name in names}
    families = {**FAMILIES, "the rest": tuple(n for n in registry if n not in named and n != "within")}
    for family, names in families.items():
        yield f"\n## {family.capitalize()}\n"
        for name in names:
            yield from _directive(name)


def _directive(name: str) -> Iterator[str]:
    cls, example = registry[name], EXAMPLES[name]
    signature = inspect.signature(getattr(halo.Func, name))
    given = ", ".join(str(p.replace(annotation=p.empty)) for p in list(signature.parameters.values())[1:])
    yield f"\n### {name}\n\n```python\nf.{name}({given})\n```\n"
    yield _text(inspect.getdoc(cls) or "")
    before, after, grids = shown(example)
    yield f"\n```python\n{example.code}\n```\n"
    yield f'\n=== "before"\n\n{_fenced(before)}\n\n=== "after"\n\n{_fenced(after)}\n'
    if grids:
        yield grids


def shown(example: Example) -> tuple[str, str, str]:
    """The nest before and after the example, and the order of computation as HTML."""
    scope = example.pipeline()
    before = scope["out"].loops()
    exec(example.code, {"halo": halo, **scope})
    after = scope["out"].loops()
    if not example.shows:
        return before, after, ""
    of = [scope[name] for name in example.shows]
    return before, after, halo.show.order(scope["out"], GRID, of=of)._repr_html_().replace("\n", "")


def _text(doc: str) -> str:
    """A docstring as Markdown: a paragraph that is set out in columns is code."""
    paragraphs = re.split(r"\n\s*\n", doc)
    return "\n\n".join(f"```text\n{p}\n```" if re.search(r"^ |\S {3,}\S", p, re.M) else p for p in paragraphs)


def _fenced(text: str) -> str:
    return "\n".join(f"    {line}" for line in ("```text", *text.splitlines(), "```"))


def _operators() -> Iterator[str]:
    yield "# Operators\n"
    yield "All operators of `halo.nn`, by the file that each is a page of. How each one fuses is its kind: Relay's."
    homes: dict[str, list[nn.Op]] = {}
    for op in (op for name, op in nn.OPS.items() if getattr(nn, name, None) is op):  # not those of a page's own code
        homes.setdefault(op.__module__, []).append(op)
    for home, ops in homes.items():
        yield f"\n## {(sys.modules[home].__doc__ or home).splitlines()[0].rstrip('.')}\n"
        for op in sorted(ops, key=lambda op: op.name):
            yield f"### {op.name}\n"
            yield f"```python\nnn.{op.name}{_signature(op)}\n```\n\n*{op.kind.name.lower()}*\n"
            for paragraph in inspect.cleandoc(op.__doc__ or "").split("\n\n"):
                yield f"```pycon\n{paragraph}\n```\n" if paragraph.startswith(">>>") else f"{_text(paragraph)}\n"


def _signature(op: nn.Op) -> str:
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in op.signature.parameters.values()]
    return str(inspect.Signature(parameters))


def _errors() -> Iterator[str]:
    yield "# Errors\n"
    yield "All are `halo.HaloError`. Each shows the line, why, what would be legal, and what to write. These are the texts that the"
    yield "tests pin, one example each.\n"
    classes = sorted({path.name.partition("_")[0] for path in ERRORS.glob("*.txt")})
    for name in classes:
        cls = getattr(halo, name)
        yield f"\n## {name}\n\n{inspect.getdoc(cls)}\n"
        for path in sorted(ERRORS.glob(f"{name}_*.txt")):
            what = path.stem.partition("_")[2].replace("_", " ")
            yield f"\n### {what}\n\n```text\n{path.read_text(encoding='utf-8').strip()}\n```\n"


def main() -> None:
    import mkdocs_gen_files

    for path, text in pages():
        with mkdocs_gen_files.open(path, "w") as file:
            file.write(text)


if __name__ == "<run_path>":  # as the plugin runs it
    main()

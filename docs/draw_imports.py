"""Draw the packages of ``harness`` and their imports into ``docs/architecture.md`` (``make architecture``).

Reads the imports with grimp (import-linter's own library) and the order of the layers from ``pyproject.toml``.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- imports: begin (make architecture) -->", "<!-- imports: end -->"


def read_layers() -> list[list[str]]:
    """Return the layers of the import-linter contract, the highest first, each a list of package names."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip().removeprefix("harness.") for name in layer.split("|")] for layer in layers]


def find_imports(packages: set[str]) -> set[tuple[str, str]]:
    """Return the imports between packages as pairs: the importing and the imported package."""
    graph = grimp.build_graph("harness", cache_dir=None)
    pairs = {
        (module.split(".")[1], imported.split(".")[1])
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if "." in module and "." in imported
    }
    return {(start, end) for start, end in pairs if start != end and {start, end} <= packages}


def reduce_arrows(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out each arrow whose end is also reached through another package (transitive reduction)."""
    following: dict[str, set[str]] = {}
    for start, end in pairs:
        following.setdefault(start, set()).add(end)

    def reaches(start: str, end: str) -> bool:
        return any(step == end or reaches(step, end) for step in following.get(start, ()))

    return {
        (start, end) for start, end in pairs if not any(reaches(step, end) for step in following[start] if step != end)
    }


def draw() -> str:
    """Return the drawing as Mermaid text and a table of all imports."""
    layers = read_layers()
    order = [name for layer in layers for name in layer]
    pairs = find_imports(set(order))
    lines = ["```mermaid", "flowchart TD"]
    for number, layer in enumerate(layers):
        if len(layer) > 1:  # packages of one layer do not import each other and stand side by side
            lines += [f"  subgraph layer{number}[ ]", "    direction LR", *(f"    {name}" for name in layer), "  end"]
    arrows = sorted(reduce_arrows(pairs), key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    lines += [f"  {start} --> {end}" for start, end in arrows]
    lines += ["```", "", "| package | imports |", "|---|---|"]
    for name in order:
        imported = [other for other in order if (name, other) in pairs]
        lines.append(f"| `{name}` | {', '.join(imported) or '–'} |")
    return "\n".join(lines)


def update(text: str) -> str:
    """Return the page with its drawing made anew. Raises ValueError where the markers are missing."""
    head, _, rest = text.partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE.name} has no markers {BEGIN!r} and {END!r}")
    return f"{head}{BEGIN}\n{draw()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} drawn\n")

"""What is imported of our own packages is there, also in benchmarks, which no test runs."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"hwprune": ROOT, "hwprune_device": ROOT / "devices", "tests": ROOT}


def file_of(module: str) -> Path | None:
    """The file of one of our modules; None where there is none."""
    place = PACKAGES[module.split(".")[0]].joinpath(*module.split("."))
    return next(
        (f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None
    )


@functools.cache
def names_in(file: Path) -> frozenset[str]:
    """What a module binds, at its top or below a condition there."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return frozenset(found)


def imports_of(file: Path) -> Iterator[tuple[str, str]]:
    """Modules of ours that a file imports, and the name from each; empty for a whole module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def is_there(module: str, name: str) -> bool:
    """Whether a module of ours has a name; empty for the module alone."""
    if name and file_of(f"{module}.{name}") is not None:
        return True  # a module of a package
    file = file_of(module)
    return file is not None and (not name or name in names_in(file))


@pytest.mark.parametrize("folder", ["hwprune", "devices", "tests", "profiles"])
def test_what_is_imported_of_ours_is_there(folder: str) -> None:
    missing = [
        f"{file.relative_to(ROOT)}: {module} {name}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for module, name in imports_of(file)
        if module.split(".")[0] in PACKAGES and not is_there(module, name)
    ]
    assert not missing

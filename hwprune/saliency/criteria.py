"""Every criterion by name: those of this room, and those that other packages bring.

A package brings one by an entry point, its name the criterion's, its object what `criterion` made:

    [project.entry-points."hwprune.saliency"]
    mine = "my_package.saliency:mine"
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from hwprune.errors import InputError

# Importing a criterion registers it; the list is here so that one look shows all of them.
from hwprune.saliency import (  # noqa: F401
    activations,
    gradients,
    kfac,
    nnrelief,
    relative_change,
    weights,
)
from hwprune.saliency.registry import CRITERIA, Criterion

GROUP = "hwprune.saliency"
"""Entry point group of criteria from other packages."""


def criterion_names() -> list[str]:
    """Every name that `find_criterion` knows; nothing of other packages is imported for it."""
    return sorted({*CRITERIA, *_brought()})


def find_criterion(name: str) -> Criterion:
    """The criterion of this name.

    Raises:
        InputError: there is none, or the package that brings it cannot be imported.
    """
    if name in CRITERIA:
        return CRITERIA[name]
    brought = _brought()
    if name not in brought:
        raise InputError(f"there is no saliency '{name}'", possible=", ".join(criterion_names()))
    return _loaded(brought[name])


def _brought() -> dict[str, EntryPoint]:
    """Entry points by name. None of them is imported before it is asked for: it may be broken."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _loaded(entry: EntryPoint) -> Criterion:
    package = entry.dist.name if entry.dist else "an unknown package"
    try:
        found = entry.load()
    except Exception as error:  # whatever a stranger's module raises
        raise InputError(
            f"the saliency '{entry.name}' cannot be loaded",
            given=f"{entry.value} of {package}: {type(error).__name__}: {error}",
            possible=", ".join(sorted(CRITERIA)),
            next_step=f"mend or update {package}; the other criteria are not touched by it",
        ) from error
    if not isinstance(found, Criterion):
        raise InputError(
            f"the saliency '{entry.name}' is no criterion",
            given=f"{entry.value} of {package} is a {type(found).__name__}",
            next_step="decorate its function with hwprune.saliency.registry.criterion",
        )
    return found

"""Finds a function of the user's: `package.module:function` or `path/to/file.py:function`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from hwprune.errors import InputError

_FOLDERS: set[str] = set()
"""Of the files that were loaded."""


def load_function(source: str, error: type[InputError], *, what: str) -> Callable[..., Any]:
    """The function that `source` names; the working folder counts as a place for modules.

    Args:
        source: `package.module:function` or `path/to/file.py:function`.
        error: the kind of error to raise.
        what: what the function is for, in words, for messages.

    Raises:
        InputError: of the given kind, when the module or the function is not there.
    """
    place, _, name = source.rpartition(":")
    if not place or not name.isidentifier():
        raise error(
            f"the {what} is not named in a known way",
            given=source,
            possible="package.module:function or path/to/file.py:function",
        )
    module = load_file(place, error) if place.endswith(".py") else _from_name(place, error)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise error(
            f"{place} has no function '{name}'",
            given=source,
            possible=", ".join(
                difflib.get_close_matches(name, known, n=8, cutoff=0.3) or known[:8]
            ),
        )
    return function


def _from_name(name: str, error: type[InputError]) -> ModuleType:
    here = os.getcwd()
    # An installed command does not have the working folder on its path, `python -m` does.
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as problem:
        raise error(
            f"the module {name} cannot be imported",
            given=f"{type(problem).__name__}: {problem}",
            next_step=f"check the name, install its package, or run where {name} can be found",
        ) from problem
    finally:
        if added:
            sys.path.remove(here)


def load_file(file: str, error: type[InputError]) -> ModuleType:
    """A module of its own each time, which imports what lies beside it.

    Raises:
        InputError: of the given kind, when the file is not there or fails.
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise error(
            f"there is no file {path}", possible=f"beside it: {', '.join(near)}" if near else ""
        )
    _make_findable(path.parent)
    name = f"hwprune_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered, so that dataclasses and pickling inside the user's file find their module.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise error(
            f"{path} fails when it is imported", given=f"{type(problem).__name__}: {problem}"
        ) from problem
    return module


def _make_findable(folder: Path) -> None:
    """Let a file import what lies beside it, as `python FILE` does."""
    place = str(folder)
    for name, module in list(sys.modules.items()):
        origin = os.path.dirname(getattr(module, "__file__", None) or "")
        # Of another file's folder, and this file means its own neighbour by that name.
        if origin != place and origin in _FOLDERS and (folder / f"{name}.py").is_file():
            del sys.modules[name]
    if place in sys.path:
        sys.path.remove(place)
    sys.path.insert(0, place)
    _FOLDERS.add(place)


def call_with(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with as many of the arguments as it takes by position."""
    return function(*arguments[: places_of(function)])


def places_of(function: Callable[..., Any]) -> int | None:
    """How many arguments a function takes by position; None where that is not known.

    Built-in callables may have no signature.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return sys.maxsize
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def name_of(function: Callable[..., Any]) -> str:
    """`package.module:function`, where that finds this very function again; else nothing.

    What was written in a notebook, or inside another function, is found nowhere else.
    """
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not module or module == "__main__" or not name.isidentifier():
        return ""
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception:  # whatever importing a user's module anew raises
        return ""
    return f"{module}:{name}" if found is function else ""

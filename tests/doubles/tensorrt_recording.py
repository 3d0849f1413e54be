"""The surface of TensorRT bindings, read from the imported module itself."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.doubles.tensorrt_signature import Signature, documented, without_self
from tests.doubles.tensorrt_stubs import compile_stubs, wheel_version
from tests.doubles.tensorrt_surface import ClassSurface, Overloads, Surface, from_json, to_json

_KEPT = frozenset(
    {"__init__", "__len__", "__getitem__", "__setitem__", "__iter__", "__enter__", "__exit__"}
    | {"__bool__", "__call__", "__del__"}
)
"""Special methods that are part of how a class is used."""
_HERE = "--here"
"""In this very process, whose loader finds the libraries that the bindings want."""


def record_wheel(folder: Path) -> Surface:
    """The surface of an unpacked wheel, read in a process of its own.

    Raises:
        FileNotFoundError: no bindings in the folder.
        tests.doubles.tensorrt_stubs.NoCompilerError: no C compiler here.
        subprocess.CalledProcessError: the bindings could not be imported, for example because they
            are those of another Python.
    """
    command = ["-m", "tests.doubles.tensorrt_recording", _HERE, str(folder)]
    return from_json(run_with_wheel(folder, command))


def run_with_wheel(folder: Path, arguments: Sequence[str]) -> str:
    """What a Python prints in which the bindings of an unpacked wheel can be imported.

    They are found as `tensorrt_bindings` once the folder is on `sys.path`.

    Raises:
        As `record_wheel`.
    """
    with tempfile.TemporaryDirectory() as libraries:
        compile_stubs(Path(libraries), int(wheel_version(folder).split(".")[0]))
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return done.stdout


def record(bindings: types.ModuleType) -> Surface:
    """The surface of imported bindings."""
    public = {name: value for name, value in vars(bindings).items() if not name.startswith("_")}
    classes = {name: value for name, value in public.items() if inspect.isclass(value)}
    functions, constants = {}, {}
    for name, value in public.items():
        if isinstance(value, types.ModuleType) or name in classes:
            continue
        if callable(value):
            functions[name] = _overloads(name, value)
        else:
            constants[name] = _value(value)
    return Surface(
        version=str(vars(bindings)["__version__"]),
        classes={name: _class(found) for name, found in _nested(classes).items()},
        functions=functions,
        constants=constants,
    )


def _nested(classes: Mapping[str, type]) -> dict[str, type]:
    """Classes and the classes inside them, such as Logger.Severity."""
    found: dict[str, type] = {}
    for name, outer in classes.items():
        found[name] = outer
        inner = {f"{name}.{key}": value for key, value in vars(outer).items()}
        found.update({key: value for key, value in inner.items() if _is_inner(key, value)})
    return found


def _is_inner(name: str, value: Any) -> bool:
    """Whether it is a class of its own; Logger.Severity is ILogger.Severity once more."""
    return inspect.isclass(value) and value.__qualname__ == name


def _class(found: type) -> ClassSurface:
    methods: dict[str, Overloads] = {}
    properties: dict[str, str] = {}
    members: dict[str, str] = dict(_enum_members(found))
    for name, value in vars(found).items():
        if name.startswith("_") and name not in _KEPT:
            continue
        if isinstance(value, property):
            properties[name] = _property(value)
        elif inspect.isclass(value):
            if value.__qualname__ != f"{found.__qualname__}.{name}":
                members[name] = value.__qualname__
        elif callable(value) or isinstance(value, staticmethod):
            overloads = _overloads(name, getattr(found, name))
            if overloads and not (members and name == "__init__"):
                methods[name] = overloads
        elif name not in members:
            members[name] = _value(value)
    if _enum_members(found):
        properties = {name: said for name, said in properties.items() if name == "itemsize"}
    return ClassSurface(
        bases=tuple(base.__name__ for base in found.__bases__ if _is_public(base)),
        methods=methods,
        properties=properties,
        members=members,
    )


def _is_public(base: type) -> bool:
    return base.__module__.startswith("tensorrt")


def _enum_members(found: type) -> Mapping[str, str]:
    values = getattr(found, "__members__", {})
    return {name: str(int(value)) for name, value in values.items()}


def _property(value: property) -> str:
    written = (value.fget.__doc__ or "") if value.fget else ""
    first = written.splitlines()[0] if written else ""
    typed = documented(first.partition("(")[0], written)
    said = typed[0].returns if typed else ""
    if value.fget is None:
        return "(write only)"
    return said if value.fset else f"{said} (read only)".strip()


def _overloads(name: str, value: Any) -> Overloads:
    """From the docstring, or of a function written in Python from the function."""
    if inspect.isfunction(value):
        return (without_self(Signature.parse(str(inspect.signature(value)))),)
    return documented(name, value.__doc__ or "")


def _value(value: Any) -> str:
    """Enum members by their name; anything else as Python writes it."""
    member = getattr(value, "name", None)
    return f"{type(value).__name__}.{member}" if isinstance(member, str) else repr(value)


def main() -> None:
    """Print the surface of the unpacked wheel in the folder that is named."""
    *how, folder = sys.argv[1:]
    if how == [_HERE]:
        sys.path.insert(0, folder)
        found = record(importlib.import_module("tensorrt_bindings"))
    else:
        found = record_wheel(Path(folder))
    sys.stdout.write(to_json(found))


if __name__ == "__main__":
    main()

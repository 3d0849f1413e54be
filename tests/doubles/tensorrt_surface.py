"""What each release of TensorRT's Python bindings really has, as recorded from its wheel.

A surface is every public class with its methods (each overload with keyword names and defaults),
its properties, its enum members, and the functions and constants of the module. The recordings lie
in `surfaces/`, one JSON file a release. The next release is recorded and compared with

    python -m tests.doubles.tensorrt_recording FOLDER > tensorrt-12.0.json
    python -m tests.doubles.tensorrt_surface 11.4 tensorrt-12.0.json

where FOLDER is an unpacked `tensorrt_cuNN_bindings` wheel for this Python; neither a GPU nor
TensorRT's own libraries are needed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.doubles.tensorrt_signature import Signature

SURFACES = Path(__file__).parent / "surfaces"
Overloads = tuple[Signature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSurface:
    """One class; what it inherits is found in its bases."""

    bases: tuple[str, ...] = ()
    methods: Mapping[str, Overloads] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    """Type as the bindings print it, followed by "(read only)" where nothing can be assigned."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Values of an enum, and constants of other classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """One release of the bindings."""

    version: str
    classes: Mapping[str, ClassSurface]
    functions: Mapping[str, Overloads]
    constants: Mapping[str, str]

    @property
    def major(self) -> int:
        """The generation: 10 or 11."""
        return int(self.version.split(".")[0])

    def lineage(self, name: str) -> Iterator[ClassSurface]:
        """A class and what it inherits from, nearest first."""
        found = self.classes[name]
        yield found
        for base in found.bases:
            yield from self.lineage(base)

    def methods(self, name: str) -> dict[str, Overloads]:
        """Own and inherited methods of a class."""
        return _merged([found.methods for found in self.lineage(name)])

    def properties(self, name: str) -> dict[str, str]:
        """Own and inherited properties of a class."""
        return _merged([found.properties for found in self.lineage(name)])

    def members(self, name: str) -> dict[str, str]:
        """Own and inherited enum members and constants of a class."""
        return _merged([found.members for found in self.lineage(name)])

    def missing(self, declared: Mapping[str, tuple[str, ...]]) -> list[str]:
        """What a declared list names and this release lacks, in words.

        Args:
            declared: names by class, "" for the module itself; "create_network(flags)" is a method
                that is called with that keyword.
        """
        lacks = []
        for owner, names in declared.items():
            if owner and owner not in self.classes:
                lacks.append(f"TensorRT {self.version} has no class {owner}")
                continue
            lacks += [said for name in names if (said := self._lack(owner, name))]
        return lacks

    def _lack(self, owner: str, wanted: str) -> str:
        name, _, inside = wanted.partition("(")
        keywords = {word.strip() for word in inside.rstrip(")").split(",") if word.strip()}
        called = f"{owner}.{name}" if owner else name
        overloads = self.callables(owner).get(name)
        if overloads is None and name not in self._values(owner):
            return f"TensorRT {self.version} has no {called}"
        if keywords and not any(keywords <= found.keywords for found in overloads or ()):
            has = "; ".join(map(str, overloads or ())) or "it is no method"
            return (
                f"TensorRT {self.version}: {called} takes no {', '.join(sorted(keywords))}: {has}"
            )
        return ""

    def callables(self, owner: str) -> Mapping[str, Overloads]:
        """What can be called of a class, or with "" of the module."""
        if owner:
            return self.methods(owner)
        built = {name: self.methods(name).get("__init__", ()) for name in self.classes}
        return {**built, **self.functions}

    def _values(self, owner: str) -> set[str]:
        if not owner:
            return {*self.constants, "__version__"}
        inner = {name.removeprefix(f"{owner}.") for name in self.classes}
        return {*self.properties(owner), *self.members(owner), *inner}


def releases() -> list[str]:
    """The recorded releases, oldest first: "10.3", "10.7" ..."""
    names = [path.stem.removeprefix("tensorrt-") for path in SURFACES.glob("tensorrt-*.json")]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def read(release: str | Path) -> Surface:
    """A recorded surface, by its release or its file.

    Raises:
        FileNotFoundError: neither a recorded release nor a file.
    """
    path = SURFACES / f"tensorrt-{release}.json"
    if not path.exists():
        path = Path(release)
    if not path.exists():
        known = ", ".join(releases())
        raise FileNotFoundError(
            f"no recorded surface '{release}'; recorded: {known}; or name a file that "
            "`python -m tests.doubles.tensorrt_surface record FOLDER` wrote"
        )
    return from_json(path.read_text())


def from_json(text: str) -> Surface:
    """A surface from its JSON text."""
    said = json.loads(text)
    return Surface(
        version=said["version"],
        functions=_parsed(said["functions"]),
        constants=said["constants"],
        classes={name: _class_from_json(entry) for name, entry in said["classes"].items()},
    )


def to_json(surface: Surface) -> str:
    """Sorted and one line a name, so that a diff of two files can be read."""
    classes = {
        name: _filled(
            bases=" ".join(found.bases),
            members=dict(found.members),
            methods=_printed(found.methods),
            properties=dict(found.properties),
        )
        for name, found in surface.classes.items()
    }
    said = {
        "version": surface.version,
        "functions": _printed(surface.functions),
        "constants": dict(surface.constants),
        "classes": classes,
    }
    return json.dumps(said, indent=1, sort_keys=True) + "\n"


def differences(before: Surface, after: Surface) -> list[str]:
    """What came (+), went (-) or changed (~) from one release to another, a line a name."""
    old, new = dict(_flat(before)), dict(_flat(after))
    lines = []
    for name in sorted({*old, *new}):
        if name not in new:
            # A class that went is one line, not one for each of its names.
            if name.rpartition(".")[0] in {"", *new}:
                lines.append(f"- {name} {old[name]}".rstrip())
        elif name not in old:
            if name.rpartition(".")[0] in {"", *old}:
                lines.append(f"+ {name} {new[name]}".rstrip())
        elif old[name] != new[name]:
            lines.append(f"~ {name} {old[name]}  =>  {new[name]}")
    return lines


def _flat(surface: Surface) -> Iterator[tuple[str, str]]:
    for name, overloads in surface.functions.items():
        yield name, "; ".join(map(str, overloads))
    yield from surface.constants.items()
    for owner, found in surface.classes.items():
        yield owner, " ".join(found.bases)
        for name, overloads in found.methods.items():
            yield f"{owner}.{name}", "; ".join(map(str, overloads))
        for values in (found.properties, found.members):
            for name, value in values.items():
                yield f"{owner}.{name}", str(value)


def _class_from_json(said: Mapping[str, Any]) -> ClassSurface:
    return ClassSurface(
        bases=tuple(said.get("bases", "").split()),
        methods=_parsed(said.get("methods", {})),
        properties=said.get("properties", {}),
        members=said.get("members", {}),
    )


def _parsed(said: Mapping[str, str | list[str]]) -> dict[str, Overloads]:
    """Overloads by name; where there is one it stands without a list."""
    lists = {name: [one] if isinstance(one, str) else one for name, one in said.items()}
    return {name: tuple(map(Signature.parse, texts)) for name, texts in lists.items()}


def _printed(methods: Mapping[str, Overloads]) -> dict[str, str | list[str]]:
    texts = {name: list(map(str, overloads)) for name, overloads in methods.items()}
    return {name: found[0] if len(found) == 1 else found for name, found in texts.items()}


def _filled(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part}


def _merged(layers: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The nearest class's entry counts."""
    return {name: value for layer in reversed(layers) for name, value in layer.items()}


def main() -> None:
    """Print what came, went and changed from one release, or file, to another."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("before")
    parser.add_argument("after")
    asked = parser.parse_args()
    print("\n".join(differences(read(asked.before), read(asked.after))))


if __name__ == "__main__":
    main()

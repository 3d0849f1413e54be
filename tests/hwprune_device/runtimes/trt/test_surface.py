"""What is used of TensorRT is declared, and what is declared is there.

In the recorded API of every release, and in the real bindings, which need no GPU to be looked at.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hwprune_device.runtimes import trt
from hwprune_device.runtimes.trt.surface import SURFACE, SURFACE_10, SURFACE_11
from tests.doubles import tensorrt_surface
from tests.doubles.tensorrt_recording import record_wheel, run_with_wheel
from tests.doubles.tensorrt_stubs import NoCompilerError
from tests.doubles.tensorrt_surface import Surface, read, releases
from tests.hwprune_device.runtimes.trt.foreign_uses import ForeignUses, Use

Declared = Mapping[str, tuple[str, ...]]
ROOM = Path(trt.__file__).parent
"""All of it is read, so that nothing of TensorRT leaves the files that hold it unseen."""
WHEELS = {
    "10.13": "tensorrt_cu12_bindings==10.13.3.9",
    "11.4": "tensorrt_cu13_bindings==11.4.0.106",
}
MORE_WHEELS = {
    "10.3": "tensorrt_cu12_bindings==10.3.0",
    "10.7": "tensorrt_cu12_bindings==10.7.0",
}


def merged(*parts: Declared) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for owner, names in part.items():
            found[owner] = (*found.get(owner, ()), *names)
    return found


def declared_for(surface: Surface) -> dict[str, tuple[str, ...]]:
    return merged(SURFACE, SURFACE_10 if surface.major == 10 else SURFACE_11)


def everything_declared() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Class, name and keywords of every declared entry."""
    for owner, names in merged(SURFACE, SURFACE_10, SURFACE_11).items():
        for entry in names:
            name, _, inside = entry.partition("(")
            words = (word.strip() for word in inside.rstrip(")").split(","))
            yield owner, name, frozenset(word for word in words if word)


def all_uses() -> list[Use]:
    files = sorted(ROOM.glob("*.py"))
    return [use for file in files for use in ForeignUses(file.read_text(), file.name).uses()]


@pytest.mark.parametrize("release", releases())
def test_everything_declared_is_in_every_recorded_release(release: str):
    surface = read(release)
    assert surface.missing(declared_for(surface)) == []


def test_what_only_one_generation_has_is_not_declared_for_both():
    ours, others = read("10.13"), read("11.4")
    for owner, names in SURFACE_10.items():
        for name in names:
            assert others.missing({owner: (name,)}), f"{owner}.{name} is in 11 too"
    for owner, names in SURFACE_11.items():
        for name in names:
            assert ours.missing({owner: (name,)}), f"{owner}.{name} is in 10 too"


def test_everything_used_is_declared():
    names = {name for _, name, _ in everything_declared()}
    keywords: dict[str, set[str]] = {}
    for _, name, words in everything_declared():
        keywords.setdefault(name, set()).update(words)
    undeclared = [
        f"{use.place}: {use.name}({', '.join(sorted(use.keywords))})"
        for use in all_uses()
        if use.name not in names or not use.keywords <= keywords[use.name]
    ]
    assert undeclared == []


def test_everything_declared_is_used():
    uses = all_uses()
    names = {use.name for use in uses}
    keywords: dict[str, set[str]] = {}
    for use in uses:
        keywords.setdefault(use.name, set()).update(use.keywords)
    unused = [
        f"{owner}.{name}({', '.join(sorted(words))})"
        for owner, name, words in everything_declared()
        if name not in names or not words <= keywords[name]
    ]
    assert unused == []


@pytest.mark.parametrize("release", releases())
def test_everything_is_used_as_what_it_is(release: str):
    """Methods are called with as many arguments as they take, properties are not called, what can
    only be read is not set, and callbacks take what they are given."""
    surface = read(release)
    owners: dict[str, list[str]] = {}
    for owner, names in declared_for(surface).items():
        for name in names:
            owners.setdefault(name.partition("(")[0], []).append(owner)
    wrong = [
        f"{use.place}: {use.name} is not to be used as '{use.kind}' {use.positional}"
        for use in all_uses()
        if use.name in owners and not any(fits(surface, o, use) for o in owners[use.name])
    ]
    assert wrong == []


def fits(surface: Surface, owner: str, use: Use) -> bool:
    """Whether a use suits one of the classes that have the name."""
    overloads = surface.callables(owner).get(use.name)
    if use.kind in ("call", "override"):
        return overloads is not None and any(_takes(one, use) for one in overloads)
    if use.kind == "write":
        said = surface.properties(owner).get(use.name, "(read only)")
        return "read only" not in said
    # A class is a value too; a method that is not called is a mistake.
    return overloads is None or (not owner and use.name in surface.classes)


def _takes(signature: tensorrt_surface.Signature, use: Use) -> bool:
    if use.positional is None:
        return True
    if use.kind == "override":
        return use.positional == len(signature.parameters)
    left = signature.parameters[use.positional :]
    unfilled = [one for one in left if one.default is None and one.name not in use.keywords]
    return use.positional <= len(signature.parameters) and not unfilled


def test_only_one_file_imports_tensorrt():
    package = ROOM.parent.parent
    naming = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if 'import_module("tensorrt")' in path.read_text() or "import tensorrt" in path.read_text()
    ]
    assert naming == ["runtimes/trt/tensorrt.py"]


SAMPLE = """
import importlib
from typing import Any

class Sample:
    def __init__(self, name: str) -> None:
        self._trt = importlib.import_module("tensorrt")
        self.name = name

    def build(self, config: Any, level: int) -> bytes:
        config.level = level
        (config.clear if level else config.set)(self._trt.Flag.ONE, strict=True)
        made = [config.part(at) for at in range(level)]
        said = ", ".join(part.title for part in made)
        again = getattr(config, "secret")
        return bytes(again.data) + self.name.encode() + said.encode()
"""


def test_no_use_is_overlooked():
    """The reading of the adapter's text itself, on a small adapter."""
    found = [(use.name, use.kind, sorted(use.keywords)) for use in ForeignUses(SAMPLE, "s").uses()]
    assert sorted(found) == [
        ("Flag", "read", []),
        ("ONE", "read", []),
        ("clear", "call", ["strict"]),
        ("data", "read", []),
        ("level", "write", []),
        ("part", "call", []),
        ("secret", "read", []),
        ("set", "call", ["strict"]),
        ("title", "read", []),
    ]


@pytest.fixture(scope="session")
def wheels(request: pytest.FixtureRequest) -> Path:
    """Where downloaded bindings are kept between runs."""
    return Path(request.config.cache.mkdir("tensorrt"))


def unpacked(folder: Path, requirement: str) -> Path:
    """The bindings of a release, downloaded once; skips where they cannot be had."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    place = folder / f"{requirement.replace('==', '-')}-{tag}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            download(requirement, Path(scratch))
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(scratch) / "unpacked")
            # Another run may have had the same idea.
            with contextlib.suppress(OSError):
                (Path(scratch) / "unpacked").rename(place)
    return place


def download(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    patience = ["--timeout", "10", "--retries", "1"]
    try:
        done = subprocess.run(
            [*command, *patience, "--dest", str(folder), requirement],
            capture_output=True,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{requirement} was not downloaded within two minutes")
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        pytest.skip(f"{requirement} cannot be had for this Python here: {why}")


LOOK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tensorrt_bindings
missing = []
for owner, names in json.loads(sys.argv[2]).items():
    holder = tensorrt_bindings
    for part in filter(None, owner.split(".")):
        holder = getattr(holder, part)
    missing += [f"{owner}.{name}" for name in names if not hasattr(holder, name.split("(")[0])]
print(json.dumps(missing))
"""


def check_live(wheels: Path, release: str, requirement: str) -> None:
    place, surface = unpacked(wheels, requirement), read(release)
    try:
        told = run_with_wheel(place, ["-c", LOOK, str(place), json.dumps(declared_for(surface))])
        live = record_wheel(place)
    except NoCompilerError as error:
        pytest.skip(str(error))
    assert json.loads(told) == []
    assert (
        tensorrt_surface.to_json(live)
        == (tensorrt_surface.SURFACES / f"tensorrt-{release}.json").read_text()
    )


@pytest.mark.parametrize(("release", "requirement"), WHEELS.items())
def test_the_real_bindings_have_what_is_declared_and_recorded(
    wheels: Path, release: str, requirement: str
):
    check_live(wheels, release, requirement)


@pytest.mark.heavy
@pytest.mark.parametrize(("release", "requirement"), MORE_WHEELS.items())
def test_older_bindings_have_what_is_declared_and_recorded(
    wheels: Path, release: str, requirement: str
):
    check_live(wheels, release, requirement)

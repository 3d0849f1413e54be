"""What is in the wheel: both packages, what they read, profiles; no tests, no pictures."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile

import pytest

from tests.pages import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_it_holds_what_the_project_holds_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    places = {"hwprune": ROOT, "hwprune_device": ROOT / "devices"}
    for name in names:
        inner = name.removeprefix("hwprune/") if name.startswith("hwprune/profiles/") else name
        assert (places[name.split("/")[0]] / inner).is_file(), name
    assert not [name for name in names if re.search(r"(^|/)(tests|pictures|__pycache__)/", name)]


@pytest.mark.parametrize(
    "name",
    [
        "hwprune/py.typed",
        "hwprune_device/py.typed",
        "hwprune/cli/templates/deployment.toml.j2",
        "hwprune/cli/templates/task.py.j2",
        "hwprune/farm/templates/farm.html",
        "hwprune/report/templates/report.html.j2",
        "hwprune/profiles/deployment-keys.md",
        "hwprune/profiles/deployments/quickstart.toml",
        "hwprune/profiles/deployments/bccd/task.py",
        "hwprune/profiles/boards/this-machine.toml",
    ],
)
def test_it_holds_what_the_code_reads_and_names(wheel: zipfile.ZipFile, name: str) -> None:
    assert name in wheel.namelist()


def test_every_file_of_both_packages_is_in_it(wheel: zipfile.ZipFile) -> None:
    there = set(wheel.namelist())
    for package in (ROOT / "hwprune", ROOT / "devices" / "hwprune_device"):
        for path in package.rglob("*.py"):
            assert str(path.relative_to(package.parent)) in there


def test_its_licence_lies_beside_what_it_says_of_itself(wheel: zipfile.ZipFile) -> None:
    (told,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = wheel.read(told).decode()
    assert "License-Expression: Apache-2.0" in said and "License-File: LICENSE" in said
    (licence,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()

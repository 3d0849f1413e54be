"""The files of a deployment folder, loaded as hwprune loads them."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from hwprune.errors import DeploymentError
from hwprune.user_code import load_file
from tests.digits import SHARED

DEPLOYMENTS = Path(__file__).parent.parent.parent / "profiles" / "deployments"


def loaded(name: str) -> ModuleType:
    """A module of its own each time: `bccd/task.py`."""
    return load_file(str(DEPLOYMENTS / name), DeploymentError)


def needed(name: str) -> None:
    """Skip where a data set is not there."""
    places = (os.environ.get("HWPRUNE_DATA", ""), SHARED)
    if not any(place and (Path(place) / name).exists() for place in places):
        pytest.skip(f"no {name}: set HWPRUNE_DATA to the folder that holds it")

"""The files of a deployment folder, loaded as hwprune loads them."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from tests.digits import SHARED

DEPLOYMENTS = Path(__file__).parent.parent.parent / "profiles" / "deployments"


def loaded(name: str) -> ModuleType:
    """A module of its own each time: `bccd/task.py`."""
    spec = spec_from_file_location(f"deployment_{name}", DEPLOYMENTS / name)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def needed(name: str) -> None:
    """Skip where a data set is not there."""
    places = (os.environ.get("HWPRUNE_DATA", ""), SHARED)
    if not any(place and (Path(place) / name).exists() for place in places):
        pytest.skip(f"no {name}: set HWPRUNE_DATA to the folder that holds it")

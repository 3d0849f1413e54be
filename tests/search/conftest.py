"""The Ray of a search alone is as the farm's: tests of both may share a process."""

from __future__ import annotations

import pytest

from hwprune.farm.cluster import _prepare_environment


@pytest.fixture(scope="session", autouse=True)
def ray_keeps_to_itself() -> None:
    """Loopback and a token, which Ray reads once in a process."""
    _prepare_environment()

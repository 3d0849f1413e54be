"""Searches by a policy share the tests' Ray; each would start one of its own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def ray_is_there(cluster: object) -> None:
    """Before the first search."""

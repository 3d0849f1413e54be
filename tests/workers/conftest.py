"""One Ray for all tests of workers: starting it takes seconds."""

from __future__ import annotations

import pytest

from hwprune.farm.cluster import Cluster
from tests.digits import trained_digits  # noqa: F401


@pytest.fixture(scope="session")
def cluster():
    with Cluster() as cluster:
        yield cluster

"""One Ray for all tests of the farm: starting it takes seconds."""

from __future__ import annotations

import pytest

from hwprune.farm.cluster import Cluster


@pytest.fixture(scope="session")
def cluster():
    with Cluster() as cluster:
        yield cluster

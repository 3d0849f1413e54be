"""One Ray for all tests of the farm: starting it takes seconds."""

from __future__ import annotations

import json
import os

import pytest

from hwprune.farm.cluster import Cluster

NODE_BOARD = "node-board"
"""The board that the one node of this Ray says it is, as `ray start --resources` would."""


@pytest.fixture(scope="session")
def cluster():
    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({f"board:{NODE_BOARD}": 1})
    with Cluster() as cluster:
        del os.environ["RAY_OVERRIDE_RESOURCES"]
        yield cluster

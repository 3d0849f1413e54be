"""How all tests are run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from hwprune.cluster import Cluster
from tests.export_registry import keep_registry

# No deadlines: on a machine that others use, a slow example says nothing. Where CI is set the
# examples are the same each time, so that what lands does not hang on luck; elsewhere new ones
# are looked for.
settings.register_profile("hwprune", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("hwprune")


def _one_share_of_the_cores() -> None:
    """Where tests run in several processes, no two use one core: some of them time networks."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if not number:
        return
    count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    mine = sorted(os.sched_getaffinity(0))[int(number) :: count]
    if mine:
        os.sched_setaffinity(0, mine)
        torch.set_num_threads(len(mine))


_one_share_of_the_cores()


RAY_IN_A_PROCESS_OF_ITS_OWN = (
    "test_gateways.py",
    "test_runners.py",
    "test_boards_of_a_cluster.py",
)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes (pytest-xdist): a file in one, all of Ray in one.

    Ray starts once in a process, and two clusters of one machine get in each other's way.
    """
    for item in items:
        assert isinstance(item, pytest.Function)
        ray = "cluster" in item.fixturenames or item.path.name in RAY_IN_A_PROCESS_OF_ITS_OWN
        item.add_marker(pytest.mark.xdist_group("ray" if ray else str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def one_export_registry() -> Iterator[None]:
    """Networks are exported in half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        keep_registry(patch)
        yield


@pytest.fixture(autouse=True)
def denormals_are_kept() -> Iterator[None]:
    """ONNX Runtime has a thread flush them for good, and later tests count on them."""
    yield
    torch.set_flush_denormal(False)


NODE_BOARD = "node-board"
"""The board that the one node of the tests' Ray says it is, as `ray start --resources` would."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One Ray for all tests that need any: starting it takes seconds."""
    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({f"board:{NODE_BOARD}": 1})
    with Cluster() as cluster:
        del os.environ["RAY_OVERRIDE_RESOURCES"]
        yield cluster

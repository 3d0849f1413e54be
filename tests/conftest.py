"""How all tests are run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from hwprune.affinity import keep_to
from hwprune.cluster import Cluster
from tests.export_registry import keep_registry
from tests.once import keep_in

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
        keep_to(mine)
        threadpool_limits(len(mine))
        torch.set_num_threads(len(mine))


_one_share_of_the_cores()


OF_RAY = (
    "tests/search/",
    "tests/farm/connections/test_ray.py",
    "tests/farm/test_cluster.py",
    "tests/farm/test_gateways.py",
    "tests/workers/test_pool.py",
    "tests/cli/test_boards_of_a_cluster.py",
)
"""Tests that start Ray. It starts once in a process, and two clusters of one machine get in each
other's way."""


OF_LARGE_NETWORKS = (
    "tests/channels/test_known_networks.py",
    "tests/channels/test_architecture.py",
)
"""Tests that ask for the same networks, which take seconds to trace, one after another. In two
processes one would wait for the other."""


class _Files(LoadFileScheduling):
    """Gives each file to one process, and files that belong together to the same."""

    def _split_scope(self, nodeid: str) -> str:
        for scope, files in (("ray", OF_RAY), ("large networks", OF_LARGE_NETWORKS)):
            if nodeid.startswith(files):
                return scope
        return super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """How tests are divided where they run in several processes."""
    return _Files(config, log)


@pytest.fixture(scope="session", autouse=True)
def one_export_registry() -> Iterator[None]:
    """Networks are exported in about two thirds of the time."""
    with pytest.MonkeyPatch.context() as patch:
        keep_registry(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def made_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is slow to make is made by one of the processes."""
    keep_in(tmp_path_factory)


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

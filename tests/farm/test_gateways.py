"""Boards behind gateways, on a real Ray cluster of several nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, time
from dataclasses import replace
from ray.cluster_utils import Cluster
from hwprune.board import this_machine
from hwprune.cluster import Cluster as Joined
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune_device.reading import Reading
from tests.farm.base import base_network
from tests.farm.test_faults import BOARD, SLOW, candidates, state_of
import sys

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
first = cluster.add_node(num_cpus=1, resources={"gateway:lab": 1})
cluster.add_node(num_cpus=1, resources={"board:node": 1})
joined = Joined(cluster.address)
joined.start()
store = ReadingStore(sys.argv[1])
behind = replace(BOARD, name="behind", gateway="lab", protocol=SLOW, kind="k")
node = replace(BOARD, name="node", connection="ray", protocol=SLOW, kind="k")
farm = Farm([behind, node], store)
farm.start()
farm.place(base_network())
found = {"start": [state_of(farm, "behind"), state_of(farm, "node")]}
assert isinstance(farm.calibrate(), Reading)
futures = farm.measure(candidates(*range(1, 13)))
time.sleep(1.0)
cluster.remove_node(first)  # with the actor on it, in the middle of a batch
found["outcomes"] = [type(f.result(120)).__name__ for f in futures]
found["after"] = [state_of(farm, "behind"), state_of(farm, "node")]
found["boards"] = sorted({f.result().board for f in futures})
cluster.add_node(num_cpus=1, resources={"gateway:lab": 1})
end = time.monotonic() + 120
while state_of(farm, "behind") == "lost" and time.monotonic() < end:
    time.sleep(0.2)
found["back"] = state_of(farm, "behind")
farm.close()
joined.stop()
cluster.shutdown()
print(json.dumps(found))
"""


@pytest.mark.heavy
def test_a_gateway_that_dies_costs_nothing_and_its_board_comes_back_through_another(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "s.sqlite")],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=Path(__file__).parents[2],
        env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["start"]) <= {"idle", "busy"}
    assert found["outcomes"] == ["Reading"] * 12
    assert found["after"][0] == "lost" and found["after"][1] in ("idle", "busy")
    assert "node" in found["boards"]
    assert found["back"] in ("idle", "busy")

"""Runners and learners as actors on two nodes of a real cluster, and what a killed one costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hwprune.search.policy.multiplier import Multiplier

pytestmark = pytest.mark.heavy
SEARCH = """
import json, os, signal, sys, threading, time
from dataclasses import replace
import psutil, ray
from ray.cluster_utils import Cluster
from hwprune.search.evaluator import Evaluator
from hwprune.search.policy.policy_search import search
from hwprune.search.problem import PolicySettings
from tests.doubles.synthetic_problem import Difficulty, SyntheticProblem

learners, kill = int(sys.argv[1]), sys.argv[2] == "kill"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
cluster.add_node(num_cpus=2)
ray.init(address=cluster.address, namespace="hwprune", log_to_driver=False)
slow = SyntheticProblem(5, seed=3, difficulty=Difficulty(delay_s=0.02))
settings = PolicySettings(runners=2, learners=learners)
evaluator = Evaluator(replace(slow.search_problem(60, boards=2), policy=settings), "policy")
nodes, killed = set(), []

def watch():
    while len(evaluator.evaluations) < 25:
        time.sleep(0.05)
    mine = {p.pid for p in psutil.Process().children(recursive=True)}
    runners = [p for p in psutil.process_iter(["cmdline"])
               if "EnvRunner" in " ".join(p.info["cmdline"] or []) and p.pid in mine]
    # A node's workers are children of its raylet.
    nodes.update(p.ppid() for p in runners)
    if kill and runners:
        killed.append(runners[0].pid)
        os.kill(runners[0].pid, signal.SIGKILL)

threading.Thread(target=watch, daemon=True).start()
search(evaluator)
print("FOUND " + json.dumps({
    "evaluations": len(evaluator.evaluations), "nodes": len(nodes), "killed": len(killed),
    "best": evaluator.best is not None, "history": evaluator.history,
    "numbers": [e.number for e in evaluator.evaluations]}))
ray.shutdown()
cluster.shutdown()
"""


def searched(learners: int, kill: str = "") -> dict:
    typed = [sys.executable, "-W", "ignore", "-c", SEARCH, str(learners), kill]
    done = subprocess.run(typed, capture_output=True, text=True, timeout=400)
    found = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert found, done.stderr[-3000:]
    return json.loads(found[0].removeprefix("FOUND "))


@pytest.mark.parametrize("learners", [0, 2])
def test_two_runners_on_two_nodes_and_two_learners_have_the_multipliers_of_one(learners):
    found = searched(learners)
    assert found["evaluations"] == 60 and found["best"] and found["nodes"] == 2
    alone = Multiplier(1)
    for row in found["history"][:-1]:
        # One batch, one answer: to the mean of what was measured, however many learn from it.
        expected = alone.update([row["excess_mean"]["latency_ms"]])
        assert row["multipliers"]["latency_ms"] == pytest.approx(float(expected[0]), rel=1e-6)


def test_a_killed_runner_costs_no_evaluation():
    found = searched(0, "kill")
    assert found["killed"] == 1
    assert found["evaluations"] == 60 and found["numbers"] == list(range(1, 61))

"""What a policy that reads the channel graph gains from policies of other networks before it.

    python -m tests.benchmarks.bench_warm_policy FOLDER [--before 40] [--seeds 8]
        [--method policy] [--groups 20] [--evaluations 60 100 200]

The shipped policy knows which group it is asked about by a one-hot, so its weights fit one
network. The graph's reads a group, its neighbours and theirs in the channel graph (each a mean,
so the order of groups changes nothing) and has no one-hot: its weights fit networks of any size.
It is learned over synthetic problems of 12 to 28 groups one after another, its weights carried
from each to the next, and then searches problems that it has not seen, warm and cold. Gaps to the
known optimum in points, and paired differences, with standard errors.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hwprune.cluster import Cluster
from hwprune.evaluation import best_of
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.policy.environment import PruningEnvironment
from hwprune.search.policy.policy_search import FILE
from tests.benchmarks.bench_search import mean_and_error
from tests.benchmarks.row_file import add_row, rows_in
from tests.doubles.synthetic_problem import SyntheticProblem

WAYS = ("shipped", "graph, cold", "graph, warm")
BEFORE = (12, 16, 20, 24, 28)
"""Groups of the problems that are learned from."""
BEFORE_EVALUATIONS = 200


class GraphEnvironment(PruningEnvironment):
    """Observations of the same size for every network: two rounds of messages between groups."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        size = 3 * (self._view.features.shape[1] + 2) + 2 * self._view.constraints + 1
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (size,), np.float32)

    def _observe(self) -> np.ndarray:
        view, groups = self._view, len(self._full)
        used, budgets = np.zeros(view.constraints), np.ones(view.constraints)
        if self._costs is not None:
            used, budgets = self._costs.used(self._widths, view.choices), self._costs.budgets
        chosen = np.arange(groups) < self._group
        kept = chosen * (self._widths / self._full)
        nodes = np.concatenate([view.features, kept[:, None], chosen[:, None]], axis=1)
        near = view.neighbours @ nodes
        rows = np.stack([nodes, near, view.neighbours @ near])
        own = rows[:, self._group] if self._group < groups else np.zeros_like(rows[:, 0])
        row = [*own.reshape(-1), *used, *np.log2(budgets), self._before]
        return np.clip(np.array(row, np.float32), -10.0, 10.0)


def searched(
    problem: SyntheticProblem, evaluations: int, method: str, way: str, weights: Path | None
) -> tuple[float, dict[str, np.ndarray]]:
    """The gap in points, and the policy's weights afterwards."""
    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        if way != "shipped":
            name = "hwprune.search.policy.environment.PruningEnvironment"
            patch.setattr(name, GraphEnvironment)
        folder = Path(scratch)
        if weights is not None:
            told = {"asked": [], "proposed_by": [], "history": [], "multipliers": {}}
            save_file(load_file(weights), folder / FILE, {"hwprune": json.dumps(told)})
        evaluator = Evaluator(problem.search_problem(evaluations), method, None, folder)
        METHODS[method](evaluator)
        learned = load_file(folder / FILE)
    best = best_of([e for e in evaluator.evaluations if e.candidate != problem.space.smallest])
    if best is None:
        return 10.0, learned
    optimum = problem.true_quality(problem.optimum().widths)
    return 100 * (optimum - problem.true_quality(best.candidate.widths)), learned


def warmed(folder: Path, count: int) -> Path:
    """Weights after `count` problems; what a killed run had learned is gone on from."""
    rows = folder / "before.jsonl"
    file = folder / "warm.safetensors"
    for number in range(sum(1 for _ in rows_in(rows)), count):
        problem = SyntheticProblem(BEFORE[number % len(BEFORE)], seed=1000 + number)
        before = file if file.exists() else None
        gap, learned = searched(problem, BEFORE_EVALUATIONS, "policy", "graph", before)
        save_file(learned, file)
        add_row(rows, {"number": number, "gap": gap})
        print(f"learned from {number + 1} of {count}: gap {gap:.2f}", flush=True)
    return file


def main() -> None:
    """Learn, then compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--method", default="policy")
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[60, 100, 200])
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    trials = asked.folder / "trials.jsonl"
    with Cluster():
        weights = warmed(asked.folder, asked.before)
        done = {(r["method"], r["count"], r["seed"], r["way"]) for r in rows_in(trials)}
        for seed in range(asked.seeds):
            for count in asked.evaluations:
                for way in WAYS:
                    if (asked.method, count, seed, way) in done:
                        continue
                    problem = SyntheticProblem(asked.groups, seed=seed)
                    warm = weights if way == "graph, warm" else None
                    gap, _ = searched(problem, count, asked.method, way, warm)
                    row = {"method": asked.method, "count": count, "seed": seed, "way": way}
                    add_row(trials, {**row, "gap": gap})
    read(trials)


def read(trials: Path) -> None:
    """Print a row for each method and number of evaluations."""
    found: dict[tuple[str, int], dict[str, dict[int, float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for row in rows_in(trials):
        found[row["method"], row["count"]][row["way"]][row["seed"]] = row["gap"]
    print(
        f"| method | evaluations | n | {' | '.join(WAYS)} | warm less cold | warm less shipped |"
    )
    print("|---" * (5 + len(WAYS)) + "|")
    for (method, count), ways in found.items():
        seeds = [s for s in ways[WAYS[0]] if all(s in ways[way] for way in WAYS)]
        gaps = [np.array([ways[way][s] for s in seeds]) for way in WAYS]
        cells = [*gaps, gaps[2] - gaps[1], gaps[2] - gaps[0]]
        print(f"| {method} | {count} | {len(seeds)} | {' | '.join(map(mean_and_error, cells))} |")


if __name__ == "__main__":
    main()

"""Several budgets from one search, against a search for each; on synthetic problems.

    python -m tests.benchmarks.bench_front --groups 20 --seeds 10
    python -m tests.benchmarks.bench_front --seeds 20 --budgets 0.8 0.65 0.5 0.4 0.3 \
        --evaluations 300 --joint --methods model policy policy+model

The gap in points to the known optimum of each budget, mean over budgets, ± standard error over
seeds. The first rows are one search with so many evaluations in all; the last are a search for
each budget, with so many evaluations in all, divided equally. Methods are told every budget: the
model cycles them on one table, a policy sees the budget it plays for.
"""

from __future__ import annotations

import argparse
import itertools
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from tests.benchmarks.bench_search import mean_and_error
from tests.doubles.synthetic_problem import SyntheticProblem

NOTHING = 10.0
"""Points that a budget for which nothing was found counts."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The networks of all budgets, by one search or by one for each."""

    method: str
    groups: int
    evaluations: int
    budgets: tuple[float, ...]
    seed: int
    joint: bool


def run_one(trial: Trial) -> float:
    """Mean gap over budgets, in points."""
    synthetic = SyntheticProblem(trial.groups, seed=trial.seed)
    gaps = []
    evaluator: Evaluator | None = None
    if trial.joint:
        problem = synthetic.for_budgets(trial.budgets, trial.evaluations)
        evaluator = Evaluator(problem, trial.method)
        METHODS[trial.method](evaluator)
    for budget in trial.budgets:
        found = evaluator
        if found is None:
            each = trial.evaluations // len(trial.budgets)
            alone = synthetic.for_budgets([budget], each)
            found = Evaluator(alone.under(alone.budgets[0]), trial.method)
            METHODS[trial.method](found)
        best = found.best_under(f"{budget:.0%}" if trial.joint else "")
        optimum = synthetic.true_quality(synthetic.optimum(budget).widths)
        gap = NOTHING
        if best is not None:
            gap = 100 * (optimum - synthetic.true_quality(best.candidate.widths))
        gaps.append(gap)
    return float(np.mean(gaps))


def main() -> None:
    """Print a row for each way, a column for each number of evaluations."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument(
        "--evaluations", type=int, nargs="+", default=[100, 150, 200, 300, 450, 600]
    )
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.7, 0.5, 0.3])
    parser.add_argument("--methods", nargs="+", default=["model"])
    parser.add_argument("--joint", action="store_true", help="no search for each budget")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    print(f"T={given.groups}, budgets {given.budgets}, n = {given.seeds}")
    print("| way | " + " | ".join(f"@{e}" for e in given.evaluations) + " |", flush=True)
    ways = [True] if given.joint else [True, False]
    with ProcessPoolExecutor(given.jobs) as pool:
        for method, joint in itertools.product(given.methods, ways):
            cells = []
            for evaluations in given.evaluations:
                trials = [
                    Trial(
                        method=method,
                        groups=given.groups,
                        evaluations=evaluations,
                        budgets=tuple(given.budgets),
                        seed=seed,
                        joint=joint,
                    )
                    for seed in range(given.seeds)
                ]
                gaps = np.array(list(pool.map(run_one, trials)))
                cells.append(mean_and_error(gaps))
            name = f"{method}, {'one search' if joint else 'a search each'}"
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

"""How far each method's result is from the known optimum, on synthetic problems.

    python tests/benchmarks/bench_search.py --groups 20 32 56 --evaluations 100 200 300 --seeds 10
    python tests/benchmarks/bench_search.py --groups 20 --boards 1 8

The gap is true quality of the optimum less true (noise-free) quality of the candidate that the
method would deliver, in points; the best *measured* feasible one, so a method pays for believing
noise.

With several boards a method asks for more at once, and so knows less when it asks. Answers are
there at once here all the same, so this shows what that costs in points.
"""

from __future__ import annotations

import argparse
import itertools
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from hwprune.evaluation import best_of
from hwprune.progress import Silent
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.testing.synthetic_problem import Difficulty, SyntheticProblem


def run_one(
    task: tuple[str, int, int, int, int, Difficulty, dict[str, Any]],
) -> tuple[float, float, float]:
    """Gap in points (NaN if nothing feasible), true excess in %, and seconds, of one search."""
    method, groups, evaluations, boards, seed, difficulty, settings = task
    synthetic = SyntheticProblem(groups, seed=seed, difficulty=difficulty)
    problem = synthetic.search_problem(evaluations, boards=boards)
    evaluator = Evaluator(problem)
    began = time.monotonic()
    if settings and method == "policy":
        from hwprune.search import policy_search

        wanted = replace(policy_search.PolicySettings(), **settings)
        policy_search.search(problem, evaluator, progress=Silent(), settings=wanted)
    else:
        METHODS[method](problem, evaluator, progress=Silent())
    seconds = time.monotonic() - began
    best = best_of(evaluator.evaluations(method))
    if best is None:
        return float("nan"), float("nan"), seconds
    widths = best.candidate.widths
    optimum = synthetic.true_quality(synthetic.optimum().widths)
    gap = 100 * (optimum - synthetic.true_quality(widths))
    return gap, 100 * synthetic.true_excess(widths), seconds


def main() -> None:
    """Print one row a method, one column a problem."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", type=int, nargs="+", default=[20, 32, 56])
    parser.add_argument("--evaluations", type=int, nargs="+", default=[100, 200, 300])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--boards", type=int, nargs="+", default=[1])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quality-noise", type=float, default=Difficulty().quality_noise)
    parser.add_argument("--interaction", type=float, default=Difficulty().interaction)
    parser.add_argument("--set", nargs="*", default=[], help="policy settings, as name=number")
    given = parser.parse_args()
    difficulty = Difficulty(quality_noise=given.quality_noise, interaction=given.interaction)
    settings = {k: float(v) if "." in v else int(v) for k, v in (s.split("=") for s in given.set)}
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    problems = [(g, e) for g in given.groups for e in given.evaluations]
    print("gap in points: mean ± standard error (seconds)", settings or "", flush=True)
    columns = " | ".join(f"T={g} @{e}" for g, e in problems)
    print(f"| method | boards | {columns} |", flush=True)
    with ProcessPoolExecutor(given.jobs) as pool:
        for method, boards in itertools.product(given.methods, given.boards):
            cells = []
            for g, e in problems:
                tasks = [(method, g, e, boards, s, difficulty, settings) for s in seeds]
                cells.append(_cell(np.array(list(pool.map(run_one, tasks)))))
            print(f"| {method} | {boards} | " + " | ".join(cells) + " |", flush=True)


def _cell(rows: np.ndarray) -> str:
    """`rows`: [seeds, (gap, excess, seconds)]."""
    gaps = rows[~np.isnan(rows[:, 0]), 0]
    lost = len(rows) - len(gaps)
    if not len(gaps):
        return "none feasible"
    error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    said = f"{gaps.mean():.2f} ± {error:.2f} ({rows[:, 2].mean():.0f} s)"
    return f"{said}, {lost} infeasible" if lost else said


if __name__ == "__main__":
    main()

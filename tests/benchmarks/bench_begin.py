"""What a search gains from the scores of an earlier one for another board (`search.begin_from`).

Synthetic problems: the earlier search has 200 evaluations on one board; latencies of the other
board are drawn anew, losses are the same. Each row is the gap to the known optimum in points, from
nothing and begun from those scores, and the paired difference, with standard errors.

    python -m tests.benchmarks.bench_begin [--groups 20] [--seeds 10] [--budget 0.5]
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from hwprune.evaluation import Evaluation, best_of
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.problem import Scored
from tests.benchmarks.bench_search import mean_and_error
from tests.doubles.synthetic_problem import SyntheticProblem

EARLIER = 200
ALLOWANCES = (30, 60, 100, 200)


def searched(
    problem: SyntheticProblem, evaluations: int, scored: tuple[Scored, ...] = ()
) -> tuple[float, list[Evaluation]]:
    """The gap in points that "model" leaves, and what it evaluated."""
    given = replace(problem.search_problem(evaluations), scored=scored)
    evaluator = Evaluator(given, "model")
    METHODS["model"](evaluator)
    best = best_of([e for e in evaluator.evaluations if e.candidate != problem.space.smallest])
    assert best is not None
    optimum = problem.true_quality(problem.optimum().widths)
    return 100 * (optimum - problem.true_quality(best.candidate.widths)), evaluator.evaluations


def main() -> None:
    """Print a row for each allowance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=float, default=0.5)
    options = parser.parse_args()
    print(f"{options.groups} groups, budget {options.budget:g}, n = {options.seeds}")
    print("| evaluations | from nothing | begun from an earlier search | difference |")
    print("|---|---|---|---|", flush=True)
    problems = [SyntheticProblem(options.groups, seed=seed) for seed in range(options.seeds)]
    scores = [
        tuple(
            Scored(widths=e.candidate.widths, quality=e.quality)
            for e in searched(problem, EARLIER)[1]
            if e.quality is not None
        )
        for problem in problems
    ]
    others = [problem.on_other_board(budget=options.budget) for problem in problems]
    for count in ALLOWANCES:
        cold = np.array([searched(other, count)[0] for other in others])
        pairs = zip(others, scores, strict=True)
        begun = np.array([searched(other, count, known)[0] for other, known in pairs])
        rows = (cold, begun, begun - cold)
        print(f"| {count} | {' | '.join(map(mean_and_error, rows))} |", flush=True)


if __name__ == "__main__":
    main()

"""How far each method's result is from the known optimum, on synthetic problems.

    python -m tests.benchmarks.bench_search --groups 20 32 56 --evaluations 100 200 300 --seeds 10
    python -m tests.benchmarks.bench_search --groups 20 --boards 1 8
    python -m tests.benchmarks.bench_search --problem hard --groups 20 --evaluations 300 --seeds 20
    python -m tests.benchmarks.bench_search --methods model --pair policy+model --seeds 20

The gap is true quality of the optimum less true (noise-free) quality of the candidate that the
method would deliver, in points; the best *measured* feasible one, so a method pays for believing
noise. On the hard problem the optimum is a reference, the best that planning on the truth found.
`--nothing` is what a search that finds nothing feasible counts as, in points. The smallest network
is feasible on every problem, and found means more than that.

With several boards a method asks for more at once, and so knows less when it asks. Answers are
there at once here all the same, so this shows what that costs in points.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from hwprune.evaluation import best_of
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from tests.doubles.hard_problem import HardProblem
from tests.doubles.synthetic_problem import Difficulty, SyntheticProblem


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One search."""

    method: str
    groups: int
    evaluations: int
    seed: int
    boards: int
    problem: str
    budget: float
    difficulty: Difficulty


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one search found."""

    gap: float
    """Points; NaN where nothing but the smallest network is feasible."""
    first: float
    """Share of the allowance at which something feasible beside the smallest was found."""
    seconds: float


def make(trial: Trial) -> SyntheticProblem:
    """The problem of a trial."""
    how = {"seed": trial.seed, "budget": trial.budget, "difficulty": trial.difficulty}
    if trial.problem == "chain":
        return SyntheticProblem(trial.groups, **how)
    return HardProblem(trial.groups, form_known=trial.problem == "hard", **how)


def run_one(trial: Trial) -> Outcome:
    """Search once."""
    synthetic = make(trial)
    problem = synthetic.search_problem(trial.evaluations, boards=trial.boards)
    evaluator = Evaluator(problem, trial.method)
    began = time.monotonic()
    METHODS[trial.method](evaluator)
    seconds = time.monotonic() - began
    found = [
        e for e in evaluator.evaluations if e.feasible and e.candidate != synthetic.space.smallest
    ]
    best = best_of(found)
    if best is None:
        return Outcome(gap=float("nan"), first=float("nan"), seconds=seconds)
    optimum = synthetic.true_quality(synthetic.optimum().widths)
    gap = 100 * (optimum - synthetic.true_quality(best.candidate.widths))
    first = min(e.number for e in found) / trial.evaluations
    return Outcome(gap=gap, first=first, seconds=seconds)


def main() -> None:
    """Print one row a method, one column a problem."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", type=int, nargs="+", default=[20, 32, 56])
    parser.add_argument("--evaluations", type=int, nargs="+", default=[100, 200, 300])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--pair", default="", help="a method that each one is held against")
    parser.add_argument("--problem", choices=["chain", "hard", "hard-unknown"], default="chain")
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--boards", type=int, nargs="+", default=[1])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--nothing", type=float, default=10.0)
    parser.add_argument("--quality-noise", type=float, default=Difficulty().quality_noise)
    parser.add_argument("--interaction", type=float, default=Difficulty().interaction)
    parser.add_argument("--failing", type=float, default=0.0)
    given = parser.parse_args()
    difficulty = Difficulty(
        quality_noise=given.quality_noise, interaction=given.interaction, failing=given.failing
    )
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    problems = list(itertools.product(given.groups, given.evaluations))
    print(f"gap in points: mean ± standard error, n = {len(seeds)}", flush=True)
    columns = " | ".join(f"T={g} @{e}" for g, e in problems)
    print(f"| method | boards | {columns} |", flush=True)
    methods = [*([given.pair] if given.pair else []), *given.methods]
    paired: dict[tuple[int, int, int], np.ndarray] = {}
    with ProcessPoolExecutor(given.jobs) as pool:
        for method, boards in itertools.product(methods, given.boards):
            cells = []
            for g, e in problems:
                trials = [
                    Trial(
                        method=method,
                        groups=g,
                        evaluations=e,
                        seed=seed,
                        boards=boards,
                        problem=given.problem,
                        budget=given.budget,
                        difficulty=difficulty,
                    )
                    for seed in seeds
                ]
                found = list(pool.map(run_one, trials))
                gaps = np.array([o.gap for o in found])
                gaps = np.where(np.isnan(gaps), given.nothing, gaps)
                other = paired.setdefault((boards, g, e), gaps) if given.pair else None
                cells.append(_cell(found, gaps, other))
            print(f"| {method} | {boards} | " + " | ".join(cells) + " |", flush=True)


def _cell(found: Sequence[Outcome], gaps: np.ndarray, other: np.ndarray | None) -> str:
    lost = sum(np.isnan(o.gap) for o in found)
    first = np.nanmax([o.first for o in found]) if lost < len(found) else float("nan")
    seconds = np.mean([o.seconds for o in found])
    said = f"{mean_and_error(gaps)} ({seconds:.1f} s, first by {first:.0%})"
    if lost:
        said += f", {lost} of {len(found)} found nothing"
    if other is not None and other is not gaps:
        ratio = gaps.mean() / max(other.mean(), 1e-9)
        said += f", {mean_and_error(gaps - other)} more, ratio {ratio:.2f}"
    return said


def mean_and_error(values: np.ndarray) -> str:
    """The mean and its standard error."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{values.mean():.2f} ± {error:.2f}"


if __name__ == "__main__":
    main()

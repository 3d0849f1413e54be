"""Whether the policy does the work: "policy+model" against itself with parts taken away.

    python -m tests.benchmarks.bench_gates --problem chain --groups 20 --evaluations 300 --seeds 20
    python -m tests.benchmarks.bench_gates --problem hard --groups 20 --evaluations 300 --seeds 20

Each row is held against "policy+model" seed by seed: its mean gap in points, the paired difference
(policy+model less the row; below 0 the policy helps) with its standard error, the ratio of the
gaps, and how many searches found nothing but the smallest network, which counts 10 points. All
begin with the same candidates and have the same evaluations.

| row | is |
|---|---|
| learning rate 0 | "policy+model" whose policy learns nothing |
| model | the planner alone |
| random directions | the model, and random candidates scaled to the budget in the policy's place |
| evolution | an evolution inside the same table in the planner's place, no policy |
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from hwprune.candidate import Candidate
from hwprune.evaluation import best_of
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.model import OVER, Model
from hwprune.search.model_search import BATCH, first_candidates, start_batch
from hwprune.search.policy.algorithms import CONFIGURATIONS
from hwprune.search.problem import PolicySettings
from hwprune.search.proposer import Proposer
from hwprune.search.random_search import drawn, target_estimate
from hwprune.search.surrogate import priced
from tests.benchmarks.bench_search import mean_and_error
from tests.doubles.hard_problem import HardProblem
from tests.doubles.synthetic_problem import SyntheticProblem

NOTHING = 10.0
"""Points that a search which found nothing counts."""
PARENTS, CHILDREN, GENERATIONS = 16, 48, 40
RATE = 0.15
"""Of a parent's groups, moved in a child."""


def frozen() -> AlgorithmConfig:
    """PPO as it ships, at learning rate 0."""
    return CONFIGURATIONS["ppo-lagrange"](BATCH * 20).training(lr=0.0)


def with_random_directions(evaluator: Evaluator) -> None:
    """The model, and batches of random candidates near the budget, by turns."""
    problem = evaluator.problem
    evaluator.ask(first_candidates(problem), by="start")
    proposer, chance = Proposer(problem), np.random.default_rng([problem.seed, 12])
    while evaluator.left > 0:
        proposer.learn(evaluator.evaluations)
        of_model = start_batch(evaluator, proposer)
        target = target_estimate(problem, evaluator.evaluations)
        more = drawn(problem, BATCH, evaluator.asked, chance, target=target)
        evaluator.resolve([*of_model, *evaluator.start(more, by="chance")])


def evolution(evaluator: Evaluator) -> None:
    """Five new candidates at a time: the best that an evolution finds by the surrogate."""
    problem = evaluator.problem
    evaluator.ask(first_candidates(problem), by="start")
    model = Model(problem, problem.space.widest.widths)
    chance = np.random.default_rng([problem.seed, 13])
    while evaluator.left > 0:
        model.surrogate.fit(evaluator.evaluations)
        rows = _evolved(evaluator, model, chance)
        new = [Candidate(widths=tuple(row)) for row in rows.tolist()]
        fresh = [c for c in dict.fromkeys(new) if not evaluator.asked(c)][:BATCH]
        evaluator.ask(fresh or drawn(problem, BATCH, evaluator.asked, chance, target=0.5))


def _evolved(evaluator: Evaluator, model: Model, chance: np.random.Generator) -> np.ndarray:
    choices = [np.array(g.choices) for g in evaluator.problem.space.groups]

    def value(rows: np.ndarray) -> np.ndarray:
        return priced(model.surrogate.loss(rows), model.surrogate.used(rows), aim=0.99, price=OVER)

    parents = np.array([e.candidate.widths for e in evaluator.evaluations])
    parents = parents[np.argsort(value(parents))[:PARENTS]]
    for _ in range(GENERATIONS):
        pairs = parents[chance.integers(0, len(parents), (CHILDREN, 2))]
        mixed = np.where(chance.random((CHILDREN, len(choices))) < 0.5, pairs[:, 0], pairs[:, 1])
        for g, options in enumerate(choices):
            place = np.searchsorted(options, mixed[:, g])
            step = chance.integers(-2, 3, CHILDREN) * (chance.random(CHILDREN) < RATE)
            mixed[:, g] = options[np.clip(place + step, 0, len(options) - 1)]
        rows = np.unique(np.concatenate([parents, mixed]), axis=0)
        parents = rows[np.argsort(value(rows))[:PARENTS]]
    return parents


ROWS: dict[str, tuple[str, Callable[[Evaluator], None] | None, str]] = {
    "policy+model": ("policy+model", None, "ppo-lagrange"),
    "learning rate 0": ("policy+model", None, f"{__name__}:frozen"),
    "model": ("model", None, ""),
    "random directions": ("model", with_random_directions, ""),
    "evolution": ("model", evolution, ""),
}
"""By row: the method's name, its search where it is not the shipped one, and the algorithm."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One search."""

    row: str
    problem: str
    groups: int
    evaluations: int
    seed: int


def run_one(trial: Trial) -> tuple[float, str]:
    """Gap in points (NaN: nothing found), and who proposed the winner."""
    kind = HardProblem if trial.problem == "hard" else SyntheticProblem
    synthetic = kind(trial.groups, seed=trial.seed)
    method, search, algorithm = ROWS[trial.row]
    settings = PolicySettings(algorithm=algorithm or "ppo-lagrange")
    problem = replace(synthetic.search_problem(trial.evaluations), policy=settings)
    evaluator = Evaluator(problem, method)
    (search or METHODS[method])(evaluator)
    smallest = synthetic.space.smallest
    best = best_of([e for e in evaluator.evaluations if e.candidate != smallest])
    if best is None:
        return float("nan"), ""
    optimum = synthetic.true_quality(synthetic.optimum().widths)
    return 100 * (optimum - synthetic.true_quality(best.candidate.widths)), best.proposed_by


def main() -> None:
    """Print a row each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", choices=["chain", "hard"], default="chain")
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    print(f"{given.problem}, T={given.groups} @{given.evaluations}, n = {given.seeds}")
    print("| row | gap | policy+model less it | ratio | found nothing | winner proposed by |")
    print("|---|---|---|---|---|---|", flush=True)
    ours: np.ndarray | None = None
    with ProcessPoolExecutor(given.jobs) as pool:
        for row in given.rows:
            trials = [
                Trial(
                    row=row,
                    problem=given.problem,
                    groups=given.groups,
                    evaluations=given.evaluations,
                    seed=seed,
                )
                for seed in range(given.seeds)
            ]
            found = list(pool.map(run_one, trials))
            gaps = np.array([gap for gap, _ in found])
            lost = int(np.isnan(gaps).sum())
            gaps = np.where(np.isnan(gaps), NOTHING, gaps)
            ours = gaps if ours is None else ours
            by = Counter(who for _, who in found)
            print(_line(row, gaps, ours, lost, by), flush=True)


def _line(row: str, gaps: np.ndarray, ours: np.ndarray, lost: int, by: Counter[str]) -> str:
    pair = mean_and_error(ours - gaps) if gaps is not ours else ""
    ratio = f"{ours.mean() / gaps.mean():.2f}" if gaps is not ours else ""
    who = ", ".join(f"{name} {count}" for name, count in by.most_common())
    return f"| {row} | {mean_and_error(gaps)} | {pair} | {ratio} | {lost} of {len(gaps)} | {who} |"


if __name__ == "__main__":
    main()

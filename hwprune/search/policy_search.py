"""Method "policy": a constrained RLlib policy that starts from a spread over the space.

1. A spread: random candidates from nearly whole to below the budget. Its evaluations count.
2. A table learned from every evaluation so far advises, group by group, the width that is best for
   the budget still left; the policy sees that advice and proposes around it.
3. Of each batch of proposals the most promising few are evaluated on the board; the policy learns
   from these, and from the table's belief about the others. Meanwhile the next batch is under way.

The best candidate that was measured within the budget is delivered, never the policy's favourite.
"""

from __future__ import annotations

import json
import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import ray
import torch

from hwprune.candidate import Candidate
from hwprune.errors import RunFolderError
from hwprune.progress import Progress
from hwprune.search import checkpoint as disk
from hwprune.search.advisor import Advisor
from hwprune.search.algorithm import ConstrainedPPO, ConstrainedPPOConfig
from hwprune.search.desk import Desk
from hwprune.search.environment import PruningEnvironment
from hwprune.search.episodes import to_arrays, to_episodes
from hwprune.search.evaluator import Evaluator
from hwprune.search.multiplier import Gains
from hwprune.search.problem import SearchProblem
from hwprune.search.spread import spread_candidates
from hwprune.search.turn import Turn

METHOD = "policy"
HISTORY = "history.jsonl"
STALE = 6
"""Batches in a row without a new candidate after which the space counts as exhausted."""
CHOICE = 4
"""Proposals for each one that is evaluated, at least: what the table chooses the best from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """Numbers of the search; the defaults are tuned by tests/benchmarks/bench_search.py."""

    batch: int = 5
    """Candidates evaluated at once by one board."""
    proposals: int = 32
    """Episodes the policy plays for each batch; more where the batch is larger."""
    start_share: float = 0.15
    """Share of the allowance that is spread over the space before the policy proposes."""
    std: float = 0.2
    """Spread of actions at the first evaluation; the whole range of an action is 2."""
    last_std: float = 0.06
    lr: float = 1e-3
    epochs: int = 4
    clip: float = 0.3
    gains: Gains = field(default_factory=Gains)

    def for_boards(self, problem: SearchProblem) -> PolicySettings:
        """With the batch that the problem's boards are kept busy by, and proposals to match."""
        if problem.boards == 1:
            return self
        batch = problem.at_once(self.batch)
        return replace(self, batch=batch, proposals=max(self.proposals, CHOICE * batch))


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
    settings: PolicySettings | None = None,
) -> list[dict[str, Any]]:
    """Search until the allowance or the space is exhausted; the history, one row a batch.

    With `checkpoint`, a folder, the search is kept there after each batch and goes on from there.

    Raises:
        RunFolderError: the checkpoint cannot be read or is of another problem.
    """
    with _one_thread(), _quiet():
        run = PolicySearch(problem, evaluator, progress, checkpoint, settings or PolicySettings())
        try:
            while run.step():
                pass
        finally:
            run.close()
    return run.history


class PolicySearch:
    """A search that can be taken one batch at a time."""

    def __init__(
        self,
        problem: SearchProblem,
        evaluator: Evaluator,
        progress: Progress,
        folder: Path | None,
        settings: PolicySettings,
    ) -> None:
        self.problem = problem
        settings = settings.for_boards(problem)
        self.history: list[dict[str, Any]] = []
        self._folder = folder
        self._stale = 0
        self._turn = Turn(METHOD, evaluator, progress)
        kept = disk.load(folder) if folder is not None else None
        if kept is not None:
            self._check(kept)
        count = int(problem.evaluations * settings.start_share)
        first = self._turn.start(spread_candidates(problem, max(1, count)))
        # RLlib takes seconds to build, in which the boards have the spread to measure.
        self._algorithm = build_algorithm(problem, settings)
        self._turn.resolve(first)
        advisor = Advisor(problem)
        advisor.learn(self._turn.evaluations)
        self._desk = Desk(self._turn, advisor, settings.batch)
        self._algorithm.attach(self._desk)
        if kept is not None:
            self._restore(kept)

    def step(self) -> bool:
        """One batch; whether there is another."""
        if self._turn.left == 0 and self._algorithm.pending is None:
            return False
        before = self._turn.left
        self._algorithm.train()
        self._stale = self._stale + 1 if self._turn.left == before else 0
        if self._algorithm.outcomes is not None:
            self.history.append(self._row())
        if self._folder is not None:
            self._save(self._folder)
        return self._stale < STALE

    def close(self) -> None:
        """Give RLlib's resources back."""
        self._algorithm.stop()

    def _row(self) -> dict[str, Any]:
        """What the report's curves show of a batch."""
        outcomes = self._algorithm.outcomes
        assert outcomes is not None
        seen = outcomes.measured if outcomes.measured.any() else ~outcomes.measured
        labels = self.problem.constraints
        excess = outcomes.used[seen].mean(axis=0) - 1
        learner = self._algorithm.learner
        best = self._turn.best
        return {
            "evaluations": len(self._turn.evaluations),
            "measured": int(outcomes.measured.sum()),
            "quality_mean": float(outcomes.quality[seen].mean()),
            "excess_mean": dict(zip(labels, excess.tolist(), strict=True)),
            "multipliers": dict(zip(labels, learner.multiplier.values.tolist(), strict=True)),
            "std": self._algorithm.spread(self._desk.left),
            "best_quality": None if best is None else best.quality,
        }

    def _save(self, folder: Path) -> None:
        pending = self._algorithm.pending
        batch = None
        if pending is not None:
            batch = {"episodes": to_arrays(pending[0]), "widths": pending[1].widths}
        asked = self._turn.asked_widths
        disk.save(
            folder,
            {
                "choices": [list(g.choices) for g in self.problem.space.groups],
                "constraints": list(self.problem.constraints),
                "seed": self.problem.seed,
                "evaluations": self.problem.evaluations,
                "asked": [list(widths) for widths in asked],
                "resolved": len(self._turn.evaluations),
                "pending": batch,
                "learner": self._algorithm.learner_state(),
                "advisor": self._desk.advisor.model.state,
                "chance": disk.chance(),
                "history": self.history,
                "stale": self._stale,
            },
        )
        lines = "".join(json.dumps(row) + "\n" for row in self.history)
        (folder / HISTORY).write_text(lines, encoding="utf-8")

    def _restore(self, kept: dict[str, Any]) -> None:
        """Ask again for what was asked, answered from memory, and take up the batch in flight."""
        asked = [Candidate(widths=tuple(widths)) for widths in kept["asked"]]
        futures = self._turn.submit(asked)
        self._turn.resolve(futures[: kept["resolved"]])
        self._desk.advisor.restore(kept["advisor"], self._turn.evaluations)
        self._algorithm.set_learner_state(kept["learner"])
        if kept["pending"] is not None:
            ticket = self._desk.ticket(kept["pending"]["widths"])
            self._algorithm.pending = (to_episodes(kept["pending"]["episodes"]), ticket)
        self.history = list(kept["history"])
        self._stale = kept["stale"]
        disk.set_chance(kept["chance"])

    def _check(self, kept: dict[str, Any]) -> None:
        wanted = [
            [list(g.choices) for g in self.problem.space.groups],
            list(self.problem.constraints),
            self.problem.seed,
            self.problem.evaluations,
        ]
        if wanted != [kept[key] for key in ("choices", "constraints", "seed", "evaluations")]:
            raise RunFolderError(
                "the checkpoint is of another search: space, limits, seed or allowance differ",
                given=str(self._folder),
                next_step="start in a new run folder, or delete the checkpoint",
            )


def build_algorithm(problem: SearchProblem, settings: PolicySettings) -> ConstrainedPPO:
    """The algorithm with one environment runner and one learner, both in this process."""
    if not ray.is_initialized():
        # RLlib keeps its configuration in Ray's store, so there is no way around a local one.
        ray.init(include_dashboard=False, log_to_driver=False, num_cpus=1, logging_level="ERROR")
    random.seed(problem.seed)
    np.random.seed(problem.seed % 2**32)
    torch.manual_seed(problem.seed)
    groups = len(problem.space.groups)
    rows = settings.proposals * groups
    config = (
        ConstrainedPPOConfig()
        .constrain(
            constraints=len(problem.constraints),
            gains=settings.gains,
            std=settings.std,
            last_std=settings.last_std,
        )
        .environment(
            PruningEnvironment,
            env_config={"features": problem.features.tolist()},
            clip_actions=True,
            normalize_actions=False,
            disable_env_checking=True,
        )
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=settings.proposals,
            gym_env_vectorize_mode=gymnasium.VectorizeMode.VECTOR_ENTRY_POINT,
            batch_mode="complete_episodes",
        )
        .learners(num_learners=0)
        .training(
            gamma=1.0,
            lambda_=1.0,
            lr=settings.lr,
            num_epochs=settings.epochs,
            train_batch_size_per_learner=rows,
            minibatch_size=max(1, rows // 4),
            clip_param=settings.clip,
            vf_clip_param=float("inf"),
            vf_loss_coeff=1.0,
            entropy_coeff=0.0,
            use_kl_loss=False,
            grad_clip=1.0,
        )
        .debugging(seed=problem.seed, log_level="ERROR")
    )
    return ConstrainedPPO(config=config)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads made learning 25 times slower on a busy machine of two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """RLlib's remarks about itself are not for the user's terminal."""
    names = ("ray", "ray.rllib", "ray.tune", "ray._common.deprecation")
    before = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)

"""The policy: PPO with Lagrange multipliers, started from a scan, led by what the table believes.

A scan of single groups comes first, and its evaluations count. From then on, every batch is a set
of whole episodes of the policy. The policy's mean is a knapsack's advice for the group at hand,
given what the episode has spent so far, plus what was learned. The few episodes most worth it are
measured; the others are imagined by the table and weigh less in the loss. While board and scorers
work on one batch, the batch before it is learned from. What counts at the end is the best
candidate that was measured, never the policy's mode.
"""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.scan import scan_candidates
from hwprune.search.table import Table
from hwprune.search.turn import Turn

if TYPE_CHECKING:
    from hwprune.search.ppo.algorithm import LagrangianPpo, Outcome
    from hwprune.search.ppo.proposals import Proposals

METHOD = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """How the policy searches."""

    episodes: int = 32
    """Episodes a batch, measured and imagined."""
    measured: int = 5
    """Of which so many are measured: small batches learn faster (10 and 20 were slower)."""
    scan_share: float = 0.4
    """Of the allowance, at most, for the scan of single groups."""
    std: float = 0.35
    """Exploration at the start, in actions of [-1, 1]."""
    last_std: float = 0.1
    """The most exploration that is left at the end."""
    imagined_weight: float = 0.3
    floor: float = -3.0
    """Reward of a candidate that failed, and the least of any; log of accuracy over the base's."""
    failed_cost: float = 2.0
    """Cost of a candidate that failed, as a share of the limits."""


@dataclass(slots=True)
class _Batch:
    """Episodes whose measured ones are not all answered yet."""

    episodes: list[Any]
    widths: np.ndarray
    picked: dict[int, Future[Evaluation]]


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
    settings: PolicySettings | None = None,
) -> list[dict[str, Any]]:
    """Search with the whole allowance; the history of the policy, one entry a batch.

    With a `checkpoint` folder the state is kept after every batch, and a search that finds one
    there goes on from it.
    """
    return _Search(problem, evaluator, progress, checkpoint, settings or PolicySettings()).run()


class _Search:
    def __init__(
        self,
        problem: SearchProblem,
        evaluator: Evaluator,
        progress: Progress,
        checkpoint: Path | None,
        settings: PolicySettings,
    ) -> None:
        from hwprune.search.ppo.algorithm import build
        from hwprune.search.ppo.proposals import Proposals

        self.problem = problem
        self.settings = settings
        self.turn = Turn(METHOD, evaluator, progress)
        self.table = Table(problem)
        self.history: list[dict[str, Any]] = []
        self._folder = checkpoint
        self._rng = np.random.default_rng(problem.seed)
        self.proposals: Proposals = Proposals(problem, self.table, self._rng)
        self._build = build
        self._asked: list[Candidate] = []

    def run(self) -> list[dict[str, Any]]:
        """Scan, then batch after batch until the allowance or the space is used up."""
        self.algorithm: LagrangianPpo = self._build(
            self.proposals,
            constraints=len(self.problem.constraints),
            episodes=self.settings.episodes,
            std=self.settings.std,
            seed=self.problem.seed,
        )
        try:
            waiting = self._resume()
            if waiting is None:
                self._scan()
            while batch := self._propose():
                if waiting is not None:
                    self._learn(waiting)
                waiting = batch
                self._keep(waiting)
            if waiting is not None:
                self._learn(waiting)
            return self.history
        finally:
            self.algorithm.stop()

    def _scan(self) -> None:
        most = int(self.problem.evaluations * self.settings.scan_share)
        scan = scan_candidates(self.problem.space, 1, max(2, most))
        self._asked += scan
        self.turn.ask(scan)
        self.table.fit(self.turn.evaluations)

    def _propose(self) -> _Batch | None:
        """Sample a batch and start measuring its best; None when nothing new is proposed."""
        for _ in range(5):
            count = min(self.settings.measured, self.turn.left)
            if count == 0:
                return None
            episodes = self.algorithm.sample()
            picks = self.proposals.pick(count, self.turn.asked)
            if picks:
                candidates = [candidate for _, candidate in picks]
                self._asked += candidates
                futures = self.turn.submit(candidates)
                rows = [episode for episode, _ in picks]
                return _Batch(
                    episodes=episodes,
                    widths=self.proposals.widths.copy(),
                    picked=dict(zip(rows, futures, strict=True)),
                )
        return None

    def _learn(self, batch: _Batch) -> None:
        """Wait for a batch's evaluations, believe them, and update the policy."""
        found = self.turn.resolve(list(batch.picked.values()))
        self.table.fit(self.turn.evaluations)
        measured = dict(zip(batch.picked, found, strict=True))
        imagined = self._imagine(batch.widths)
        outcomes = [
            self._outcome(measured[row]) if row in measured else imagined[row]
            for row in range(len(batch.widths))
        ]
        self.algorithm.learn(batch.episodes, outcomes)
        left = self.turn.left / max(1, self.problem.evaluations)
        self.algorithm.calm(
            self.settings.last_std + (self.settings.std - self.settings.last_std) * left
        )
        self.algorithm.sync()
        self._note([outcomes[row] for row in measured])

    def _outcome(self, evaluation: Evaluation) -> Outcome:
        if evaluation.failure is not None or not evaluation.accuracy:
            cost = [self.settings.failed_cost] * len(self.problem.constraints)
            if evaluation.failure is None:
                cost = [1 + evaluation.excess[label] for label in self.problem.constraints]
            return self.settings.floor, cost, 1.0
        reward = float(np.log(evaluation.accuracy / self.problem.base_accuracy))
        costs = [1 + evaluation.excess[label] for label in self.problem.constraints]
        return max(reward, self.settings.floor), costs, 1.0

    def _imagine(self, widths: np.ndarray) -> list[Outcome]:
        rewards = np.maximum(-self.table.loss(widths), self.settings.floor)
        costs = self.table.used(widths)
        return [
            (float(r), [float(c) for c in row], self.settings.imagined_weight)
            for r, row in zip(rewards, costs, strict=True)
        ]

    def _note(self, outcomes: list[Outcome]) -> None:
        best = self.turn.best
        labels = self.problem.constraints
        costs = np.mean([o[1] for o in outcomes], axis=0) - 1
        self.history.append(
            {
                "iteration": len(self.history) + 1,
                "evaluations": len(self.turn.evaluations),
                "reward": float(np.mean([o[0] for o in outcomes])),
                "cost": dict(zip(labels, map(float, costs), strict=True)),
                "multiplier": dict(
                    zip(labels, map(float, self.algorithm.learner.multiplier.values), strict=True)
                ),
                "best": best.accuracy if best else None,
            }
        )

    def _keep(self, waiting: _Batch) -> None:
        """Keep all that the next batch depends on, the batch in flight included."""
        if self._folder is None:
            return
        from hwprune.search.ppo.checkpoint import random_state, save_state

        save_state(
            self._folder,
            {
                "learner": self.algorithm.save_learner(),
                "random": random_state(self._rng),
                "centre": list(self.proposals.centre),
                "asked": np.array([c.widths for c in self._asked]),
                "history": json.dumps(self.history),
                "widths": waiting.widths,
                "picked": list(waiting.picked),
                "episodes": self.algorithm.save_episodes(waiting.episodes),
            },
        )

    def _resume(self) -> _Batch | None:
        """Take over a kept state; what was asked for before is asked again, of the caches."""
        from hwprune.search.ppo.checkpoint import load_state, set_random_state

        state = load_state(self._folder) if self._folder is not None else None
        if state is None:
            return None
        self._asked = [Candidate(widths=tuple(row)) for row in state["asked"].tolist()]
        flying = len(state["picked"])
        self.turn.ask(self._asked[:-flying])
        futures = self.turn.submit(self._asked[-flying:])
        self.table.fit(self.turn.evaluations)
        self.history[:] = json.loads(state["history"])
        self.proposals.centre = tuple(state["centre"])
        self.algorithm.load_learner(state["learner"])
        episodes = self.algorithm.load_episodes(state["episodes"])
        set_random_state(state["random"], self._rng)
        return _Batch(
            episodes=episodes,
            widths=state["widths"].numpy(),
            picked=dict(zip(state["picked"], futures, strict=True)),
        )

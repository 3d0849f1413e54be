"""The ways to choose: an order, a mixture of orders, an agent, and gates that are learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwprune.pipeline.prepare import Prepared
from hwprune.saliency.criteria import criterion_names
from hwprune.saliency.ranking import rank
from hwprune.search.papers.ppo_lagrangian import PpoLagrangian
from tests.benchmarks.channels.gates import Gates
from tests.benchmarks.channels.scored import Keep, Scored, Spent

GATE_LOOKS = 5
"""How often the gates' choice is scored while they learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a chooser is asked."""

    prepared: Prepared
    scored: Scored
    seed: int
    cache: Path

    def standardised(self, criterion: str) -> list[np.ndarray]:
        """A criterion's scores, within each group by rank, about −1.7 to 1.7."""
        prepared = self.prepared
        found = rank(prepared.base, prepared.task, criterion, cache=self.cache)
        values = []
        for order in found.order:
            places = np.empty(len(order))
            places[order] = np.linspace(1, -1, len(order))
            values.append(places * 3**0.5)
        return values

    @property
    def own(self) -> list[np.ndarray]:
        """The deployment's own criterion."""
        return self.standardised(self.prepared.deployment.search.saliency)


def saliency(question: Question) -> None:
    """The deployment's own order."""
    question.scored(question.scored.highest(question.own))


def best_criterion(question: Question) -> None:
    """Every criterion's own order; the best of them."""
    for name in criterion_names():
        question.scored(question.scored.highest(question.standardised(name)))


def mixture(question: Question) -> None:
    """CMA-ES over one weight for each criterion (the package `cma`), from the deployment's own."""
    import cma

    names = [name for name in criterion_names() if name != "random"]
    columns = [question.standardised(name) for name in names]
    start = np.array([name == question.prepared.deployment.search.saliency for name in names])
    options = {"seed": question.seed + 1, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(start.astype(float), 0.3, options)

    def loss(weights: np.ndarray) -> float:
        mixed = [
            sum(w * column[g] for w, column in zip(weights, columns, strict=True))
            for g in range(len(columns[0]))
        ]
        return -question.scored(question.scored.highest(mixed))

    while True:
        rows = strategy.ask()
        strategy.tell(rows, [loss(row) for row in rows])


class MaskEpisodes:
    """The paper's fine-grained agent at given widths: one step a group, one number a channel.

    Widths are given, so the numbers only order the channels, and there is no cost to keep.
    """

    count = 3

    def __init__(self, question: Question, start: Sequence[np.ndarray]) -> None:
        """`start`: what the agent's numbers are added to."""
        self._scored, self._start = question.scored, start
        groups = question.prepared.base.plan.groups
        self.action_size = max(group.width for group in groups)
        self._states = np.array(
            [
                (place, group.width, width, len(group.members), len(group.readers))
                for place, (group, width) in enumerate(
                    zip(groups, question.scored.widths, strict=True)
                )
            ],
            float,
        )
        self.observation_size = self._states.shape[1]
        self._taken: list[np.ndarray] = []

    def observe(self) -> np.ndarray:
        """The group at hand, by episode."""
        return np.tile(self._states[len(self._taken)], (self.count, 1))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
        """See `Episodes.step`."""
        self._taken.append(actions)
        nothing = np.zeros(self.count)
        if len(self._taken) < len(self._states):
            return nothing, nothing, False
        episodes, self._taken = self._taken, []
        if self._scored.asked + self.count > self._scored.allowed:
            return None
        scores = [
            self._scored(
                self._scored.highest(
                    [
                        base + taken[episode][: len(base)]
                        for base, taken in zip(self._start, episodes, strict=True)
                    ]
                )
            )
            for episode in range(self.count)
        ]
        return 100 * np.array(scores), nothing, True


def fg(question: Question) -> None:
    """The agent from nothing, as in the paper."""
    nothing = [np.zeros(width) for width in question.prepared.base.widths]
    PpoLagrangian(MaskEpisodes(question, nothing), question.seed).learn(1.0)


def fg_from_saliency(question: Question) -> None:
    """The agent's numbers are added to the deployment's own order."""
    PpoLagrangian(MaskEpisodes(question, question.own), question.seed).learn(1.0)


def gates(question: Question) -> None:
    """Gates from the deployment's own order, for the time that all scorings would take."""
    scored = question.scored
    scored(scored.highest(question.own))
    until_s = time.monotonic() + (scored.allowed - GATE_LOOKS - 1) * scored.seconds
    learned = Gates(question.prepared, scored.widths, question.own, seed=question.seed)
    each_s = (until_s - time.monotonic()) / GATE_LOOKS
    for _ in range(GATE_LOOKS):
        learned.learn(time.monotonic() + each_s)
        scored(scored.highest(learned.values))


CHOOSERS: dict[str, Callable[[Question], None]] = {
    "saliency": saliency,
    "best criterion": best_criterion,
    "mixture": mixture,
    "fg": fg,
    "fg from saliency": fg_from_saliency,
    "gates": gates,
}


def choose(name: str, question: Question) -> Keep:
    """The best choice that a chooser finds with the scorings that are allowed."""
    with suppress(Spent):
        CHOOSERS[name](question)
    assert question.scored.best is not None
    return question.scored.best[1]

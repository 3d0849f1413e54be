"""The desk: where proposals of a policy become evaluations, and evaluations become outcomes.

Of all proposals of a batch only the most promising are evaluated; the outcome of the others is
what the table believes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.search.advisor import Advisor
from hwprune.search.turn import Turn

FAILED_EXCESS = 0.2
"""A failed candidate counts as so much over the limit, or as the worst seen if that is more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Proposals of one batch, and what was asked of them."""

    widths: np.ndarray
    """[episodes, groups]."""
    asked: Mapping[int, Future[Evaluation]]
    """By episode: those evaluated for this batch, or already known from an earlier one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became of a batch."""

    quality: np.ndarray
    """[episodes], 0..1."""
    used: np.ndarray
    """Cost over limit, 1 at the limit, [episodes, constraints]."""
    measured: np.ndarray
    """[episodes], bool; False where the table was believed."""


class Desk:
    """One method's proposals."""

    def __init__(self, turn: Turn, advisor: Advisor, batch: int) -> None:
        """`batch`: how many candidates are evaluated at once."""
        self.turn = turn
        self.advisor = advisor
        self.batch = batch
        self._start = max(1, turn.left)

    @property
    def left(self) -> float:
        """Share of the policy's own allowance that is left, 1 to 0."""
        return self.turn.left / self._start

    def submit(self, widths: np.ndarray) -> Ticket:
        """Start evaluating the most promising new proposals among widths [episodes, groups]."""
        candidates = [Candidate(widths=tuple(row)) for row in widths.tolist()]
        chosen: dict[Candidate, None] = {}
        for episode in self._ranked(widths):
            if len(chosen) == min(self.batch, self.turn.left):
                break
            if not self.turn.asked(candidates[episode]):
                chosen[candidates[episode]] = None
        self.turn.submit(list(chosen))
        return self.ticket(widths)

    def ticket(self, widths: np.ndarray) -> Ticket:
        """A ticket for proposals whose evaluations were asked for before."""
        known = (
            (i, self.turn.find(Candidate(widths=tuple(r)))) for i, r in enumerate(widths.tolist())
        )
        return Ticket(widths=widths, asked={i: f for i, f in known if f is not None})

    def _ranked(self, widths: np.ndarray) -> Sequence[int]:
        model = self.advisor.model
        return model.ranked(widths).tolist() if model.table.known else range(len(widths))

    def resolve(self, ticket: Ticket) -> Outcomes:
        """Wait for a batch's evaluations and learn from them."""
        done = dict(zip(ticket.asked, self.turn.resolve(list(ticket.asked.values())), strict=True))
        self.advisor.learn(self.turn.evaluations)
        table, count = self.advisor.model.table, len(ticket.widths)
        labels = self.turn.problem.constraints
        quality, used = np.zeros(count), np.ones((count, len(labels)))
        if table.known:
            quality, used = table.quality(ticket.widths), table.used(ticket.widths)
        for i, evaluation in done.items():
            if evaluation.failure is None:
                quality[i] = evaluation.quality
                used[i] = [1 + evaluation.excess[label] for label in labels]
            else:
                quality[i], used[i] = self._failed()
        return Outcomes(quality=quality, used=used, measured=np.isin(range(count), list(done)))

    def _failed(self) -> tuple[float, np.ndarray]:
        """What a failure counts as: the worst seen, so it repels without drowning the rest."""
        good = [e for e in self.turn.evaluations if e.failure is None]
        quality = min((e.quality or 0.0 for e in good), default=0.0)
        worst = [
            1 + max([FAILED_EXCESS, *(e.excess[label] for e in good)])
            for label in self.turn.problem.constraints
        ]
        return quality, np.array(worst)

"""The evaluator: what a method asked for, what came of it, how much it may still ask for."""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation, best_of
from hwprune.futures import joined
from hwprune.progress import Progress, Silent
from hwprune.search.problem import SearchProblem

PATIENCE = 40
"""Of one board. On synthetic problems of 20 groups (bench_search) searches of 300 evaluations
ended after 163 with it, 0.3 points worse; of 10 groups and 200 after 135, 0.1 points worse
(n = 6 each)."""


class Evaluator:
    """One method's evaluations of one problem. A method asks from one thread."""

    def __init__(
        self,
        problem: SearchProblem,
        method: str,
        progress: Progress | None = None,
        folder: Path | None = None,
    ) -> None:
        """`folder`: where the method may keep what it needs to go on with after a kill."""
        self.problem = problem
        self.method = method
        self.folder = folder
        self.evaluations: list[Evaluation] = []
        """Complete ones that were waited for, in the order they were asked for."""
        self.ended = ""
        """Why the search ended before its allowance was used; empty while it goes on."""
        self.history: list[dict[str, Any]] = []
        """Rows for curves, where a method has such."""
        self.waited_s = 0.0
        """How long was waited for evaluations; the rest of a method's time is its own."""
        self._progress = progress or Silent()
        self._asked: dict[Candidate, Future[Evaluation]] = {}
        self._resolved: set[int] = set()
        self._known: set[int] = set()
        """Numbers of those that came from memory at once."""
        self._under_way: list[Future[Evaluation]] = []

    @property
    def left(self) -> int:
        """How many new candidates may still be asked for."""
        # Every method asks for this before a batch, so a search whose time is over ends here.
        if time.monotonic() >= self.problem.until_s:
            self.ended = self.ended or "its time was over"
        return 0 if self.ended else self.problem.evaluations - len(self._asked)

    def end_if_idle(self) -> None:
        """End a search that may end early once PATIENCE evaluations in a row found nothing better.

        As long as nothing keeps the budget, more of them pay.
        """
        budgets = self.problem.budgets
        # Budgets have their batches by turns: each gets one in so many evaluations.
        patience = self.problem.at_once(PATIENCE) * len(budgets)
        bests = [best.number for b in budgets if (best := self.best_under(b)) is not None]
        if self.problem.patient or len(bests) < len(budgets):
            return
        idle = len(self.evaluations) - max(bests)
        if idle >= patience:
            self.ended = f"{idle} evaluations in a row found nothing better"

    @property
    def best(self) -> Evaluation | None:
        """The best feasible evaluation so far; of several budgets, that of the first."""
        return self.best_under(self.problem.budgets[0])

    def best_under(self, budget: str) -> Evaluation | None:
        """The best evaluation so far that keeps a budget."""
        return best_of(self.under(budget))

    def under(self, budget: str) -> list[Evaluation]:
        """The evaluations so far, as one of several budgets sees them."""
        return [evaluation.under(budget) for evaluation in self.evaluations]

    @property
    def asked_widths(self) -> list[tuple[int, ...]]:
        """Widths of everything asked for, complete or not, in order."""
        return [candidate.widths for candidate in self._asked]

    def asked(self, candidate: Candidate) -> bool:
        """Whether a candidate was asked for before."""
        return candidate in self._asked

    def start(
        self, candidates: Sequence[Candidate], *, by: str = "", learning: bool = True
    ) -> list[Future[Evaluation]]:
        """Start evaluating as many of the candidates as the allowance permits, in order.

        What was asked for before costs nothing.

        Args:
            by: who proposes them; empty: the method.
            learning: whether scores of what is over its budget are learned from.

        Raises:
            ValueError: widths that are not in the space.
        """
        fitting: list[Candidate] = []
        new: dict[Candidate, None] = {}
        for candidate in candidates:
            if candidate not in self._asked and candidate not in new:
                # Nothing behind it either: callers pair results with candidates from the front.
                if len(new) == self.left:
                    break
                self._check(candidate)
                new[candidate] = None
            fitting.append(candidate)
        if new:
            self._start(list(new), by or self.method, learning)
        return [self._asked[candidate] for candidate in fitting]

    def resolve(self, futures: Sequence[Future[Evaluation]]) -> list[Evaluation]:
        """Wait for evaluations; progress receives each once, results keep their order."""
        results = []
        for future in futures:
            began = time.monotonic()
            try:
                evaluation = future.result()
            finally:
                self.waited_s += time.monotonic() - began
            results.append(evaluation)
            if evaluation.number not in self._resolved:
                self._resolved.add(evaluation.number)
                insort(self.evaluations, evaluation, key=lambda e: e.number)
                known = evaluation.number in self._known
                (self._progress.skip if known else self._progress.advance)(1, self.note)
        return results

    def ask(
        self, candidates: Sequence[Candidate], *, by: str = "", learning: bool = True
    ) -> list[Evaluation]:
        """Evaluate as many of the candidates as the allowance permits, and wait for them.

        The result is shorter than `candidates` when the allowance ends among them.
        """
        return self.resolve(self.start(candidates, by=by, learning=learning))

    def hand_in(self, futures: Sequence[Future[Evaluation]]) -> None:
        """Leave a batch that was started under way, and wait for the one before it.

        So several boards have a batch to go on with while the method learns from the last one.
        With one board this batch is waited for: a search that is short of readings had rather
        learn from each of them at once.
        """
        self.take_in()
        self._under_way = list(futures)
        if self.problem.boards == 1:
            self.take_in()

    def take_in(self) -> list[Evaluation]:
        """Wait for the batch that was handed in last; empty if nothing is under way."""
        found = self.resolve(self._under_way)
        self._under_way = []
        return found

    def _check(self, candidate: Candidate) -> None:
        groups = self.problem.space.groups
        if len(candidate.widths) != len(groups) or any(
            w not in g.choices for w, g in zip(candidate.widths, groups, strict=True)
        ):
            raise ValueError(f"not a candidate of this space: {candidate.widths}")

    def _start(self, new: list[Candidate], by: str, learning: bool) -> None:
        started = self.problem.evaluate(new, learning=learning)
        for candidate, future in zip(new, started, strict=True):
            number = len(self._asked) + 1
            who = {"method": self.method, "number": number, "proposed_by": by}
            self._asked[candidate] = joined([future], lambda e, who=who: replace(e, **who))
            # Done at once: the run had it in memory, so progress does not count its time.
            if future.done() and not future.exception():
                self._known.add(number)

    @property
    def note(self) -> str:
        """The score of the best so far, by budget, as progress shows it."""
        text, said = self.problem.metric.text, []
        for budget in self.problem.budgets:
            best = self.best_under(budget)
            found = "nothing feasible yet" if best is None else f"best {text(best.score)}"
            said.append(f"{budget}: {found}" if budget else found)
        return ", ".join(said)

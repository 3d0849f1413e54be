"""A method's turn at the evaluator: its own allowance, its own evaluations, its own progress."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from concurrent.futures import Future

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation, best_of
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator


class Turn:
    """One method, searching."""

    def __init__(self, method: str, evaluator: Evaluator, progress: Progress) -> None:
        self.method = method
        self.problem = evaluator.problem
        self.evaluations: list[Evaluation] = []
        """Resolved ones, in the order asked for."""
        self._resolved: set[int] = set()
        self._under_way: list[Future[Evaluation]] = []
        self._known: set[int] = set()
        """Numbers of those that came from memory at once."""
        self._evaluator = evaluator
        self._progress = progress

    @property
    def left(self) -> int:
        """How many new candidates may still be asked for."""
        return self._evaluator.remaining(self.method)

    @property
    def best(self) -> Evaluation | None:
        """The best feasible evaluation so far."""
        return best_of(self.evaluations)

    @property
    def asked_widths(self) -> list[tuple[int, ...]]:
        """Widths of everything asked for, complete or not, in order."""
        return self._evaluator.asked_widths(self.method)

    def find(self, candidate: Candidate) -> Future[Evaluation] | None:
        """What this method has asked for before, complete or not; None if it has not."""
        return self._evaluator.asked(self.method, candidate)

    def asked(self, candidate: Candidate) -> bool:
        """Whether this method has asked for a candidate before."""
        return self.find(candidate) is not None

    def submit(
        self, candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        """Start evaluating; what goes beyond the allowance must not be asked for.

        `learning`: whether scores of what is over its budget are learned from, here and below.
        """
        futures = self._evaluator.submit(self.method, candidates, learning=learning)
        self._known |= {f.result().number for f in futures if f.done() and not f.exception()}
        return futures

    def resolve(self, futures: Sequence[Future[Evaluation]]) -> list[Evaluation]:
        """Wait for evaluations; progress hears of each once, results keep their order."""
        results = []
        for future in futures:
            evaluation = self._evaluator.wait(future)
            results.append(evaluation)
            if evaluation.number not in self._resolved:
                self._resolved.add(evaluation.number)
                insort(self.evaluations, evaluation, key=lambda e: e.number)
                known = evaluation.number in self._known
                (self._progress.skip if known else self._progress.advance)(1, self._note())
        return results

    def ask(self, candidates: Sequence[Candidate], *, learning: bool = True) -> list[Evaluation]:
        """Evaluate as many of the candidates as the allowance permits, and wait for them.

        The result is shorter than `candidates` when the allowance ends among them.
        """
        return self.resolve(self.start(candidates, learning=learning))

    def hand_in(self, candidates: Sequence[Candidate], *, learning: bool = True) -> None:
        """Start a batch as far as the allowance permits, and wait for the one before it.

        So several boards have a batch to go on with while the method learns from the last one.
        With one board this batch is waited for: a search that is short of readings had rather
        learn from each of them at once.
        """
        asked = self.start(candidates, learning=learning)
        self.take_in()
        self._under_way = asked
        if self.problem.boards == 1:
            self.take_in()

    def take_in(self) -> list[Evaluation]:
        """Wait for the batch that was handed in last; empty if nothing is under way."""
        found = self.resolve(self._under_way)
        self._under_way = []
        return found

    def start(
        self, candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        """Start evaluating as many of the candidates as the allowance permits."""
        fitting: list[Candidate] = []
        left = self.left
        for candidate in candidates:
            new = not self.asked(candidate) and candidate not in fitting
            if new and left == 0:
                break
            left -= new
            fitting.append(candidate)
        return self.submit(fitting, learning=learning)

    def _note(self) -> str:
        best = self.best
        return (
            "nothing feasible yet"
            if best is None
            else f"best {self.problem.metric.text(best.score)}"
        )

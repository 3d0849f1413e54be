"""The evaluator: what each method has asked for, and how much it may still ask for."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.futures import joined, relay
from hwprune.search.problem import SearchProblem


class Evaluator:
    """Evaluations of all methods on one problem; may be asked from any thread.

    Each method pays once for each different candidate it asks for, also when another method asked
    before it and the answer comes from memory, so that methods can be compared at equal allowance.
    """

    def __init__(
        self, problem: SearchProblem, record: Callable[[Evaluation], None] | None = None
    ) -> None:
        """`record` hears of every evaluation once it is complete, from whichever thread."""
        self.problem = problem
        self._record = record
        self._asked: dict[str, dict[Candidate, Future[Evaluation]]] = defaultdict(dict)
        self._known: dict[Candidate, Future[Evaluation]] = {}
        self._lock = threading.RLock()
        self.waited_s = 0.0
        """How long methods have waited for evaluations; the rest of their time is their own."""

    def remaining(self, method: str) -> int:
        """How many new candidates a method may still ask for."""
        with self._lock:
            return self.problem.evaluations - len(self._asked[method])

    def asked(self, method: str, candidate: Candidate) -> Future[Evaluation] | None:
        """The evaluation a method has asked for before, complete or not; None if it has not."""
        with self._lock:
            return self._asked[method].get(candidate)

    def asked_widths(self, method: str) -> list[tuple[int, ...]]:
        """Widths of everything a method has asked for, complete or not, in order."""
        with self._lock:
            return [candidate.widths for candidate in self._asked[method]]

    def submit(
        self, method: str, candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        """Start evaluating; one future a candidate, in the order given. `learning`: `Evaluate`.

        Raises:
            ValueError: more new candidates than the method has left, or widths not in the space.
        """
        with self._lock:
            asked = self._asked[method]
            new = [c for c in dict.fromkeys(candidates) if c not in asked]
            if len(new) > self.remaining(method):
                raise ValueError(
                    f"{method} asks for {len(new)} new candidates and has "
                    f"{self.remaining(method)} left"
                )
            for candidate in new:
                self._check(candidate)
            # Promises are there before anything starts: what is known may answer at once.
            unknown = [c for c in new if c not in self._known]
            self._known.update({c: Future() for c in unknown})
            for candidate in new:
                asked[candidate] = self._promise(method, len(asked) + 1, candidate)
        self._start(unknown, learning)
        return [asked[c] for c in candidates]

    def wait(self, future: Future[Evaluation]) -> Evaluation:
        """An evaluation, once it is complete."""
        began = time.monotonic()
        try:
            return future.result()
        finally:
            self.waited_s += time.monotonic() - began

    def evaluations(self, method: str) -> list[Evaluation]:
        """A method's complete evaluations, in the order they were asked for."""
        with self._lock:
            futures = list(self._asked[method].values())
        return [f.result() for f in futures if f.done()]

    def _check(self, candidate: Candidate) -> None:
        groups = self.problem.space.groups
        if len(candidate.widths) != len(groups) or any(
            w not in g.choices for w, g in zip(candidate.widths, groups, strict=True)
        ):
            raise ValueError(f"not a candidate of this space: {candidate.widths}")

    def _start(self, candidates: list[Candidate], learning: bool) -> None:
        """Outside the lock: what is known answers at once, which calls back into this object."""
        if not candidates:
            return
        started = self.problem.evaluate(candidates, learning=learning)
        for candidate, future in zip(candidates, started, strict=True):
            relay(future, self._known[candidate])

    def _promise(self, method: str, number: int, candidate: Candidate) -> Future[Evaluation]:
        """The evaluation that will come, in this method's own name."""

        def named(found: Evaluation) -> Evaluation:
            evaluation = replace(found, method=method, number=number)
            if self._record is not None:
                self._record(evaluation)
            return evaluation

        return joined([self._known[candidate]], named)

"""The evaluator: asks for accuracy and cost side by side, joins them, and keeps the count."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.search.problem import Cost, SearchProblem
from hwprune_device.reading import Failure


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
        self._joins: dict[Candidate, _Join] = {}
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

    def submit(self, method: str, candidates: Sequence[Candidate]) -> list[Future[Evaluation]]:
        """Start evaluating; one future a candidate, in the order given.

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
            unknown = [c for c in new if c not in self._joins]
            for candidate in unknown:
                self._joins[candidate] = _Join()
            for candidate in new:
                asked[candidate] = self._promise(method, len(asked) + 1, candidate)
        self._start(unknown)
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

    def _start(self, candidates: list[Candidate]) -> None:
        """Outside the lock: callables may answer at once, which calls back into this object."""
        if not candidates:
            return
        scores = self.problem.accuracy(candidates)
        costs = self.problem.cost(candidates)
        for candidate, score, cost in zip(candidates, scores, costs, strict=True):
            self._joins[candidate].watch(score, cost)

    def _promise(self, method: str, number: int, candidate: Candidate) -> Future[Evaluation]:
        """The evaluation that will come of a join, in this method's own name."""
        promise: Future[Evaluation] = Future()

        def complete(done: Future[tuple[float | Failure, Cost | Failure]]) -> None:
            error = done.exception()
            if error is not None:
                promise.set_exception(error)
                return
            evaluation = _join(method, number, candidate, *done.result())
            if self._record is not None:
                self._record(evaluation)
            promise.set_result(evaluation)

        self._joins[candidate].both.add_done_callback(complete)
        return promise


class _Join:
    """Accuracy and cost of one candidate, complete when both have come."""

    def __init__(self) -> None:
        self.both: Future[tuple[float | Failure, Cost | Failure]] = Future()
        self._missing = 2
        self._lock = threading.Lock()

    def watch(self, score: Future[float | Failure], cost: Future[Cost | Failure]) -> None:
        """Take what comes of the two, in whichever order they come."""

        def arrived(_: object) -> None:
            with self._lock:
                self._missing -= 1
                if self._missing:
                    return
            try:
                self.both.set_result((score.result(), cost.result()))
            except Exception as error:  # whoever waits for this candidate must hear of it
                self.both.set_exception(error)

        score.add_done_callback(arrived)
        cost.add_done_callback(arrived)


def _join(
    method: str, number: int, candidate: Candidate, score: float | Failure, cost: Cost | Failure
) -> Evaluation:
    failure = next((x for x in (cost, score) if isinstance(x, Failure)), None)
    if failure is not None or isinstance(score, Failure) or isinstance(cost, Failure):
        return Evaluation(
            method=method,
            number=number,
            candidate=candidate,
            accuracy=None,
            excess={},
            costs={},
            failure=failure,
        )
    return Evaluation(
        method=method,
        number=number,
        candidate=candidate,
        accuracy=float(score),
        excess=dict(cost.excess),
        costs=dict(cost.costs),
    )

"""Scoring in shares: what is clearly worse, or of no use to its method, is not scored to the end.

A candidate is scored on the first eighth of the held-out items, then on a quarter, a half, and all
of them. After each share it is compared with a reference, item by item: the best feasible
candidate so far, or the unpruned network. Pairs differ far less than the two scores do. What is
worse but has more multiply-accumulates left may promise more, and is scored to the end.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from hwprune.candidate import Candidate
from hwprune.errors import HwpruneError
from hwprune.futures import done
from hwprune.metric import Metric
from hwprune.progress import Silent
from hwprune.promise import promise
from hwprune.run_book import KnownScore, RunBook
from hwprune.task.task import Part
from hwprune.workers.pool import WorkerPool
from hwprune.workers.worker import Worker
from hwprune_device.reading import Failure

Kept = frozenset[str] | None
"""Names of the budgets that a candidate keeps; None where it could not be measured."""
SHARES = (0.125, 0.25, 0.5, 1.0)
RISK = 0.01
"""Of giving up a candidate that is as good as the reference, over all shares together."""
Z = 2.713
"""Standard errors that a difference must have for a third of RISK (one-sided); three looks."""
KNOWN_TO = 0.002
"""A candidate over its budget is scored until its difference is known to a standard error of this
in quality, or of a quarter of itself: methods learn from it, none delivers it. A scan's losses are
summed over all groups: with 0.004 the sensitivity scan found networks 8 to 13 points worse on
CIFAR ResNet-56 (n = 3), with 0.002 the same ones as without shares (bench_shares, n = 5). Where a
score is no mean over items the error of a share is not known, and it is scored to the end: a scan
of the detector in profiles/deployments/bccd lost up to 20 points (n = 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """What a candidate has to beat."""

    score: KnownScore
    quality: float
    macs_left: float


class Scoring:
    """Scores candidates on workers; nothing is scored twice.

    Args:
        pool: of scorers.
        book: keeps what was scored.
        metric: of the task.
        shares: whether the task scores a share of a part.
        macs_left: multiply-accumulates of a candidate, as a share of the unpruned network's, where
            fine-tuning follows; without, scores alone are compared.
    """

    def __init__(
        self,
        pool: WorkerPool,
        book: RunBook,
        metric: Metric,
        *,
        shares: bool,
        macs_left: Callable[[Candidate], float] | None = None,
    ) -> None:
        self.seconds = 0.0
        """That workers spent."""
        self.scored = 0
        self.metric = metric
        self.is_mean = False
        """Whether the score is the mean of its items."""
        self._shares = SHARES if shares else SHARES[-1:]
        self._pool = pool
        self._book = book
        self._macs_left = macs_left
        self._lock = threading.Lock()
        self._best: dict[str, Rival | None] = {"": None}
        """By budget, the best candidate that keeps it."""
        self._unpruned: KnownScore | None = None

    def whole(self, candidate: Candidate, part: Part) -> Future[KnownScore | Failure]:
        """The score on all of a part."""
        known = self._book.score(part, candidate.widths)
        if known is not None and known.share == 1.0:
            return done(known)
        begun = _Way(self, candidate, part, None, None).begin()
        return cast("Future[KnownScore | Failure]", begun)  # nothing ends it early

    def raced(
        self, candidate: Candidate, kept: Future[Kept], *, learning: bool = True
    ) -> Future[KnownScore | Failure | None]:
        """The score on held-out items, or an estimate for one that is not worth the rest.

        Args:
            kept: the budgets that the candidate keeps, once it was measured; None where it could
                not be.
            learning: whether the score of one that is over it is of use; if not, it is None where
                that was known before anything was scored.
        """
        known = self._book.score("heldout", candidate.widths)
        if known is not None and known.share == 1.0:
            return done(known)
        return _Way(self, candidate, "heldout", kept, known, learning=learning).begin()

    def start_race(self, budgets: Sequence[str] = ("",)) -> None:
        """Forget the best: each method is held against what it found itself."""
        with self._lock:
            self._best = dict.fromkeys(budgets)

    def refer_to(self, candidate: Candidate, score: KnownScore, kept: frozenset[str]) -> None:
        """Compare with this candidate from now on, under budgets where it is better."""
        if score.share < 1.0:
            return
        rival = Rival(
            score=score,
            quality=self.quality(candidate, score.value),
            macs_left=self.macs_left(candidate),
        )
        with self._lock:
            for budget in kept:
                best = self._best.get(budget)
                if best is None or rival.quality > best.quality:
                    self._best[budget] = rival

    def quality(self, candidate: Candidate, score: float) -> float:
        """A candidate's score as methods compare it."""
        base = score if self._unpruned is None else self._unpruned.value
        found, unpruned = (self.metric.quality(value, base) for value in (score, base))
        return promise(found, unpruned, self.macs_left(candidate))

    def macs_left(self, candidate: Candidate) -> float:
        """What is left of the unpruned network's; 1 of all where that says nothing."""
        return 1.0 if self._macs_left is None else self._macs_left(candidate)

    def start_reference(self, unpruned: KnownScore) -> None:
        """Compare with the unpruned network until a candidate keeps the budget."""
        self._unpruned = unpruned
        if unpruned.items is not None:
            mean = float(np.mean(unpruned.items, dtype=float))
            self.is_mean = math.isclose(mean, unpruned.value, rel_tol=1e-5)

    def rivals(self, kept: Kept) -> list[Rival]:
        """The bests of the budgets that a candidate keeps; empty where one of them has none.

        None: of all budgets, as long as it is not known which it keeps.
        """
        with self._lock:
            bests = [self._best.get(b) for b in (self._best if kept is None else kept)]
        found = [best for best in bests if best is not None]
        return found if len(found) == len(bests) else []

    @property
    def reference(self) -> KnownScore | None:
        """What scores are compared with to know them well: any best will do."""
        with self._lock:
            return next((best.score for best in self._best.values() if best), self._unpruned)

    def keep(self, part: Part, candidate: Candidate, score: KnownScore, seconds: float) -> None:
        """Keep a score and what it took."""
        self._book.keep_score(part, candidate.widths, score)
        with self._lock:
            self.seconds += seconds
            self.scored += 1


class _Way:
    """One candidate on its way from share to share."""

    def __init__(
        self,
        scoring: Scoring,
        candidate: Candidate,
        part: Part,
        kept: Future[Kept] | None,
        known: KnownScore | None,
        *,
        learning: bool = True,
    ) -> None:
        self._scoring = scoring
        self._candidate = candidate
        self._part = part
        self._kept = kept
        self._learning = learning
        self._left = list(scoring._shares)
        self._values: dict[float, float] = {}
        self._last: dict[str, Any] | None = None
        self._seconds = 0.0
        if known is not None:
            # Another method had no use for the rest; this one may have.
            self._left = [share for share in self._left if share > known.share]
            self._values = dict(known.of_shares)
            self._last = {"items": known.items, "others": known.others}
        self._future: Future[KnownScore | Failure | None] = Future()

    def begin(self) -> Future[KnownScore | Failure | None]:
        """Start; a future of the score."""
        self._queue()
        return self._future

    def _queue(self) -> None:
        self._scoring._pool.submit(self._step, rank=self._rank).add_done_callback(self._stepped)

    def _rank(self) -> float:
        """What keeps the budget first, then what nobody knows of, then what is over it.

        Of equals what was begun goes on: its worker has it ready.
        """
        begun = self._last is not None
        if self._kept is None:
            return 0.0
        if not self._kept.done():
            # One share is enough until its cost is known; it waits behind all others.
            return 3.0 if begun else 1.0
        return (2.0 if self._is_over else 0.0) - 0.5 * begun

    def _step(self, worker: Worker) -> Failure | None:
        """Share after share until enough is known; one alone while the cost is not known yet."""
        while self._left and not self._enough():
            if self._is_over and not self._scoring.is_mean:
                self._left = self._left[-1:]  # no share of it would do
            request = {
                "widths": list(self._candidate.widths),
                "part": self._part,
                "share": self._left[0],
            }
            try:
                answer: dict[str, Any] | Failure = worker.call(request, Silent())
            except HwpruneError as error:
                # A task that cannot score this candidate may score the next.
                return Failure(stage="run", message=f"{error.happened}: {error.given}")
            if isinstance(answer, Failure):
                return answer
            self._last = answer
            self._values[self._left.pop(0)] = float(answer["value"])
            self._seconds += float(answer["seconds"])
            # Back to the queue, where those that are known to keep their budget come first.
            if self._kept is not None and not self._kept.done():
                break
        return None

    def _stepped(self, future: Future[Any]) -> None:
        try:
            failure = future.result()
            if failure is not None:
                self._future.set_result(failure)
            elif self._left and not self._enough():
                self._queue()
            else:
                self._end()
        except BaseException as error:  # who waits must hear of it, whatever it is
            self._future.set_exception(error)

    def _end(self) -> None:
        if self._last is None:
            self._future.set_result(None)
            return
        share = max(self._values)
        value, reference = self._values[share], self._scoring.reference
        if share < 1.0 and reference is not None and share in reference.of_shares:
            # The share may be an easy one: what the reference makes of the rest tells.
            value += reference.value - reference.of_shares[share]
        score = KnownScore(
            value=value,
            share=share,
            items=self._last["items"],
            others=self._last["others"],
            of_shares=self._values,
        )
        # Else nothing was scored anew, and the book has what is known.
        if self._seconds:
            self._scoring.keep(self._part, self._candidate, score, self._seconds)
        self._future.set_result(score)

    @property
    def _is_over(self) -> bool:
        """Whether it is known to keep no budget."""
        return self._kept is not None and self._kept.done() and not self._budgets

    @property
    def _budgets(self) -> Kept:
        """The budgets that it is known to keep; None as long as that is not known."""
        kept = self._kept
        if kept is None or not kept.done():
            return None
        return frozenset() if kept.exception() is not None else kept.result() or frozenset()

    def _enough(self) -> bool:
        if self._kept is None:
            return False
        is_over = self._is_over
        if is_over and not self._learning:
            return True
        if self._last is None:
            return False
        if not is_over:
            # That it is worse than the unpruned network says nothing against it.
            rivals = self._scoring.rivals(self._budgets)
            return bool(rivals) and all(map(self._is_worse, rivals))
        known = self._against(self._scoring.reference)
        if known is None or not self._scoring.is_mean:
            return False
        mean, error = known
        return error <= max(KNOWN_TO, abs(mean) / 4)

    def _is_worse(self, rival: Rival) -> bool:
        """Whether it is clearly worse and has no more left to make up for it."""
        known = self._against(rival.score)
        if known is None or self._scoring.macs_left(self._candidate) > rival.macs_left:
            return False
        mean, error = known
        return mean + Z * error < 0

    def _against(self, reference: KnownScore | None) -> tuple[float, float] | None:
        """Mean difference to a reference so far, and its error; None where there are no items."""
        items = None if self._last is None else self._last["items"]
        if reference is None or items is None or reference.items is None:
            return None
        return paired(items, reference.items)


def paired(items: np.ndarray, reference: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean difference to the reference on the same items, and its standard error.

    The error is against the difference on all items of the reference, of which these are a sample
    without replacement (Cochran 1977, section 2.6), as the rest is what scoring on would tell. It
    is 0 only where these are all: where no pair differs, one more pair might.
    """
    difference = np.asarray(items, float) - np.asarray(reference[: len(items)], float)
    count = len(difference)
    largest = float(np.abs(difference).max(initial=0.0)) or 1.0
    mean = float(difference.mean())
    variance = (float(np.square(difference - mean).sum()) + largest**2) / (count + 1)
    return mean, math.sqrt(variance / count * (1.0 - count / len(reference)))

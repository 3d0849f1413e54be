"""The workbench: boards and scorers, joined into the two callables that a search sees."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from hwprune.budget import Budget, Footprint
from hwprune.candidate import Candidate
from hwprune.errors import BoardError, BudgetError
from hwprune.farm.cluster import Cluster
from hwprune.farm.fleet import Fleet, Outcomes
from hwprune.farm.scorers import ScorerPool
from hwprune.farm.store import ReadingStore
from hwprune.pipeline.prepare import Prepared
from hwprune.progress import Progress
from hwprune.run_folder import RunFolder
from hwprune.score_book import ScoreBook
from hwprune.search.problem import Cost
from hwprune.user_cache import user_cache
from hwprune_device.reading import Failure, Reading


class Workbench:
    """Measures and scores candidates of one prepared network; nothing is done twice.

    Use as a context manager: boards are leased and processes run between enter and exit.
    """

    unpruned: Footprint
    budget: Budget
    """Absolute, once the unpruned network was measured."""

    def __init__(self, prepared: Prepared, folder: RunFolder) -> None:
        self.prepared = prepared
        self.folder = folder
        self.book = ScoreBook(folder.path / "scores.sqlite")
        self.score_s = 0.0
        self.scored = 0
        self._lock = threading.Lock()
        self._pools: dict[str, ScorerPool] = {}
        self._store = ReadingStore(store_path())
        self._cluster = Cluster(prepared.deployment.cluster)
        self._fleet = Fleet(
            prepared.boards,
            self._store,
            nominal=prepared.deployment.nominal,
            what=str(folder.path),
        )
        self._affinity = os.sched_getaffinity(0)

    def __enter__(self) -> Workbench:
        # The board is this machine: the head keeps off the cores that are being timed.
        os.sched_setaffinity(0, self.head_cores)
        self._cluster.start()
        self._fleet.start()
        self._fleet.place(self.prepared.base)
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.close()
        self._fleet.close()
        self._cluster.stop()
        self._store.close()
        self.book.close()
        os.sched_setaffinity(0, self._affinity)

    @property
    def head_cores(self) -> set[int]:
        """Cores that no local board is timed on; all of them where the boards take every one."""
        timed = {core for board in self.prepared.boards if board.is_here for core in board.cores}
        return (self._affinity - timed) or self._affinity

    @property
    def all_cores(self) -> list[int]:
        """Every core of this process, for work during which no board is timed."""
        return sorted(self._affinity)

    def bound(self, progress: Progress) -> None:
        """Measure the unpruned and the smallest network, before anything is searched.

        Raises:
            BoardError: the unpruned network cannot be measured, or not what the budget limits.
            BudgetError: even the smallest network is over the budget.
        """
        progress.begin("measure the unpruned and the smallest network", 2)
        space = self.prepared.space
        self.unpruned = self.footprint(space.unpruned, self._unpruned_readings())
        wish = self.prepared.deployment.budget.for_kinds(self.prepared.kinds)
        self.budget = wish.resolve(self.unpruned)
        # A memory or an energy that a board does not tell ends the run here.
        self.budget.excess(self.unpruned)
        unpruned = _latencies(self.unpruned)
        progress.advance(note=f"unpruned {unpruned}")
        outcomes = self._fleet.measure([space.smallest])[0].result()
        least = self.footprint(space.smallest, _readings(outcomes, "the smallest network"))
        self._refuse_the_impossible(least)
        progress.advance(note=f"smallest {_latencies(least)}")
        progress.end(f"unpruned {unpruned}, smallest {_latencies(least)}")

    def _unpruned_readings(self) -> dict[str, Reading]:
        """What a relative budget is a share of: kept with the run, whose limits must not move."""
        found = _readings(self._fleet.calibrate(), "the unpruned network")
        kept = {}
        for number, (kind, reading) in enumerate(found.items()):
            step = f"unpruned {kind}" if number else "unpruned"
            data = self.folder.step(step) or self.folder.finish(step, reading.to_json())
            kept[kind] = Reading.from_json(data)
        return kept

    def _refuse_the_impossible(self, least: Footprint) -> None:
        over = {label: e for label, e in self.budget.excess(least).items() if e > 0}
        if not over:
            return
        limits = {c.label: c for c in self.budget.constraints}
        said = "; ".join(
            f"{label} is {limits[label].bound(least):.4g} at its smallest, the limit is "
            f"{limits[label].at_most:.4g}"
            for label in over
        )
        raise BudgetError(
            "the budget cannot be met: even the smallest allowed network is over it",
            given=said,
            possible="a higher limit, or a smaller search.min_keep",
            next_step="relax " + " or ".join(over),
        )

    def footprint(self, candidate: Candidate, readings: Mapping[str, Reading]) -> Footprint:
        """Readings by kind of board, together with what the structure alone tells."""
        model = self.prepared.base.cost_model
        return Footprint(
            reading=next(iter(readings.values())),
            by_kind=dict(readings),
            params=model.params(candidate.widths),
            macs=model.macs(candidate.widths),
        )

    def cost(self, candidates: Sequence[Candidate]) -> list[Future[Cost | Failure]]:
        """What each candidate costs on the board, as excess over each constraint."""
        readings = self._fleet.measure(candidates)
        return [
            _then(future, lambda outcomes, c=candidate: self._cost_of(c, outcomes))
            for candidate, future in zip(candidates, readings, strict=True)
        ]

    def _cost_of(self, candidate: Candidate, outcomes: Outcomes) -> Cost | Failure:
        failures = [outcome for outcome in outcomes.values() if isinstance(outcome, Failure)]
        for failure in failures:
            if failure.stage == "lost":
                # It says nothing about the network; a search must not learn from it.
                raise boards_gone(failure)
        if failures:
            return failures[0]
        readings = {k: o for k, o in outcomes.items() if isinstance(o, Reading)}
        footprint = self.footprint(candidate, readings)
        try:
            return Cost(
                excess=self.budget.excess(footprint),
                costs={c.label: c.value(footprint) for c in self.budget.constraints},
            )
        except BoardError as error:
            said = f"{error.happened}: {error.given}"
            architecture = footprint.reading.architecture
            return Failure(stage="run", message=said, architecture=architecture)

    def accuracy(
        self, candidates: Sequence[Candidate], split: str = "heldout"
    ) -> list[Future[float | Failure]]:
        """How accurate each candidate is on images that its training did not see."""
        return [self._score(candidate, split) for candidate in candidates]

    def _score(self, candidate: Candidate, split: str) -> Future[float | Failure]:
        known = self.book.get(split, candidate.widths)
        if known is not None:
            done: Future[float | Failure] = Future()
            done.set_result(known)
            return done

        def keep(outcome: Any) -> float | Failure:
            if isinstance(outcome, Failure):
                return outcome
            self.book.put(split, candidate.widths, float(outcome["accuracy"]))
            with self._lock:
                self.score_s += float(outcome["seconds"])
                self.scored += 1
            return float(outcome["accuracy"])

        return _then(self._pool(split).submit(candidate.widths), keep)

    def _pool(self, split: str) -> ScorerPool:
        """Scorers start when the first candidate of a split needs them."""
        if split not in self._pools:
            cores = sorted(self.head_cores)
            count = self.prepared.deployment.search.scorers or len(cores)
            self._pools[split] = ScorerPool(
                "hwprune.network.scorer:make_scorer",
                scorer_arguments(self.prepared, split),
                count=count,
                cores=cores,
            )
        return self._pools[split]

    def spent(self) -> dict[str, float]:
        """Seconds so far, by stage on the boards and for scoring, and how many candidates each."""
        with self._lock:
            return {**self._fleet.timings(), "score": self.score_s, "scored": self.scored}

    def measure(self, candidates: Sequence[Candidate]) -> list[Reading | Failure]:
        """Readings of candidates on the first kind, from the store where it has them."""
        first = self._fleet.farms[self.prepared.kinds[0]]
        return [future.result() for future in first.measure(candidates)]

    @property
    def fleet(self) -> Fleet:
        """The boards."""
        return self._fleet


def scorer_arguments(prepared: Prepared, split: str) -> dict[str, Any]:
    """What a scorer process needs, as plain data and arrays."""
    images, labels = prepared.data.split(split)
    return {
        "base": prepared.base.onnx,
        "plan": prepared.base.plan.to_json(),
        "order": prepared.ranking.order,
        "calibration": prepared.data.calibration,
        "images": images,
        "labels": labels,
    }


def store_path() -> str:
    """The user's store of readings: `$HWPRUNE_STORE`, or in the user's cache folder."""
    return os.environ.get("HWPRUNE_STORE") or str(user_cache() / "readings.sqlite")


def boards_gone(failure: Failure) -> BoardError:
    """What ends a run whose boards cannot be had any more."""
    return BoardError(
        "the boards are gone, so the run cannot go on",
        given=failure.message,
        next_step="mend the board, then go on with --resume: nothing is lost",
    )


def _readings(outcomes: Outcomes, what: str) -> dict[str, Reading]:
    """The readings of every kind.

    Raises:
        BoardError: a kind has none.
    """
    for kind, outcome in outcomes.items():
        if isinstance(outcome, Failure):
            raise BoardError(
                f"{what} could not be measured",
                given=f"on {kind}, {outcome.stage}: {outcome.message}",
                next_step="hwprune doctor",
            )
    return {k: o for k, o in outcomes.items() if isinstance(o, Reading)}


def _latencies(cost: Footprint) -> str:
    return " and ".join(f"{reading.latency_ms:.3f} ms" for reading in cost.by_kind.values())


def _then(future: Future[Any], change: Any) -> Future[Any]:
    """A future of `change(result)`."""
    after: Future[Any] = Future()

    def relay(done: Future[Any]) -> None:
        try:
            after.set_result(change(done.result()))
        except BaseException as error:  # a waiting search must hear of it, whatever it is
            after.set_exception(error)

    future.add_done_callback(relay)
    return after

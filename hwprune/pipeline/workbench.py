"""The workbench: boards and scorers, joined into the one callable that a search sees."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from hwprune.budget import Budget, Constraint, Footprint
from hwprune.candidate import Candidate
from hwprune.errors import BoardError, BudgetError, InputError
from hwprune.evaluation import Evaluation, failed, label_under
from hwprune.farm.fleet import Fleet, Outcomes
from hwprune.futures import done, joined
from hwprune.pipeline.costing import Cost, Costing, footprint_of
from hwprune.pipeline.head import Head, unscored
from hwprune.pipeline.prepare import Prepared
from hwprune.pipeline.pricing import Price, Pricing
from hwprune.pipeline.proof import least_reading
from hwprune.pipeline.scoring import Kept, Scoring
from hwprune.progress import Progress
from hwprune.run_book import KnownScore
from hwprune.run_folder import RunFolder
from hwprune_device.reading import Failure, Reading


class Workbench:
    """Measures and scores candidates of one prepared network; nothing is done twice.

    Args:
        fleet: boards that are started and have the network.
        pricing: what latency tables say of candidates; None without any.
        scoring: of the network's task.
        head: this process's cores and workers.
    """

    unpruned: Footprint
    budgets: dict[str, Budget]
    """By name; absolute, and such as can be met, once the unpruned network was measured."""
    unmet: dict[str, BudgetError]
    """By name, budgets that even the smallest network is over."""
    budget: Budget
    """The one that this bench is for: the first, if it is for all of them."""

    def __init__(
        self,
        prepared: Prepared,
        folder: RunFolder,
        *,
        fleet: Fleet,
        scoring: Scoring,
        head: Head,
        pricing: Pricing | None = None,
    ) -> None:
        self.prepared = prepared
        self.folder = folder
        self.fleet = fleet
        self.scoring = scoring
        self.head = head
        self.pricing = pricing

    def bound(self, progress: Progress) -> None:
        """Measure the unpruned and the smallest network, before anything is searched.

        Raises:
            BoardError: the unpruned network cannot be measured, or not what the budget limits.
            BudgetError: even the smallest network is over every budget.
        """
        progress.begin("measure the unpruned and the smallest network", 2)
        space = self.prepared.space
        self.unpruned = self.footprint(space.unpruned, self._unpruned_readings())
        asked = self.prepared.deployment.budgets
        asked = tuple(budget.for_kinds(self.prepared.kinds) for budget in asked)
        self.budgets = {budget.name: budget.resolve(self.unpruned) for budget in asked}
        for budget in self.budgets.values():
            # A memory or an energy that a board does not tell ends the run here.
            budget.excess(self.unpruned)
        unpruned = _latencies(self.unpruned)
        progress.advance(note=f"unpruned {unpruned}")
        least = self._smallest()
        self._set_apart_the_impossible(least)
        progress.advance(note=f"smallest {_latencies(least)}")
        progress.end(f"unpruned {unpruned}, smallest {_latencies(least)}")

    def _unpruned_readings(self) -> dict[str, Reading]:
        """What a relative budget is a share of: kept with the run, whose limits must not move."""
        found = _readings(self.fleet.calibrate(), "the unpruned network")
        kept = {}
        for kind, reading in found.items():
            step = f"unpruned on {kind}"
            known: Reading | None = self.folder.step(step, Reading)
            if known is None:
                self.folder.finish(step, reading.to_json())
            kept[kind] = known or reading
        return kept

    def _smallest(self) -> Footprint:
        """Of the smallest network: where it is over a budget, the least of several readings.

        One reading in a restless moment is no proof that a budget cannot be met.
        """
        smallest = self.prepared.space.smallest
        outcomes = self.fleet.measure([smallest])[0].result()
        readings = _readings(outcomes, "the smallest network")

        def keeps(kind: str, reading: Reading) -> bool:
            least = self.footprint(smallest, {**readings, kind: reading})
            return not any(_unmet(budget, least) for budget in self.budgets.values())

        for kind, reading in readings.items():
            farm = self.fleet.farms[kind]
            readings[kind] = least_reading(farm, smallest, reading, partial(keeps, kind))
        return self.footprint(smallest, readings)

    def _set_apart_the_impossible(self, least: Footprint) -> None:
        found = {name: _unmet(budget, least) for name, budget in self.budgets.items()}
        self.unmet = {name: error for name, error in found.items() if error is not None}
        if len(self.unmet) == len(self.budgets):
            raise next(iter(self.unmet.values()))
        self.budgets = {n: b for n, b in self.budgets.items() if n not in self.unmet}
        self.budget = next(iter(self.budgets.values()))

    def under(self, name: str) -> Workbench:
        """The same bench for one of its budgets, with a folder of its own where there are more."""
        # Not deep: boards, scorers and what they know belong to all budgets.
        bench = copy.copy(self)
        bench.budget, bench.folder = self.budgets[name], self.folder.part(name)
        return bench

    @property
    def asked(self) -> Budget:
        """The budget as it was asked for."""
        budgets = self.prepared.deployment.budgets
        return next(budget for budget in budgets if budget.name == self.budget.name)

    @property
    def limits(self) -> dict[str, Constraint]:
        """The constraints of all budgets, by labels as in `Evaluation.excess`."""
        budgets = self.budgets.values()
        return {label_under(b.name, c.label): c for b in budgets for c in b.constraints}

    @property
    def costing(self) -> Costing:
        """Costs under the limits of all budgets."""
        return Costing(
            self.prepared.base.cost_model,
            self.limits,
            tuple(self.budgets),
            pricing=self.pricing,
            spares=self.prepared.deployment.search.cost == "hybrid",
        )

    def footprint(self, candidate: Candidate, readings: Mapping[str, Reading]) -> Footprint:
        """Readings by kind of board, together with params and multiply-accumulates."""
        return footprint_of(self.prepared.base.cost_model, candidate, readings)

    def evaluate(
        self, candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        """Start measuring and scoring; what is over its budget is not scored to the end.

        Where nobody learns from such a score, it is not scored at all.
        """
        costing = self.costing
        prices = [costing.price(candidate) for candidate in candidates]
        known = [costing.is_over(price) for price in prices]
        asked = [one for one, over in zip(candidates, known, strict=True) if not over]
        # In the order of `asked`: what a table rules out takes none of them.
        measured = iter(self.fleet.measure(asked))
        return [
            self._evaluation(costing, one, None if over else next(measured), price, learning)
            for one, price, over in zip(candidates, prices, known, strict=True)
        ]

    def _evaluation(
        self,
        costing: Costing,
        candidate: Candidate,
        measured: Future[Outcomes] | None,
        price: Price | None,
        learning: bool,
    ) -> Future[Evaluation]:
        cost: Future[Cost | Failure]
        if measured is not None:
            cost = joined([measured], lambda outcomes: costing.read(candidate, outcomes, price))
        else:
            assert price is not None
            cost = done(costing.believed(price))
        # A future of its own, because scoring ends early by it.
        kept = joined([cost], self._kept)
        score = self.scoring.raced(candidate, kept, learning=learning)
        whole = joined([score, cost, kept], lambda *found: self._joined(candidate, *found))
        predicted, is_measured = costing.plain(price), measured is not None
        return joined([whole], lambda e: replace(e, predicted=predicted, measured=is_measured))

    def _kept(self, cost: Cost | Failure) -> Kept:
        """The budgets that a candidate of this cost keeps."""
        return None if isinstance(cost, Failure) else cost.kept(self.budgets)

    def _joined(
        self,
        candidate: Candidate,
        score: KnownScore | Failure | None,
        cost: Cost | Failure,
        kept: Kept,
    ) -> Evaluation:
        if isinstance(cost, Failure):
            return failed(candidate, cost)
        if isinstance(score, Failure):
            return failed(candidate, score)
        evaluation = Evaluation(
            candidate=candidate,
            score=None if score is None else score.value,
            quality=None if score is None else self.quality(candidate, score.value),
            excess=cost.excess,
            costs=cost.costs,
            share=0.0 if score is None else score.share,
        )
        if score is not None and kept:
            self.scoring.refer_to(candidate, score, kept)
        return evaluation

    def score(self, candidate: Candidate, part: Any = "heldout") -> KnownScore | Failure:
        """How well a candidate does its task on all of a part."""
        return self.scoring.whole(candidate, part).result()

    def quality(self, candidate: Candidate, score: float) -> float:
        """A candidate's score as methods compare it."""
        return self.scoring.quality(candidate, score)

    @property
    def base_score(self) -> float:
        """The unpruned network's score on held-out items.

        Raises:
            InputError: it cannot be scored.
        """
        return self._base.value

    def refer_to_unpruned(self) -> None:
        """Score the unpruned network: what every quality is held against.

        Raises:
            BoardError: it could not be scored.
            InputError: its score is none that the metric can have.
        """
        found = self.score(self.prepared.space.unpruned)
        if isinstance(found, Failure):
            raise unscored(found)
        metric = self.prepared.task.metric
        if metric.is_share and not 0.0 <= found.value <= 1.0:
            raise InputError(
                "the unpruned network's score is no share of 1",
                given=f"{metric.name} {found.value:g}",
                next_step="divide percentages by 100; for any other number say any_number = true "
                "under [task], or is_share=False in a Metric",
            )
        self._base = found
        self.scoring.start_reference(found)

    def spent(self) -> dict[str, float]:
        """Seconds so far, by stage on the boards and for scoring, and how many candidates each."""
        scoring = {"score": self.scoring.seconds, "scored": self.scoring.scored}
        return {**self.fleet.timings(), **scoring}

    def measure(self, candidates: Sequence[Candidate]) -> list[Reading | Failure]:
        """Readings of candidates on the first kind, from the store where it has them."""
        first = self.fleet.farms[self.prepared.kinds[0]]
        return [future.result() for future in first.measure(candidates)]


def _unmet(budget: Budget, least: Footprint) -> BudgetError | None:
    """Why even the smallest network is over a budget; None where it is not."""
    over = {label: e for label, e in budget.excess(least).items() if e > 0}
    if not over:
        return None
    limits = {c.label: c for c in budget.constraints}
    said = "; ".join(
        f"{label} is {limits[label].bound(least):.4g} at its smallest, the limit is "
        f"{limits[label].at_most:.4g}"
        for label in over
    )
    which = f"the budget '{budget.name}'" if budget.name else "the budget"
    return BudgetError(
        f"{which} cannot be met: even the smallest allowed network is over it",
        given=said,
        possible="a higher limit, or a smaller search.min_keep",
        next_step="relax " + " or ".join(over),
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

"""What candidates cost, held against the limits: as tables believe it, and as boards read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hwprune.budget import Constraint, Footprint
from hwprune.candidate import Candidate
from hwprune.channels.cost import CostModel
from hwprune.errors import BoardError
from hwprune.evaluation import labels_under
from hwprune.farm.fleet import Outcomes
from hwprune.pipeline.pricing import Price, Pricing
from hwprune_device.reading import Failure, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one candidate costs."""

    excess: Mapping[str, float]
    """By label over all budgets, as a fraction of the limit."""
    costs: Mapping[str, float]
    """By the constraints' own labels, which several budgets have in common, in their units."""

    def kept(self, budgets: Collection[str]) -> frozenset[str]:
        """The budgets that it keeps."""
        return frozenset(
            name
            for name in budgets
            if all(self.excess[label] <= 0 for label in labels_under(name, self.excess).values())
        )


class Costing:
    """Costs of the candidates of one network under the limits of its budgets.

    Args:
        model: counts params and multiply-accumulates.
        limits: the constraints of all budgets, by labels as in `Evaluation.excess`.
        budgets: their names.
        pricing: what latency tables say; None without any.
        spares: whether a board is spared what a table knows to be over every budget.
    """

    def __init__(
        self,
        model: CostModel,
        limits: Mapping[str, Constraint],
        budgets: Collection[str],
        *,
        pricing: Pricing | None = None,
        spares: bool = False,
    ) -> None:
        self._model, self.limits = model, limits
        self._budgets, self._pricing, self._spares = budgets, pricing, spares

    def price(self, candidate: Candidate) -> Price | None:
        """What tables believe; None without any."""
        return None if self._pricing is None else self._pricing.price(candidate, self.limits)

    def is_over(self, price: Price | None) -> bool:
        """Whether a table spares the board this candidate."""
        if price is None or self._pricing is None or not self._spares:
            return False
        by_budget = [labels_under(name, self.limits).values() for name in self._budgets]
        return all(
            self._pricing.sure_over(price, {label: self.limits[label] for label in labels})
            for labels in by_budget
        )

    def believed(self, price: Price) -> Cost:
        """The cost of a candidate that no board is asked about."""
        excess = {n: cost / self.limits[n].at_most - 1 for n, cost in price.costs.items()}
        return Cost(excess=excess, costs=self.plain(price))

    def plain(self, price: Price | None) -> dict[str, float]:
        """Believed costs by the constraints' own labels."""
        costs = {} if price is None else price.costs
        return {self.limits[label].label: cost for label, cost in costs.items()}

    def read(
        self, candidate: Candidate, outcomes: Outcomes, price: Price | None
    ) -> Cost | Failure:
        """What boards say of a candidate; tables learn from it.

        Raises:
            BoardError: the boards are gone.
        """
        failures = [outcome for outcome in outcomes.values() if isinstance(outcome, Failure)]
        for failure in failures:
            if failure.stage == "lost":
                # It says nothing about the network; a search must not learn from it.
                raise boards_gone(failure)
        if failures:
            return failures[0]
        readings = {k: o for k, o in outcomes.items() if isinstance(o, Reading)}
        footprint = footprint_of(self._model, candidate, readings)
        try:
            read = {label: c.value(footprint) for label, c in self.limits.items()}
            if price is not None and self._pricing is not None:
                self._pricing.learn(price, read)
            return Cost(
                excess={label: c.excess(footprint) for label, c in self.limits.items()},
                costs={self.limits[label].label: value for label, value in read.items()},
            )
        except BoardError as error:
            # A memory or an energy that is missing is a failure of this candidate, not of the run.
            said = f"{error.happened}: {error.given}"
            architecture = footprint.reading.architecture
            return Failure(stage="run", message=said, architecture=architecture)


def footprint_of(
    model: CostModel, candidate: Candidate, readings: Mapping[str, Reading]
) -> Footprint:
    """Readings by kind of board, together with params and multiply-accumulates."""
    return Footprint(
        reading=next(iter(readings.values())),
        by_kind=dict(readings),
        params=model.params(candidate.widths),
        macs=model.macs(candidate.widths),
    )


def boards_gone(failure: Failure) -> BoardError:
    """What ends a run whose boards cannot be had any more."""
    return BoardError(
        "the boards are gone, so the run cannot go on",
        given=failure.message,
        next_step="mend the board, then go on with --resume: nothing is lost",
    )

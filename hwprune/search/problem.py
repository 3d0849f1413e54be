"""What a search is given: a space, two callables that tell accuracy and cost, and an allowance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from hwprune.candidate import Candidate, SearchSpace
from hwprune.layer import Layer
from hwprune_device.reading import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a candidate was measured to cost, by constraint label."""

    excess: Mapping[str, float]
    """Over the limit, as a fraction of it; 0 or less means kept."""
    costs: Mapping[str, float]
    """In the constraint's own unit, without its interval."""


Scores = list[Future[float | Failure]]
"""Accuracies 0..1, one future a candidate."""
Costs = list[Future[Cost | Failure]]

ROUNDS = 12
"""A method that learns as it goes learns about so many times at least, however many boards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProblem:
    """Find the most accurate candidate that is measured to keep every constraint."""

    space: SearchSpace
    features: np.ndarray
    """[groups, features], each within about [-1, 1]: what a policy sees of a group."""
    constraints: tuple[str, ...]
    """Labels, as in `Cost.excess`."""
    accuracy: Callable[[Sequence[Candidate]], Scores]
    """Starts scoring and returns at once."""
    cost: Callable[[Sequence[Candidate]], Costs]
    """Starts measuring and returns at once."""
    layers: tuple[Layer, ...]
    """What of the structure a board's time hangs on."""
    harm: tuple[np.ndarray, ...]
    """By group, [choices]: what the saliency ranking holds the channels that go to be worth."""
    estimate: Callable[[tuple[int, ...]], float]
    """A cheap guess of the cost of widths, as a share of the unpruned network's; such as MACs."""
    evaluations: int
    """How many different candidates each method may have evaluated."""
    seed: int
    base_accuracy: float
    """Accuracy of the unpruned network, 0..1, on the same images."""
    boards: int = 1
    """How many boards measure different candidates at the same time."""

    def at_once(self, one_board: int, *, rounds: int = ROUNDS) -> int:
        """How many candidates to ask for together, where one board alone is asked for `one_board`.

        Boards that are free divide among them what is asked for, and each should get what one
        alone would. But candidates asked for together cannot learn from one another, so a
        small allowance is not spent in fewer than `rounds` steps to keep every board busy.
        """
        return max(one_board, min(one_board * self.boards, self.evaluations // rounds))

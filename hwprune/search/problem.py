"""What a search is given: a space, one callable that evaluates candidates, and an allowance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from hwprune.candidate import Candidate, SearchSpace
from hwprune.evaluation import Evaluation, labels_under
from hwprune.form import Form
from hwprune.futures import joined
from hwprune.layer import Layer
from hwprune.metric import Metric
from hwprune.tables.layer_costs import Forms

ROUNDS = 12
"""A method that learns as it goes learns about so many times at least, however many boards."""


ALGORITHMS = ("ppo-lagrange", "sac-lagrange")
"""That a policy can be learned by, by name; search/policy/algorithms.py has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """How a policy is learned, where a method has one."""

    algorithm: str = "ppo-lagrange"
    """One of ALGORITHMS, or `package.module:function` of one's own."""
    runners: int = 0
    """Ray actors that play episodes; 0: this process."""
    learners: int = 0
    """Ray actors that learn; 0: this process."""


class Evaluate(Protocol):
    """Starts scoring and measuring and returns at once; a failure is an evaluation too."""

    def __call__(
        self, candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        """One future a candidate, in order.

        Args:
            learning: whether scores of candidates over their budget are learned from; if not they
                are left out.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What an earlier search had scored; what it cost there says nothing here."""

    widths: tuple[int, ...]
    quality: float
    """0..1, as `Evaluation.quality`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProblem:
    """Find the candidate of the highest quality that is measured to keep every constraint."""

    space: SearchSpace
    features: np.ndarray
    """[groups, features], each within about [-1, 1]: what a policy sees of a group."""
    constraints: tuple[str, ...]
    """Labels, as in `Evaluation.excess`."""
    budgets: tuple[str, ...] = ("",)
    """Names; for each the best candidate is looked for. Constraints carry them, see
    `Evaluation.under`."""
    evaluate: Evaluate
    layers: tuple[Layer, ...]
    """What of the structure a board's time hangs on."""
    harm: tuple[np.ndarray, ...]
    """By group, [choices]: what the saliency ranking holds the channels that go to be worth."""
    estimate: Callable[[tuple[int, ...]], float]
    """A cheap guess of the cost of widths, as a share of the unpruned network's; such as MACs."""
    forms: Mapping[str, Form] = field(default_factory=dict)
    """By constraint label, of those whose form can be counted from the graph."""
    known: Mapping[str, Forms] = field(default_factory=dict)
    """By constraint label, what a latency table knows of the layers, as shares of the limit."""
    scored: tuple[Scored, ...] = ()
    """Candidates of earlier searches on other boards or budgets."""
    evaluations: int
    """How many different candidates each method may have evaluated."""
    seed: int
    base_quality: float
    """Of the unpruned network, 0..1, on the same items."""
    metric: Metric = Metric(name="score")  # noqa: RUF009, it is frozen
    """What scores are, to write them down."""
    boards: int = 1
    """How many boards measure different candidates at the same time."""
    policy: PolicySettings = field(default_factory=PolicySettings)
    patient: bool = True
    """Whether all evaluations are used; if not, a method that learns ends when more do not pay."""
    until_s: float = math.inf
    """On `time.monotonic`, when no further candidate is asked for."""

    def under(self, budget: str) -> SearchProblem:
        """The same problem for one of its budgets alone."""
        if not budget:
            return self

        def evaluate(
            candidates: Sequence[Candidate], *, learning: bool = True
        ) -> list[Future[Evaluation]]:
            found = self.evaluate(candidates, learning=learning)
            return [joined([future], lambda e: e.under(budget)) for future in found]

        forms, known = labels_under(budget, self.forms), labels_under(budget, self.known)
        return replace(
            self,
            budgets=("",),
            constraints=tuple(labels_under(budget, self.constraints)),
            forms={plain: self.forms[full] for plain, full in forms.items()},
            known={plain: self.known[full] for plain, full in known.items()},
            evaluate=evaluate,
        )

    def at_once(self, one_board: int, *, rounds: int = ROUNDS) -> int:
        """How many candidates to ask for together, where one board alone is asked for `one_board`.

        Boards that are free divide among them what is asked for, and each should get what one
        alone would. But candidates asked for together cannot learn from one another, so a
        small allowance is not spent in fewer than `rounds` steps to keep every board busy.
        """
        return max(one_board, min(one_board * self.boards, self.evaluations // rounds))

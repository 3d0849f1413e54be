"""The floor: the least score that a delivered network may have."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hwprune.errors import DeploymentError
from hwprune.metric import Metric

_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A score to be reached: a number, or a share of the unpruned network's."""

    at_least: float
    relative: bool = False

    def of(self, metric: Metric, unpruned: float) -> float:
        """The score that the delivered network must reach.

        Where lower is better, 98 % allows what is 1/0.98 of the unpruned network's; so it does
        where higher is better and the score is below 0, such as a log-likelihood.
        """
        if not self.relative:
            return self.at_least
        towards_zero = metric.higher_is_better == (unpruned >= 0)
        return unpruned * self.at_least if towards_zero else unpruned / self.at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorFinding:
    """Whether the delivered network reaches its floor, on the test part."""

    floor: float
    score: float
    reached: bool

    def text(self, metric: Metric) -> str:
        """In a sentence."""
        limit = "at least" if metric.higher_is_better else "at most"
        verb = "is" if self.reached else "is not"
        return f"{metric.name} {metric.text(self.score)} {verb} {limit} {metric.text(self.floor)}"


def parse_floor(text: str | float) -> Floor | None:
    """A floor from "98 %" of the unpruned score, or a number; None for nothing.

    Raises:
        DeploymentError: it is neither, or no finite number, or 0 %.
    """
    if text == "":
        return None
    share = _SHARE.match(text) if isinstance(text, str) else None
    try:
        number = float(share.group(1)) / 100 if share else float(text)
    except ValueError:
        number = math.nan
    # Every score would reach NaN, and 0 % of a score tells nothing.
    if isinstance(text, bool) or not math.isfinite(number) or (share and number == 0):
        raise DeploymentError(
            "at_least cannot be read",
            given=str(text),
            possible='"98 %" of the unpruned score, or 0.85',
        )
    return Floor(at_least=number, relative=share is not None)


def judge(floor: Floor, metric: Metric, *, unpruned: float, delivered: float) -> FloorFinding:
    """Hold a delivered network's score against the floor."""
    limit = floor.of(metric, unpruned)
    # `better` is strict, and the limit itself will do.
    reached = delivered == limit or metric.better(delivered, limit)
    return FloorFinding(floor=limit, score=delivered, reached=reached)

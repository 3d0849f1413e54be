"""The floor: the least score that a delivered network may have."""

from __future__ import annotations

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

        Where lower is better, 98 % allows what is 1/0.98 of the unpruned network's.
        """
        if not self.relative:
            return self.at_least
        return unpruned * self.at_least if metric.higher_is_better else unpruned / self.at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorFinding:
    """Whether the delivered network reaches its floor, on the test part."""

    floor: float
    score: float
    reached: bool

    def words(self, metric: Metric) -> str:
        """In a sentence."""
        limit = "at least" if metric.higher_is_better else "at most"
        verb = "is" if self.reached else "is not"
        return f"{metric.name} {metric.text(self.score)} {verb} {limit} {metric.text(self.floor)}"


def parse_floor(text: str | float) -> Floor | None:
    """A floor from "98 %" of the unpruned score, or a number; None for nothing.

    Raises:
        DeploymentError: it is neither.
    """
    if text == "":
        return None
    if isinstance(text, int | float):
        return Floor(at_least=float(text))
    share = _SHARE.match(text)
    try:
        if share:
            return Floor(at_least=float(share.group(1)) / 100, relative=True)
        return Floor(at_least=float(text))
    except ValueError:
        raise DeploymentError(
            "at_least cannot be read", given=text, possible='"98 %" of the unpruned score, or 0.85'
        ) from None


def judge(floor: Floor, metric: Metric, *, unpruned: float, delivered: float) -> FloorFinding:
    """Hold a delivered network's score against the floor."""
    limit = floor.of(metric, unpruned)
    return FloorFinding(floor=limit, score=delivered, reached=not metric.better(limit, delivered))

"""A metric: the name of the one number that says how well a network does its task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number a network: its name, which way is better, and how it is written."""

    name: str
    """`accuracy`, `mAP50`, `IoU`, `word error rate`."""
    higher_is_better: bool = True
    is_share: bool = True
    """Between 0 and 1, and written in percent; else any number."""

    def quality(self, score: float, unpruned: float) -> float:
        """A score as the search compares it: 0..1, higher is better, whatever the metric.

        A share is its own quality, or what it leaves of 1 where lower is better. Any other number
        is held against the unpruned network's: 1 as good, 0 off by that number or more.
        """
        if self.is_share:
            return score if self.higher_is_better else 1.0 - score
        worse = unpruned - score if self.higher_is_better else score - unpruned
        return min(2.0, max(0.0, 1.0 - worse / max(abs(unpruned), 1e-12)))

    def better(self, one: float, other: float) -> bool:
        """Whether the first of two scores is the better one."""
        return one > other if self.higher_is_better else one < other

    def change(self, score: float | None, reference: float | None) -> str:
        """How far a score is from another, with its sign: points of a share, else percent."""
        if score is None or reference is None:
            return "–"
        if self.is_share:
            return f"{(score - reference) * 100:+.2f} pp".replace("-", "−")
        share = (score - reference) / abs(reference) if reference else 0.0
        return f"{share * 100:+.2f} %".replace("-", "−")

    def text(self, score: float | None) -> str:
        """A score as people read it; a dash for none."""
        if score is None:
            return "–"
        return f"{score * 100:.2f} %" if self.is_share else f"{score:.4g}"

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
        """A score as the search compares it: about 0..1, higher is better, whatever the metric.

        A share is its own quality, or what it leaves of 1 where lower is better. Any other number
        is held against the unpruned network's: 1 as good, 1/2 off by that number, 1/3 off by twice
        as much; above 1, and below 2, where it is better.
        """
        if self.is_share:
            # An error may be above 1, as a word error rate is with many insertions.
            return max(0.0, score if self.higher_is_better else 1.0 - score)
        worse = unpruned - score if self.higher_is_better else score - unpruned
        share = worse / max(abs(unpruned), 1e-12)
        # Nowhere flat: before fine-tuning an error is often several times the unpruned one.
        return 1.0 / (1.0 + share) if share >= 0 else 2.0 - 1.0 / (1.0 - share)

    def better(self, one: float, other: float) -> bool:
        """Whether the first of two scores is the better one."""
        return one > other if self.higher_is_better else one < other

    def change(self, score: float | None, reference: float | None) -> str:
        """How far a score is from another, with its sign: points of a share, else percent.

        Nothing is a percentage of 0: from there it is the number itself.
        """
        if score is None or reference is None:
            return "–"
        if self.is_share:
            return f"{(score - reference) * 100:+.2f} pp".replace("-", "−")
        if reference == 0.0:
            return f"{score:+.4g}".replace("-", "−")
        return f"{(score - reference) / abs(reference) * 100:+.2f} %".replace("-", "−")

    def text(self, score: float | None) -> str:
        """A score as people read it; a dash for none."""
        if score is None:
            return "–"
        return f"{score * 100:.2f} %" if self.is_share else f"{score:.4g}"

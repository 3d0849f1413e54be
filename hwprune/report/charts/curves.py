"""How the policy and the fine-tuning learned, over their own steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwprune.metric import Metric
from hwprune.report.charts.legend import colour_of
from hwprune.report.charts.plane import Plane, span
from hwprune.report.rows import FinetuneEpoch, NetworkRow, PolicyStep

WIDTH, HEIGHT = 480, 270


def policy_reward(steps: Sequence[PolicyStep]) -> str:
    """Mean reward of each iteration's candidates."""
    return _chart(
        {"reward": [(s.evaluations, s.reward) for s in steps]}, "evaluations", "mean reward"
    )


def policy_cost(steps: Sequence[PolicyStep]) -> str:
    """Mean excess over each constraint; at or below the line at 0 the budget is kept."""
    lines = {
        label: [(s.evaluations, s.cost[label]) for s in steps if label in s.cost]
        for label in dict.fromkeys(label for s in steps for label in s.cost)
    }
    return _chart(
        lines, "evaluations", "mean excess over the limit", percent_y=True, rules={"limit": 0.0}
    )


def policy_multiplier(steps: Sequence[PolicyStep]) -> str:
    """The Lagrange multiplier of each constraint: the price the policy pays for excess."""
    lines = {
        label: [(s.evaluations, s.multiplier[label]) for s in steps if label in s.multiplier]
        for label in dict.fromkeys(label for s in steps for label in s.multiplier)
    }
    return _chart(lines, "evaluations", "price of excess (multiplier)")


def policy_best(steps: Sequence[PolicyStep]) -> str:
    """The best quality found so far among candidates that keep the budget."""
    points = [(s.evaluations, s.best) for s in steps if s.best is not None]
    return _chart({"best": points}, "evaluations", "best quality so far", percent_y=True)


def finetune_loss(epochs: Sequence[FinetuneEpoch]) -> str:
    """Training loss by epoch."""
    return _chart({"loss": [(e.epoch, e.loss) for e in epochs]}, "epoch", "training loss")


def finetune_score(
    epochs: Sequence[FinetuneEpoch],
    unpruned: NetworkRow | None,
    pruned: NetworkRow | None,
    metric: Metric,
) -> str:
    """Held-out score by epoch, between the pruned network before it and the unpruned one."""
    points = [(e.epoch, e.score_heldout) for e in epochs if e.score_heldout is not None]
    rules = {
        name: row.score_heldout_before_finetune
        for name, row in (("unpruned", unpruned), ("before fine-tuning", pruned))
        if row and row.score_heldout_before_finetune is not None
    }
    title = f"held-out {metric.name}"
    return _chart({metric.name: points}, "epoch", title, percent_y=metric.is_share, rules=rules)


def _chart(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    x_title: str,
    y_title: str,
    *,
    percent_y: bool = False,
    rules: Mapping[str, float] | None = None,
) -> str:
    """Lines over whole steps, with named horizontal rules; nothing if there is nothing to draw."""
    points = [point for line in lines.values() for point in line]
    rules = rules or {}
    if not points:
        return ""
    plane = Plane(
        (0, max(max(x for x, _ in points), 2) * 1.02),
        span([*(y for _, y in points), *rules.values()], least=0.005),
        width=WIDTH,
        height=HEIGHT,
    )
    plane.y_axis(y_title, percent=percent_y)
    plane.x_axis(x_title, whole=True)
    for name, at in rules.items():
        plane.horizontal(at, "limit" if name == "limit" else "rule")
        plane.text(plane.x.stop - 2, plane.y(at) - 8, name, anchor="end", cls="label")
    for place, (name, line) in enumerate(lines.items()):
        plane.line(line, colour_of(place))
        if len(line) == 1:
            plane.mark(*line[0], "circle", f"dot {colour_of(place)}", size=3.5)
        if len(lines) > 1:
            middle = line[len(line) // 2]
            plane.label(*middle, name, cls=f"label {colour_of(place)}")
    return plane.svg(f"{y_title} by {x_title}")

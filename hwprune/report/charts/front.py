"""The front: what is delivered for each budget, score against cost."""

from __future__ import annotations

from hwprune.report.charts.candidates import axis_title, cost_of, deciding
from hwprune.report.charts.plane import Plane, span
from hwprune.report.front import Front
from hwprune.report.rows import HWPRUNE, UNIFORM, UNPRUNED

Point = tuple[float, float, str]
"""Cost, score on the test part, name."""


def front(found: Front) -> str:
    """Delivered networks joined by a line, the uniform cuts beside them, and the unpruned one."""
    first = found.first
    finding, metric = deciding(first), first.metric
    if finding is None:
        return ""
    quantity = finding.constraint.quantity
    unpruned = _points(found, UNPRUNED, quantity)[:1]
    ours, uniform = (sorted(_points(found, name, quantity)) for name in (HWPRUNE, UNIFORM))
    points = [*unpruned, *ours, *uniform]
    if not points:
        return ""
    plane = Plane(
        span((x for x, *_ in points), pad=0.1),
        span((y for _, y, _ in points), pad=0.12, least=0.01),
        width=980,
        height=430,
        top=44,
    )
    plane.y_axis(f"{metric.name}, test", percent=metric.is_share)
    plane.x_axis(axis_title(finding))
    plane.line([(x, y) for x, y, _ in uniform], "m4")
    plane.line([(x, y) for x, y, _ in [*ours, *unpruned]], "m0")
    looks = (
        (uniform, "diamond", "special", "uniform, "),
        (unpruned, "square", "special", ""),
        (ours, "star", "winner", ""),
    )
    for some, _, _, front_of_name in reversed(looks):
        for x, y, name in some:
            plane.label(x, y, front_of_name + name)
    for some, shape, cls, front_of_name in looks:
        for x, y, name in some:
            says = f"{front_of_name}{name}: {metric.text(y)}"
            plane.mark(x, y, shape, cls, size=7, title=says)
    return plane.svg(f"{metric.name} against {finding.label} for {len(ours)} budgets")


def _points(found: Front, name: str, quantity: str) -> list[Point]:
    points = []
    for entry in found.entries:
        row = entry.result.row(name) if entry.result is not None else None
        if row is None or row.score_test is None:
            continue
        cost = cost_of(row, quantity)
        if cost is not None:
            points.append((cost, row.score_test, UNPRUNED if name == UNPRUNED else entry.budget))
    return points

"""Every candidate: its score against its cost; and the best of each method as it was found."""

from __future__ import annotations

from collections.abc import Callable

from hwprune.evaluation import Evaluation
from hwprune.metric import Metric
from hwprune.report import figures
from hwprune.report.certificate import ConstraintFinding
from hwprune.report.charts.legend import colour_of, legend, order_of, shape_of
from hwprune.report.charts.plane import Plane, outline, span
from hwprune.report.result import Result
from hwprune.report.rows import UNIFORM, NetworkRow


def deciding(result: Result) -> ConstraintFinding | None:
    """The constraint a scatter is drawn against: the first on latency, else the first."""
    findings = result.certificate.findings
    timed = (f for f in findings if f.constraint.quantity == "latency_ms")
    return next(timed, findings[0] if findings else None)


def scatter(result: Result) -> str:
    """Held-out score right after the cut against measured cost, one mark a candidate."""
    finding = deciding(result)
    if finding is None:
        return ""
    metric = result.metric
    drawn = [e for e in result.evaluations if e.score is not None and finding.label in e.costs]
    special = _networks(result, finding)
    if not drawn and not special:
        return ""
    xs = [e.costs[finding.label] for e in drawn] + [x for x, *_ in special] + [finding.limit]
    ys = [e.score or 0.0 for e in drawn] + [y for _, y, *_ in special]
    plane = Plane(span(xs), span(ys, least=0.02), width=980, height=470, top=44)
    _over_budget(plane, finding)
    plane.y_axis(f"{metric.name} on held-out items", percent=metric.is_share)
    plane.x_axis(axis_title(finding))
    series = series_of(result)
    places = order_of(series(e) for e in result.evaluations)
    # Feasible marks last: they are the ones that matter where marks lie on each other.
    for e in sorted(drawn, key=lambda e: e.feasible):
        place = places[series(e)]
        cls = f"dot {colour_of(place)}" + ("" if e.feasible else " hollow")
        plane.mark(
            e.costs[finding.label], e.score or 0.0, shape_of(place), cls,
            size=4.2, title=_says(e, metric),
        )  # fmt: skip
    for x, y, text, *_ in special:
        plane.label(x, y, text)
    for x, y, text, shape, cls in special:
        plane.mark(x, y, shape, cls, size=7, title=f"{text}: {metric.text(y)}")
    return plane.svg(f"{metric.name} against {finding.label} of {len(drawn)} candidates") + legend(
        places, _notes(result, series)
    )


def series_of(result: Result) -> Callable[[Evaluation], str]:
    """What marks are told apart by: the method; who in it proposed, where one searched alone."""
    searched = {e.method for e in result.evaluations} - {UNIFORM}
    if len(searched) > 1:
        return lambda e: e.method
    return lambda e: e.proposed_by or e.method


def best_so_far(result: Result) -> str:
    """The best feasible score of each method against its number of evaluations."""
    places = order_of(e.method for e in result.evaluations)
    metric = result.metric
    lines = {name: _best_line(result.evaluations, name, metric) for name in places}
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    longest = max(max(e.number for e in result.evaluations), 2)
    plane = Plane(
        (0, longest * 1.02), span((y for _, y in points), pad=0.1, least=0.01),
        width=980, height=320, right=170,
    )  # fmt: skip
    plane.y_axis(f"best {metric.name} so far", percent=metric.is_share)
    plane.x_axis("evaluations", whole=True)
    for name, line in lines.items():
        place = places[name]
        plane.line(line, colour_of(place), steps=True)
    _name_ends(plane, lines, places, metric)
    return plane.svg(f"Best {metric.name} so far against evaluations, by method")


def _name_ends(
    plane: Plane,
    lines: dict[str, list[tuple[float, float]]],
    places: dict[str, int],
    metric: Metric,
) -> None:
    """A mark at the end of each line; its name at the right edge, lower where names meet."""
    free_from = 0.0
    ends = sorted(
        ((name, line[-1]) for name, line in lines.items() if line), key=lambda e: -e[1][1]
    )
    for name, (x, y) in ends:
        shape, cls = shape_of(places[name]), f"dot {colour_of(places[name])}"
        says = f"{name}: {metric.text(y)} after {x:.0f} evaluations"
        plane.mark(x, y, shape, cls, size=4.5, title=says)
        at = max(plane.y(y), free_from)
        free_from = at + 17
        left = plane.x.stop + 14
        plane.add(
            f'<path class="{cls}" transform="translate({left:.1f} {at:.1f})" '
            f'd="{outline(shape, 4.5)}"/>'
        )
        plane.text(left + 10, at, f"{name} {metric.text(y)}", cls="label")


def axis_title(finding: ConstraintFinding) -> str:
    """A constraint as the title of an axis."""
    quantity = {
        "latency_ms": "measured latency",
        "memory_mb": "peak memory",
        "energy_mj": "energy of an inference",
    }
    label, _, kind = finding.label.partition(" on ")
    details = label.removeprefix(finding.constraint.quantity).replace("@", " at ")
    title = quantity.get(finding.constraint.quantity, finding.constraint.quantity) + details
    title += f" on {kind}" if kind else ""
    return f"{title}, {finding.unit}" if finding.unit else title


def _over_budget(plane: Plane, finding: ConstraintFinding) -> None:
    at, top, bottom = plane.x(finding.limit), plane.y.stop, plane.y.start
    plane.add(
        f'<rect class="over" x="{at:.1f}" y="{top:.1f}" '
        f'width="{plane.x.stop - at:.1f}" height="{bottom - top:.1f}"/>'
    )
    plane.vertical(finding.limit, "limit")
    plane.text(
        at, top - 11, f"budget {figures.limit(finding.limit, finding.unit)}",
        anchor="middle", cls="limit-text",
    )  # fmt: skip


def _networks(
    result: Result, finding: ConstraintFinding
) -> list[tuple[float, float, str, str, str]]:
    """The networks of the closing table as (cost, score, name, shape, style)."""
    looks = {
        "unpruned": ("square", "special"),
        "uniform": ("diamond", "special"),
        "hwprune": ("star", "winner"),
    }
    names = {"uniform": "uniform cut", "hwprune": "delivered"}
    found = []
    for row in result.rows:
        cost = cost_of(row, finding.constraint.quantity)
        score = row.score_heldout_before_finetune
        if cost is not None and score is not None:
            shape, cls = looks.get(row.name, ("square", "special"))
            found.append((cost, score, names.get(row.name, row.name), shape, cls))
    return found


def cost_of(row: NetworkRow, quantity: str) -> float | None:
    """What a network of the closing table takes of a quantity."""
    return {
        "latency_ms": row.latency_ms, "memory_mb": row.memory_mb,
        "params": row.params, "macs": row.macs,
    }.get(quantity)  # fmt: skip


def _best_line(
    evaluations: tuple[Evaluation, ...], method: str, metric: Metric
) -> list[tuple[float, float]]:
    line: list[tuple[float, float]] = []
    mine = sorted((e for e in evaluations if e.method == method), key=lambda e: e.number)
    for e in mine:
        if (
            e.feasible
            and e.share == 1.0
            and e.score is not None
            and (not line or metric.better(e.score, line[-1][1]))
        ):
            line.append((e.number, e.score))
    if line and mine[-1].number > line[-1][0]:
        line.append((mine[-1].number, line[-1][1]))
    return line


def _says(e: Evaluation, metric: Metric) -> str:
    costs = ", ".join(f"{label} {figures.plain(value)}" for label, value in e.costs.items())
    widths = " ".join(str(w) for w in e.candidate.widths)
    kept = "keeps the budget" if e.feasible else f"{e.worst_excess * 100:.1f} % over"
    scored = (
        "" if e.share == 1.0 else f" (estimated from {figures.percent(e.share, 0)} of the items)"
    )
    score = f"{metric.text(e.score)}{scored}"
    who = f", proposed by {e.proposed_by}" if e.proposed_by not in ("", e.method) else ""
    return f"{e.method} #{e.number}{who}: {score}, {costs} ({kept})\n{widths}"


def _notes(result: Result, series: Callable[[Evaluation], str]) -> dict[str, str]:
    notes = {}
    for name in order_of(series(e) for e in result.evaluations):
        mine = [e for e in result.evaluations if series(e) == name]
        kept, failed = sum(e.feasible for e in mine), sum(e.failure is not None for e in mine)
        notes[name] = f" {kept} of {len(mine)} keep the budget"
        if failed:
            notes[name] += f", {failed} failed"
    return notes

"""The report: one self-contained HTML file, made from a result and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hwprune.plain_text import plain_text
from hwprune.report import figures
from hwprune.report.certificate import ConstraintFinding
from hwprune.report.charts import bullet, candidates, curves, readings, widths
from hwprune.report.charts.front import front as curve
from hwprune.report.front import Front
from hwprune.report.result import Result
from hwprune.report.rows import NetworkRow
from hwprune.report.table import verdict_of
from hwprune.whole_file import write_whole

TITLES = {"unpruned": "unpruned", "uniform": "uniform cut", "hwprune": "hwprune"}
SIGNS = {"PASS": "✓", "FAIL": "✗", "NOT SHOWN": "?", "NOT MEASURED": "?"}


def render(result: Result) -> str:
    """The report as HTML, well-formed as XML too: no script, nothing loaded from elsewhere."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            r=result,
            f=figures,
            base=result.row("unpruned"),
            titles=TITLES,
            sign=SIGNS[result.certificate.status],
            headline=headline(result),
            verdict=verdict(result),
            tiles=_tiles(result),
            charts=_charts(result),
            bullet=_bullet,
            verdict_of=verdict_of,
            # A result repeats the doubts and commands of its certificate; each is shown once.
            doubts=tuple(dict.fromkeys((*result.doubts, *result.certificate.doubts))),
            asked=_asked(result),
            conditions=_conditions(result),
            target=flat(result.certificate.target),
            commands=tuple(dict.fromkeys((*result.commands, *result.certificate.commands))),
        )
    )


def environment() -> Environment:
    """How templates are read: everything is escaped, and a name that is not there is an error."""
    return Environment(
        loader=PackageLoader("hwprune.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_report(result: Result, path: Path) -> None:
    """Render into a file; an interrupted write leaves the old one."""
    write_page(render(result), path)


def write_page(html: str, path: Path) -> None:
    """Write a page without control characters; an interrupted write leaves the old one."""
    # XML allows hardly any control character, not even escaped.
    write_whole(path, plain_text(html))


def headline(result: Result) -> str:
    """What came out, in one line: `2.08× faster on quiet-board, accuracy −0.75 pp`."""
    base, ours = result.row("unpruned"), result.row("hwprune")
    if not base or not ours or not base.latency_ms or not ours.latency_ms:
        return f"{result.deployment.name} on {result.deployment.board}"
    faster = f"{base.latency_ms / ours.latency_ms:.2f}× faster on {result.deployment.board}"
    if base.score_test is None or ours.score_test is None:
        return faster
    metric = result.metric
    return f"{faster}, {metric.name} {metric.change(ours.score_test, base.score_test)}"


def verdict(result: Result) -> str:
    """The certificate in one sentence."""
    certificate = result.certificate
    short = [f.label for f in certificate.findings if f.status == certificate.status]
    count = max((f.readings for f in certificate.findings), default=0)
    if certificate.status == "PASS":
        shown = f"shown by {count} fresh readings" if count else "counted from its structure"
        return f"Every constraint is kept, {shown}: {'; '.join(result.deployment.budget)}."
    if certificate.status == "NOT MEASURED":
        return "No board was asked: a latency table tells what the delivered network would take."
    if certificate.status == "FAIL":
        return f"The delivered network does not keep the budget: {', '.join(short)} is over."
    if not certificate.findings:
        return "There is no finding, so nothing is shown."
    return f"It is not shown that the delivered network keeps its budget: {', '.join(short)}."


def _tiles(result: Result) -> list[tuple[str, str, str]]:
    base, ours = result.row("unpruned"), result.row("hwprune")
    if not ours:
        return []
    # A result without the unpruned row shows changes from itself: none.
    was = base or ours
    return [
        (f"{result.metric.name}, test", result.metric.text(ours.score_test),
         f"{result.metric.change(ours.score_test, was.score_test)} "
         f"from {result.metric.text(was.score_test)}"),
        ("latency", figures.ms(ours.latency_ms),
         f"{figures.change(ours.latency_ms, was.latency_ms)} from {figures.ms(was.latency_ms)}"),
        _memory_tile(ours, was),
        ("parameters", figures.count(ours.params),
         f"{figures.change(ours.params, was.params)} from {figures.count(was.params)}"),
        ("MACs", figures.count(ours.macs),
         f"{figures.change(ours.macs, was.macs)} from {figures.count(was.macs)}"),
    ]  # fmt: skip


def _memory_tile(ours: NetworkRow, was: NetworkRow) -> tuple[str, str, str]:
    told = figures.memory(ours.memory_mb, measured=ours.latency_ms is not None)
    if ours.memory_mb is None or was.memory_mb is None:
        return ("peak memory", told, "")
    change = figures.change(ours.memory_mb, was.memory_mb)
    return ("peak memory", told, f"{change} from {figures.megabytes(was.memory_mb)}")


def _charts(result: Result) -> dict[str, Any]:
    base, ours = result.row("unpruned"), result.row("hwprune")
    policy, epochs = result.policy, result.finetune
    return {
        "scatter": Markup(candidates.scatter(result)),
        "best": Markup(candidates.best_so_far(result)),
        "widths": Markup(widths.widths(result.groups)),
        "policy": [
            Markup(draw(policy))
            for draw in (
                curves.policy_reward,
                curves.policy_best,
                curves.policy_cost,
                curves.policy_multiplier,
            )
        ],
        "finetune": [
            Markup(curves.finetune_loss(epochs)),
            Markup(curves.finetune_score(epochs, base, ours, result.metric)),
        ],
        "strips": [(name, Markup(svg)) for name, svg in readings.strips(result)],
    }


def _bullet(finding: ConstraintFinding) -> Markup:
    return Markup(bullet.bullet(finding))


def _asked(result: Result) -> dict[str, str]:
    deployment = result.deployment
    rows = {
        "network": deployment.network,
        "task": deployment.task,
        "board": deployment.board,
        "budget": "; ".join(deployment.budget),
        "methods": ", ".join(deployment.methods),
        "evaluations": f"{deployment.evaluations} at most",
        "seed": str(deployment.seed),
        "deployment": deployment.file,
    }
    return {key: value for key, value in rows.items() if value}


def _conditions(result: Result) -> dict[str, str]:
    told = result.conditions or result.certificate.conditions
    return shown_conditions(result.certificate.board, told)


def shown_conditions(board: str, conditions: Mapping[str, Any]) -> dict[str, str]:
    """Conditions as rows, and those that are unavailable on the board in one."""
    told = dict(conditions)
    inner = told.pop("board", {})
    rows = {"board": board} | flat(inner if isinstance(inner, Mapping) else {"board": inner})
    rows |= flat(told)
    silent = [key for key, value in rows.items() if set(value.split(", ")) == {"unavailable"}]
    known = {key: value for key, value in rows.items() if key not in silent}
    return known | ({"not told by the board": ", ".join(silent)} if silent else {})


def flat(table: Mapping[str, Any], front: str = "") -> dict[str, str]:
    """Nested plain data as `outer.inner` rows; what is empty is left out."""
    rows: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows |= flat(value, f"{front}{key}.")
        elif isinstance(value, list | tuple):
            rows[f"{front}{key}"] = ", ".join(str(item) for item in value)
        elif value is not None:
            rows[f"{front}{key}"] = str(value)
    return {key: value for key, value in rows.items() if value}


def render_front(front: Front) -> str:
    """The page as HTML: no script, nothing loaded from elsewhere."""
    return (
        environment()
        .get_template("front.html.j2")
        .render(front=front, r=front.first, f=figures, curve=Markup(curve(front)))
    )


def write_front(front: Front, path: Path) -> None:
    """Render into a file; an interrupted write leaves the old one."""
    write_page(render_front(front), path)

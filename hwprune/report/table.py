"""The closing table: unpruned, the widest uniform cut within the budget, and hwprune."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from hwprune.report import figures
from hwprune.report.certificate import Certificate
from hwprune.report.console import PlainConsole
from hwprune.report.front import Front
from hwprune.report.result import Result
from hwprune.report.rows import NetworkRow

COLUMNS = (
    "network",
    "score\ntest",
    "latency\nms",
    "95 %\ninterval",
    "faster",
    "memory\nMB",
    "params",
    "MACs",
    "budget",
)
CAPTION = "uniform: every group cut by the same share, the widest such cut that keeps the budget"
STYLES = {"PASS": "bold green", "FAIL": "bold red", "NOT SHOWN": "bold yellow"}
STYLES["NOT MEASURED"] = STYLES["NOT SHOWN"]


def verdict_of(row: NetworkRow, certificate: Certificate) -> str:
    """PASS, FAIL or NOT SHOWN; nothing for a network that is not held against the budget.

    Only the delivered network has a certificate; of any other it is known whether it passed.
    """
    if row.name == "hwprune":
        return certificate.status
    if row.passed is None or certificate.status == "NOT MEASURED":
        return ""
    return "PASS" if row.passed else "FAIL"


def cells_of(row: NetworkRow, result: Result) -> tuple[str, ...]:
    """One row of the table as text, in the order of COLUMNS."""
    unpruned = result.row("unpruned")
    faster = figures.times(unpruned.latency_ms, row.latency_ms) if unpruned else figures.ABSENT
    return (
        row.name,
        result.metric.text(row.score_test),
        figures.ABSENT if row.latency_ms is None else figures.plain(row.latency_ms),
        figures.spread_ms(row.low_ms, row.high_ms),
        "" if row is unpruned else faster,
        figures.memory(row.memory_mb, measured=row.latency_ms is not None, unit=""),
        figures.count(row.params),
        figures.count(row.macs),
        verdict_of(row, result.certificate),
    )


def closing_table(result: Result) -> Table:
    """The table for a terminal; it fits 80 columns."""
    table = Table(
        title=f"{result.deployment.name} on {result.deployment.board}",
        title_style="bold",
        caption=CAPTION if result.row("uniform") else None,
        box=box.SIMPLE_HEAD,
        padding=(0, 0),
        pad_edge=False,
    )
    for column in (COLUMNS[0], f"{result.metric.name}\ntest", *COLUMNS[2:]):
        justify: JustifyMethod = "left" if column in ("network", "budget") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for row in result.rows:
        # As Text, which rich does not read for markup.
        cells = [Text(cell) for cell in cells_of(row, result)]
        cells[-1].stylize(STYLES.get(cells[-1].plain, ""))
        table.add_row(*cells, style="bold" if row.name == "hwprune" else "")
    return table


def front_table(front: Front) -> Table:
    """The networks of several budgets for a terminal; it fits 80 columns."""
    first = front.first
    table = Table(
        title=f"{front.name} on {first.deployment.board}",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 0),
        pad_edge=False,
    )
    names = ("budget", f"{first.metric.name}\ntest", "uniform\ntest", "latency\nms", "faster")
    for column in (*names, "params", "MACs", "verdict"):
        side: JustifyMethod = "left" if column in ("budget", "verdict") else "right"
        table.add_column(column, justify=side, no_wrap=column != "verdict")
    unpruned = first.row("unpruned")
    if unpruned is not None:
        table.add_row("unpruned", *_front_cells(unpruned, None, first), "")
    for entry in front.entries:
        row = entry.result.row("hwprune") if entry.result is not None else None
        if entry.result is None or row is None:
            none = [figures.ABSENT] * (len(table.columns) - 2)
            table.add_row(entry.budget, *none, Text("NONE", STYLES["FAIL"]))
            continue
        status = entry.result.certificate.status
        cells = _front_cells(row, entry.result.row("uniform"), entry.result)
        table.add_row(entry.budget, *cells, Text(status, STYLES[status]), style="bold")
    return table


def _front_cells(row: NetworkRow, uniform: NetworkRow | None, result: Result) -> list[str]:
    _, score, latency, _, faster, _, params, macs, _ = cells_of(row, result)
    beside = figures.ABSENT if uniform is None else result.metric.text(uniform.score_test)
    return [score, beside, latency, faster, params, macs]


def front_json(front: Front) -> dict[str, Any]:
    """All budgets as plain data, for --json."""
    return {
        "name": front.name,
        "passed": front.passed,
        "budgets": [
            {
                "budget": entry.budget,
                "folder": entry.folder,
                "failed": entry.failed,
                "exit_code": entry.exit_code,
                **(table_json(entry.result) if entry.result is not None else {}),
            }
            for entry in front.entries
        ],
    }


def findings_text(certificate: Certificate) -> Text:
    """One line a constraint: the verdict and its words."""
    text = Text()
    for finding in certificate.findings:
        # As wide as NOT MEASURED and a space.
        text.append(f"{finding.status:<13}", style=STYLES[finding.status])
        text.append(f"{finding.label}: {finding.words}\n")
    text.rstrip()
    return text


def floor_text(result: Result) -> Text:
    """Whether the delivered network is as good as was asked; empty where nothing was asked."""
    if result.floor is None:
        return Text()
    status = "PASS" if result.floor.reached else "FAIL"
    text = Text(f"{status:<13}", style=STYLES[status])
    return text.append(result.floor.text(result.metric))


def plain_table(result: Result, width: int = 120) -> str:
    """The table and the findings as plain text, without colours."""
    out = StringIO()
    console = PlainConsole(file=out, width=width, color_system=None, force_terminal=False)
    console.print(closing_table(result))
    console.print(findings_text(result.certificate))
    if result.floor is not None:
        console.print(floor_text(result))
    return out.getvalue()


def table_json(result: Result) -> dict[str, Any]:
    """The table and the certificate as plain data, for --json."""
    data = result.to_json()
    verdicts = {row.name: verdict_of(row, result.certificate) or None for row in result.rows}
    return {
        "deployment": data["deployment"],
        "passed": result.passed,
        "metric": data["metric"],
        "floor": data["floor"],
        "status": result.certificate.status,
        "rows": [row | {"verdict": verdicts[row["name"]]} for row in data["rows"]],
        "certificate": data["certificate"],
        "delivered_method": result.delivered_method,
        "delivered_by": result.delivered_by,
        "agreement": data["agreement"],
        "engines": data["engines"],
        "predictions": data["predictions"],
        "methods": data["methods"],
        "doubts": data["doubts"],
    }

"""The page of a latency table: how far it errs, what layers take, and where the board steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from hwprune.errors import InputError
from hwprune.report import figures
from hwprune.report.charts.heat import heat
from hwprune.report.charts.predicted import errors, predicted
from hwprune.report.charts.stairs import stairs
from hwprune.report.html import environment, flat, shown_conditions, write_page
from hwprune.tables.held_out import held_out_of
from hwprune.tables.kind_map import kind_maps
from hwprune.tables.layer_share import Shares, shares_of
from hwprune.tables.model import TableModel
from hwprune.tables.staircase import Staircase, staircases
from hwprune.tables.table import Table, runs_on


def render_table(model: TableModel) -> str:
    """The page as HTML, well-formed as XML too: no script, nothing loaded from elsewhere."""
    table = model.table
    groups, shares, held_out = staircases(model), shares_of(model), held_out_of(model)
    return (
        environment()
        .get_template("table.html.j2")
        .render(
            t=table,
            f=figures,
            model=model,
            runs_on=runs_on(table),
            tiles=_tiles(model, shares),
            shares=shares,
            # Bars are drawn as shares of it, so it is not 0.
            most_ms=max(max(layer.ms for layer in shares.layers), 1e-9),
            groups=groups,
            charts={
                "predicted": Markup(predicted(held_out, model.interval)),
                "errors": Markup(errors(held_out, model.interval)),
                "stairs": {
                    block: [(stair, Markup(stairs(stair))) for stair in mine]
                    for block, mine in by_block(groups).items()
                },
                "heat": [(kind, Markup(heat(kind))) for kind in kind_maps(model)],
            },
            built=_built(table),
            target=flat(table.target),
            protocol=flat(table.protocol),
            conditions=shown_conditions(table.board, table.conditions),
        )
    )


def write_table_page(model: TableModel, path: Path) -> None:
    """Render into a file; an interrupted write leaves the old one.

    Raises:
        InputError: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_page(render_table(model), path)
    except OSError as error:
        raise InputError(f"the page cannot be written to {path}", given=str(error)) from None


def by_block(groups: Sequence[Staircase]) -> dict[str, list[Staircase]]:
    """Groups by the first words of their names that part them at all."""
    names = [group.name.split(".") for group in groups]
    depth = 1
    while len({tuple(name[:depth]) for name in names}) < 2 and depth < max(map(len, names)):
        depth += 1
    found: dict[str, list[Staircase]] = {}
    for group, name in zip(groups, names, strict=True):
        found.setdefault(".".join(name[:depth]), []).append(group)
    return found


def _tiles(model: TableModel, shares: Shares) -> list[tuple[str, str, str]]:
    table = model.table
    counts = {role: len(table.whole(role)) for role in ("network", "held out")}
    blocks = sum(row.role == "block" and not row.doubts for row in table.rows)
    read = [r.latency_ms for r in table.whole("network", "held out") if r.widths == table.own.full]
    tiles = [
        ("unpruned, predicted", figures.ms(shares.latency_ms),
         f"read as {figures.ms(table.scale * read[0])}" if read else "not read itself"),
    ]  # fmt: skip
    error = table.errors.get(model.source)
    if error is not None:
        tiles += [
            ("mean error", f"{error.mape_pct:.1f} %", f"worst {error.worst_pct:.1f} %"),
            ("95 % lie within", f"± {error.interval_pct:.1f} %", f"of {error.count} held out"),
            ("rank correlation", f"{error.spearman:.3f}", f"Kendall {error.kendall:.3f}"),
        ]
    tiles.append(
        (
            "candidates read",
            str(sum(counts.values())),
            f"and {blocks} of {len(table.blocks)} blocks, "
            f"in {table.device_minutes:.1f} device-minutes",
        )
    )
    return tiles


def _built(table: Table) -> dict[str, str]:
    doubted = sum(bool(row.doubts) for row in table.rows)
    rows = {
        "network": table.own.name,
        "inputs": "; ".join(" × ".join(map(str, shape)) for shape in table.own.inputs),
        "architecture": table.own.architecture,
        "built": table.built_at,
        "by hwprune": table.made_by,
        "device-minutes": f"{table.device_minutes:.1f}",
        "rows doubted": str(doubted),
        "conditions": table.conditions_key,
    }
    return {key: value for key, value in rows.items() if value}

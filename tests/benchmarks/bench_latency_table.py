"""How far latency tables err: by source, on candidates that nothing was learned from.

    python -m tests.benchmarks.bench_latency_table MODEL… [--board NAME] [--minutes 15]
        [--fresh 50] [--stranger MODEL] [--few 10 30 100 --other-board NAME] [--input NxCxHxW]

Each network gets a table on the board. `--fresh` further candidates, drawn anew, tell how many of
them the interval holds. A stranger is measured as a whole and predicted from the first table. With
`--few` the first table is begun from on another board, with so many readings.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from hwprune.board import Board, find_board, this_machine
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.cli.inspect import parse_shapes
from hwprune.pipeline.build_table import TableSettings, build_table
from hwprune.pipeline.tabled_farm import placed, tabled_farm
from hwprune.pipeline.tabled_network import tabled_network
from hwprune.report.progress import shown
from hwprune.tables.model import TableModel, error_of
from hwprune.tables.steps import drawn
from hwprune.tables.table import Table, TableError
from hwprune.width_limit import group_choices
from hwprune_device.reading import Reading

HEAD = (
    "| table | from | n | error % | bias % | Spearman | Kendall | within 5 % | 10 % | worst % | "
    "device-minutes |"
)


def row(name: str, source: str, error: TableError, minutes: float) -> str:
    """One line of the table."""
    return (
        f"| {name} | {source} | {error.count} | {error.mape_pct:.1f} | {error.bias_pct:+.1f} | "
        f"{error.spearman:.4f} | {error.kendall:.3f} | {error.within_5_pct:.2f} | "
        f"{error.within_10_pct:.2f} | {error.worst_pct:.0f} | {minutes:.1f} |"
    )


def random_widths(
    base: BaseNetwork, count: int, chance: np.random.Generator
) -> list[tuple[int, ...]]:
    """So many candidates, each once; multiples of four, an eighth of each group at least."""
    choices = [
        group_choices(g, multiple_of=4, min_keep=0.125, limits={}) for g in base.plan.groups
    ]
    return list({drawn(choices, chance): None for _ in range(count)})


def read(base: BaseNetwork, board: Board, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random candidates [n, groups] and what the board reads of them, in ms [n]."""
    wanted = random_widths(base, count, np.random.default_rng([seed, 99]))
    with tabled_farm([board], "bench_latency_table") as (farm, _):
        placed(farm, base)
        outcomes = [f.result() for f in farm.measure([Candidate(widths=w) for w in wanted])]
        calm = farm.calm_ms
    pairs = [(w, o.at_nominal(calm or o.base_nominal_ms).latency_ms)
             for w, o in zip(wanted, outcomes, strict=True)
             if isinstance(o, Reading) and not o.doubts]  # fmt: skip
    if not pairs:
        raise SystemExit(f"all of {len(wanted)} readings are doubted: the machine is not calm")
    return np.array([w for w, _ in pairs]), np.array([ms for _, ms in pairs])


def tabled(model: str, board: Board, asked: argparse.Namespace, **settings: object) -> Table:
    """The table of a network, printed."""
    subject = tabled_network(model, (), parse_shapes(asked.input))
    with shown() as progress:
        built = build_table(
            subject.base,
            subject.name,
            [board],
            TableSettings(minutes=asked.minutes, seed=asked.seed, **settings),  # type: ignore[arg-type]
            progress,
        )
    table = built.table
    words = f"{subject.name} from {settings['readings']}" if settings else subject.name
    for source, error in table.errors.items():
        print(row(words, source, error, table.device_minutes), flush=True)
    if table.memory_error:
        print(row(words, "memory", table.memory_error, table.device_minutes), flush=True)
    return table


def held(table: Table, model: str, board: Board, asked: argparse.Namespace) -> None:
    """How many fresh candidates the interval holds, and queries a second."""
    base = tabled_network(model, (), parse_shapes(asked.input)).base
    widths, ms = read(base, board, asked.fresh, asked.seed)
    known = TableModel(table)
    away = np.abs(np.log(known.latency_ms(widths) / ms))
    assert known.interval is not None
    many = np.repeat(widths, 1 + 100_000 // len(widths), axis=0)
    known.latency_ms(many)
    began = time.perf_counter()
    known.latency_ms(many)
    rate = len(many) / (time.perf_counter() - began)
    share = float((away <= known.interval).mean())
    print(f"{table.own.name}: the interval holds {share:.0%} of {len(ms)} fresh candidates; "
          f"{rate:,.0f} queries a second", flush=True)  # fmt: skip


def main() -> None:
    """Print rows as they come."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--board", default="")
    parser.add_argument("--other-board", default="")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--fresh", type=int, default=0)
    parser.add_argument("--few", type=int, nargs="*", default=[])
    parser.add_argument("--stranger", default="")
    parser.add_argument("--input", default="")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    board = find_board(asked.board) if asked.board else this_machine()
    print(HEAD + "\n" + "|---" * 11 + "|", flush=True)
    tables = [tabled(model, board, asked) for model in asked.models]
    if asked.fresh:
        for model, table in zip(asked.models, tables, strict=True):
            held(table, model, board, asked)
    if asked.stranger:
        base = tabled_network(asked.stranger, (), parse_shapes(asked.input)).base
        widths, ms = read(base, board, 60, asked.seed)
        layers = base.cost_model.layers()
        known = TableModel(tables[0])
        print(row(f"{asked.stranger} by {tables[0].own.name}", "blocks",
                  error_of(known.of_other(layers, widths), ms), 0.0))  # fmt: skip
    for count in asked.few:
        tabled(asked.models[0], find_board(asked.other_board), asked, begin_from=tables[0],
               readings=count)  # fmt: skip


if __name__ == "__main__":
    main()

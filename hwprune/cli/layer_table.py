"""`hwprune inspect --board`: milliseconds by layer, taken on a board, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Grid

    from hwprune.board import Board
    from hwprune.channels.base import BaseNetwork
    from hwprune.pipeline.layer_times import LayerTimes
    from hwprune_device.reading import Reading

ROWS = 40
"""Layers that are shown; the cheapest beyond them share a line."""

FAR = 1.5
"""So much longer runs take that are disturbed by more than the profile itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBoard:
    """A network on a board: the whole, and its parts where they could be told."""

    board: Board
    reading: Reading
    times: LayerTimes | None
    no_profile: str
    """Why the board gave no profile, in words; empty where it did."""
    table: str
    """When the latency table was built that helped; empty where there is none."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, but for the groups."""
        reading = self.reading
        return {
            "name": self.board.name,
            "target": dict(reading.target),
            "latency_ms": reading.latency_ms,
            "low_ms": reading.low_ms,
            "high_ms": reading.high_ms,
            "doubts": list(reading.doubts),
            "no_profile": self.no_profile,
            "table_built_at": self.table,
            **(self.times.to_json() if self.times is not None else {"layers": []}),
        }


def on_board(base: BaseNetwork, name: str, threads: int | None, batch: int | None) -> OnBoard:
    """Measure a network on a board, and its layers as far as the board or a table tells them.

    Raises:
        BoardError: the board does not answer, is emulated, or cannot run the network.
        InputError: no such board, or threads or a batch that cannot be.
    """
    from hwprune.board import find_board
    from hwprune.farm.hello import refuse_emulated
    from hwprune.farm.session import BoardSession
    from hwprune.pipeline.layer_times import layer_times
    from hwprune.pipeline.measure import fit, take
    from hwprune.report.figures import ms
    from hwprune.report.progress import watched
    from hwprune.tables.shelf import find_table

    board = fit(find_board(name), base, threads, batch)
    with watched(f"time layers on {board.name}", 2) as progress, BoardSession(board) as session:
        refuse_emulated(board, session.open())
        reading = take(session, base, "inspect")
        progress.advance(note=f"whole: {ms(reading.latency_ms)}")
        told = session.profile(base)
        progress.advance()
    parts, why = ((), told) if isinstance(told, str) else (told, "")
    table = find_table(base, board)
    return OnBoard(
        board=board,
        reading=reading,
        times=layer_times(base, reading.latency_ms, parts, table),
        no_profile=why,
        table=table.built_at if table is not None else "",
    )


def group_cells(found: OnBoard | None) -> list[tuple[str, str]]:
    """For each group what its layers take, and what it saves to halve it."""
    from hwprune.report.figures import ABSENT, plain

    if found is None or found.times is None:
        return []
    return [
        (plain(g.ms), f"{ABSENT} (narrow)" if g.outside else plain(g.saves_ms))
        for g in found.times.groups
    ]


def group_facts(found: OnBoard) -> list[dict[str, Any]]:
    """The same as plain data."""
    if found.times is None:
        return []
    return [
        {"ms": g.ms, "half": g.half, "saves_ms": g.saves_ms, "outside": g.outside}
        for g in found.times.groups
    ]


def print_layers(found: OnBoard, model: str, console: Console) -> None:
    """The layers in the network's order, and what is known of the figures."""
    from hwprune.report.console import headed
    from hwprune.report.figures import ms, spread_ms

    reading, times = found.reading, found.times
    if times is not None:
        console.print(_grid(times, f"{model} on {found.board.name}"))
    interval = spread_ms(reading.low_ms, reading.high_ms)
    said = f": {ms(reading.latency_ms)} undisturbed (95 % interval {interval})"
    console.print(headed(f"on {found.board.name}", said))
    for line in _said(found):
        console.print(line)
    for doubt in reading.doubts:
        console.print(f"doubt: {doubt}", style="yellow")


def _said(found: OnBoard) -> list[str]:
    """Where times and savings are from, in sentences."""
    from hwprune.report.figures import ms

    times, lines = found.times, []
    if found.no_profile:
        lines.append(f"no profile: {found.no_profile}")
    if times is None:
        return [
            *lines,
            "no latency table fits either; hwprune table build MODEL "
            f"--board {found.board.name} makes one",
        ]
    if times.layers_from == "profile":
        lines.append(
            f"parts add up to {ms(times.told_ms)} while they are profiled, "
            f"and are scaled by {times.whole_ms / times.told_ms:.3f} to the whole"
        )
        # A profile alone takes longer than a run, but not by so much.
        if times.told_ms > FAR * times.whole_ms:
            lines.append("much else ran while they were profiled, so shares may be off")
    else:
        lines.append(
            f"layers as the latency table of {found.table} has them, with what follows them; they "
            f"add up to {ms(times.told_ms)}, scaled by {times.whole_ms / times.told_ms:.3f}"
        )
    if times.saves_from == "table":
        lines.append(f"saves: predicted by the latency table of {found.table}")
    else:
        lines.append(
            "saves: an estimate in proportion to work, which boards do not keep to; hwprune table "
            f"build MODEL --board {found.board.name} measures what cuts save"
        )
    return lines


def _grid(times: LayerTimes, title: str) -> Grid:
    from rich import box
    from rich.table import Table as Grid

    from hwprune.report.figures import percent, plain

    grid = Grid(title=f"{title}: {len(times.layers)} layers", box=box.SIMPLE_HEAD)
    for column in ("layer", "kernels", "ms", "share"):
        left = column in ("layer", "kernels")
        grid.add_column(column, justify="left" if left else "right", overflow="fold")
    costs = sorted((time.ms for time in times.layers), reverse=True)
    least, dear = costs[min(ROWS, len(costs)) - 1], costs[min(3, len(costs)) - 1]
    # Layers as cheap as the last that has room may be too many.
    shown = [time for time in times.layers if time.ms >= least][:ROWS]
    for time in shown:
        name = time.layer or "other"
        style = "bold" if time.ms >= dear else ""
        share = percent(time.ms / times.whole_ms, 1)
        grid.add_row(name, time.op, plain(time.ms), share, style=style)
    rest = times.whole_ms - sum(time.ms for time in shown)
    if len(shown) < len(times.layers):
        words = f"{len(times.layers) - len(shown)} cheaper layers"
        grid.add_row(words, "", plain(rest), percent(rest / times.whole_ms, 1))
    return grid

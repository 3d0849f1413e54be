"""The status of farms as tables for a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwprune.farm.status import BoardStatus, FarmStatus
from hwprune.plain_text import plain_text
from hwprune.report.figures import ABSENT, percent

_STATES = {
    "busy": ("▶", "green"),
    "idle": ("○", "blue"),
    "starting": ("…", "cyan"),
    "lost": ("✕", "bold red"),
    "quarantined": ("‖", "bold yellow"),
    "unlike its kind": ("≠", "bold yellow"),
    "not believed": ("✗", "bold red"),
    "closed": ("■", "dim"),
}
_ROOMY = 110
"""Columns of a terminal; a narrower one gets neither the queue beside a board nor ages."""


def farm_tables(
    farms: Sequence[FarmStatus], width: int, now: float | None = None
) -> RenderableType:
    """Everything about each farm, one below the other.

    `width` in characters, `now` in seconds since the epoch.
    """
    now = time.time() if now is None else now
    return Group(*(part for farm in farms for part in _farm(farm, now, width >= _ROOMY)))


def shown(text: str) -> Text:
    """What a board or a file says, on one line and without what would steer a terminal."""
    return Text(plain_text(text).replace("\n", " "))


def age(seconds: float) -> str:
    """How long ago, coarsely: `12 s`, `5 min`, `3 h`, `4 days`."""
    seconds = max(0, int(seconds))
    for size, below, unit in ((1, 60, "s"), (60, 3600, "min"), (3600, 172800, "h")):
        if seconds < below:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} days"


def _farm(farm: FarmStatus, now: float, roomy: bool) -> Iterator[RenderableType]:
    yield _headline(farm, now)
    for message in farm.warnings:
        yield Text("! ", style="bold yellow") + shown(message)
    yield ""
    yield _boards(farm, now, roomy) if farm.boards else Text("no boards yet", style="dim")
    for board in farm.boards:
        if board.message:
            yield Text("  ") + _state(board, farm) + shown(f"  {board.name}: {board.message}")
    yield ""
    if farm.kinds:
        yield _kinds(farm)
        yield ""


def _boards(farm: FarmStatus, now: float, roomy: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("board", "kind", "state", "job"):
        table.add_column(name, overflow="fold", no_wrap=name == "state")
    queues = {kind.kind: str(kind.queue) for kind in farm.kinds}
    if roomy:
        table.add_column("queue", justify="right", no_wrap=True)
    short = ("temp.", "canary", "per h", "failed", "busy")
    full = ("temp.", "last canary", "readings/h", "failures", "busy")
    for name in full if roomy else short:
        table.add_column(name, justify="right", no_wrap=True)
    for board in farm.boards:
        table.add_row(
            shown(board.name),
            _one_line(board.kind),
            _state(board, farm),
            _one_line(board.job or ABSENT),
            *([queues.get(board.kind, ABSENT)] if roomy else []),
            ABSENT if board.temperature_c is None else f"{board.temperature_c:.0f} °C",
            _canary(board, now if roomy else None),
            ABSENT if board.readings_per_hour is None else f"{board.readings_per_hour:.0f}",
            str(board.failures),
            percent(board.busy_share, 0),
        )
    return table


def _kinds(farm: FarmStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("kind", overflow="fold")
    for name in ("queue", "on boards", "cache hits", "poisoned", "ETA"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind in farm.kinds:
        minutes = kind.eta_device_minutes
        table.add_row(
            _one_line(kind.kind),
            str(kind.queue),
            str(kind.on_boards),
            f"{kind.cache_hits}/{kind.asked}",
            str(kind.poisoned),
            ABSENT if minutes is None else f"{minutes:.{1 if minutes < 10 else 0}f} device-min",
        )
    return table


def _headline(farm: FarmStatus, now: float) -> Text:
    line = Text("farm ", style="bold") + shown(farm.farm)
    if farm.alive:
        line.append(f"  running for {age(now - farm.started_at)}", style="not bold green")
    else:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(farm.written_at))
        word, style = ("ended", "not bold") if farm.closed else ("gone since", "bold red")
        line.append(f"  {word} {moment}, {age(now - farm.written_at)} ago", style=style)
    line.append(f"  process {farm.pid}", style="not bold dim")
    return line.append("\n").append_text(shown(farm.what))


def _state(board: BoardStatus, farm: FarmStatus) -> Text:
    if not farm.alive and board.state != "closed":
        # Nobody knows what the board does since its farm is gone.
        return Text("was ", style="dim") + shown(board.state)
    sign, style = _STATES.get(board.state, ("?", "bold yellow"))
    return Text(f"{sign} {shown(board.state)}", style=style)


def _canary(board: BoardStatus, now: float | None) -> str:
    """How far off it was, and how long ago where `now` is given."""
    if board.canary_off_pct is None:
        return ABSENT
    # A minus sign, as wide as the plus.
    off = f"{board.canary_off_pct:+.1f} %".replace("-", "−")
    if now is None or board.canary_at is None:
        return off
    return f"{off}, {age(now - board.canary_at)} ago"


def _one_line(text: str) -> Text:
    """Text that is cut where it has no room, rather than folded over many lines."""
    line = shown(text)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line

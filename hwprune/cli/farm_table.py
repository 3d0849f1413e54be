"""The status of farms as tables for a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwprune.farm.status import BoardStatus, FarmStatus, KindStatus
from hwprune.report.figures import ABSENT, percent

_STATES = {
    "busy": ("▶", "green"),
    "idle": ("○", "blue"),
    "starting": ("…", "cyan"),
    "lost": ("✕", "bold red"),
    "quarantined": ("‖", "bold yellow"),
    "unlike its kind": ("≠", "bold yellow"),
    "closed": ("■", "dim"),
}
_BOARD_COLUMNS = {
    "board": "left",
    "kind": "left",
    "state": "left",
    "job": "left",
    "queue": "right",
    "temp.": "right",
    "last canary": "right",
    "readings per hour": "right",
    "failures": "right",
    "busy": "right",
}
_KIND_COLUMNS = ("kind", "queue", "on boards", "cache hits", "poisoned", "ETA")


def farm_tables(farms: Sequence[FarmStatus], now: float | None = None) -> RenderableType:
    """Everything about each farm, one below the other; `now` in seconds since the epoch."""
    now = time.time() if now is None else now
    return Group(*(part for farm in farms for part in _farm(farm, now)))


def plain_text(text: str) -> Text:
    """What a board or a file says, without what would steer a terminal."""
    return Text("".join(c if c.isprintable() else "·" for c in text.replace("\n", " ")))


def age(seconds: float) -> str:
    """How long ago, coarsely: `12 s`, `5 min`, `3 h`, `4 days`."""
    seconds = max(0, int(seconds))
    for size, below, unit in ((1, 60, "s"), (60, 3600, "min"), (3600, 172800, "h")):
        if seconds < below:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} days"


def _farm(farm: FarmStatus, now: float) -> list[RenderableType]:
    parts: list[RenderableType] = [_headline(farm, now)]
    parts += [Text("! ", style="bold yellow") + plain_text(words) for words in farm.warnings]
    queues = {kind.kind: kind.queue for kind in farm.kinds}
    boards = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in _BOARD_COLUMNS.items():
        boards.add_column(name, justify="right" if side == "right" else "left", overflow="fold")
    for board in farm.boards:
        boards.add_row(*_board(board, queues.get(board.kind), now))
    parts.append(boards if farm.boards else Text("no boards yet", style="dim"))
    if farm.kinds:
        kinds = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in _KIND_COLUMNS:
            kinds.add_column(name, justify="left" if name == "kind" else "right", overflow="fold")
        for kind in farm.kinds:
            kinds.add_row(*_kind(kind))
        parts.append(kinds)
    return parts


def _headline(farm: FarmStatus, now: float) -> Text:
    line = Text("farm ") + plain_text(farm.farm).copy()
    line.stylize("bold")
    if farm.alive:
        line.append(f"  running for {age(now - farm.started_at)}", style="not bold green")
    else:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(farm.written_at))
        word, style = ("ended", "not bold") if farm.closed else ("gone since", "bold red")
        line.append(f"  {word} {moment}, {age(now - farm.written_at)} ago", style=style)
    line.append(f"  process {farm.pid}", style="not bold dim")
    return line.append("\n").append_text(plain_text(farm.what))


def _board(board: BoardStatus, queue: int | None, now: float) -> list[RenderableType]:
    sign, style = _STATES.get(board.state, ("?", "bold yellow"))
    state = Text(f"{sign} ", style=style) + plain_text(board.state)
    state.stylize(style)
    if board.words:
        state.append("\n").append_text(plain_text(board.words))
    return [
        plain_text(board.name),
        plain_text(board.kind),
        state,
        plain_text(board.job) if board.job else ABSENT,
        ABSENT if queue is None else str(queue),
        ABSENT if board.temperature_c is None else f"{board.temperature_c:.0f} °C",
        _canary(board, now),
        ABSENT if board.readings_per_hour is None else f"{board.readings_per_hour:.0f}",
        str(board.failures),
        percent(board.busy_share, 0),
    ]


def _canary(board: BoardStatus, now: float) -> str:
    if board.canary_off_pct is None:
        return ABSENT
    off = f"{board.canary_off_pct:+.1f} % off".replace("-", "−")
    return off if board.canary_at is None else f"{off}, {age(now - board.canary_at)} ago"


def _kind(kind: KindStatus) -> list[RenderableType]:
    minutes = kind.eta_device_minutes
    return [
        plain_text(kind.kind),
        str(kind.queue),
        str(kind.on_boards),
        f"{kind.cache_hits}/{kind.asked}",
        str(kind.poisoned),
        ABSENT if minutes is None else f"{minutes:.{1 if minutes < 10 else 0}f} device-minutes",
    ]

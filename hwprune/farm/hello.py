"""The hello of a board: what it says of itself when its supervisor has started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune_device.owner import Previous


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a board says of itself."""

    version: str
    python: str
    cores: tuple[int, ...]
    runtimes: Mapping[str, Mapping[str, Any]]
    fingerprint: Mapping[str, Any]
    previous: Previous = "none"
    """How this session's last supervisor on the board ended."""
    engines: tuple[str, ...] = ()
    """Runtimes whose engines can be taken away."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why other runtimes cannot be used, by name."""
    clock_off_s: float = 0.0
    """How far the board's clock is ahead of ours; nothing depends on it."""


def board_error(board: Board, what: str, given: str) -> BoardError:
    """What is wrong with a board; the doctor knows more."""
    return BoardError(
        f"board '{board.name}' {what}", given=given, next_step=f"hwprune doctor {board.name}"
    )


def refuse_emulated(board: Board, hello: Hello) -> None:
    """See to it that nobody reads a latency off an emulated board.

    Raises:
        BoardError: it is emulated.
    """
    if hello.fingerprint.get("emulated") is True:
        raise BoardError(
            f"board '{board.name}' is emulated: its times say nothing about hardware",
            given=f"{hello.fingerprint.get('machine')} on another processor",
            next_step=f"use the real board; hwprune doctor {board.name} says what works here",
        )

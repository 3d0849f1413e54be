"""Connections: how the head reaches a board's supervisor, one file for each way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hwprune_device
from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections.connection import Connection
from hwprune.farm.connections.local import LocalConnection
from hwprune_device.frame import FrameDecoder, FrameError

_SURVEY = "from hwprune_device.survey import main; main()"
_SURVEY_TIMEOUT_S = 180.0


def connect(board: Board) -> Connection:
    """The connection that a board's profile asks for, not yet open."""
    return LocalConnection(board)


def survey(board: Board) -> Mapping[str, Any]:
    """What a board is and has, before anything of ours is on it.

    Raises:
        BoardError: it cannot be reached, or does not answer with a survey.
    """
    if not board.is_here:
        raise BoardError(
            f"board '{board.name}' cannot be looked at", given=f"connection {board.connection}"
        )
    package = str(Path(hwprune_device.__file__).parents[1])
    command = [board.python or sys.executable, "-B", "-c", _SURVEY]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": package},
            timeout=_SURVEY_TIMEOUT_S,
        )
        decoder = FrameDecoder()
        (frame,) = list(decoder.feed(done.stdout))
        decoder.finish()
    except (OSError, subprocess.SubprocessError, FrameError, ValueError) as error:
        raise BoardError(
            f"board '{board.name}' does not answer",
            given=f"{command[0]}: {error}",
            next_step="set python in the board's profile to a Python 3.10 or newer",
        ) from error
    return frame.header

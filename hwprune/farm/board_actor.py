"""The Ray actor that owns one board: its session, and through it the board's supervisor."""

from __future__ import annotations

import contextlib
import os

import numpy as np

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.farm.session import Batch, BoardSession, Hello
from hwprune_device.job import Job

ACTOR_OPTIONS = {
    # It waits for a board most of the time.
    "num_cpus": 0,
    "max_restarts": -1,
    # Only the farm knows whether a batch may be taken again.
    "max_task_retries": 0,
}


class BoardActor:
    """One per board. A restarted actor has no networks: whoever calls places them again."""

    def __init__(self, board: Board) -> None:
        rest = os.sched_getaffinity(0) - set(board.cores)
        if rest:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, rest)
        self._session = BoardSession(board)
        self._bases: dict[str, BaseNetwork] = {}

    def hello(self) -> tuple[Hello, str]:
        """What the board is, and its conditions key.

        Raises:
            BoardError: the board does not answer.
        """
        return self._session.open(), self._session.conditions_key

    def place(self, base: BaseNetwork) -> None:
        """Keep a network for jobs; it goes to the board with the first one."""
        self._bases[base.base_id] = base

    def measure(self, job: Job) -> Batch | None:
        """Time a batch; None when its network was not placed in this actor's life.

        Raises:
            BoardError: the board cannot be started.
        """
        base = self._bases.get(job.base_id)
        return None if base is None else self._session.measure(job, base)

    def execute(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """Run a network with its own weights on inputs (N C H W).

        Raises:
            BoardError: the board cannot.
        """
        return self._session.execute(model, inputs)

    def close(self) -> None:
        """End the board's supervisor."""
        self._session.close()

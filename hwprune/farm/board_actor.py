"""The Ray actor that owns one board: its session, and through it the board's supervisor."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.farm.hello import Hello
from hwprune.farm.node_board import board_resource
from hwprune.farm.session import Batch, BoardSession
from hwprune_device.job import Job
from hwprune_device.runtimes import EngineFile

_SHARE = 0.001
"""Of a node's resource: it says where an actor belongs and is never used up."""


def actor_options(board: Board) -> dict[str, Any]:
    """Where a board's actor runs: on the board, on its gateway, or on the head's own node."""
    options: dict[str, Any] = {
        # It waits for a board most of the time.
        "num_cpus": 0,
        # The farm makes a new one when it died, and only the farm knows what may be done again.
        "max_restarts": 0,
        "max_task_retries": 0,
    }
    if board.connection == "ray":
        options["resources"] = {board_resource(board.name): _SHARE}
    elif board.gateway:
        options["resources"] = {f"gateway:{board.gateway}": _SHARE}
    else:
        node = ray.get_runtime_context().get_node_id()
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
    return options


class BoardActor:
    """One per board. A new actor has no networks: whoever calls places them again."""

    def __init__(self, board: Board, owner: str) -> None:
        rest = os.sched_getaffinity(0) - set(board.cores)
        if rest and board.connection != "ssh":
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, rest)
        self._session = BoardSession(board, owner=owner)
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

    def run_network(self, model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run a network with its own weights: all its outputs, for one array an input (N first).

        Raises:
            BoardError: the board cannot.
        """
        return self._session.run_network(model, inputs)

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> EngineFile | None:
        """The engine that `run_network` runs on; None where the runtime makes none.

        Raises:
            BoardError: the board cannot.
        """
        return self._session.engine(model, inputs)

    def close(self) -> None:
        """End the board's supervisor."""
        self._session.close()

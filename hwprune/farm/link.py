"""The head's end of one board: calls to its actor, repeated when the actor died meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError, HwpruneError
from hwprune.farm.board_actor import ACTOR_OPTIONS, BoardActor
from hwprune.farm.session import Batch, Hello
from hwprune_device.job import Job
from hwprune_device.reading import Failure

_ATTEMPTS = 3
_PAUSE_S = 1.0
_CLOSE_S = 15.0
_START_S = 180.0


class BoardLink:
    """One board, one call at a time."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._lock = threading.Lock()
        self._bases: dict[str, BaseNetwork] = {}
        self._actor: Any = None

    def start(self) -> tuple[Hello, str]:
        """Start the board's actor; what the board is, and its conditions key.

        Raises:
            BoardError: the board does not answer.
        """
        self._actor = ray.remote(BoardActor).options(**ACTOR_OPTIONS).remote(self.board)
        return self._call(lambda: self._actor.hello.remote(), _START_S)

    def place(self, base: BaseNetwork) -> None:
        """Keep a network for jobs, in the actor and in any that replaces it."""
        # A copy without what was worked out from it: hashes and cost tables need not travel.
        self._bases[base.base_id] = replace(base)
        self._call(lambda: self._actor.place.remote(self._bases[base.base_id]), _START_S)

    def measure(self, job: Job) -> Batch:
        """Time a batch; a board that cannot be had gives failures of stage "lost"."""
        protocol, count = job.protocol, max(1, len(job.candidates))
        # Every candidate may hang once; beyond that the actor itself does.
        limit_s = (count + 1) * protocol.timeout_s * 2 + 4 * protocol.cap_s + _START_S
        try:
            batch = self._call(lambda: self._actor.measure.remote(job), limit_s)
            if batch is None:
                self.place(self._bases[job.base_id])
                batch = self._call(lambda: self._actor.measure.remote(job), limit_s)
        except BoardError as error:
            names = [c.architecture for c in job.candidates] or [job.base_architecture]
            lost = [Failure(stage="lost", message=str(error), architecture=name) for name in names]
            return Batch(outcomes=tuple(lost), timings={})
        return batch

    def execute(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """Run a network on the board.

        Raises:
            BoardError: the board cannot.
        """
        return self._call(lambda: self._actor.execute.remote(model, inputs), _START_S)

    def close(self) -> None:
        """End the supervisor and the actor."""
        if self._actor is None:
            return
        with contextlib.suppress(RayActorError, RayTaskError, GetTimeoutError):
            ray.get(self._actor.close.remote(), timeout=_CLOSE_S)
        ray.kill(self._actor)
        self._actor = None

    def _call(self, ask: Callable[[], Any], limit_s: float) -> Any:
        """Ask the actor, again when it died or hung: Ray starts it anew under the same handle."""
        said = ""
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE_S * attempt)
            try:
                with self._lock:
                    return ray.get(ask(), timeout=limit_s)
            except GetTimeoutError:
                said = f"no answer in {limit_s:.0f} s"
                ray.kill(self._actor, no_restart=False)
            except RayActorError as error:
                said = str(error)
            except RayTaskError as error:
                raise _as_board_error(error, self.board.name) from error
        raise BoardError(
            f"board '{self.board.name}' was lost {_ATTEMPTS} times",
            given=said,
            next_step="hwprune doctor",
        )


def _as_board_error(error: RayTaskError, board: str) -> HwpruneError:
    cause = error.cause
    if isinstance(cause, HwpruneError):
        return cause
    return BoardError(f"board '{board}' failed", given=f"{type(cause).__name__}: {cause}")

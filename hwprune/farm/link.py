"""The head's end of one board: calls to its actor, which is made anew when it or its node dies."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError, HwpruneError
from hwprune.farm.board_actor import BoardActor, actor_options
from hwprune.farm.hello import Hello, board_error
from hwprune.farm.session import Batch, Loss
from hwprune_device.job import Job
from hwprune_device.reading import Failure
from hwprune_device.runtimes import EngineFile
from hwprune_device.runtimes.registry import patience_s

_CLOSE_S = 15.0
_START_S = 90.0
_PLACE_S = 300.0
_FETCH_S = 1800.0
"""An engine of hundreds of MB over a slow link."""


class BoardLink:
    """One board, one call at a time."""

    def __init__(self, board: Board) -> None:
        self.board = board
        # The same for all actors this link ever has: the board ends what an earlier one left.
        self._owner = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._bases: dict[str, BaseNetwork] = {}
        self._actor: Any = None
        self._last_model, self._last_model_ref = b"", None

    def start(self) -> tuple[Hello, str]:
        """Reach the board, by a new actor if there is none; what it is, and its conditions key.

        Raises:
            BoardError: the board does not answer, or no node can reach it.
        """
        if self._actor is None:
            options = actor_options(self.board)
            self._actor = ray.remote(BoardActor).options(**options).remote(self.board, self._owner)
        return self._call(lambda: self._actor.hello.remote(), _START_S)

    def place(self, base: BaseNetwork) -> None:
        """Keep a network for jobs; it goes to the board with the first one."""
        # A copy without what was worked out from it: hashes and cost tables need not travel.
        self._bases[base.base_id] = replace(base)

    def measure(self, job: Job) -> Batch:
        """Time a batch; when the board goes away its open candidates fail with stage "lost"."""
        protocol, count = job.protocol, max(1, len(job.candidates))
        # Every candidate may hang once; beyond that the actor itself does.
        each_s = protocol.timeout_s * 2 + patience_s(job.target)
        limit_s = (count + 1) * each_s + 4 * protocol.cap_s + _START_S
        try:
            batch = self._call(lambda: self._actor.measure.remote(job), limit_s)
            if batch is None:
                base = self._bases[job.base_id]
                self._call(lambda: self._actor.place.remote(base), _PLACE_S)
                batch = self._call(lambda: self._actor.measure.remote(job), limit_s)
        except BoardError as error:
            lost = [
                Failure(stage="lost", message=str(error), architecture=name)
                for name in job.architectures
            ]
            loss = Loss(at_work=(), message=str(error))
            return Batch(outcomes=tuple(lost), timings={}, loss=loss)
        return batch

    def run_network(self, model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run a network on the board: all its outputs, for one array an input (N first).

        Raises:
            BoardError: the board cannot.
        """
        kept = self._kept(model)
        return self._call(lambda: self._actor.run_network.remote(kept, inputs), self._run_limit_s)

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> EngineFile | None:
        """The engine that `run_network` runs on; None where the runtime makes none.

        Raises:
            BoardError: the board cannot.
        """
        kept, limit_s = self._kept(model), self._run_limit_s + _FETCH_S
        return self._call(lambda: self._actor.engine.remote(kept, inputs), limit_s)

    def _kept(self, model: bytes) -> Any:
        """A network in Ray's store, which brings it to the actor's node once for many calls."""
        if self._last_model_ref is None or self._last_model != model:
            self._last_model, self._last_model_ref = model, ray.put(model)
        return self._last_model_ref

    @property
    def _run_limit_s(self) -> float:
        return _PLACE_S + patience_s(self.board.target)

    def close(self) -> None:
        """End the supervisor and the actor."""
        if self._actor is None:
            return
        with contextlib.suppress(RayActorError, RayTaskError, GetTimeoutError):
            ray.get(self._actor.close.remote(), timeout=_CLOSE_S)
        self._drop()

    def _call(self, ask: Callable[[], Any], limit_s: float) -> Any:
        """Ask the actor; one that died or hangs is dropped, and the next `start` makes another.

        Raises:
            BoardError: no answer.
        """
        if self._actor is None:
            raise self._error("is not started", "its actor was lost")
        try:
            with self._lock:
                return ray.get(ask(), timeout=limit_s)
        except GetTimeoutError as error:
            self._drop()
            raise self._error("does not answer", f"no answer in {limit_s:.0f} s") from error
        except RayActorError as error:
            self._drop()
            raise self._error("lost its actor or the node that reaches it", str(error)) from error
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, HwpruneError):
                raise cause from error
            raise self._error("failed", f"{type(cause).__name__}: {cause}") from error

    def _drop(self) -> None:
        actor, self._actor = self._actor, None
        if actor is not None:
            with contextlib.suppress(Exception):  # whatever is left of it is gone either way
                ray.kill(actor)

    def _error(self, what: str, given: str) -> BoardError:
        return board_error(self.board, what, given)

"""A supervisor that a node of a Ray cluster reaches: the board's own node, or its gateway."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from hwprune.affinity import keep_to
from hwprune.board import Board
from hwprune.cluster import Cluster, board_resource, gateway_resource
from hwprune.errors import BoardError
from hwprune.farm.connections.connection import Connection, ConnectionLostError
from hwprune_device.frame import Frame

_START_S = 90.0
"""A node imports our packages first."""
_FRAME_S = 1800.0
"""A network or an engine of hundreds of MB may go over a slow link."""
_CLOSE_S = 15.0
_SHARE = 0.001
"""Of a node's resource: it says where an actor belongs and is never used up."""


class Relay:
    """In an actor on that node: the connection as it is from there."""

    def __init__(self, board: Board, arguments: Sequence[str], survey: bool) -> None:
        from hwprune.farm.connections import connect

        # On the node itself the board is this machine.
        if board.connection == "ray":
            board = replace(board, connection="local")
        rest = os.sched_getaffinity(0) - set(board.cores)
        if rest and board.connection == "local":
            # Networks are timed on these cores of the node, and nothing else runs there.
            with contextlib.suppress(OSError):
                keep_to(rest)
        here = replace(board, gateway="")
        self._connection: Connection = connect(here, arguments, survey=survey)

    def open(self) -> None:
        """See `Connection.open`."""
        self._connection.open()

    def send(self, header: Mapping[str, Any], body: bytes) -> None:
        """See `Connection.send`."""
        self._connection.send(header, body)

    def receive(self, timeout_s: float) -> Frame:
        """See `Connection.receive`."""
        return self._connection.receive(timeout_s)

    def close(self) -> str:
        """End the supervisor; its last words."""
        self._connection.close()
        return self._connection.stderr_tail()

    def stderr_tail(self) -> str:
        """See `Connection.stderr_tail`."""
        return self._connection.stderr_tail()


class RayConnection:
    """Frames to and from a supervisor by way of an actor, which is made anew at each opening."""

    def __init__(
        self, board: Board, arguments: Sequence[str] = (), *, survey: bool = False
    ) -> None:
        """`arguments` follow the supervisor's own; `survey`: one frame about the board instead."""
        self._board = board
        self._wanted = (board, tuple(arguments), survey)
        self._relay: Any = None
        self._stderr = ""

    def open(self) -> None:
        """Start the supervisor.

        A process that is in no cluster yet joins the one that RAY_ADDRESS names, or the one that
        runs on this machine.

        Raises:
            BoardError: there is no cluster, no node of it reaches the board, or the supervisor
                cannot be started there.
        """
        self.close()
        # Left open: other boards, and processes that score, may use the same cluster.
        Cluster(os.environ.get("RAY_ADDRESS", "auto")).start()
        self._relay = ray.remote(Relay).options(**_placement(self._board)).remote(*self._wanted)
        try:
            self._ask("open", limit_s=_START_S)
        except ConnectionLostError as error:
            name = self._board.name
            raise BoardError(
                f"no node of the Ray cluster reaches board '{name}'",
                given=f"{error}; wanted: a node with the resource {_resource(self._board)}",
                next_step="hwprune boards list --cluster shows the nodes; a node is told by "
                f"ray start --resources '{{\"{_resource(self._board)}\": 1}}'",
            ) from error

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a frame.

        Raises:
            ConnectionLostError: the supervisor, the actor or its node is gone.
        """
        self._ask("send", header, body, limit_s=_FRAME_S)

    def receive(self, timeout_s: float) -> Frame:
        """The next frame.

        Raises:
            ConnectionLostError: the supervisor, the actor or its node is gone, or silent.
        """
        # The relay counts the silence; the rest is for a large frame's way from there.
        frame: Frame = self._ask("receive", timeout_s, limit_s=timeout_s + _FRAME_S)
        return frame

    def close(self) -> None:
        """End the supervisor and the actor."""
        relay = self._relay
        if relay is not None:
            with contextlib.suppress(ConnectionLostError):
                self._stderr = self._ask("close", limit_s=_CLOSE_S)
            self._drop()

    def stderr_tail(self) -> str:
        """The last lines that the supervisor wrote to stderr."""
        if self._relay is not None:
            with contextlib.suppress(ConnectionLostError):
                self._stderr = self._ask("stderr_tail", limit_s=_CLOSE_S)
        return self._stderr

    def _ask(self, verb: str, *arguments: Any, limit_s: float) -> Any:
        relay = self._relay
        if relay is None:
            raise ConnectionLostError("the supervisor is not running")
        try:
            return ray.get(getattr(relay, verb).remote(*arguments), timeout=limit_s)
        except RayTaskError as error:
            # Ray wraps what the actor raised.
            if isinstance(error.cause, (ConnectionLostError, BoardError)):
                raise error.cause from None
            raise
        except GetTimeoutError:
            self._drop()
            raise ConnectionLostError(f"no answer in {limit_s:.0f} s") from None
        except RayActorError as error:
            self._drop()
            raise ConnectionLostError(f"the node that reaches it was lost: {error}") from None

    def _drop(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            with contextlib.suppress(Exception):  # whatever is left of it is gone either way
                ray.kill(relay)


def _resource(board: Board) -> str:
    return gateway_resource(board.gateway) if board.gateway else board_resource(board.name)


def _placement(board: Board) -> dict[str, Any]:
    return {
        "resources": {_resource(board): _SHARE},
        # It waits for a board most of the time.
        "num_cpus": 0,
        # One that waits for a frame can still be closed.
        "max_concurrency": 4,
        # Only the farm knows what may be done again.
        "max_restarts": 0,
        "max_task_retries": 0,
    }

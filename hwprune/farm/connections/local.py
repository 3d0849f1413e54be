"""A supervisor on this machine: a subprocess that is given the device package by its stdin."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections.pipe import PipeConnection
from hwprune.farm.connections.piped import PipedProcess

# What a board's Python may need from the surroundings; everything else stays out, so that a
# reading does not depend on the shell it was started from.
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "USER")


class LocalConnection(PipeConnection):
    """A supervisor on this machine: a subprocess with an environment of its own."""

    def __init__(
        self,
        board: Board,
        command: Sequence[str] = (),
        *,
        arguments: Sequence[str] = (),
        survey: bool = False,
    ) -> None:
        """`command` replaces the board's Python and the package; arguments are appended."""
        super().__init__(board, arguments, survey=survey)
        self._command = tuple(command)

    @property
    def pid(self) -> int | None:
        """The supervisor's process id while it is open."""
        return self._process.pid if self._process else None

    def _command_line(self) -> list[str]:
        if self._command:
            return [*self._command, *self._supervisor_arguments()]
        python = os.path.expanduser(self._board.python) or sys.executable
        return [python, *self._python_arguments()]

    def _start(self, command: Sequence[str]) -> PipedProcess:
        # Such a command has the package already, and writes no marker before its frames.
        if self._command:
            return PipedProcess(command, environment=self._environment())
        return super()._start(command)

    def _environment(self) -> Mapping[str, str]:
        return {k: os.environ[k] for k in _KEPT_ENVIRONMENT if k in os.environ}

    def _mend(self, stderr: str, exit_code: int | None) -> str:
        # As Popen reports a signal.
        if exit_code is not None and exit_code < 0:
            return f"signal {-exit_code} ({signal.strsignal(-exit_code)}) ended it"
        return super()._mend(stderr, exit_code)

    def _cannot_start(self, given: str) -> BoardError:
        return BoardError(
            f"the Python of board '{self._board.name}' cannot be started",
            given=given,
            next_step="set python in the board's profile to a Python with numpy, onnx and "
            "a runtime",
        )

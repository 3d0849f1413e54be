"""A supervisor at the other end of a command's pipes: what `local` and `ssh` have in common."""

from __future__ import annotations

import io
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import hwprune_device
from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections.boot import MARKER
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.connections.failure import missing_module
from hwprune.farm.connections.piped import PipedProcess
from hwprune_device.frame import Frame, encode
from hwprune_device.runtimes import packages_to_look_for

# The same files give the same bytes, whenever they were checked out.
_DATE = (1980, 1, 1, 0, 0, 0)


@cache
def device_zip() -> bytes:
    """The device package as a zip file that Python can import from."""
    package = Path(hwprune_device.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(package.rglob("*.py")):
            name = (Path(package.name) / source.relative_to(package)).as_posix()
            archive.writestr(
                zipfile.ZipInfo(name, _DATE), source.read_bytes(), zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


@cache
def boot_text() -> str:
    """`boot.py` as one line, for `python -c`: some shells allow no line breaks in quotes."""
    return f"exec({Path(__file__).with_name('boot.py').read_text(encoding='utf-8')!r})"


class PipeConnection(ABC):
    """Frames to and from a supervisor that a command starts; the package goes first, by stdin."""

    def __init__(
        self, board: Board, arguments: Sequence[str] = (), *, survey: bool = False
    ) -> None:
        """`arguments` follow the supervisor's own; `survey`: one frame about the board instead."""
        self._board = board
        self._arguments = tuple(arguments)
        self._survey = survey
        self._process: PipedProcess | None = None
        # Stays after `close`: what it wrote last is asked for then.
        self._last: PipedProcess | None = None

    def open(self) -> None:
        """Start the supervisor; whether it answers is known at the first `receive`.

        Raises:
            BoardError: its program cannot be started.
        """
        self.close()
        command = self._command_line()
        try:
            self._process = self._last = self._start(command)
        except OSError as error:
            raise self._cannot_start(f"{command[0]}: {error.strerror}") from error

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a frame; several threads may.

        Raises:
            ConnectionLostError: the supervisor is gone.
        """
        if self._process is None:
            raise ConnectionLostError("the supervisor is not running")
        try:
            self._process.write(encode(header, body))
        except OSError as error:
            raise ConnectionLostError(self._why("the supervisor is gone")) from error

    def receive(self, timeout_s: float) -> Frame:
        """The next frame.

        Raises:
            ConnectionLostError: the supervisor is gone, or silent for `timeout_s`.
        """
        if self._process is None:
            raise ConnectionLostError("the supervisor is not running")
        try:
            return self._process.receive(timeout_s)
        except ConnectionLostError as error:
            raise ConnectionLostError(self._why(str(error))) from None

    def close(self) -> None:
        """End the supervisor; its children die with it."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def stderr_tail(self) -> str:
        """The last lines that the supervisor wrote to stderr."""
        return "\n".join(self._last.lines) if self._last else ""

    @abstractmethod
    def _command_line(self) -> list[str]:
        """The command that starts the supervisor."""

    @abstractmethod
    def _cannot_start(self, given: str) -> BoardError:
        """What to say when that command cannot be started at all."""

    def _start(self, command: Sequence[str]) -> PipedProcess:
        return PipedProcess(
            command, environment=self._environment(), package=device_zip(), marker=MARKER
        )

    def _environment(self) -> Mapping[str, str] | None:
        """The command's environment; None: that of this process."""
        return None

    def _python_arguments(self) -> list[str]:
        """What follows the board's Python on its command line."""
        # -B: a board's disk is not ours to write to.
        return ["-B", "-c", boot_text(), str(len(device_zip())), *self._supervisor_arguments()]

    def _supervisor_arguments(self) -> list[str]:
        """The supervisor's own arguments."""
        if self._survey:
            return ["survey", *packages_to_look_for(self._board.target.runtime)]
        threads = str(self._board.target.threads)
        arguments = ["--cores", self._board.core_list, "--threads", threads]
        if self._board.cache:
            arguments += ["--cache", self._board.cache]
        if self._board.cache_mb is not None:
            arguments += ["--cache-mb", f"{self._board.cache_mb:g}"]
        return [*arguments, *self._arguments]

    def _why(self, what: str) -> str:
        stderr = self.stderr_tail()
        mend = self._mend(stderr, self._last.exit_code if self._last else None)
        parts = [what, mend, f"its last words:\n{stderr}" if stderr else ""]
        return "; ".join(part for part in parts if part)

    def _mend(self, stderr: str, exit_code: int | None) -> str:
        """What the end means and what to do about it; empty when it says nothing by itself."""
        return missing_module(stderr)

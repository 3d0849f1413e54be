"""A supervisor on this machine: a subprocess that runs the device package from a zip file."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hwprune_device
from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune_device.frame import Frame, FrameError, read_frames, write_frame

# What a board's Python may need from the surroundings; everything else stays out, so that a
# reading does not depend on the shell it was started from.
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "USER")
_LAST_WORDS = 20
_END_WAIT_S = 5.0


class LocalConnection:
    """A supervisor on this machine: a subprocess that runs the device package from a zip file."""

    def __init__(self, board: Board, command: Sequence[str] = ()) -> None:
        """`command` replaces the supervisor's own command line; arguments are appended."""
        self._board = board
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._frames: queue.Queue[Frame | str] = queue.Queue()
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._readers: list[threading.Thread] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def pid(self) -> int | None:
        """The supervisor's process id while it is open."""
        return self._process.pid if self._process else None

    def open(self) -> None:
        """Start the supervisor.

        Raises:
            BoardError: the board's Python cannot be started.
        """
        self.close()
        self._frames = queue.Queue()
        self._words.clear()
        self._folder = tempfile.TemporaryDirectory(prefix="hwprune-board-")
        command = [*self._supervisor(Path(self._folder.name)), *self._arguments()]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={k: os.environ[k] for k in _KEPT_ENVIRONMENT if k in os.environ},
                # Ctrl-C is the head's to handle; the supervisor ends when its stdin does.
                start_new_session=True,
            )
        except OSError as error:
            raise BoardError(
                f"the Python of board '{self._board.name}' cannot be started",
                given=f"{command[0]}: {error.strerror}",
                next_step="set python in the board's profile to a Python with numpy, onnx and "
                "a runtime",
            ) from error
        self._start_readers(self._process)

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a frame.

        Raises:
            ConnectionLostError: the supervisor is gone.
        """
        if self._process is None or self._process.stdin is None:
            raise ConnectionLostError("the supervisor is not running")
        try:
            write_frame(self._process.stdin.fileno(), header, body)
        except OSError as error:
            raise ConnectionLostError(self._why("the supervisor is gone")) from error

    def receive(self, timeout_s: float) -> Frame:
        """The next frame.

        Raises:
            ConnectionLostError: the supervisor is gone, or silent for `timeout_s`.
        """
        try:
            item = self._frames.get(timeout=timeout_s)
        except queue.Empty:
            silent = f"the supervisor was silent for {timeout_s:g} s"
            raise ConnectionLostError(self._why(silent)) from None
        if isinstance(item, str):
            self._frames.put(item)  # whoever asks again hears the same
            raise ConnectionLostError(self._why(item))
        return item

    def close(self) -> None:
        """End the supervisor; its children die with it."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            try:
                process.wait(_END_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for reader in self._readers:
                reader.join(_END_WAIT_S)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def last_words(self) -> str:
        """The last lines that the supervisor wrote to stderr."""
        return "\n".join(self._words)

    def _why(self, what: str) -> str:
        words = self.last_words()
        return f"{what}; its last words:\n{words}" if words else what

    def _supervisor(self, folder: Path) -> list[str]:
        if self._command:
            return list(self._command)
        # -B: a board's disk is not ours to write to.
        return [self._board.python or sys.executable, "-B", str(pack_device(folder))]

    def _arguments(self) -> list[str]:
        cores = ",".join(map(str, self._board.cores)) or "last"
        return ["--cores", cores, "--threads", str(self._board.target.threads)]

    def _start_readers(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout and process.stderr
        jobs = ((self._read_frames, process.stdout), (self._read_words, process.stderr))
        self._readers = [
            threading.Thread(target=job, args=(stream.fileno(),), daemon=True)
            for job, stream in jobs
        ]
        for reader in self._readers:
            reader.start()

    def _read_frames(self, fd: int) -> None:
        frames, end = self._frames, "the supervisor ended"
        try:
            for frame in read_frames(fd):
                frames.put(frame)
        except (FrameError, OSError) as error:
            end = str(error)
        frames.put(end)

    def _read_words(self, fd: int) -> None:
        with open(fd, encoding="utf-8", errors="replace", closefd=False) as lines:
            for line in lines:
                self._words.append(line.rstrip())


def pack_device(folder: Path) -> Path:
    """The device package as one zip file that Python can run; the path is in `folder`."""
    package = Path(hwprune_device.__file__).parent
    path = folder / "hwprune_device.zip"
    start = "import sys\nfrom hwprune_device.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", start)
        for source in sorted(package.rglob("*.py")):
            archive.write(source, Path("hwprune_device") / source.relative_to(package))
    return path

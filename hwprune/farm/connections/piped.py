"""One running process that speaks frames: its pipes, and the threads that keep them moving."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.connections.failure import ended_before_python, silent_before_python
from hwprune.farm.connections.stderr_tail import StderrTail
from hwprune_device.frame import CHUNK, Frame, FrameDecoder, FrameError, encode

PING_S = 20.0
"""A supervisor that receives nothing for much longer than this takes its head for gone."""
_END_WAIT_S = 5.0
_BUSY_WAIT_S = 1.0
# More than any greeting of a login shell: the marker will not come.
_NOISE_LIMIT = 1 << 20
_BYTES_AT_ONCE = 1 << 16


class PipedProcess:
    """One run of a supervisor's command line, from its start to its end; never started again."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        package: bytes = b"",
        marker: bytes = b"",
    ) -> None:
        """`package` is written to its stdin first; frames begin after `marker` on its stdout.

        Raises:
            OSError: the program cannot be started.
        """
        self._said = StderrTail()
        self.lines = self._said.lines
        self.exit_code: int | None = None
        """Known once `receive` has found its end, and after `end`."""
        self._package = package
        self._marker = marker
        self._began = False
        # Only there does a login shell with start-up files stand before the board's Python.
        self._by_ssh = os.path.basename(command[0]) == "ssh"
        self._frames: queue.Queue[Frame | str] = queue.Queue()
        self._heard_at = time.monotonic()
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Ctrl-C is the head's to handle; the supervisor ends when its stdin does.
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin = self._process.stdin
        # Held until the package is written, so that nobody's frame gets ahead of it.
        self._writing.acquire()
        self._listener = _start(self._read_stderr, self._process.stderr)
        self._reader = _start(self._read_frames, self._process.stdout)
        threading.Thread(target=self._keep_alive, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id on this machine."""
        return self._process.pid

    def write(self, data: bytes) -> None:
        """Write whole bytes; several threads may.

        Raises:
            OSError: nobody is there to read them.
        """
        with self._writing:
            self._write(data)

    def receive(self, timeout_s: float) -> Frame:
        """The next frame; one that is still coming in, such as a large engine, is waited for.

        Raises:
            ConnectionLostError: nothing came for so long, or nothing will come.
        """
        until = time.monotonic() + timeout_s
        while True:
            try:
                item = self._frames.get(timeout=max(0.0, until - time.monotonic()))
                break
            except queue.Empty:
                until = self._heard_at + timeout_s
                if until > time.monotonic():
                    continue
                raise ConnectionLostError(self._silent(timeout_s)) from None
        if isinstance(item, str):
            self._frames.put(item)  # for whoever asks again
            raise ConnectionLostError(item)
        return item

    def end(self) -> None:
        """Close its stdin and see it to its end; kill it when it takes too long."""
        self._over.set()
        if not self._writing.acquire(timeout=_BUSY_WAIT_S):
            # Somebody waits for a process that does not read; without it the write fails.
            self._process.kill()
            self._writing.acquire()
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._writing.release()
        try:
            self.exit_code = self._process.wait(_END_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.exit_code = self._process.wait()
        # A stranger may have inherited the streams; then their readers close them later.
        self._reader.join(_BUSY_WAIT_S)
        self._listener.join(_BUSY_WAIT_S)

    def _silent(self, timeout_s: float) -> str:
        silent = f"the supervisor was silent for {timeout_s:g} s"
        return silent if self._began or not self._by_ssh else silent_before_python(silent)

    def _write(self, data: bytes) -> None:
        # Its descriptor may be another file's by now.
        if self._stdin.closed:
            raise BrokenPipeError("the supervisor was ended")
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._stdin.fileno(), rest) :]

    def _keep_alive(self) -> None:
        """Write the package, then a ping now and then while nobody ends this."""
        try:
            try:
                self._write(self._package)
            finally:
                self._writing.release()
            while not self._over.wait(PING_S):
                self.write(encode({"kind": "ping"}))
        except OSError:
            pass  # whoever sends or receives next hears of it

    def _read_frames(self, fd: int) -> None:
        end = "the supervisor ended"
        try:
            self._skip_noise(fd)
            decoder = FrameDecoder()
            while chunk := os.read(fd, CHUNK):
                # Every piece counts: a whole engine may take longer than any limit.
                self._heard_at = time.monotonic()
                for frame in decoder.feed(chunk):
                    self._frames.put(frame)
            decoder.finish()
        except (FrameError, OSError) as error:
            end = str(error)
        # What it said last and how it left is worth a moment: it says why.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.exit_code = self._process.wait(_BUSY_WAIT_S)
        self._listener.join(_BUSY_WAIT_S)
        if self._by_ssh and not self._began:
            end = ended_before_python(end, self.exit_code, "\n".join(self.lines))
        self._frames.put(end)

    def _skip_noise(self, fd: int) -> None:
        """Read up to the marker; what a login shell printed before it goes to the words."""
        seen = bytearray()
        while not (began := seen.endswith(self._marker)) and len(seen) <= _NOISE_LIMIT:
            # Byte by byte: what comes after the marker belongs to the frames.
            byte = os.read(fd, 1)
            if not byte:
                break
            seen += byte
        self._began = began
        noise = StderrTail()
        noise.feed(bytes(seen).removesuffix(self._marker))
        noise.finish()
        self.lines.extend(noise.lines)

    def _read_stderr(self, fd: int) -> None:
        # By pieces: a line that does not end must not fill this machine's memory.
        while chunk := os.read(fd, _BYTES_AT_ONCE):
            self._said.feed(chunk)
        self._said.finish()


def _start(job: Callable[[int], None], stream: IO[bytes]) -> threading.Thread:
    def read() -> None:
        with stream, contextlib.suppress(OSError):
            job(stream.fileno())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread

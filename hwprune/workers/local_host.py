"""A worker's process on this machine: a Python of its own at the other end of a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import Pipe
from typing import Any

from hwprune.workers.process import LAST, THREAD_VARIABLES, Event, head_paths
from hwprune.workers.process_worker import ProcessDiedError

_CODE = (
    "import sys; sys.path += [p for p in sys.argv[2:] if p not in sys.path]; "
    "from hwprune.workers.process import serve; serve(int(sys.argv[1]))"
)
_LAST_BYTES = 2000


class LocalHost:
    """Starts a process, which ends when this one does.

    Not by `multiprocessing`, which would run the user's script in it once more.

    Args:
        factory: "package.module:callable", called there with `arguments` by name.
        arguments: plain data, numpy arrays, bytes.
        cores: what it is pinned to, a thread each; none leaves that to the system.
    """

    def __init__(
        self, factory: str, arguments: Mapping[str, Any], cores: Sequence[int] = ()
    ) -> None:
        self._wanted = (list(cores), factory, dict(arguments))
        self._pipe, theirs = Pipe()
        # A file: a pipe that nobody reads while it works would fill up and stop it.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        threads = dict.fromkeys(THREAD_VARIABLES, str(max(1, len(cores))))
        self._process = subprocess.Popen(
            # -P: a numpy.py in the current folder is not numpy.
            [sys.executable, "-P", "-c", _CODE, str(theirs.fileno()), *head_paths()],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            # What comes over the pipe may import numpy, whose threads are numbered then.
            env={**os.environ, **threads},
            # Ctrl-C is the head's to handle; the process ends when its pipe does.
            start_new_session=True,
        )
        # While this end were open here, a process that died would not end the pipe.
        theirs.close()

    def prepare(self) -> str:
        """See `Host.prepare`."""
        self._send(self._wanted)
        return str(self._receive())

    def call(self, item: Any) -> Iterator[Event]:
        """See `Host.call`."""
        self._send(item)
        while True:
            event: Event = self._receive()
            yield event
            if event[0] in LAST:
                return

    def end(self) -> None:
        """See `Host.end`."""
        self._process.kill()
        self._process.wait()

    def _send(self, what: Any) -> None:
        try:
            self._pipe.send(what)
        except OSError as error:
            raise self._died() from error

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error

    def _died(self) -> ProcessDiedError:
        self.end()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _LAST_BYTES))
        said = self._errors.read().decode(errors="replace").strip()
        return ProcessDiedError(f"exit code {self._process.returncode}; {said}".rstrip("; "))

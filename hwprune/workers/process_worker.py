"""A worker in a process of its own, which is made when it is needed and again when it dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from hwprune import errors
from hwprune.errors import HwpruneError
from hwprune.progress import Progress
from hwprune.workers.process import Event
from hwprune_device.reading import Failure


class ProcessDiedError(Exception):
    """The process is gone; with what is known of its end."""


class Host(Protocol):
    """The head's end of one process, on this machine or elsewhere; each may raise that it died."""

    def prepare(self) -> str:
        """Have the process make its object; what went wrong, or nothing."""

    def call(self, item: Any) -> Iterator[Event]:
        """What the process says, up to its answer."""

    def end(self) -> None:
        """End the process, whatever it is at."""


class ProcessWorker:
    """Has items worked on by one process after another, as these die.

    Args:
        name: of what the process holds, for messages.
        start: makes a process.
        attempts: how many processes an item is handed to, one after another dying on it.
    """

    def __init__(self, name: str, start: Callable[[], Host], *, attempts: int = 3) -> None:
        self._name = name
        self._start = start
        self._attempts = attempts
        self._host: Host | None = None
        self._ended = False

    def call(self, item: Any, progress: Progress) -> Any:
        """See `Worker.call`."""
        died = ""
        for _ in range(self._attempts):
            if self._ended:
                return Failure(stage="lost", message="the workers were ended")
            try:
                broken = self._prepared()
                if broken:
                    return Failure(stage="build", message=f"{self._name}: {broken}")
                return self._follow(item, progress)
            except ProcessDiedError as error:
                died, self._host = str(error), None
            except HwpruneError:
                raise
            except Exception as error:
                # An item that cannot be sent, an answer that cannot be read, a cluster that left.
                return Failure(stage="run", message=f"{type(error).__name__}: {error}")
        return Failure(stage="lost", message=f"its process died {self._attempts} times: {died}")

    def end(self) -> None:
        """End the process."""
        self._ended = True
        host, self._host = self._host, None
        if host is not None:
            host.end()

    def _prepared(self) -> str:
        """Have a process with its object; what went wrong, or nothing."""
        if self._host is not None:
            return ""
        host = self._start()
        broken = host.prepare()
        # `end` may have been called meanwhile, when there was no process to end yet.
        if broken or self._ended:
            host.end()
        else:
            self._host = host
        return broken

    def _follow(self, item: Any, progress: Progress) -> Any:
        # `end` is called by another thread, at any time.
        if self._host is None:
            raise ProcessDiedError("it was ended")
        for kind, said in self._host.call(item):
            if kind == "answer":
                return said
            if kind == "failed":
                return Failure(stage="run", message=said)
            if kind == "error":
                name, happened, parts = said
                raise getattr(errors, name, HwpruneError)(happened, **parts)
            getattr(progress, kind)(*said)
        return Failure(stage="run", message="the worker ended without an answer")

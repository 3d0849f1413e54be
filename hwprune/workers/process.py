"""What runs in a process of its own: one object, called with item after item."""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from hwprune.errors import HwpruneError

Event = tuple[str, Any]
"""("begin" | "advance" | "skip" | "end", arguments) of progress, then one that is in `LAST`."""
LAST = ("answer", "error", "failed")
"""With the answer, the parts of a HwpruneError, or a traceback."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def head_paths() -> list[str]:
    """Where this process finds modules, for one that is to find the user's too."""
    return [os.getcwd(), *(path for path in sys.path if path)]


class Process:
    """The object that a factory made, or why it made none.

    Args:
        cores: what the process is pinned to; none leaves that to the system.
        paths: the head's, see `head_paths`, unless they are known here.
    """

    def __init__(self, cores: Sequence[int], paths: Sequence[str] = ()) -> None:
        # Before the factory's modules are imported: their thread pools are sized then.
        for name in THREAD_VARIABLES:
            os.environ[name] = str(max(1, len(cores)))
        if cores:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cores)
        sys.path += [path for path in paths if path not in sys.path]
        self._work: Any = None

    def prepare(self, factory: str, arguments: Mapping[str, Any]) -> str:
        """Make the object; what went wrong, or nothing."""
        try:
            module, _, name = factory.partition(":")
            self._work = getattr(importlib.import_module(module), name)(**arguments)
        except Exception:
            return traceback.format_exc(limit=-3)
        return ""

    def call(self, item: Any) -> Iterator[Event]:
        """What the object says of its progress while it works, and at last its answer."""
        said: queue.SimpleQueue[Event] = queue.SimpleQueue()

        def work() -> None:
            try:
                said.put(("answer", self._work(item, _Said(said))))
            except HwpruneError as error:
                parts = {key: getattr(error, key) for key in ("given", "possible", "next_step")}
                said.put(("error", (type(error).__name__, error.happened, parts)))
            # All of them: an item that calls sys.exit() would else never be answered.
            except BaseException:
                said.put(("failed", traceback.format_exc(limit=-3)))

        # Beside this one, which passes progress on meanwhile.
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while True:
            event = said.get()
            yield event
            if event[0] in LAST:
                thread.join()
                return


class _Said:
    """Progress as events."""

    def __init__(self, events: queue.SimpleQueue[Event]) -> None:
        self._events = events

    def begin(self, stage: str, total: int | None) -> None:
        """A stage starts."""
        self._events.put(("begin", (stage, total)))

    def advance(self, count: int = 1, note: str = "") -> None:
        """Steps are done."""
        self._events.put(("advance", (count, note)))

    def skip(self, count: int, note: str = "") -> None:
        """Steps were done before."""
        self._events.put(("skip", (count, note)))

    def end(self, note: str = "") -> None:
        """The stage is over."""
        self._events.put(("end", (note,)))


def serve(fd: int) -> None:
    """Be the process at the other end of a pipe, until the head closes it or dies."""
    head: Connection[Any, Any] = Connection(fd)
    with contextlib.suppress(EOFError, ConnectionError):
        cores, factory, arguments = head.recv()
        process = Process(cores)
        head.send(process.prepare(factory, arguments))
        while True:
            for event in process.call(head.recv()):
                _send(head, event)


def _send(head: Connection[Any, Any], event: Event) -> None:
    try:
        head.send(event)
    except OSError:
        raise  # the head has gone, which ends `serve`
    except Exception:  # an answer that cannot be sent, of whatever kind
        head.send(("failed", traceback.format_exc(limit=-3)))

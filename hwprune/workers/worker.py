"""A worker: holds one object and calls it with item after item."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Protocol

from hwprune.errors import HwpruneError
from hwprune.progress import Progress
from hwprune_device.reading import Failure

Work = Callable[[Any, Progress], Any]
"""What a worker holds: an item and a listener in, an answer out."""


class Worker(Protocol):
    """Calls the object it holds, one item at a time."""

    def call(self, item: Any, progress: Progress) -> Any:
        """The answer; a Failure where the object raised or its process died.

        Raises:
            HwpruneError: as the object raised it.
        """

    def end(self) -> None:
        """End the process, where there is one."""


class LocalWorker:
    """An object in this process: for tasks of functions that no other process can import."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self._make = make
        self._work: Work | None = None

    def call(self, item: Any, progress: Progress) -> Any:
        """See `Worker.call`."""
        try:
            if self._work is None:
                self._work = self._make()
            return self._work(item, progress)
        except HwpruneError:
            raise
        except Exception:
            return Failure(stage="run", message=traceback.format_exc(limit=-3))

    def end(self) -> None:
        """Nothing is to be ended."""

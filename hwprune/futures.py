"""One future of several."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any


def joined(futures: Sequence[Future[Any]], change: Callable[..., Any]) -> Future[Any]:
    """A future of `change` of all their results, done when the last of them is; one at least.

    An error of any of them, or of `change`, is its error: nobody waits for ever.
    """
    whole: Future[Any] = Future()
    lock = threading.Lock()
    missing = len(futures)

    def arrived(_: object) -> None:
        """Count one future off; the last one sets the result."""
        nonlocal missing
        # Futures end in threads of their own; under the lock exactly one of them is the last.
        with lock:
            missing -= 1
            if missing:
                return
        try:
            whole.set_result(change(*(future.result() for future in futures)))
        except BaseException as error:  # who waits must hear of it, whatever it is
            whole.set_exception(error)

    for future in futures:
        future.add_done_callback(arrived)
    return whole


def done(value: Any) -> Future[Any]:
    """A future that has its result already."""
    future: Future[Any] = Future()
    future.set_result(value)
    return future

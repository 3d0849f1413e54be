"""Scorers: processes on the head that each hold one object and call it on item after item."""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import ray
from ray.exceptions import RayActorError

from hwprune_device.reading import Failure

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ATTEMPTS = 3
"""An item whose process died is handed to a new one twice."""


class Scorer:
    """What runs in the process: the object that the factory made, or why it made none."""

    def __init__(self, core: int | None) -> None:
        # Before the factory's modules are imported: their thread pools are sized then.
        for name in _THREAD_VARIABLES:
            os.environ[name] = "1"
        if core is not None:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {core})
        self._call: Any = None

    def prepare(self, factory: str, arguments: Mapping[str, Any]) -> str:
        """Make the object; what went wrong, or nothing."""
        try:
            module, _, name = factory.partition(":")
            self._call = getattr(importlib.import_module(module), name)(**arguments)
        except Exception:
            return traceback.format_exc(limit=-3)
        return ""

    def score(self, item: Any) -> tuple[Any, str]:
        """The object's answer for an item, or what went wrong."""
        try:
            return self._call(item), ""
        except Exception:
            return None, traceback.format_exc(limit=-3)


class ScorerPool:
    """Hands items to processes in order, one at a time as they become free.

    Args:
        factory: "package.module:callable", called in each process with `arguments` by name.
        arguments: plain data, numpy arrays, bytes; sent once.
        count: how many processes.
        cores: what they are pinned to, in turn; None leaves that to the system.
    """

    def __init__(
        self,
        factory: str,
        arguments: Mapping[str, Any],
        count: int,
        cores: Sequence[int] | None = None,
    ) -> None:
        self._factory = factory
        self._arguments = ray.put(dict(arguments))
        self._items: queue.Queue[tuple[Any, Future[Any]] | None] = queue.Queue()
        self._pinned = [cores[i % len(cores)] if cores else None for i in range(count)]
        # Our own small cluster has a CPU for each; in a user's, Ray may spread them.
        self._cpus = 1 if ray.cluster_resources().get("CPU", 0) > count else 0
        self._threads = [
            threading.Thread(target=self._serve, args=(core,), daemon=True)
            for core in self._pinned
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, item: Any) -> Future[Any]:
        """A future of the object's answer; a Failure where it raised or its process died."""
        future: Future[Any] = Future()
        self._items.put((item, future))
        return future

    def close(self) -> None:
        """End the processes; items that nobody took yet get a Failure."""
        waiting: list[tuple[Any, Future[Any]] | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.append(self._items.get_nowait())
        for _ in self._threads:
            self._items.put(None)
        for entry in waiting:
            if entry is not None:
                entry[1].set_result(Failure(stage="lost", message="the scorers were closed"))
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _serve(self, core: int | None) -> None:
        """One process's own thread."""
        worker = _Worker(self._factory, self._arguments, core, self._cpus)
        while (entry := self._items.get()) is not None:
            item, future = entry
            if future.set_running_or_notify_cancel():
                future.set_result(worker.score(item))
        worker.end()


class _Worker:
    """The head's end of one scorer process, which is replaced when it dies."""

    def __init__(self, factory: str, arguments: Any, core: int | None, cpus: int) -> None:
        self._factory = factory
        self._arguments = arguments
        self._core = core
        self._cpus = cpus
        self._actor: Any = None

    def score(self, item: Any) -> Any:
        """The answer, or a Failure."""
        died = ""
        for _ in range(_ATTEMPTS):
            try:
                broken = self._start()
                if broken:
                    return Failure(stage="build", message=f"{self._factory}: {broken}")
                answer, wrong = ray.get(self._actor.score.remote(item))
                return Failure(stage="run", message=wrong) if wrong else answer
            except RayActorError as error:
                died = str(error)
                self._actor = None
            except Exception as error:
                # An item that cannot be sent, an answer that cannot be read, a cluster that left.
                return Failure(stage="run", message=f"{type(error).__name__}: {error}")
        return Failure(stage="lost", message=f"its process died {_ATTEMPTS} times: {died}")

    def end(self) -> None:
        """End the process."""
        if self._actor is not None and ray.is_initialized():
            ray.kill(self._actor)
            self._actor = None

    def _start(self) -> str:
        """Have a process with its object; what went wrong, or nothing."""
        if self._actor is not None:
            return ""
        actor: Any = ray.remote(Scorer).options(num_cpus=self._cpus).remote(self._core)
        broken = str(ray.get(actor.prepare.remote(self._factory, self._arguments)))
        if broken:
            ray.kill(actor)
        else:
            self._actor = actor
        return broken

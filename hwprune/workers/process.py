"""A worker in a process of its own, which is made when it is needed and again when it dies."""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hwprune import errors
from hwprune.errors import HwpruneError
from hwprune.progress import Progress
from hwprune_device.reading import Failure

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Process:
    """What runs in the process: the object that the factory made, or why it made none."""

    def __init__(self, cores: Sequence[int], paths: Sequence[str]) -> None:
        # Before the factory's modules are imported: their thread pools are sized then.
        for name in _THREAD_VARIABLES:
            os.environ[name] = str(max(1, len(cores)))
        if cores:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cores)
        # The user's modules are found as they are on the head.
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

    def call(self, item: Any) -> Iterator[tuple[str, Any]]:
        """What the object says of its progress while it works, and at last its answer.

        Yields ("begin" | "advance" | "skip" | "end", arguments), then one of ("answer", …),
        ("error", parts of an HwpruneError) and ("failed", traceback).
        """
        said: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

        def work() -> None:
            try:
                said.put(("answer", self._work(item, _Said(said))))
            except HwpruneError as error:
                parts = {key: getattr(error, key) for key in ("given", "possible", "next_step")}
                said.put(("error", (type(error).__name__, error.happened, parts)))
            except Exception:
                said.put(("failed", traceback.format_exc(limit=-3)))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while True:
            event = said.get()
            yield event
            if event[0] in ("answer", "error", "failed"):
                thread.join()
                return


class _Said:
    """Progress as events."""

    def __init__(self, events: queue.SimpleQueue[tuple[str, Any]]) -> None:
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


class ProcessWorker:
    """The head's end of one process, which is made when it is first needed and when it died.

    Args:
        factory: "package.module:callable", called in the process with `arguments` by name.
        arguments: a Ray object: plain data, numpy arrays, bytes.
        cores: what it is pinned to, a thread each; none leaves that to the system.
        here: on this node of the cluster, whose files it reads and writes.
        attempts: how many processes an item is handed to, one after another dying on it.
    """

    def __init__(
        self,
        factory: str,
        arguments: Any,
        cores: Sequence[int],
        *,
        cpus: int = 0,
        here: bool = False,
        attempts: int = 3,
    ) -> None:
        self._attempts = attempts
        self._factory = factory
        self._arguments = arguments
        self._cores = list(cores)
        self._options: dict[str, Any] = {"num_cpus": cpus}
        if here:
            node = ray.get_runtime_context().get_node_id()
            self._options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        self._actor: Any = None

    def call(self, item: Any, progress: Progress) -> Any:
        """See `Worker.call`."""
        died = ""
        for _ in range(self._attempts):
            try:
                broken = self._start()
                if broken:
                    return Failure(stage="build", message=f"{self._factory}: {broken}")
                return self._follow(item, progress)
            except RayActorError as error:
                died = str(error)
                self._actor = None
            except HwpruneError:
                raise
            except Exception as error:
                # An item that cannot be sent, an answer that cannot be read, a cluster that left.
                return Failure(stage="run", message=f"{type(error).__name__}: {error}")
        return Failure(stage="lost", message=f"its process died {self._attempts} times: {died}")

    def end(self) -> None:
        """End the process."""
        actor, self._actor = self._actor, None
        if actor is not None and ray.is_initialized():
            ray.kill(actor)

    def _follow(self, item: Any, progress: Progress) -> Any:
        for event in self._actor.call.options(num_returns="streaming").remote(item):
            kind, said = ray.get(event)
            if kind == "answer":
                return said
            if kind == "failed":
                return Failure(stage="run", message=said)
            if kind == "error":
                name, happened, parts = said
                raise getattr(errors, name, HwpruneError)(happened, **parts)
            getattr(progress, kind)(*said)
        return Failure(stage="run", message="the worker ended without an answer")

    def _start(self) -> str:
        """Have a process with its object; what went wrong, or nothing."""
        if self._actor is not None:
            return ""
        paths = [os.getcwd(), *(path for path in sys.path if path)]
        actor: Any = ray.remote(Process).options(**self._options).remote(self._cores, paths)
        broken = str(ray.get(actor.prepare.remote(self._factory, self._arguments)))
        if broken:
            ray.kill(actor)
        else:
            self._actor = actor
        return broken

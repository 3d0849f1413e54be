"""A pool of workers: jobs go to whichever is free, the most urgent first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hwprune.progress import Silent
from hwprune.workers.local_host import LocalHost
from hwprune.workers.process_worker import ProcessWorker
from hwprune.workers.worker import Worker
from hwprune_device.reading import Failure

Job = Callable[[Worker], Any]
"""What a thread of the pool does with its worker."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Entry:
    job: Job
    rank: Callable[[], float]
    future: Future[Any] = field(default_factory=Future)


def _first_come() -> float:
    return 0.0


class WorkerPool:
    """Hands jobs to workers as these become free; equals in the order they came."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._waiting: list[_Entry] = []
        self._changed = threading.Condition()
        self._closed = False
        self._workers = list(workers)
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def of_processes(
        cls,
        factory: str,
        arguments: Mapping[str, Any],
        shares: Sequence[Sequence[int]],
        *,
        attempts: int = 3,
    ) -> WorkerPool:
        """One process on this machine for each share of its cores; see `LocalHost`."""
        return cls(
            [
                ProcessWorker(
                    factory, partial(LocalHost, factory, arguments, share), attempts=attempts
                )
                for share in shares
            ]
        )

    @classmethod
    def of_cluster(cls, factory: str, arguments: Mapping[str, Any], count: int) -> WorkerPool:
        """So many processes, of a thread each, in the Ray cluster that this process has joined."""
        import ray

        from hwprune.workers.ray_host import RayHost

        held = ray.put(dict(arguments))
        # Where the cluster has a CPU for each, Ray spreads them.
        cpus = 1 if ray.cluster_resources().get("CPU", 0) > count else 0
        start = partial(RayHost, factory, held, cpus)
        return cls([ProcessWorker(factory, start) for _ in range(count)])

    def submit(self, job: Job, *, rank: Callable[[], float] = _first_come) -> Future[Any]:
        """A future of what the job returns; of those that wait the lowest rank is next.

        Ranks are looked at when a worker is free, so they may change meanwhile.
        """
        entry = _Entry(job=job, rank=rank)
        with self._changed:
            if not self._closed:
                self._waiting.append(entry)
                self._changed.notify()
                return entry.future
        entry.future.set_result(_lost())
        return entry.future

    def call(self, item: Any) -> Future[Any]:
        """A future of the object's answer for an item; a Failure where there is none."""
        return self.submit(lambda worker: worker.call(item, Silent()))

    def close(self) -> None:
        """End the workers; jobs that nobody took yet get a Failure."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for entry in waiting:
            entry.future.set_result(_lost())
        for thread in self._threads:
            thread.join()
        self._threads = []

    def stop(self) -> None:
        """End the workers at once, whatever they are at."""
        # First, as `close` waits for the threads, and these for what their workers are at.
        for worker in self._workers:
            worker.end()
        self.close()

    def _serve(self, worker: Worker) -> None:
        """One worker's own thread."""
        while (entry := self._next()) is not None:
            if not entry.future.set_running_or_notify_cancel():
                continue
            try:
                entry.future.set_result(entry.job(worker))
            except BaseException as error:  # who waits must hear of it, whatever it is
                entry.future.set_exception(error)
        worker.end()

    def _next(self) -> _Entry | None:
        """The most urgent job, waited for; None when the pool is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            # Of equals min takes the first, which came first.
            best = min(range(len(self._waiting)), key=lambda at: self._waiting[at].rank())
            return self._waiting.pop(best)


def _lost() -> Failure:
    return Failure(stage="lost", message="the workers were closed")

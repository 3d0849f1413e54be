"""The head: this process's cores, and the workers on them that score and train."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from hwprune.affinity import kept_to
from hwprune.board import Board
from hwprune.errors import InputError
from hwprune.pipeline.prepare import Prepared
from hwprune.workers.pool import WorkerPool
from hwprune.workers.worker import LocalWorker, Work
from hwprune_device.reading import Failure


class Head:
    """Keeps this process off the cores that boards on this machine are timed on.

    Use as a context manager; the cores are given back after.
    """

    def __init__(self, boards: Sequence[Board]) -> None:
        self._boards = boards
        self._affinity: set[int] = set(os.sched_getaffinity(0))
        self._kept = ExitStack()

    def __enter__(self) -> Head:
        self._kept.enter_context(kept_to(self.cores))
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    @property
    def cores(self) -> set[int]:
        """Cores that no local board is timed on; all of them where the boards take every one."""
        timed = {core for board in self._boards if board.is_here for core in board.cores}
        return (self._affinity - timed) or self._affinity

    @property
    def all_cores(self) -> list[int]:
        """Every core of this process, for work during which no board is timed."""
        return sorted(self._affinity)


def scorer_pool(prepared: Prepared, head: Head) -> WorkerPool:
    """Workers that hold a scorer each: one a core, in the cluster, or a thread of this process."""
    cores = sorted(head.cores)
    count = prepared.deployment.search.scorers or len(cores)
    arguments = {
        "base": prepared.base.onnx,
        "plan": prepared.base.plan.to_json(),
        "order": prepared.ranking.order,
    }
    factory, wanted = "hwprune.network.scorer:make_scorer", _arguments(prepared, arguments)
    if wanted is None:
        # The task lives in this process alone, such as one of a notebook's cell.
        return WorkerPool([LocalWorker(lambda: _local_scorer(prepared))])
    if prepared.deployment.cluster:
        return WorkerPool.of_cluster(factory, wanted, count)
    shares = [[cores[number % len(cores)]] for number in range(count)]
    return WorkerPool.of_processes(factory, wanted, shares)


def finetuner_pool(prepared: Prepared, count: int, head: Head) -> WorkerPool:
    """Workers that train `count` networks at a time, on equal shares of all cores.

    Two processes with one thread each train more than one with two threads.
    """
    cores = head.all_cores
    at_once = max(1, min(count, len(cores)))
    arguments = {"teacher": prepared.base.onnx, "recipe": asdict(prepared.deployment.finetune)}
    wanted = _arguments(prepared, arguments)
    if wanted is None:
        return WorkerPool([LocalWorker(lambda: _local_finetuner(prepared))])
    return WorkerPool.of_processes(
        "hwprune.finetune.finetuner:make_finetuner",
        wanted,
        [cores[start::at_once] for start in range(at_once)],
        # It goes on from its own files only when it is asked to.
        attempts=1,
    )


def _arguments(prepared: Prepared, own: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a factory of another process is called with; None where that cannot make the task."""
    task = prepared.task
    if task.remake is None:
        return None
    remake = task.remake()
    also = {
        "task": {"factory": remake.factory, "arguments": dict(remake.arguments)},
        "kinds": task.output_kinds,
        "names": prepared.base.outputs,
    }
    return {**own, **also}


def _local_scorer(prepared: Prepared) -> Work:
    from hwprune.network.scorer import Scorer

    base = prepared.base
    return Scorer(base.onnx, base.plan, prepared.ranking.order, task=prepared.task)


def _local_finetuner(prepared: Prepared) -> Work:
    from hwprune.finetune.finetuner import Finetuner

    return Finetuner(prepared.task, prepared.base.onnx, prepared.deployment.finetune)


def unscored(failure: Failure) -> InputError:
    """What ends a run whose unpruned network cannot be scored."""
    return InputError(
        "the unpruned network could not be scored",
        given=failure.message.strip().splitlines()[-1] if failure.message else failure.stage,
        next_step="try the task's score function on the network by itself",
    )

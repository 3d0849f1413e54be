"""Workers in processes: order, faults, progress, and what they may use."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from hwprune.errors import DataError
from hwprune.progress import Silent
from hwprune.workers.pool import WorkerPool
from hwprune.workers.worker import LocalWorker
from hwprune_device.reading import Failure

TABLE = np.arange(100) / 100


@pytest.fixture(scope="module")
def pool(cluster, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("scorers"))
    arguments = {"table": TABLE, "folder": folder}
    last = sorted(os.sched_getaffinity(0))[-1]
    pool = WorkerPool.of_processes("tests.workers.scoring:make_scorer", arguments, [[last]])
    yield pool
    pool.close()


def test_items_get_their_own_answers(pool):
    futures = [pool.call(item) for item in range(50)]
    assert [future.result(60) for future in futures] == list(TABLE[:50])


def test_a_process_keeps_to_its_core_and_one_thread(pool):
    _, cores, threads = pool.call("where").result(60)
    assert cores == [sorted(os.sched_getaffinity(0))[-1]]
    assert threads == "1"


def test_an_item_that_raises_is_a_failure_and_the_pool_lives(pool):
    wrong, right = pool.call("raise"), pool.call(1)
    failure = wrong.result(60)
    assert isinstance(failure, Failure)
    assert failure.stage == "run"
    assert "this item cannot be scored" in failure.message
    assert right.result(60) == 0.01


def test_a_process_that_dies_is_replaced_and_its_item_redone(pool):
    before = pool.call("where").result(60)[0]
    assert pool.call("die once").result(60) == "survived"
    assert pool.call("where").result(60)[0] != before


def test_an_item_that_kills_every_process_is_a_failure(pool):
    failure = pool.call("die").result(120)
    assert isinstance(failure, Failure)
    assert failure.stage == "lost"
    assert pool.call(2).result(60) == 0.02


def test_a_factory_that_fails_is_told_for_every_item(cluster):
    for factory in ("tests.workers.scoring:make_nothing", "tests.workers.nowhere:make"):
        pool = WorkerPool.of_processes(factory, {"images": 1}, [[]])
        failure = pool.call(1).result(60)
        assert isinstance(failure, Failure)
        assert failure.stage == "build"
        assert factory in failure.message
        pool.close()


def test_two_processes_share_the_items_and_closing_answers_the_rest(cluster, tmp_path):
    arguments = {"table": TABLE, "folder": str(tmp_path)}
    pool = WorkerPool.of_processes("tests.workers.scoring:make_scorer", arguments, [[], []])
    whom = {pool.call("where").result(60)[0] for _ in range(1)}
    futures = [pool.call(item % 100) for item in range(300)]
    pool.close()
    answers = [future.result(60) for future in futures]
    assert len(whom) == 1
    for item, answer in enumerate(answers):
        lost = isinstance(answer, Failure) and answer.stage == "lost"
        assert lost or answer == TABLE[item % 100]


class Heard(Silent):
    def __init__(self):
        self.said = []

    def begin(self, stage, total):
        self.said.append(("begin", stage, total))

    def advance(self, count=1, note=""):
        self.said.append(("advance", count, note))

    def skip(self, count, note=""):
        self.said.append(("skip", count, note))

    def end(self, note=""):
        self.said.append(("end", note))


def test_progress_is_heard_as_it_is_made(pool):
    heard = Heard()
    answer = pool.submit(lambda worker: worker.call("steps", heard)).result(60)
    assert answer == "done"
    assert heard.said == [
        ("begin", "count", 3),
        ("skip", 1, "known"),
        ("advance", 1, "one"),
        ("advance", 1, "two"),
        ("end", "all"),
    ]


def test_an_error_raised_on_purpose_is_the_same_error_here(pool):
    with pytest.raises(DataError, match="no such picture") as raised:
        pool.call("refuse").result(60)
    assert raised.value.given == "cat.png" and raised.value.next_step == "draw it"


def test_the_most_urgent_job_is_next_and_urgency_may_change():
    gate, order, rank = threading.Event(), [], {"a": 1.0, "b": 2.0, "c": 3.0}
    pool = WorkerPool([LocalWorker(lambda: None)])
    first = pool.submit(lambda worker: gate.wait(10))
    jobs = [
        pool.submit(lambda worker, n=name: order.append(n), rank=lambda n=name: rank[n])
        for name in "abc"
    ]
    rank["c"] = 0.0
    gate.set()
    for job in (first, *jobs):
        job.result(10)
    assert order == ["c", "a", "b"]
    pool.close()


def test_a_closed_pool_takes_nothing_more():
    pool = WorkerPool([LocalWorker(lambda: lambda item, progress: item)])
    assert pool.call(3).result(10) == 3
    pool.close()
    assert pool.call(4).result(1).stage == "lost"


def test_an_object_in_this_process_fails_alike():
    def work(item, progress):
        if item == "refuse":
            raise DataError("no such picture")
        raise ValueError("cannot be scored")

    pool = WorkerPool([LocalWorker(lambda: work)])
    assert "cannot be scored" in pool.call("other").result(10).message
    with pytest.raises(DataError):
        pool.call("refuse").result(10)
    pool.close()

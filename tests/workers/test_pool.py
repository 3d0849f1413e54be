"""Workers in processes: order, faults, progress, and what they may use."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from hwprune.errors import DataError
from hwprune.progress import Silent
from hwprune.workers.pool import WorkerPool
from hwprune.workers.worker import LocalWorker
from hwprune_device.reading import Failure
from tests.farm.connections.contract import is_gone

TABLE = np.arange(100) / 100
SCORER = "tests.workers.scoring:make_scorer"
LAST = sorted(os.sched_getaffinity(0))[-1]


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


@pytest.fixture(scope="class")
def pool(request, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("scorers"))
    pool = request.cls().make(SCORER, {"table": TABLE, "folder": folder})
    yield pool
    pool.close()


class PoolContract:
    """What a pool of processes holds, wherever they run; a class of tests has its `make`."""

    def make(self, factory: str, arguments: dict, count: int = 1) -> WorkerPool:
        raise NotImplementedError

    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path

    def test_items_get_their_own_answers(self, pool):
        futures = [pool.call(item) for item in range(50)]
        assert [future.result(60) for future in futures] == list(TABLE[:50])

    def test_a_process_has_one_thread(self, pool):
        assert pool.call("where").result(60)[2] == "1"

    def test_an_item_that_raises_is_a_failure_and_the_pool_lives(self, pool):
        wrong, right = pool.call("raise"), pool.call(1)
        failure = wrong.result(60)
        assert isinstance(failure, Failure)
        assert failure.stage == "run"
        assert "this item cannot be scored" in failure.message
        assert right.result(60) == 0.01

    def test_an_item_that_ends_the_program_is_a_failure_and_the_pool_lives(self, pool):
        failure = pool.call("exit").result(60)
        assert isinstance(failure, Failure)
        assert failure.stage == "run"
        assert "this item ends the program" in failure.message
        assert pool.call(4).result(60) == 0.04

    def test_an_answer_that_cannot_be_sent_is_a_failure_and_the_pool_lives(self, pool):
        failure = pool.call("a lock").result(60)
        assert isinstance(failure, Failure) and failure.stage == "run"
        assert pool.call(3).result(60) == 0.03

    def test_a_process_that_dies_is_replaced_and_its_item_redone(self, pool):
        before = pool.call("where").result(60)[0]
        assert pool.call("die once").result(60) == "survived"
        assert pool.call("where").result(60)[0] != before

    def test_an_item_that_kills_every_process_is_a_failure(self, pool):
        failure = pool.call("die").result(120)
        assert isinstance(failure, Failure)
        assert failure.stage == "lost"
        assert pool.call(2).result(60) == 0.02

    @pytest.mark.parametrize("factory", ["scoring:make_nothing", "nowhere:make"])
    def test_a_factory_that_fails_is_told_for_every_item(self, factory):
        factory = f"tests.workers.{factory}"
        pool = self.make(factory, {"images": 1})
        failure = pool.call(1).result(60)
        assert isinstance(failure, Failure)
        assert failure.stage == "build"
        assert factory in failure.message
        pool.close()

    def test_two_processes_share_the_items_and_closing_answers_the_rest(self, folder):
        pool = self.make(SCORER, {"table": TABLE, "folder": str(folder)}, 2)
        assert isinstance(pool.call("where").result(60), tuple)
        futures = [pool.call(item % 100) for item in range(300)]
        pool.close()
        answers = [future.result(60) for future in futures]
        for item, answer in enumerate(answers):
            lost = isinstance(answer, Failure) and answer.stage == "lost"
            assert lost or answer == TABLE[item % 100]

    def test_stopping_ends_what_a_process_is_at(self, folder):
        pool = self.make(SCORER, {"table": TABLE, "folder": str(folder)})
        pid = pool.call("where").result(60)[0]
        future = pool.call("sleep")
        time.sleep(0.2)
        pool.stop()
        assert future.result(10).stage == "lost"
        wait_for_end(pid)

    def test_progress_is_heard_as_it_is_made(self, pool):
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

    def test_an_error_raised_on_purpose_is_the_same_error_here(self, pool):
        with pytest.raises(DataError, match="no such picture") as raised:
            pool.call("refuse").result(60)
        assert raised.value.given == "cat.png" and raised.value.next_step == "draw it"


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + 10
    while not is_gone(pid):
        assert time.monotonic() < end, "it still runs"
        time.sleep(0.02)


class TestProcesses(PoolContract):
    def make(self, factory, arguments, count=1):
        return WorkerPool.of_processes(factory, arguments, [[LAST]] * count)

    def test_a_process_keeps_to_its_core(self, pool):
        assert pool.call("where").result(60)[1] == [LAST]

    def test_what_a_process_said_last_is_told(self, pool):
        assert "out of luck" in pool.call("die with words").result(60).message

    def test_a_script_without_a_main_guard_is_run_once(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            "print('once')\n"
            "from hwprune.workers.pool import WorkerPool\n"
            f"pool = WorkerPool.of_processes({SCORER!r}, dict(table=[5], folder=''), [[]])\n"
            "print(pool.call(0).result(60))\n"
        )
        path = os.pathsep.join(sys.path)
        words = [sys.executable, script]
        done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": path})
        assert done.stdout.split() == ["once", "5.0"], done.stderr

    def test_it_ends_with_the_process_that_made_it(self, tmp_path):
        code = (
            "import os, signal; from hwprune.workers.pool import WorkerPool\n"
            f"pool = WorkerPool.of_processes({SCORER!r}, dict(table=[5], folder=''), [[]])\n"
            "print(pool.call('where').result(60)[0], flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        env = {"PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, "-c", code]
        wait_for_end(int(subprocess.run(words, stdout=subprocess.PIPE, env=env).stdout))


@pytest.mark.usefixtures("cluster")
class TestCluster(PoolContract):
    def make(self, factory, arguments, count=1):
        return WorkerPool.of_cluster(factory, arguments, count)


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

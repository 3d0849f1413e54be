"""The worker of a board: what it makes of canaries that fail, over a session that is scripted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import pytest

from hwprune.board import this_machine
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.farm import recovery
from hwprune.farm.answers import Outcome
from hwprune.farm.batch import Batch, Loss
from hwprune.farm.board_pool import BoardPool
from hwprune.farm.board_worker import BoardWorker
from hwprune.farm.session import BoardSession
from hwprune.farm.store import ReadingStore
from hwprune_device.job import Job
from hwprune_device.reading import Failure, Reading
from tests.farm.base import base_network
from tests.farm.test_faults import until
from tests.readings import reading

BOARD = this_machine()
CANARIES = (Candidate(widths=(15, 16, 16)), Candidate(widths=(16, 16, 16)))


class ScriptedSession:
    """A board whose candidates read well, and whose canaries do what they are set to."""

    def __init__(self, canaries: Sequence[str]) -> None:
        self._canaries = canaries
        self.mood = "right"
        self.canaries = 0

    def measure(self, job: Job, base: BaseNetwork) -> Batch:
        if self.mood == "lost":
            self.mood = "fails"
            return Batch.lost(job, Loss(message="the link was cut"), {})
        outcomes = tuple(self._outcome(name) for name in job.architectures)
        return Batch(outcomes=outcomes, timings={})

    def close(self) -> None:
        pass

    def _outcome(self, name: str) -> Outcome:
        mood = self.mood if name in self._canaries else "right"
        self.canaries += name in self._canaries
        if mood == "fails":
            return Failure(stage="crash", message="it crashed", architecture=name)
        latency_ms = 12.0 if mood == "off" else 10.0
        return reading(latency_ms, reading_id=uuid.uuid4().hex, architecture=name)


@pytest.fixture
def pool(tmp_path, monkeypatch) -> Iterator[BoardPool]:
    """Boards of a kind whose canaries are known, and whose nominal time is calibrated."""
    monkeypatch.setattr(recovery, "_PAUSES_S", (0.01,))
    store = ReadingStore(tmp_path / "readings.sqlite")
    pool = BoardPool([BOARD], store, "typical")
    pool.place(base_network())
    pool.calibrated(BOARD.name, 20.0)
    for canary in CANARIES:
        pool.canaries.learn(pool.key_of(canary), canary, [reading(10.0)])
    yield pool
    store.close()


@pytest.fixture
def worker(pool) -> Iterator[BoardWorker]:
    worker = BoardWorker(BOARD, pool)
    worker.session = ScriptedSession([pool.key_of(canary).architecture for canary in CANARIES])
    worker.serve(reached=True)
    yield worker
    pool.queue.close("over")
    worker.close()


def measured(pool: BoardPool, firsts: Sequence[int]) -> list[Outcome]:
    """Outcomes of a batch that is large enough for a canary."""
    asked = [Candidate(widths=(first, 16, 16)) for first in firsts]
    futures = [pool.queue.join(pool.key_of(candidate), candidate) for candidate in asked]
    return [future.result(10) for future in futures]


def drift(pool: BoardPool, worker: BoardWorker) -> None:
    worker.session.mood = "off"
    while worker.record.watch.alarms < 2:
        measured(pool, range(4, 8))
    until(lambda: worker.record.state == "quarantined")


def test_a_board_whose_canary_fails_stays_in_quarantine(pool, worker):
    drift(pool, worker)
    worker.session.mood = "fails"
    candidate = Candidate(widths=(12, 16, 16))
    future = pool.queue.join(pool.key_of(candidate), candidate)
    taken = worker.session.canaries
    until(lambda: worker.session.canaries > taken + 3)
    assert not future.done()
    worker.session.mood = "right"
    assert isinstance(future.result(10), Reading)


def test_a_board_that_was_lost_in_quarantine_is_still_in_it_when_it_is_back(pool, worker):
    with BoardSession(BOARD) as session:
        pool.conditions_key = session.conditions_key
    drift(pool, worker)
    worker.session.mood = "lost"
    until(lambda: worker.session.mood == "fails")
    taken = worker.session.canaries
    until(lambda: worker.session.canaries > taken)
    assert pool.deserted_s() > 0


def test_what_was_read_beside_a_canary_that_failed_is_doubted_when_the_board_drifts(pool, worker):
    worker.session.mood = "fails"
    good = measured(pool, range(8, 12))
    assert all(isinstance(outcome, Reading) and not outcome.doubts for outcome in good)
    drift(pool, worker)
    # They are doubted one after another once the board is in quarantine.
    until(lambda: not any(pool.store.get(pool.key(outcome.architecture)) for outcome in good))

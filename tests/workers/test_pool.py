"""Scorer processes: order, faults, and what they may use."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hwprune.farm.scorers import ScorerPool

from hwprune_device.reading import Failure

TABLE = np.arange(100) / 100


@pytest.fixture(scope="module")
def pool(cluster, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("scorers"))
    arguments = {"table": TABLE, "folder": folder}
    last = sorted(os.sched_getaffinity(0))[-1]
    pool = ScorerPool("tests.farm.scoring:make_scorer", arguments, count=1, cores=[last])
    yield pool
    pool.close()


def test_items_get_their_own_answers(pool):
    futures = [pool.submit(item) for item in range(50)]
    assert [future.result(60) for future in futures] == list(TABLE[:50])


def test_a_process_keeps_to_its_core_and_one_thread(pool):
    _, cores, threads = pool.submit("where").result(60)
    assert cores == [sorted(os.sched_getaffinity(0))[-1]]
    assert threads == "1"


def test_an_item_that_raises_is_a_failure_and_the_pool_lives(pool):
    wrong, right = pool.submit("raise"), pool.submit(1)
    failure = wrong.result(60)
    assert isinstance(failure, Failure)
    assert failure.stage == "run"
    assert "this item cannot be scored" in failure.message
    assert right.result(60) == 0.01


def test_a_process_that_dies_is_replaced_and_its_item_redone(pool):
    before = pool.submit("where").result(60)[0]
    assert pool.submit("die once").result(60) == "survived"
    assert pool.submit("where").result(60)[0] != before


def test_an_item_that_kills_every_process_is_a_failure(pool):
    failure = pool.submit("die").result(120)
    assert isinstance(failure, Failure)
    assert failure.stage == "lost"
    assert pool.submit(2).result(60) == 0.02


def test_a_factory_that_fails_is_told_for_every_item(cluster):
    for factory in ("tests.farm.scoring:make_nothing", "tests.farm.nowhere:make"):
        pool = ScorerPool(factory, {"images": 1}, count=1)
        failure = pool.submit(1).result(60)
        assert isinstance(failure, Failure)
        assert failure.stage == "build"
        assert factory in failure.message
        pool.close()


def test_two_processes_share_the_items_and_closing_answers_the_rest(cluster, tmp_path):
    arguments = {"table": TABLE, "folder": str(tmp_path)}
    pool = ScorerPool("tests.farm.scoring:make_scorer", arguments, count=2)
    whom = {pool.submit("where").result(60)[0] for _ in range(1)}
    futures = [pool.submit(item % 100) for item in range(300)]
    pool.close()
    answers = [future.result(60) for future in futures]
    assert len(whom) == 1
    for item, answer in enumerate(answers):
        lost = isinstance(answer, Failure) and answer.stage == "lost"
        assert lost or answer == TABLE[item % 100]

"""A process that keeps to some cores does so with every thread that it has, and goes back."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from hwprune.affinity import kept_to

ALL = os.sched_getaffinity(0)
ONE = {max(ALL)}


def affinities() -> set[frozenset[int]]:
    threads = os.listdir("/proc/self/task")
    return {frozenset(os.sched_getaffinity(int(thread))) for thread in threads}


@pytest.fixture
def another_thread():
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield
    over.set()
    thread.join()


def test_threads_that_were_there_before_move_too(another_thread):
    np.ones((64, 64)) @ np.ones((64, 64))  # where BLAS has threads, they are there now
    with kept_to(ONE):
        assert affinities() == {frozenset(ONE)}
    assert affinities() == {frozenset(ALL)}


def test_blas_and_torch_have_a_thread_a_core():
    before = torch.get_num_threads()
    with kept_to(ONE):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert torch.get_num_threads() == before


def test_an_error_within_gives_the_cores_back(another_thread):
    with pytest.raises(KeyError), kept_to(ONE):
        raise KeyError
    assert affinities() == {frozenset(ALL)}

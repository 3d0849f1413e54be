"""A real farm: a supervisor, and a child for each batch."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from hwprune.board import this_machine
from hwprune.candidate import Candidate
from hwprune.errors import BoardError
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Failure, Reading
from tests.farm.base import base_network
from tests.farm.board_python import board_python
from tests.hwprune_device.networks import (
    CLASSES,
    LENGTH,
    WIDTH,
    heard_and_read,
    heard_and_read_inputs,
    signals,
)

BOARD = replace(
    this_machine(),
    protocol=Protocol(rounds=5, max_rounds=5, disturbed_rounds=1, precision_pct=50.0),
)


def candidates(*firsts: int) -> list[Candidate]:
    return [Candidate(widths=(first, 16, 16)) for first in firsts]


def key_of(farm: Farm, first: int):
    return farm._pool.key_of(candidates(first)[0])


def results(futures) -> list:
    return [future.result(timeout=120) for future in futures]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = ReadingStore(tmp_path_factory.mktemp("farm") / "readings.sqlite")
    yield store
    store.close()


@pytest.fixture(scope="module")
def farm(store):
    farm = Farm([BOARD], store)
    farm.start()
    farm.place(base_network())
    yield farm
    farm.close()


def test_all_readings_of_a_run_share_one_calibrated_base(farm):
    base = farm.calibrate()
    assert isinstance(base, Reading)
    assert base.latency_ms == base.base_nominal_ms
    assert base.ratio == 1.0
    small, large = results(farm.measure(candidates(4, 16)))
    assert small.base_nominal_ms == large.base_nominal_ms == base.base_nominal_ms
    assert small.latency_ms == pytest.approx(small.ratio * base.base_nominal_ms)
    unpruned = Candidate(widths=base_network().widths)
    served = results(farm.measure([unpruned]))[0]
    # A doubted reading is never served: on a restless machine it is taken again.
    assert base.doubts or served == base


def test_nothing_is_measured_twice(farm, store):
    both = farm.measure([*candidates(5, 6), *candidates(5, 6)])
    first, second, again, too = results(both)
    assert (first, second) == (again, too)
    kept = [len(store.readings(key_of(farm, n))) for n in (5, 6)]
    if first.doubts or second.doubts:
        return  # on a restless machine: doubted readings are taken again, and that is meant
    start = time.monotonic()
    served = results(farm.measure(candidates(5, 6)))
    assert time.monotonic() - start < 0.1
    assert [r.architecture for r in served] == [first.architecture, second.architecture]
    assert [len(store.readings(key_of(farm, n))) for n in (5, 6)] == kept


def test_a_burst_is_measured_in_one_batch_and_more_than_sixteen_in_two(farm):
    burst = results(farm.measure([Candidate(widths=(8, n, 8)) for n in range(1, 21)]))
    # Sixteen and a canary or two; what was doubted once is in a batch of its own.
    sizes = [reading.conditions["candidates_in_batch"] for reading in burst]
    assert max(sizes) <= 18 and len({reading.batch_id for reading in burst}) >= 2


def test_a_candidate_that_cannot_be_cut_fails_alone(farm, store):
    wrong, right = results(farm.measure([Candidate(widths=(99, 1, 1)), *candidates(7)]))
    assert isinstance(wrong, Failure) and wrong.stage == "cut"
    assert isinstance(right, Reading)


def test_fresh_readings_come_from_processes_of_their_own_and_are_kept(farm, store):
    (candidate,) = candidates(9)
    outcomes = farm.remeasure(candidate, 3)
    assert all(isinstance(outcome, Reading) for outcome in outcomes)
    assert len({outcome.batch_id for outcome in outcomes}) == 3
    served = results(farm.measure([candidate]))[0]
    assert all(outcome.doubts for outcome in outcomes) or served in outcomes


def test_the_board_runs_a_network_with_its_weights(farm):
    inputs = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    (output,) = farm.run_network(base_network().onnx, [inputs])
    assert output.shape == (2, 10)
    with pytest.raises(BoardError):
        farm.run_network(b"no network", [inputs])


def test_the_board_gives_all_outputs_for_all_inputs_however_often(farm):
    model, inputs = heard_and_read(), heard_and_read_inputs(3)
    first, again = farm.run_network(model, inputs), farm.run_network(model, inputs)
    assert [output.shape for output in first] == [(3, CLASSES), (3,), (3, WIDTH, LENGTH)]
    assert np.array_equal(first[0].argmax(1), first[1])
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)
    (other,) = farm.run_network(signals(), inputs[:1])
    assert other.shape == (3, CLASSES)


def test_a_runtime_without_engines_gives_none(farm):
    assert farm.engine(base_network().onnx, [np.zeros((1, 3, 16, 16), np.float32)]) is None


def test_the_timetable_adds_up(farm):
    results(farm.measure(candidates(10, 11)))
    times = farm.timings()
    assert {"send", "cut", "build", "warm", "time", "idle", "busy_share"} <= set(times)
    assert 0 < times["busy_share"] <= 1
    assert times["time"] > times["cut"] > 0


def test_a_second_run_finds_the_calibration_and_the_readings(farm, store):
    (first,) = results(farm.measure(candidates(4)))
    second = Farm([BOARD], store)
    second.start()
    second.place(base_network())
    try:
        assert second.calibrate().base_nominal_ms == first.base_nominal_ms
        served = results(second.measure(candidates(4)))
        assert first.doubts or served[0].architecture == first.architecture
        assert first.doubts or second.timings()["candidates"] == 0
    finally:
        second.close()


def test_whoever_waits_when_the_farm_closes_gets_a_failure(tmp_path):
    store = ReadingStore(tmp_path / "s.sqlite")
    farm = Farm([BOARD], store)
    farm.start()
    farm.place(base_network())
    futures = farm.measure(candidates(*range(1, 17)))
    farm.close()
    for outcome in results(futures):
        assert isinstance(outcome, Reading) or outcome.stage == "lost"
    store.close()


def test_boards_that_are_not_alike_are_not_one_kind(tmp_path):
    store = ReadingStore(tmp_path / "s.sqlite")
    other = replace(BOARD, name="other", target=replace(BOARD.target, batch=2))
    farm = Farm([BOARD, other], store)
    with pytest.raises(BoardError, match="not alike"):
        farm.start()
    farm.close()
    store.close()


def test_an_emulated_board_is_refused_in_words(store, tmp_path):
    farm = Farm([replace(BOARD, python=board_python(tmp_path, "emulated"))], store)
    with pytest.raises(BoardError, match="its times say nothing about hardware"):
        farm.start()
    farm.close()


@pytest.mark.heavy
def test_a_farm_of_boards_that_run_torch(tmp_path):
    target = Target(runtime="torch", options={"device": "cpu"})
    store = ReadingStore(tmp_path / "readings.sqlite")
    farm = Farm([replace(BOARD, target=target)], store)
    try:
        farm.start()
        farm.place(base_network())
        base = farm.calibrate()
        assert base.target["runtime"] == "torch"
        small, broken = results(farm.measure([*candidates(4), *candidates(99)]))
        assert isinstance(small, Reading) and small.ratio < 1
        assert small.base_nominal_ms == base.base_nominal_ms
        assert isinstance(broken, Failure) and broken.stage == "cut"
    finally:
        farm.close()
        store.close()

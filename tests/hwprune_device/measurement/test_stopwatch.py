"""Rounds: who is visited when, when they stop, and what a visit is."""

from __future__ import annotations

import time

import pytest

from hwprune_device.job import Protocol
from hwprune_device.measurement import stopwatch as stopwatch_module
from hwprune_device.measurement.marker import BASE
from hwprune_device.measurement.stopwatch import Lap, Stopwatch


def busy(milliseconds: float):
    """A run that computes for a given time."""

    def run() -> None:
        end = time.perf_counter_ns() + milliseconds * 1e6
        while time.perf_counter_ns() < end:
            pass

    return run


def stopwatch(count: int, notes: list[int], protocol: Protocol, **changes) -> Stopwatch:
    laps = {index: Lap(run=busy(0.01)) for index in range(count)}
    for lap in laps.values():
        lap.warm_up(protocol)
    fields = {"threads": 1, "seed": 7, "note": notes.append, "failed": pytest.fail, **changes}
    return Stopwatch(Lap(run=busy(0.01)), laps, protocol, **fields)


def test_every_round_visits_everybody_once_with_the_base_after_every_third():
    notes: list[int] = []
    rounds = stopwatch(7, notes, Protocol(rounds=4, max_rounds=4)).time()
    assert rounds == 4
    assert notes[0] == BASE
    one_round = len(notes[1:]) // 4
    orders = [notes[1 + r * one_round : 1 + (r + 1) * one_round] for r in range(4)]
    for order in orders:
        assert sorted(i for i in order if i != BASE) == list(range(7))
        assert [i for i, n in enumerate(order) if n == BASE] == [3, 7, 9]
    assert len({tuple(order) for order in orders}) > 1


def test_the_order_comes_from_the_seed():
    first, second, other = [], [], []
    for notes, seed in ((first, 1), (second, 1), (other, 2)):
        stopwatch(8, notes, Protocol(rounds=3, max_rounds=3), seed=seed).time()
    assert first == second != other


def test_each_visit_lies_between_two_base_visits():
    watch = stopwatch(5, [], Protocol(rounds=3, max_rounds=3))
    watch.time()
    for lap in watch.candidates.values():
        assert all(0 <= v.before < len(watch.base.visits) - 1 for v in lap.visits)


def test_a_short_visit_is_three_timed_runs_and_a_long_one_is_one():
    protocol = Protocol(short_ms=1.0)
    short, long = Lap(run=busy(0.2)), Lap(run=busy(2.0))
    for lap, count in ((short, 3), (long, 1)):
        lap.warm_up(protocol)
        lap.visit(0)
        assert len(lap.visits[0].wall_ms) == len(lap.visits[0].cpu_ms) == count
    assert long.visits[0].wall_ms[0] >= 2.0


def test_a_tiny_network_is_timed_over_several_inferences():
    lap = Lap(run=busy(0.002))
    lap.warm_up(Protocol())
    assert lap.loops > 5
    lap.visit(0)
    assert min(lap.visits[0].wall_ms) < 0.02


def test_rounds_go_on_while_a_ratio_is_not_precise_and_end_at_the_most():
    watch = stopwatch(2, [], Protocol(rounds=3, max_rounds=9, precision_pct=1e-9))
    assert watch.time() == 9
    watch = stopwatch(2, [], Protocol(rounds=3, max_rounds=9, precision_pct=1e9))
    assert watch.time() == 3


def test_no_round_starts_after_the_cap():
    watch = stopwatch(2, [], Protocol(rounds=10**6, max_rounds=10**6, cap_s=0.05))
    start = time.monotonic()
    assert watch.time() < 10**6
    assert time.monotonic() - start < 2


def test_a_candidate_that_raises_leaves_and_the_others_go_on():
    failed = []

    def broken() -> None:
        raise RuntimeError("no more")

    protocol = Protocol(rounds=2, max_rounds=2)
    watch = stopwatch(3, [], protocol, failed=lambda index, error: failed.append((index, error)))
    watch.candidates[1].run = broken
    watch.time()
    assert [index for index, _ in failed] == [1]
    assert sorted(watch.candidates) == [0, 2]
    assert all(len(lap.visits) == 2 for lap in watch.candidates.values())


def test_the_devices_clock_is_asked_once_after_every_timed_run():
    asked = iter(range(1, 100))
    lap = Lap(run=busy(0.2), device_ms=lambda: float(next(asked)))
    lap.warm_up(Protocol(warmup_runs=3))
    lap.visit(0)
    # Twice while warming up, and once for the run of the visit that is thrown away.
    assert lap.visits[0].device_ms == (4.0, 5.0, 6.0)
    assert min(lap.visits[0].wall_ms) >= 0.2


def test_a_visit_has_device_times_for_all_its_runs_or_none():
    told = iter([1.0, 1.0, 1.0, 2.0, None, 2.0])
    lap = Lap(run=busy(0.2), device_ms=lambda: next(told))
    lap.warm_up(Protocol(warmup_runs=3))
    lap.visit(0)
    assert lap.visits[0].device_ms == ()


def test_on_the_devices_clock_its_times_decide_when_rounds_end():
    protocol = Protocol(rounds=3, max_rounds=9, precision_pct=0.1)
    steady, restless = (lambda: 1.0), iter(range(1, 1000)).__next__
    for told, rounds in ((steady, 3), (restless, 9)):
        watch = stopwatch(2, [], protocol, clock="device")
        watch.base.device_ms = steady
        for lap in watch.candidates.values():
            lap.device_ms = told
        assert watch.time() == rounds


def test_a_candidate_whose_device_falls_silent_leaves():
    failed = []
    watch = stopwatch(
        2, [], Protocol(rounds=2, max_rounds=2), failed=lambda *who: failed.append(who)
    )
    watch.candidates[1].clock = "device"
    watch.time()
    assert [index for index, _ in failed] == [1] and "own clock" in str(failed[0][1])


def swinging(calm: list[bool]):
    """A base that takes 1 ms in its calm visits and 2 ms in the others, and a candidate that takes
    0.5 and 1.5 ms then: what slows both down is not borne alike."""
    at = iter(calm)
    now = [True]

    def base_ms() -> float:
        now[0] = next(at, True)
        return 1.0 if now[0] else 2.0

    return base_ms, lambda: 0.5 if now[0] else 1.5


def timed_beside(calm: list[bool], **changes) -> tuple[Stopwatch, int]:
    """A batch of one, on the device's clock, beside a base that is calm in these visits."""
    protocol = Protocol(rounds=4, max_rounds=8, disturbed_rounds=20, short_ms=0.0)
    watch = stopwatch(1, [], protocol, clock="device", **changes)
    base_ms, candidate_ms = swinging(calm)
    watch.base.short = watch.candidates[0].short = False
    watch.base.device_ms, watch.candidates[0].device_ms = base_ms, candidate_ms
    return watch, watch.time()


def test_rounds_go_on_until_enough_ran_beside_a_calm_base_and_those_alone_count():
    calm = [True, True, False, False, False, True, True, True, True]
    watch, rounds = timed_beside(calm, calm_ms=1.0)
    assert rounds == 8
    visits = watch.candidates[0].visits
    assert [v.before for v in visits] == [0, 5, 6, 7]
    assert {run for v in visits for run in v.device_ms} == {0.5}
    assert watch.base_visits() == [0, 1, 5, 6, 7, 8]


def test_a_base_that_does_not_calm_down_ends_the_batch_with_all_visits():
    watch, rounds = timed_beside([True] * 3 + [False] * 30, calm_ms=1.0)
    assert rounds == 20
    assert len(watch.candidates[0].visits) == 20


def test_a_board_that_is_never_calm_is_not_waited_for_beyond_its_usual_rounds(monkeypatch):
    monkeypatch.setattr(stopwatch_module, "_RESTLESS_S", 0.0)
    _, rounds = timed_beside([False] * 30, calm_ms=1.0)
    assert rounds == 8


def test_where_no_calm_time_is_known_every_visit_counts():
    watch, rounds = timed_beside([True, False] * 10)
    assert rounds == 8
    assert len(watch.candidates[0].visits) == 8

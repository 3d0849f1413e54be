"""Conditions: what selects a latency, and what speaks against a reading."""

from __future__ import annotations

import os
import time
from dataclasses import asdict

import pytest

from hwprune_device.conditions import (
    UNAVAILABLE,
    conditions_key,
    core_times,
    disturbance,
    fingerprint,
    state,
)
from hwprune_device.doubts import batch_doubts, ratio_doubts
from hwprune_device.estimate import Ratio
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Reading
from hwprune_device.runtimes.onnxrt.options import ONNXRT
from tests.hwprune_device.board import running
from tests.hwprune_device.chain import chain, job, plan
from tests.hwprune_device.recorded import jetson, laptop, raspberry_pi

CORES = tuple(sorted(os.sched_getaffinity(0)))[-1:]
RUNTIME = {"name": "onnxrt", "version": "1.32.0"}
TARGET = {"threads": 1}
CALM = {"other_cpu_share": 0.0, "steal_share": 0.0, "steal_s": 0.0}


def blanks(value: object) -> list[object]:
    if isinstance(value, dict):
        return [b for inner in value.values() for b in blanks(inner)]
    if isinstance(value, list):
        return [b for inner in value for b in blanks(inner)]
    return [value] if value is None or value == "" else []


def test_nothing_about_a_board_is_blank():
    board = {**fingerprint(CORES), **state(CORES)}
    assert blanks(board) == []
    assert board["cpu"]["model name"]


def test_the_key_changes_with_what_changes_latency_and_with_nothing_else():
    board = fingerprint(CORES)
    key = conditions_key(board, RUNTIME, TARGET)
    assert key == conditions_key({**board, "kernel": "other", "ram_mb": 1}, RUNTIME, TARGET)
    assert key == conditions_key({**board, "cores": [7]}, RUNTIME, TARGET)
    for changed in (
        conditions_key({**board, "governor": ["powersave"]}, RUNTIME, TARGET),
        conditions_key({**board, "pinned_mhz": [1000]}, RUNTIME, TARGET),
        conditions_key({**board, "cpu_flags": "0"}, RUNTIME, TARGET),
        conditions_key(board, {**RUNTIME, "version": "1.33.0"}, TARGET),
        conditions_key(board, RUNTIME, {"threads": 2}),
    ):
        assert changed != key


OTHER_OPTIONS = {
    "optimization": "none",
    "arena": False,
    "memory_pattern": False,
    "denormals": "keep",
    "execution": "parallel",
    "spinning": False,
    "provider": "OpenVINO",
}


def key_of(**options: object) -> str:
    target = Target(threads=2, options=options)
    return conditions_key(fingerprint(CORES), RUNTIME, asdict(target))


def test_every_option_has_readings_of_its_own():
    assert set(OTHER_OPTIONS) == set(ONNXRT.defaults) - {"provider_options", "fallback"}
    keys = [key_of()] + [key_of(**{name: value}) for name, value in OTHER_OPTIONS.items()]
    keys.append(key_of(provider="OpenVINO", provider_options={"num_streams": 2}))
    keys.append(key_of(provider="OpenVINO", fallback="refuse"))
    assert len(set(keys)) == len(keys)


def test_a_default_that_is_spelled_out_shares_the_readings_of_one_left_out():
    assert key_of(**ONNXRT.defaults) == key_of() == key_of(provider="CPUExecutionProvider")
    assert key_of(provider="openvino", provider_options={"a": 1, "b": "2"}) == key_of(
        provider_options={"b": 2, "a": "1"}, provider="OpenVINOExecutionProvider", arena=True
    )


def test_what_a_runtime_could_do_besides_and_readings_with_energy():
    board = fingerprint(CORES)
    key = conditions_key(board, RUNTIME, TARGET)
    assert conditions_key(board, {**RUNTIME, "providers": ["CUDA"]}, TARGET) == key
    assert conditions_key(board, RUNTIME, TARGET, energy=True) != key


def test_work_of_others_on_a_core_is_seen_and_own_work_is_not():
    before = core_times(CORES)
    start = time.process_time()
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    try:
        while time.process_time() - start < 0.3:
            pass
    finally:
        os.sched_setaffinity(0, affinity)
    after = core_times(CORES)
    used = time.process_time() - start
    whole = disturbance(before, after, 0.0, 1)["other_cpu_share"]
    rest = disturbance(before, after, used, 1)["other_cpu_share"]
    assert whole - rest > 0.2
    assert disturbance(None, after, 0.0, 1)["other_cpu_share"] == UNAVAILABLE


def doubts(**changes) -> list[str]:
    fields = {
        "clock": "thread_cpu",
        "threads": 1,
        "wall_excess": 0.0,
        "disturbance": CALM,
        "base_ms": [1.0] * 30,
        "base_off": 0.0,
        **changes,
    }
    return batch_doubts(**fields)


def test_a_busy_neighbour_is_no_doubt_on_the_thread_cpu_clock():
    busy = {**CALM, "other_cpu_share": 0.6}
    assert doubts(disturbance=busy, wall_excess=1.3) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clock": "wall", "threads": 2, "disturbance": {**CALM, "other_cpu_share": 0.2}}, "20%"),
        ({"disturbance": {**CALM, "steal_share": 0.03, "steal_s": 0.2}}, "hypervisor"),
        ({"base_ms": [1.0] * 10 + [1.1] * 10 + [1.2] * 10}, "drifted by +20%"),
        ({"clock": "wall", "base_ms": [1.0] * 10 + [1.1] * 20}, "drifted by +10%"),
        ({"base_off": 0.15}, "+15% off its calm time"),
    ],
)
def test_what_the_ratio_cannot_repair_is_a_doubt(changes, said):
    (doubt,) = doubts(**changes)
    assert said in doubt


def test_an_unknown_disturbance_is_no_doubt():
    unknown = dict.fromkeys(CALM, UNAVAILABLE)
    assert doubts(disturbance=unknown, clock="wall", threads=2) == []


def test_a_ratio_four_times_as_wide_as_wanted_is_a_doubt():
    wide = Ratio(value=1.0, low=0.9, high=1.1, base_ms=(1.0,))
    near = Ratio(value=1.0, low=0.97, high=1.03, base_ms=(1.0,))
    assert "±10.0 %" in ratio_doubts(wide, 40, Protocol())[0]
    assert ratio_doubts(near, 40, Protocol()) == []


def around(tmp_path, tree, before: dict, after: dict) -> list[str]:
    """What two states of a recorded board say against the readings between them."""
    states = [
        state((0,), tree(tmp_path / name, **changes))
        for name, changes in (("before", before), ("after", after))
    ]
    return doubts(disturbance={**CALM, "before": states[0], "after": states[1]})


def test_a_calm_board_gives_no_doubts(tmp_path):
    assert around(tmp_path, raspberry_pi, {}, {}) == []
    # What happened long before the batch is no reason to doubt it.
    old = {"flags": "50000"}
    assert around(tmp_path, raspberry_pi, old, old) == []
    assert around(tmp_path, laptop, {}, {}) == []


@pytest.mark.parametrize(
    ("tree", "before", "after", "said"),
    [
        (raspberry_pi, {"flags": "10001"}, {"flags": "10000"}, ["while it was timed", "voltage"]),
        (raspberry_pi, {}, {"flags": "60006"}, ["clock capped", "throttled"]),
        (raspberry_pi, {}, {"flags": "40000"}, ["during the batch", "throttled"]),
        (raspberry_pi, {"temp_c": 70.0}, {"temp_c": 78.4}, ["78 °C", "firmware", "80 °C"]),
        (jetson, {"temp_c": 99.5}, {"temp_c": 60.0}, ["cpu-thermal", "passive", "99 °C"]),
        (jetson, {"mode": 2}, {"mode": 0}, ["power mode changed", "MAXN_SUPER", "15W"]),
        (laptop, {"now": 800}, {"now": 2300}, ["2300 MHz", "2500 MHz", "92%"]),
    ],
)
def test_what_slowed_the_board_down_is_a_doubt_with_numbers(tmp_path, tree, before, after, said):
    (doubt,) = around(tmp_path, tree, before, after)
    assert all(part in doubt for part in said), doubt


def test_a_slow_clock_is_no_doubt_where_none_is_promised(tmp_path):
    slow = {"now": 400, "governor": "powersave"}
    assert around(tmp_path, laptop, slow, slow) == []


def test_throttling_that_was_counted_within_the_batch_is_a_doubt(tmp_path):
    before = state((0,), laptop(tmp_path))
    counter = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    counter.write_text("7\n")
    after = state((0,), tmp_path)
    (doubt,) = doubts(disturbance={**CALM, "before": before, "after": after})
    assert doubt == "the board counted thermal throttling of the core 3 times during the batch"


def test_a_readings_conditions_tell_what_the_gate_waited_for():
    with running() as board:
        board.place(chain(), plan())
        (reading,) = board.measure(job([(8, 8, 8)])).values()
    assert isinstance(reading, Reading)
    assert set(reading.conditions["gate"]) == {"waited_s", "for", "given_up"}

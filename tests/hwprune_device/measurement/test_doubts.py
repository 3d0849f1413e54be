"""Doubts: what speaks against the readings of a batch, and against a whole board."""

from __future__ import annotations

import pytest

from hwprune_device.conditions.surroundings import state
from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.estimate import Ratio
from hwprune_device.job import Protocol
from hwprune_device.measurement.doubts import batch_doubts, board_doubts, ratio_doubts
from tests.hwprune_device.recorded import jetson, laptop, raspberry_pi

CALM = {"other_cpu_share": 0.0, "steal_share": 0.0, "steal_s": 0.0}


def test_whatever_is_timed_on_an_emulated_board_is_doubted():
    (doubt,) = board_doubts({"machine": "aarch64", "emulated": True})
    assert doubt == "this board is emulated: its times say nothing about hardware"


@pytest.mark.parametrize("board", [{}, {"emulated": False}, {"emulated": "unavailable"}])
def test_a_board_that_is_real_or_does_not_tell_is_not(board):
    assert board_doubts(board) == []


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

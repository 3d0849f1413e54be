"""What the states of a GPU say against readings, in words."""

from __future__ import annotations

from typing import Any

import pytest

from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.measurement.gpu_doubts import gpu_doubts

CALM: dict[str, Any] = {
    "sm_mhz": 1980,
    "due_mhz": UNAVAILABLE,
    "highest_mhz": 1980,
    "temperature_c": 45,
    "slowdown_c": 87,
    "held_down_ms": {"power": 100.0, "heat": 7.0},
    "process_ids": [],
}


def seen(
    lowest: int = 1965, median: int = 1980, highest: int = 1980, low: int = 0, **reasons: int
) -> dict[str, Any]:
    clocks = {"lowest": lowest, "median": median, "highest": highest}
    named = {name.replace("_", " "): count for name, count in reasons.items()}
    return {"looks": 40, "sm_mhz": clocks, "low_looks": low, "reasons": named}


def doubts(before: dict | None = None, after: dict | None = None, between: dict | None = None):
    after = {**CALM, "process_ids": [8], **(after or {})}
    return gpu_doubts({**CALM, **(before or {})}, after, seen() if between is None else between)


def test_a_calm_gpu_gives_no_doubt():
    assert doubts() == []


def test_nothing_is_doubted_where_nothing_is_told():
    assert gpu_doubts({}, {}, {}) == []
    silent = dict.fromkeys(CALM, UNAVAILABLE)
    assert gpu_doubts(silent, silent, {"looks": 0}) == []


@pytest.mark.parametrize(
    ("said", "states"),
    [
        ("another process computed on the GPU when the batch began (number 41)",
         {"before": {"process_ids": [41]}}),
        ("2 processes computed on the GPU", {"after": {"process_ids": [8, 41]}}),
        ("at 85 °C and slows itself down from 87 °C", {"after": {"temperature_c": 85}}),
        ("held down for heat for 3 ms", {"after": {"held_down_ms": {"heat": 10.0}}}),
        ("can run at 1980 MHz (17%)", {"between": seen(345, 345, 345)}),
        ("far below its 1980 MHz in 9 of 40 looks", {"between": seen(900, 1980, 1980, low=9)}),
        ("at its power limit, and its clock moved between 1500 and 1980 MHz",
         {"between": seen(1500, 1700, 1980, power_cap=30)}),
        ("pinned to 1020 MHz (60%)",
         {"after": {"due_mhz": 1020, "highest_mhz": 1020}, "between": seen(612, 612, 612)}),
    ],
)  # fmt: skip
def test_what_speaks_against_a_reading_is_said(said: str, states: dict[str, Any]):
    (doubt,) = doubts(**states)
    assert said in doubt


def test_heat_that_looks_saw_is_told_once():
    between = seen(1300, 1500, 1980)
    between["reasons"] = {"heat, by the driver": 20}
    (doubt,) = doubts(between=between, after={"held_down_ms": {"heat": 900.0}})
    assert "in 20 of 40 looks: heat, by the driver" in doubt


def test_a_steady_power_cap_is_how_a_gpu_runs():
    assert doubts(between=seen(1695, 1710, 1725, power_cap=40)) == []


def test_a_moment_between_two_networks_is_no_doubt():
    assert doubts(between=seen(1200, 1980, 1980, low=3)) == []


def test_a_free_clock_below_its_highest_is_no_doubt_while_it_holds_still():
    assert doubts(between=seen(1395, 1410, 1410)) == []

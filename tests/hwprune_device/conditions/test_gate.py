"""The gate: what it waits for, for how long, and what it says."""

from __future__ import annotations

from pathlib import Path

from hwprune_device.conditions.gate import Waited, obstacle, wait
from hwprune_device.reading import Reading
from tests.hwprune_device.board import running
from tests.hwprune_device.chain import chain, job, plan
from tests.hwprune_device.recorded import raspberry_pi


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def run(trees: list[Path], limit_s: float = 60.0) -> tuple[Waited, list[tuple[float, str]]]:
    """Wait on boards that are looked at one after another; the last one stays."""
    clock, told = Clock(), []
    left = list(trees)

    def look() -> str:
        return obstacle([0], left.pop(0) if len(left) > 1 else left[0])

    def tell(seconds: float, words: str) -> None:
        told.append((seconds, words))

    waited = wait(look, limit_s, tell, sleep=clock.sleep, clock=lambda: clock.now)
    return waited, told


def boards(folder: Path, *states: tuple[float, str]) -> list[Path]:
    return [
        raspberry_pi(folder / str(number), temp_c=temp_c, flags=flags)
        for number, (temp_c, flags) in enumerate(states)
    ]


def test_a_cool_board_is_not_waited_for(tmp_path):
    waited, told = run(boards(tmp_path, (50.0, "0")))
    assert waited == Waited() and told == []
    assert waited.to_json() == {"waited_s": 0.0, "for": "nothing", "given_up": False}


def test_a_hot_board_is_waited_for_until_it_is_five_degrees_below_its_trip_point(tmp_path):
    waited, told = run(boards(tmp_path, (79.0, "0"), (76.0, "0"), (75.0, "0")))
    assert waited.seconds == 2.0 and not waited.given_up
    assert "cpu-thermal 79.0 °C" in waited.text and "80 °C" in waited.text
    assert [seconds for seconds, _ in told] == [0.0, 1.0]


def test_a_throttled_board_is_waited_for(tmp_path):
    waited, _ = run(boards(tmp_path, (60.0, "40004"), (60.0, "40000")))
    assert waited.seconds == 1.0 and waited.text == "throttled"


def test_low_voltage_alone_is_not_waited_for(tmp_path):
    assert run(boards(tmp_path, (60.0, "10001")))[0] == Waited()


def test_a_board_that_stays_hot_is_given_up_at_the_limit(tmp_path):
    waited, told = run(boards(tmp_path, (79.0, "0")), limit_s=2.5)
    assert waited.given_up and waited.seconds == 2.5
    assert len(told) == 3


def test_a_limit_of_zero_does_not_even_look():
    def look() -> str:
        raise AssertionError

    assert wait(look, 0.0) == Waited()


def test_a_board_without_sensors_is_ready(tmp_path):
    assert obstacle([0], tmp_path) == ""


def test_a_readings_conditions_tell_what_the_gate_waited_for():
    with running() as board:
        board.place(chain(), plan())
        (reading,) = board.measure(job([(8, 8, 8)])).values()
    assert isinstance(reading, Reading)
    assert set(reading.conditions["gate"]) == {"waited_s", "for", "given_up"}

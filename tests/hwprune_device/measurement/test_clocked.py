"""Batches on a board whose device has a clock of its own."""

from __future__ import annotations

import pytest

from hwprune_device.job import Target
from hwprune_device.reading import Failure, Reading
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import WIDTHS, chain, job, name, plan
from tests.hwprune_device.measurement.clocked_board import SILENT, SILENT_LATE, STEP_MS

MAIN = ("-m", "tests.hwprune_device.measurement.clocked_board")
HALF = (8, 8, 8)


@pytest.fixture(scope="module")
def board():
    with running(MAIN) as board:
        board.place(chain(), plan())
        yield board


def measured(board: Board, *candidates: tuple[int, ...], latency: str) -> list[Reading | Failure]:
    target = Target(runtime="clocked", options={"latency": latency})
    outcomes = board.measure(job(candidates, target=target))
    return [outcomes[name(widths)] for widths in candidates]


def test_a_runtime_may_say_that_the_devices_time_is_the_latency(board: Board):
    reading, base = measured(board, HALF, WIDTHS, latency="device")
    assert isinstance(reading, Reading) and isinstance(base, Reading)
    assert reading.clock == base.clock == "device"
    assert reading.latency_ms == reading.device_ms == pytest.approx(8 * STEP_MS)
    assert base.latency_ms == pytest.approx(16 * STEP_MS)
    assert reading.ratio == pytest.approx(0.5)
    # What the caller waited is kept beside it, and it is something else.
    assert 0 < reading.wall_ms != reading.device_ms


def test_else_the_devices_time_is_kept_and_the_callers_is_the_latency(board: Board):
    (reading,) = measured(board, HALF, latency="host")
    assert isinstance(reading, Reading)
    assert reading.clock == "wall" and reading.latency_ms != reading.device_ms
    assert reading.device_ms == pytest.approx(8 * STEP_MS)
    (silent,) = measured(board, (SILENT, 8, 8), latency="host")
    assert isinstance(silent, Reading) and silent.device_ms is None


@pytest.mark.parametrize("width", [SILENT, SILENT_LATE])
def test_a_device_that_tells_no_time_fails_its_network_alone(board: Board, width: int):
    failure, other = measured(board, (width, 8, 8), HALF, latency="device")
    assert isinstance(failure, Failure) and failure.stage == "run"
    assert "the device's own clock" in failure.message
    assert isinstance(other, Reading)


def test_a_runtime_without_such_a_clock_reads_no_time_of_a_device(board: Board):
    (reading,) = board.measure(job([HALF])).values()
    assert isinstance(reading, Reading)
    assert reading.clock in ("wall", "thread_cpu") and reading.device_ms is None

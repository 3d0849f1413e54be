"""How many items are taken at a time, and to re-calibrate with."""

from __future__ import annotations

import pytest
import torch

from hwprune.task.items import at_once, calibration_of
from hwprune.task.task import Task


def count(task: Task) -> int:
    return sum(len(inputs[0]) for inputs in calibration_of(task))


def task_of(*shape: int, items: int = 400, calibration: int = 0) -> Task:
    def inputs(part: str, count: int) -> list[torch.Tensor]:
        return [torch.zeros(1, *shape).expand(16, *shape)] * (items // 16)

    return Task(inputs=inputs, calibration=calibration)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((3, 32, 32), 125), ((3, 224, 224), 8), ((1, 1600), 125), ((3, 64, 64), 32)],
)
def test_large_items_go_fewer_at_a_time(shape: tuple[int, ...], size: int) -> None:
    assert at_once((torch.zeros(2, *shape),)) == size


def test_all_inputs_of_a_network_count() -> None:
    assert at_once((torch.zeros(1, 40_000), torch.zeros(1, 10_000))) == 8


@pytest.mark.parametrize(
    ("shape", "items"), [((3, 32, 32), 250), ((3, 120, 160), 86), ((3, 320, 320), 64)]
)
def test_fewer_large_items_recalibrate(shape: tuple[int, ...], items: int) -> None:
    assert count(task_of(*shape)) == items


def test_a_task_that_says_how_many_is_heard() -> None:
    assert count(task_of(3, 320, 320, calibration=200)) == 200
    assert count(task_of(3, 320, 320, items=32)) == 32

"""A budget of energy: on a board that tells none the run ends before it searches."""

from __future__ import annotations

import os
import subprocess

import pytest

from hwprune.board import this_machine
from hwprune.deployment import load_deployment
from hwprune.pipeline.prepare import ENERGY_S, asked_for_energy
from hwprune_device.energy import find_sensor
from hwprune_device.job import Protocol, Target
from tests.pipeline.deployments import QUICKSTART, SMALL, command

LIMIT = "budget.energy_mj=80 %"


def test_a_board_is_asked_for_energy_only_where_the_budget_limits_it():
    plain = load_deployment(QUICKSTART)
    limited = load_deployment(QUICKSTART, [LIMIT])
    board = this_machine()
    assert asked_for_energy(plain, board) == board
    assert asked_for_energy(limited, board).protocol == Protocol(energy_s=ENERGY_S)


@pytest.mark.skipif(
    not isinstance(find_sensor(Target()), str), reason="this machine's energy can be read"
)
def test_without_a_sensor_the_run_ends_before_anything_is_searched(tmp_path):
    environment = {**os.environ, "HWPRUNE_STORE": str(tmp_path / "readings.sqlite")}
    sets = (*SMALL, "training.epochs=1", LIMIT)
    done = subprocess.run(
        command(tmp_path / "run", overrides=sets), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 4, done.stderr[-3000:]
    assert "the board has no energy sensor" in done.stderr
    assert not (tmp_path / "run" / "search").exists()

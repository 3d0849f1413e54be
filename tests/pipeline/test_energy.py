"""A budget of energy: on a board that tells none the run ends before it searches."""

from __future__ import annotations

import os
import subprocess

import pytest

from hwprune_device.job import Target
from hwprune_device.measurement.energy import find_sensor
from tests.pipeline.deployments import SMALL, command

LIMIT = "budget.energy_mj=80 %"


@pytest.mark.skipif(
    not isinstance(find_sensor(Target()), str), reason="this machine's energy can be read"
)
@pytest.mark.heavy
def test_without_a_sensor_the_run_ends_before_anything_is_searched(tmp_path):
    environment = {**os.environ, "HWPRUNE_STORE": str(tmp_path / "readings.sqlite")}
    sets = (*SMALL, "training.epochs=1", LIMIT)
    done = subprocess.run(
        command(tmp_path / "run", overrides=sets), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 4, done.stderr[-3000:]
    assert "the board has no energy sensor" in done.stderr
    assert not (tmp_path / "run" / "search").exists()

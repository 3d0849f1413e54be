"""Energy against a known power, and that a board without a sensor never gives a number."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from statistics import mean

import pytest

from hwprune_device.job import Target
from hwprune_device.measurement.energy import find_sensor, measure_energy
from hwprune_device.reading import Failure, Reading
from tests.hwprune_device.board import running
from tests.hwprune_device.chain import QUICK, WIDTHS, chain, job, name, plan
from tests.hwprune_device.measurement import troubled_board as trouble
from tests.hwprune_device.measurement.energetic_board import SYS, burning, ina3221, rapl

MAIN = ("-m", "tests.hwprune_device.measurement.energetic_board")
RUN_S = 0.005
CPU = Target()


class Sleeper:
    """An inference that takes some time and no work; counts itself."""

    def __init__(self, seconds: float = RUN_S) -> None:
        self.runs, self.spent_s, self._seconds = 0, 0.0, seconds

    def __call__(self) -> None:
        begin = time.monotonic()
        time.sleep(self._seconds)
        self.spent_s += time.monotonic() - begin
        self.runs += 1

    @property
    def run_ms(self) -> float:
        return self.spent_s / self.runs * 1e3


def test_a_counter_gives_power_times_the_time_of_an_inference(tmp_path):
    counter, run = rapl(tmp_path, "package-0", "0"), Sleeper()
    sensor = find_sensor(CPU, tmp_path)
    with burning(counter, watts=20.0):
        energy = measure_energy(sensor, run, 0.5)
    assert energy.energy_mj == pytest.approx(20.0 * run.run_ms, rel=0.1)
    for words in ("RAPL", "package-0", "idle power", "inferences without a pause"):
        assert words in energy.source


def test_a_counter_that_wraps_goes_on(tmp_path):
    whole_uj = 4_000_000
    counter = rapl(tmp_path, "package-0", "0", start_uj=whole_uj - 1_000_000, range_uj=whole_uj)
    run = Sleeper()
    sensor = find_sensor(CPU, tmp_path)
    with burning(counter, watts=20.0, range_uj=whole_uj):
        energy = measure_energy(sensor, run, 0.5)
    assert energy.energy_mj == pytest.approx(20.0 * run.run_ms, rel=0.1)


def test_packages_and_separate_memory_count_and_parts_of_a_package_do_not(tmp_path):
    counters = [rapl(tmp_path, *zone) for zone in (("package-0", "0"), ("dram", "0:1"))]
    parts = [rapl(tmp_path, *zone) for zone in (("core", "0:0"), ("psys", "1"))]
    sensor = find_sensor(CPU, tmp_path)
    sensor.start()
    for counter in (*counters, *parts):
        counter.write_text("3000")
    assert sensor.total_mj() == 6.0


def test_a_power_meter_is_added_up_over_time(tmp_path):
    ina3221(tmp_path, millivolts=5000, milliamperes=3000)
    run = Sleeper()
    energy = measure_energy(find_sensor(CPU, tmp_path), run, 0.5)
    assert energy.energy_mj == pytest.approx(15.0 * run.run_ms, rel=0.1)
    assert "VDD_IN" in energy.source


def test_a_power_that_changes_while_a_long_inference_runs_is_seen(tmp_path):
    amperes = ina3221(tmp_path, millivolts=5000, milliamperes=1000)
    new, spent_mj = amperes.with_suffix(".new"), []

    def run() -> None:
        for milliamperes in (3000, 1000):
            begin = time.monotonic()
            new.write_text(str(milliamperes))
            new.replace(amperes)
            time.sleep(0.05)
            spent_mj.append(5.0 * milliamperes * (time.monotonic() - begin))

    energy = measure_energy(find_sensor(CPU, tmp_path), run, 0.3)
    assert energy.energy_mj == pytest.approx(2 * mean(spent_mj), rel=0.15)


def test_the_supply_of_a_whole_board_comes_before_a_package(tmp_path):
    rapl(tmp_path, "package-0", "0")
    ina3221(tmp_path, millivolts=5000, milliamperes=1000)
    for target in (CPU, Target(options={"provider": "CUDA"})):
        assert "VDD_IN" in find_sensor(target, tmp_path).source


def test_a_counter_that_stands_still_gives_no_number(tmp_path):
    rapl(tmp_path, "package-0", "0")
    energy = measure_energy(find_sensor(CPU, tmp_path), Sleeper(), 0.1)
    assert energy.energy_mj is None
    assert "moved 0 times" in energy.source


def test_a_slow_network_runs_often_enough_to_be_told(tmp_path):
    counter, run = rapl(tmp_path, "package-0", "0"), Sleeper(0.05)
    with burning(counter, watts=20.0):
        energy = measure_energy(find_sensor(CPU, tmp_path), run, 0.1)
    assert energy.energy_mj == pytest.approx(20.0 * run.run_ms, rel=0.1)


def test_a_board_without_a_sensor_says_so(tmp_path):
    assert "no energy sensor" in find_sensor(CPU, tmp_path)
    ina3221(tmp_path, millivolts=5000, milliamperes=1000, label="VDD_SOC")
    assert "no energy sensor" in find_sensor(CPU, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_counter_for_root_alone_is_named(tmp_path):
    rapl(tmp_path, "package-0", "0").chmod(0)
    assert "cannot be read by this user" in find_sensor(CPU, tmp_path)


def test_a_counter_that_cannot_be_read_is_named(tmp_path):
    counter = rapl(tmp_path, "package-0", "0")
    counter.unlink()
    assert f"{counter} cannot be read by this user" in find_sensor(CPU, tmp_path)


def test_the_gpu_is_asked_for_what_runs_on_it(tmp_path):
    """A processor's counter says nothing of a GPU: without NVML there is no number."""
    rapl(tmp_path, "package-0", "0")
    found = find_sensor(Target(options={"provider": "CUDA"}), tmp_path)
    assert "GPU" in (found if isinstance(found, str) else found.source)


def test_looking_at_the_sensor_does_not_count_for_a_short_network(tmp_path):
    counter, run = rapl(tmp_path, "package-0", "0"), Sleeper(0.00005)
    sensor = find_sensor(CPU, tmp_path)
    with burning(counter, watts=20.0):
        energy = measure_energy(sensor, run, 0.5, 0.1)
    assert energy.energy_mj == pytest.approx(20.0 * run.run_ms, rel=0.2)


def test_a_board_reads_the_energy_of_every_candidate_after_its_rounds(tmp_path):
    counter = rapl(tmp_path, "package-0", "0")
    small, large = (4, 8, 8), (16, 32, 32)
    with running(MAIN, settings={SYS: str(tmp_path)}) as board, burning(counter, watts=30.0):
        board.place(chain(), plan())
        asked = job([small, large], protocol=replace(QUICK, energy_s=0.3))
        outcomes = board.measure(asked)
        assert board.done["timings"]["energy_s"] > 0.5
        unasked = board.measure(job([small]))[name(small)]
    for outcome in outcomes.values():
        assert isinstance(outcome, Reading)
        (inferences,) = re.findall(r"(\d+) inferences", outcome.energy_source)
        assert outcome.energy_mj * int(inferences) == pytest.approx(30.0 * 300, rel=0.2)
    assert outcomes[name(small)].energy_mj < outcomes[name(large)].energy_mj
    assert (unasked.energy_mj, unasked.energy_source) == (None, "")


def test_a_board_without_a_sensor_gives_readings_without_energy(tmp_path):
    with running(MAIN, settings={SYS: str(tmp_path)}) as board:
        board.place(chain(), plan())
        reading = board.measure(job([], protocol=replace(QUICK, energy_s=0.1)))[name(WIDTHS)]
    assert isinstance(reading, Reading)
    assert reading.energy_mj is None
    assert "no energy sensor" in reading.energy_source


def test_a_network_that_dies_while_its_energy_is_read_is_to_blame_alone(tmp_path):
    rapl(tmp_path, "package-0", "0")
    main = ("-m", "tests.hwprune_device.measurement.troubled_board")
    # Fails in its eighth run: after one round of a warm-up and timed runs, so in the energy pass.
    protocol = replace(QUICK, rounds=1, max_rounds=1, short_ms=0.0, warmup_runs=1, energy_s=0.2)
    with running(main, settings={SYS: str(tmp_path)}) as board:
        board.place(chain(), plan())
        bad, good = (trouble.CRASHES_LATE, 8, 8), (8, 8, 8)
        outcomes = board.measure(job([bad, good], protocol=protocol))
    assert isinstance(outcomes[name(bad)], Failure)
    assert "energy" in outcomes[name(bad)].message
    assert isinstance(outcomes[name(good)], Reading)

"""The GPU's state in the readings of a real supervisor, and in the key they are kept under."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwprune_device.conditions.fingerprint import conditions_key
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Reading
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import QUICK, WIDTHS, chain, job, plan
from tests.hwprune_device.conditions.gpu_board import LIBRARY
from tests.hwprune_device.conditions.nvml_library import H100, TOLD, library, needs_compiler

pytestmark = needs_compiler
MAIN = ("-m", "tests.hwprune_device.conditions.gpu_board")
ON_GPU = Target(runtime="trt")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> str:
    return library(tmp_path_factory.mktemp("nvml"))


def board(built: str, told: str):
    return running(MAIN, settings={LIBRARY: built, TOLD: told})


def reading(board: Board, target: Target = ON_GPU, protocol: Protocol = QUICK) -> Reading:
    board.place(chain(), plan())
    (found,) = board.measure(job([WIDTHS], target=target, protocol=protocol)).values()
    assert isinstance(found, Reading), found
    return found


def test_a_reading_on_a_gpu_has_its_states_and_the_looks_in_between(built):
    with board(built, H100) as there:
        found = reading(there)
        for state in ("before", "after"):
            assert found.conditions[state]["gpu"]["sm_mhz"] == 1980
            assert found.conditions[state]["gpu"]["power_limit_w"] == 700.0
        assert found.conditions["gpu_between"]["looks"] >= 1
        assert found.conditions["board"]["gpu"]["driver"] == "580.65.06"
        assert not [doubt for doubt in found.doubts if "GPU" in doubt]


def test_a_target_on_the_cpu_asks_nothing_of_the_gpu(built):
    with board(built, H100) as there:
        found = reading(there, Target())
        assert "gpu" not in found.conditions["before"]
        assert "gpu_between" not in found.conditions


def test_a_gpu_that_others_use_is_doubted(built):
    with board(built, H100.replace("processes=", "processes=4711")) as there:
        assert any("number 4711" in doubt for doubt in reading(there).doubts)


def test_a_hot_gpu_is_waited_for(built):
    hot = H100.replace("temperature=41", "temperature=84")
    with board(built, hot) as there:
        found = reading(there, protocol=replace(QUICK, gate_s=1.0))
        assert found.conditions["gate"]["given_up"] is True
        assert "slows down from 87 °C" in found.conditions["gate"]["for"]


def test_its_energy_is_the_gpu_s(built):
    with board(built, H100) as there:
        found = reading(there, protocol=replace(QUICK, energy_s=0.1))
        assert found.energy_mj and "NVML" in found.energy_source


def key(board: Board, target: dict) -> str:
    hello = board.hello.header
    runtime = hello["runtimes"][target["runtime"]]
    return conditions_key(hello["fingerprint"], runtime, {"threads": 1, **target})


def test_gpu_and_driver_select_the_readings_of_targets_that_run_there(built):
    with board(built, H100) as one, board(built, H100.replace("limit=7", "limit=3")) as other:
        assert key(one, {"runtime": "trt"}) != key(other, {"runtime": "trt"})
        assert key(one, {"runtime": "onnxrt"}) == key(other, {"runtime": "onnxrt"})
        torch = {"runtime": "torch"}
        assert key(one, torch) != key(other, torch)
        on_cpu = {"runtime": "torch", "options": {"device": "cpu"}}
        assert key(one, on_cpu) == key(other, on_cpu)


def test_the_supervisor_itself_never_loads_the_driver(built):
    with board(built, H100) as there:
        reading(there)
        assert built not in Path(f"/proc/{there.process.pid}/maps").read_text()


@pytest.mark.heavy
def test_two_boards_with_one_gpu_take_turns_on_different_cores(built, tmp_path):
    """Seen in the lock: while one measures, nobody else gets the GPU."""
    from hwprune_device.lease import lease

    with lease([90], lambda waited: None, gpu=True), board(built, H100) as there:
        there.place(chain(), plan())
        there.send({"kind": "measure", "job": job([WIDTHS], target=ON_GPU).to_json()})
        first = next(frame for frame in there._frames if frame.kind == "alive")
        assert first.header["waited_s"] > 0
    # Let go, the lease is anybody's again.
    with lease([91], lambda waited: None, gpu=True) as waited_s:
        assert waited_s < 30

"""What a GPU tells of itself through NVML's real calling convention, on a library built for it."""

from __future__ import annotations

import pytest

from hwprune_device.conditions import nvml
from hwprune_device.conditions.nvml import Gpu, NvmlCounter, find_gpu, open_gpu
from tests.hwprune_device.conditions.nvml_library import H100, TOLD, library, needs_compiler

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return library(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(built, monkeypatch):
    """A call that says what the driver tells from now on."""
    monkeypatch.setattr(nvml, "_LIBRARY", built)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    return lambda told: monkeypatch.setenv(TOLD, told)


def gpu() -> Gpu:
    found = open_gpu()
    assert isinstance(found, Gpu), found
    return found


def test_the_counter_of_the_only_gpu_is_millijoules_since_the_start(driver):
    driver("gpus=1")
    counter = find_gpu()
    assert isinstance(counter, NvmlCounter)
    counter.start()
    assert [counter.total_mj(), counter.total_mj()] == [250.0, 500.0]
    assert "without the host" in counter.source


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("gpus=2", "there are 2"),
        ("gpus=0", "there is none"),
        ("no_energy=1", "no energy counter"),
    ],
)
def test_what_cannot_be_told_for_sure_is_words_and_no_number(driver, told, said):
    driver(told)
    assert said in find_gpu()


def test_a_counter_that_falls_silent_is_an_error(driver):
    driver("")
    counter = find_gpu()
    driver("no_energy=1")
    with pytest.raises(OSError, match="does not tell"):
        counter.total_mj()


def test_a_machine_without_the_driver_says_so(monkeypatch):
    monkeypatch.setattr(nvml, "_LIBRARY", "libnvidia-ml-that-is-not-here.so.1")
    assert "there is no libnvidia-ml" in find_gpu()


def test_of_several_gpus_cuda_s_first_is_known_once_both_number_them_alike(driver, monkeypatch):
    driver("gpus=3")
    assert "there are 3" in open_gpu()
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert gpu().uuid.startswith("GPU-0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert gpu().uuid.startswith("GPU-2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert "there are 3" in open_gpu()
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert gpu().uuid.startswith("GPU-1")


def test_a_gpu_tells_what_it_is(driver):
    driver(H100)
    told = gpu()
    assert (told.name, told.driver, told.cuda) == ("NVIDIA H100 80GB HBM3", "580.65.06", "13.1")
    assert told.compute_capability == "9.0"
    assert told.memory_mb == pytest.approx(85520.8, abs=0.1)


def test_a_gpu_tells_how_it_is(driver):
    driver(H100.replace("processes=", "processes=41,977") + " heat_ns=2500000")
    told = gpu()
    assert (told.sm_mhz, told.highest_sm_mhz) == (1980, 1980)
    assert told.memory_mhz == 2619
    assert (told.temperature_c, told.slowdown_c) == (41, 87)
    assert (told.power_w, told.power_limit_w) == (120.5, 700.0)
    assert told.persistence is True and told.clock_reasons == 0
    assert told.process_ids == (41, 977)
    assert told.held_down_ms["power"] == 0.0


def test_what_a_gpu_does_not_tell_is_none(driver):
    driver("gpus=1")
    told = gpu()
    assert told.sm_mhz is told.temperature_c is told.power_w is told.persistence is None
    assert told.clock_reasons is None and told.process_ids is None and told.held_down_ms == {}


def test_older_drivers_call_the_reasons_of_a_clock_otherwise(tmp_path, driver, monkeypatch):
    monkeypatch.setattr(nvml, "_LIBRARY", library(tmp_path, "ClocksThrottleReasons"))
    driver("reasons=0x24")
    assert gpu().clock_reasons == 0x24

"""The GPU around a batch: a card through a built NVML, a Jetson's through its recorded kernel."""

from __future__ import annotations

import json

import pytest

from hwprune_device.conditions import gpu, nvml
from hwprune_device.conditions.gpu import GpuWatch, identity, reasons_of
from hwprune_device.conditions.gpu_presence import has_gpu, on_gpu
from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.job import Target
from tests.hwprune_device.conditions.nvml_library import H100, TOLD, library, needs_compiler
from tests.hwprune_device.recorded import jetson, laptop, write


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return library(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(built, monkeypatch):
    """A call that says what the driver tells from now on."""
    monkeypatch.setattr(nvml, "_LIBRARY", built)
    return lambda told: monkeypatch.setenv(TOLD, told)


@pytest.fixture
def without_pauses(monkeypatch):
    monkeypatch.setattr(gpu, "_LOOK_S", 0.0)


@needs_compiler
def test_a_card_s_state_is_plain_data_with_words(driver):
    driver(H100.replace("reasons=0", "reasons=0x24"))
    told = GpuWatch().state().to_json()
    assert json.loads(json.dumps(told)) == told
    assert told["sm_mhz"] == told["highest_mhz"] == 1980
    assert told["due_mhz"] == UNAVAILABLE
    assert told["reasons"] == ["power cap", "heat, by the driver"]
    assert told["process_ids"] == [] and told["persistence"] is True


@needs_compiler
def test_what_a_card_does_not_tell_is_unavailable(driver):
    driver("gpus=1")
    told = GpuWatch().state().to_json()
    assert set(told.values()) == {UNAVAILABLE}


@needs_compiler
@pytest.mark.parametrize(
    ("told", "said"),
    [
        (H100, ""),
        (H100.replace("temperature=41", "temperature=81"), ""),
        (H100.replace("temperature=41", "temperature=83"), "GPU 83 °C, slows down from 87 °C"),
        (H100.replace("reasons=0", "reasons=0x40"), "held down: heat, by the hardware"),
        (H100.replace("reasons=0", "reasons=0x4"), ""),
        ("gpus=1", ""),
    ],
)
def test_a_hot_or_slowed_gpu_is_waited_for(driver, told, said):
    driver(told)
    obstacle = GpuWatch().state().obstacle
    assert said in obstacle and bool(said) == bool(obstacle)


@needs_compiler
def test_glances_add_up_to_clocks_and_reasons(driver, without_pauses):
    driver(H100)
    watch = GpuWatch()
    for sm, reasons in ((1980, 0), (1980, 4), (1200, 0x24)):
        driver(H100.replace("sm=1980", f"sm={sm}").replace("reasons=0", f"reasons={reasons}"))
        watch.glance()
    seen = watch.seen()
    assert seen["sm_mhz"] == {"lowest": 1200, "median": 1980, "highest": 1980}
    assert seen["looks"] == 3 and seen["low_looks"] == 1
    assert seen["reasons"] == {"power cap": 2, "heat, by the driver": 1}


@needs_compiler
def test_a_second_glance_at_once_is_none(driver):
    driver(H100)
    watch = GpuWatch()
    watch.glance()
    watch.glance()
    assert watch.seen()["looks"] == 1


@needs_compiler
def test_a_card_is_known_by_what_selects_a_latency(driver):
    driver(H100)
    told = identity()
    assert told["name"] == "NVIDIA H100 80GB HBM3" and told["driver"] == "580.65.06"
    assert (told["memory_mb"], told["power_limit_w"]) == (85521, 700)


def test_a_machine_without_a_driver_has_no_gpu_to_watch(monkeypatch):
    monkeypatch.setattr(nvml, "_LIBRARY", "libnvidia-ml-that-is-not-here.so.1")
    with pytest.raises(LookupError, match="there is no libnvidia-ml"):
        GpuWatch()
    assert identity() is None


def test_a_jetson_s_gpu_is_never_asked_through_nvml(tmp_path, monkeypatch, without_pauses):
    monkeypatch.setattr(nvml, "_LIBRARY", None)  # CDLL(None) would be this very program
    root = jetson(tmp_path)
    watch = GpuWatch(root)
    state = watch.state()
    assert state.sm_mhz == state.due_mhz == state.highest_mhz == 1020
    assert state.memory_mhz == 3199 and state.temperature_c is None
    watch.glance()
    write(tmp_path, {"sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n"})
    watch.glance()
    assert watch.seen()["sm_mhz"] == {"lowest": 306, "median": 663, "highest": 1020}


def test_a_jetson_is_known_by_chip_release_and_clock(tmp_path):
    known = {"name": "integrated in tegra234", "driver": "L4T 36.4.3"}
    assert identity(jetson(tmp_path / "locked")) == {**known, "pinned_mhz": 1020}
    free = jetson(tmp_path / "free", locked=False)
    assert identity(free) == {**known, "pinned_mhz": "free"}


def test_a_board_has_a_gpu_where_its_driver_is(tmp_path):
    assert has_gpu(jetson(tmp_path / "j"))
    assert not has_gpu(laptop(tmp_path / "l"))
    assert has_gpu(write(tmp_path / "l", {"proc/driver/nvidia/version": "NVRM version: ..."}))


@pytest.mark.parametrize(
    ("target", "there", "absent"),
    [
        (Target(), False, False),
        (Target(options={"provider": "CUDAExecutionProvider"}), True, True),
        (Target(runtime="trt"), True, True),
        (Target(runtime="torch"), True, False),
        (Target(runtime="torch", options={"device": "cuda"}), True, True),
        (Target(runtime="torch", options={"device": "cpu"}), False, False),
    ],
)
def test_a_target_says_whether_it_runs_on_the_gpu(target, there, absent):
    assert on_gpu(target, present=True) is there
    assert on_gpu(target, present=False) is absent


def test_bits_are_told_in_words():
    assert reasons_of(None) is None and reasons_of(0x1) == ()
    assert reasons_of(0x88) == ("hardware slowdown", "power brake")

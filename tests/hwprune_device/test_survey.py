"""The survey: one frame that holds all there is to know, on any Python and on any board."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwprune_device.conditions import hardware
from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.frame import FrameDecoder
from tests.hwprune_device.board import ROOT
from tests.hwprune_device.recorded import jetson, program, raspberry_pi, write
from tests.hwprune_device.strangers import needs_mounts, python_with_read_only

USUAL = ("onnxruntime", "tensorrt")
START = f"from hwprune_device.survey import main; main(*{USUAL})"


def look(interpreter: str = sys.executable, **environment: str) -> dict:
    """The survey of this machine by an interpreter of its own."""
    done = subprocess.run(
        [interpreter, "-c", START],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "devices"), **environment},
    )
    decoder = FrameDecoder()
    (frame,) = list(decoder.feed(done.stdout))
    decoder.finish()
    assert frame.kind == "survey"
    return dict(frame.header)


def test_this_machine_is_surveyed_whole():
    found = look()
    assert found["python"]["new_enough"] is True
    for name in ("numpy", "onnx", "onnxruntime"):
        assert found["packages"][name]["imports"] is True
        assert found["packages"][name]["version"][0].isdigit()
    assert "CPUExecutionProvider" in found["packages"]["onnxruntime"]["providers"]
    assert found["memory_mb"]["ram"] > 100
    assert found["disk_free_mb"]["home"] > 0
    assert found["processor"]["cores"] >= 1
    assert found["emulated"] is False
    assert found["clock"] > 1.7e9


def test_a_package_that_talks_or_breaks_while_it_is_imported_is_told_of(tmp_path):
    (tmp_path / "onnx.py").write_text("print('hello'); __version__ = '9.9'\n")
    (tmp_path / "numpy.py").write_text("raise OSError('libblas.so.3: not found')\n")
    (tmp_path / "tensorrt.py").write_text("import os; os.kill(os.getpid(), 11)\n")
    (tmp_path / "onnxruntime.py").write_text("import a_part_that_is_missing\n")
    path = os.pathsep.join([str(ROOT / "devices"), str(tmp_path)])
    packages = look(PYTHONPATH=path)["packages"]
    assert packages["onnx"] == {"imports": True, "version": "9.9"}
    assert packages["numpy"]["imports"] is False and "libblas" in packages["numpy"]["error"]
    assert packages["tensorrt"]["error"] == "importing it ended the process with signal 11"
    assert "a_part_that_is_missing" in packages["onnxruntime"]["error"]


def older_python() -> str:
    """A Python before 3.10, where one is installed."""
    places = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep)]
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    places += sorted((root / "versions").glob("3.*/bin"))
    for minor in range(6, 10):
        for place in places:
            found = shutil.which(f"python3.{minor}", path=str(place))
            if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
                return found
    pytest.skip("no Python older than 3.10 is installed here")


def test_a_python_that_is_too_old_still_says_so():
    found = look(older_python())
    assert found["python"]["new_enough"] is False
    assert found["python"]["version"].startswith("3.")
    assert found["python"]["least"] == "3.10"


def survey_hardware(root: Path) -> dict:
    return {name: one() for name, one in hardware.probes(root).items()}


def test_a_raspberry_pi_is_known_by_its_files(tmp_path):
    found = survey_hardware(raspberry_pi(tmp_path, flags="50000"))
    assert found["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert found["soc"] == "raspberrypi,4-model-b brcm,bcm2711"
    assert found["processor"]["name"] == "Arm implementer 0x41, part 0xd08"
    assert found["processor"]["cores"] == 4
    assert found["clusters"] == [{"cores": [0, 1, 2, 3], "capacity": UNAVAILABLE, "max_mhz": 1500}]
    assert found["memory_mb"] == {"ram": 3977, "available": 3481, "swap": 104}
    assert found["clocks"]["governors"] == ["ondemand"]
    assert found["throttling"]["since_boot"] == ["under-voltage", "throttled"]
    assert found["gpu"] == UNAVAILABLE
    assert hardware.os_name(tmp_path) == "Debian GNU/Linux 12 (bookworm)"


def test_a_jetson_tells_of_its_mode_its_gpu_and_its_rails(tmp_path):
    jetson(tmp_path)
    monitor = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon2"
    write(tmp_path, {f"{monitor}/in1_label": "VDD_IN\n", f"{monitor}/in2_label": "VDD_CPU\n"})
    found = survey_hardware(tmp_path)
    assert found["power_mode"]["nvpmodel"] == "MAXN_SUPER"
    assert found["gpu"] == "integrated in tegra234"
    assert found["gpu_driver"]["driver"] == "L4T 36.4.3"
    assert found["energy_sensors"]["ina3221"] == ["VDD_IN", "VDD_CPU"]
    assert found["energy_sensors"]["nvidia_smi"] is False


def test_a_card_is_named_by_nvidia_smi(tmp_path):
    program(tmp_path, "nvidia-smi", "NVIDIA RTX A4000")
    assert hardware.gpu(tmp_path) == "NVIDIA RTX A4000"


def test_an_empty_machine_is_unavailable_everywhere_and_breaks_nothing(tmp_path):
    found = survey_hardware(tmp_path)
    assert found["model"] == found["soc"] == found["gpu"] == UNAVAILABLE
    assert found["memory_mb"] == dict.fromkeys(("ram", "available", "swap"), UNAVAILABLE)
    assert found["throttling"] == UNAVAILABLE
    assert found["thermal_zones"] == []


@needs_mounts
def test_a_temporary_folder_that_cannot_be_written_is_told(tmp_path):
    found = look(python_with_read_only(tmp_path, "/tmp", "/var/tmp"))["disk_free_mb"]
    assert found["home"] > 0 and found["tmp"] == UNAVAILABLE

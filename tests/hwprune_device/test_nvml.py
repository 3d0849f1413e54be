"""The GPU's energy counter through NVML's real calling convention, on a library built for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hwprune_device import nvml
from hwprune_device.nvml import NvmlCounter, find_gpu

COMPILER = shutil.which("cc") or shutil.which("gcc")
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="no C compiler to build a driver with"
)
SOURCE = """
static unsigned long long used = 5000;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = GPUS; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{ *device = (void *) 0x7000000000000001; return index; }
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy)
{
    if (device != (void *) 0x7000000000000001) return 2;
    *energy = used += 250;
    return CODE;
}
"""


def driver(folder: Path, *, gpus: int = 1, code: int = 0) -> str:
    """A shared library that answers as NVIDIA's driver would with so many GPUs."""
    (folder / "nvml.c").write_text(SOURCE)
    library = folder / "libnvidia-ml.so.1"
    options = [f"-DGPUS={gpus}", f"-DCODE={code}", "-shared", "-fPIC"]
    subprocess.run([COMPILER, *options, "-o", library, folder / "nvml.c"], check=True)
    return str(library)


@needs_compiler
def test_the_counter_of_the_only_gpu_is_millijoules_since_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(nvml, "_LIBRARY", driver(tmp_path))
    counter = find_gpu()
    assert isinstance(counter, NvmlCounter)
    counter.start()
    assert [counter.total_mj(), counter.total_mj()] == [250.0, 500.0]
    assert "without the host" in counter.source


@needs_compiler
@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"gpus": 2}, "there are 2"),
        ({"gpus": 0}, "there are 0"),
        ({"code": 3}, "no energy counter"),
    ],
)
def test_what_cannot_be_told_for_sure_is_words_and_no_number(tmp_path, monkeypatch, made, said):
    monkeypatch.setattr(nvml, "_LIBRARY", driver(tmp_path, **made))
    assert said in find_gpu()


def test_a_machine_without_the_driver_says_so(monkeypatch):
    monkeypatch.setattr(nvml, "_LIBRARY", "libnvidia-ml-that-is-not-here.so.1")
    assert "there is no libnvidia-ml" in find_gpu()

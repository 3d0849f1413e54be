"""The scratch folder of a network: gone with its process, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from hwprune_device.runtimes.scratch import scratch
from tests.hwprune_device.board import ROOT
from tests.hwprune_device.strangers import needs_mounts, python_with_read_only

CODE = """
import sys
from hwprune_device.runtimes.scratch import scratch
folder = scratch(1000)
print(folder.name, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_uses_is_not():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "devices")}
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", CODE],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    killed, living = (Path(process.stdout.readline().strip()) for process in pair)
    (killed / "optimised.onnx").write_bytes(bytes(1000))
    pair[0].send_signal(signal.SIGKILL)
    pair[0].wait()
    assert killed.is_dir() and living.is_dir()
    with scratch(1000) as own:
        assert not killed.exists() and living.is_dir() and Path(own).is_dir()
    assert not Path(own).exists()
    pair[1].communicate()
    assert not living.exists()


def scratch_where_read_only(folder: Path, *places: str) -> str:
    done = subprocess.run(
        [python_with_read_only(folder, *places), "-c", CODE],
        env={**os.environ, "PYTHONPATH": str(ROOT / "devices")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


@needs_mounts
def test_without_a_disk_it_lies_in_memory_and_without_either_the_error_names_both(tmp_path):
    assert scratch_where_read_only(tmp_path, "/tmp", "/var/tmp").startswith("/dev/shm/hwprune-")
    said = scratch_where_read_only(tmp_path, "/tmp", "/var/tmp", "/dev/shm")
    assert said.rstrip().endswith(
        "no temporary folder can be written: /dev/shm: Read-only file system"
    )

"""The scratch folder of a network: gone with its process, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from hwprune_device.runtimes.scratch import scratch
from tests.hwprune_device.board import ROOT

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

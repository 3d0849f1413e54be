"""A Dataset of 200,000 images of 224 x 224: memory does not grow with it, nor does the start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SETS = """
import multiprocessing

import numpy as np
import torch
from torch.utils.data import Dataset

READ = multiprocessing.Value("l", 0)


class Made(Dataset):
    def __init__(self, count):
        self.count = count
        self.targets = torch.arange(count) % 10

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        with READ.get_lock():
            READ.value += 1
        pixels = np.random.default_rng(index).integers(0, 256, (3, 224, 224), dtype=np.uint8)
        return torch.from_numpy(pixels), int(self.targets[index])


def sets():
    return Made(200_000), Made(10_000)
"""
SCRIPT = """
import json, sys
from pathlib import Path

import torch
from torch import nn

from hwprune.data_settings import DataSettings
from hwprune.task.load import load_task
from hwprune.task.scoring import score_of
from hwprune.task_settings import TaskSettings

torch.set_num_threads(1)
task = load_task(TaskSettings(), DataSettings(source=sys.argv[1] + ":sets", workers=2)).task
read = sys.modules["hwprune_user_large"].READ
started = read.value
calibration = torch.cat([inputs[0] for inputs in task.inputs("calibration", 250)])


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 8, 7, stride=8), nn.Linear(8, 10)

    def forward(self, images):
        return self.head(self.first(images.float() / 255).relu().mean((2, 3)))


network = Tiny().eval()
found = score_of(task, torch.inference_mode()(network.forward), "heldout")
again = score_of(task, torch.inference_mode()(network.forward), "heldout")
print(json.dumps({
    "name": task.name,
    "started": started,
    "calibration": list(calibration.shape),
    "scored": len(found.items),
    "same": found.value == again.value,
    # Not ru_maxrss: a child of a large process inherits that one's peak.
    "peak_mb": int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024,
}))
"""


@pytest.mark.heavy
def test_memory_stays_under_2500_mb_and_the_start_does_not_read_the_set(tmp_path: Path):
    file = tmp_path / "large.py"
    file.write_text(SETS)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found["name"] == "classification" and found["same"]
    assert found["calibration"] == [250, 3, 224, 224] and found["scored"] == 1000
    assert found["started"] < 200
    assert found["peak_mb"] < 2500

"""Real data and small networks that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.finetune.trainer import train
from hwprune.network.execution import EXACT, Execution
from hwprune.network.source import load_network
from hwprune.network.trace import trace
from hwprune.recipe import Recipe
from hwprune.task.data import Data, load_data
from hwprune.task.kinds import classification
from hwprune.task.scoring import score_of
from hwprune.task.task import Part, Task
from tests.once import once

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
CIFAR = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@lru_cache(maxsize=1)
def digit_data() -> Data:
    """Scans of handwritten digits, split."""
    return load_data("sklearn:digits", heldout=300, augment="shift")


@lru_cache(maxsize=1)
def digits() -> Task:
    """Reading them."""
    return classification(digit_data())


def images_of(data: Data, part: Part, count: int | None = None) -> torch.Tensor:
    """The first inputs of a part, normalised: N C H W."""
    return torch.cat([inputs for (inputs,) in data.inputs(part, count)])


def labels_of(data: Data, part: Part) -> torch.Tensor:
    """All labels of a part: N."""
    return torch.cat([labels for _, labels in data.part(part).pairs(500)])


def digit_images(part: Part, count: int | None = None) -> torch.Tensor:
    """The first digits of a part, normalised: N 1 8 8."""
    return images_of(digit_data(), part, count)


def digit_example() -> torch.Tensor:
    """One digit as a batch of 1."""
    return digit_images("calibration", 1)


def accuracy_of(
    module: torch.nn.Module, task: Task, part: Part, execution: Execution = EXACT
) -> float:
    """A module's score, 0..1; a copy is placed, the module stays as it is."""
    import copy

    run = execution.run(execution.place(copy.deepcopy(module)))
    return score_of(task, run, part).value


def digits_module() -> torch.nn.Module:
    """The zoo's digits network, untrained, the same each time."""
    return load_network("hwprune.network.zoo:digits_cnn", num_classes=10)


@lru_cache(maxsize=1)
def trained_digits_base() -> BaseNetwork:
    """The zoo's digits network, trained for a few seconds and traced; once in a test run."""
    return make_base(once("trained_digits.onnx", _trained_digits))


def _trained_digits() -> bytes:
    torch.set_num_threads(1)
    module = digits_module()
    recipe = Recipe(epochs=5, batch_size=64, lr=0.05, bf16=False)
    with TemporaryDirectory() as folder:
        train(module, digits(), recipe, folder=Path(folder))
    return trace(module, digit_example())


@pytest.fixture(scope="session")
def trained_digits() -> BaseNetwork:
    """See trained_digits_base."""
    return trained_digits_base()


@pytest.fixture(scope="session")
def cifar_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with CIFAR-10 as torchvision keeps it."""
    given = os.environ.get("HWPRUNE_DATA", "")
    for place in filter(None, (given, SHARED)):
        if (Path(place) / "cifar-10-batches-py").is_dir():
            return Path(place)
    script = SHARED / "cifar10" / "restore_cifar10.py"
    if not script.is_file():
        pytest.skip("no CIFAR-10: set HWPRUNE_DATA to a folder with cifar-10-batches-py")
    root = tmp_path_factory.mktemp("cifar")
    subprocess.run([sys.executable, script, root], check=True, capture_output=True)
    return root


@pytest.fixture(scope="session")
def resnet56_weights() -> Path:
    """akamaster's trained ResNet-56."""
    return _checkpoint("resnet56-4bfd9763.th")


@pytest.fixture(scope="session")
def resnet20_weights() -> Path:
    """akamaster's trained ResNet-20."""
    return _checkpoint("resnet20-12fca82f.th")


def _checkpoint(name: str) -> Path:
    for place in (os.environ.get("HWPRUNE_DATA", ""), SHARED):
        file = Path(place) / "akamaster_resnet_cifar10" / name
        if place and file.is_file():
            return file
    pytest.skip(f"no {name}: put akamaster_resnet_cifar10/ into $HWPRUNE_DATA")

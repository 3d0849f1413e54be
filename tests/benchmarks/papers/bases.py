"""The trained networks that are pruned: of $HWPRUNE_DATA, or trained here."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network import zoo
from hwprune.network.execution import lay_out
from hwprune.network.source import load_network
from hwprune.network.trace import trace
from hwprune.progress import Progress
from tests.benchmarks.papers.images import Images

WEIGHTS = {"resnet20": "resnet20-12fca82f.th", "resnet56": "resnet56-4bfd9763.th"}
EPOCHS, BATCH, LR = 20.0, 512, 0.4
"""Of SGD with a warm-up and a cosine, where a network is trained here."""
WARM_UP = 0.2
TRY = 5
"""Steps that tell how many fit into the time."""


def base_of(
    name: str, images: Images, folder: Path, *, epochs: float, until_s: float, progress: Progress
) -> BaseNetwork:
    """A trained network, traced.

    Args:
        folder: weights trained here are kept there.
        until_s: on `time.monotonic`, when training has to be over; fewer epochs then.
    """
    example = images.data.example
    known = os.environ.get("HWPRUNE_DATA")
    if known and name in WEIGHTS:
        file = Path(known) / "akamaster_resnet_cifar10" / WEIGHTS[name]
        module = load_network(f"hwprune.network.zoo:cifar_{name}", weights=file)
        return make_base(trace(module.eval(), example))
    file = folder / f"{name}.safetensors"
    torch.manual_seed(0)
    module = getattr(zoo, f"cifar_{name}")()
    if not file.exists():
        _train(module, name, images, epochs, until_s, progress)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, file)
    module.load_state_dict(load_file(file))
    return make_base(trace(module.eval(), example))


def _train(
    module: torch.nn.Module,
    name: str,
    images: Images,
    epochs: float,
    until_s: float,
    progress: Progress,
) -> None:
    lay_out(module.to(images.execution.device))
    steps = max(1, round(epochs * len(images.train) / BATCH))
    optimizer = torch.optim.SGD(
        module.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    images.fit(module, optimizer, TRY, batch=BATCH, rate=lambda _: 1e-3)
    began = time.monotonic()
    images.fit(module, optimizer, TRY, batch=BATCH, rate=lambda _: 1e-3)
    each_s = (time.monotonic() - began) / TRY
    steps = max(1, min(steps, int((until_s - began) / each_s))) if until_s < math.inf else steps
    progress.begin(f"train {name}", steps)
    images.fit(module, optimizer, steps, batch=BATCH, rate=_rate, on_step=progress.advance)
    progress.end(f"test {images.accuracy(module, images.test):.2%}")
    module.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _rate(way: float) -> float:
    if way < WARM_UP:
        return max(1e-3, LR * way / WARM_UP)
    return LR * 0.5 * (1 + math.cos(math.pi * (way - WARM_UP) / (1 - WARM_UP)))

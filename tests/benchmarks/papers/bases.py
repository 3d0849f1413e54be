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
from tests.benchmarks.networks import WEIGHTS, weights_of
from tests.benchmarks.papers.images import Images

EPOCHS, BATCH, LR = 20.0, 512, 0.4
"""Of SGD with a warm-up and a cosine, where a network is trained here. With smaller batches the
rate is smaller by as much."""
WARM_UP = 0.2
TRY = 3
"""Steps that tell how many fit into the time."""


def base_of(
    name: str,
    images: Images,
    folder: Path,
    *,
    epochs: float,
    batch: int,
    until_s: float,
    progress: Progress,
) -> BaseNetwork:
    """A trained network, traced.

    Args:
        folder: weights trained here are kept there.
        until_s: on `time.monotonic`, when training has to be over; fewer epochs then.
    """
    example = images.data.example
    if os.environ.get("HWPRUNE_DATA") and name in WEIGHTS:
        file = Path(os.path.expandvars(weights_of(name)))
        module = load_network(f"hwprune.network.zoo:cifar_{name}", weights=file)
        return make_base(trace(module.eval(), example))
    file = folder / f"{name}.safetensors"
    torch.manual_seed(0)
    module = getattr(zoo, f"cifar_{name}")()
    if not file.exists():
        _train(module, images, epochs, batch, until_s, progress)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, file)
    module.load_state_dict(load_file(file))
    return make_base(trace(module.eval(), example))


def _train(
    module: torch.nn.Module,
    images: Images,
    epochs: float,
    batch: int,
    until_s: float,
    progress: Progress,
) -> None:
    lay_out(module.to(images.execution.device))
    lr = LR * batch / BATCH
    optimizer = torch.optim.SGD(
        module.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4, nesterov=True
    )

    def fit(steps: int) -> None:
        images.fit(
            module,
            optimizer,
            steps,
            batch=batch,
            rate=lambda way: lr * _rate(way),
            on_step=progress.advance,
        )

    steps = max(1, round(epochs * len(images.train) / batch))
    progress.begin("train the network", steps)
    if until_s < math.inf:
        fit(TRY)  # the first ones set things up
        began = time.monotonic()
        fit(TRY)
        each_s = (time.monotonic() - began) / TRY
        steps = max(1, min(steps, int((until_s - time.monotonic()) / each_s)))
    fit(steps)
    progress.end(f"{steps} steps, test {images.accuracy(module, images.test):.2%}")
    module.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _rate(way: float) -> float:
    """Share of the largest learning rate at a share of the way."""
    if way < WARM_UP:
        return max(1e-3, way / WARM_UP)
    return 0.5 * (1 + math.cos(math.pi * (way - WARM_UP) / (1 - WARM_UP)))

"""How fast a candidate is scored and a network is trained: the ways to run torch, in one run.

    python tests/benchmarks/bench_scorer.py [zoo function …]

Absolute figures depend on the machine; the ratios are what may be compared.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import fx, nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.finetune.training import Training
from hwprune.network.execution import Execution
from hwprune.network.graph_module import to_module
from hwprune.network.scorer import Scorer
from hwprune.network.source import load_network
from hwprune.network.trace import trace
from hwprune.recipe import Recipe
from hwprune.task.data import Data
from hwprune.task.items import AT_ONCE
from hwprune.task.kinds import classification
from hwprune.task.tensors import Normalisation, Tensors
from hwprune_device.cut import Cutter
from hwprune_device.torch_graph.folding import fold_batchnorm

IMAGES = 250


def images_per_s(work: Callable[[], object], images: int, rounds: int = 3) -> float:
    """Images per second of CPU time, median of some rounds after one to warm up."""
    work()
    rates = []
    for _ in range(rounds):
        began = time.process_time_ns()
        work()
        rates.append(images * 1e9 / (time.process_time_ns() - began))
    return statistics.median(rates)


def forward(module: nn.Module, images: torch.Tensor) -> None:
    with torch.inference_mode():
        for batch in images.split(AT_ONCE):
            module(batch)


def forward_rates(model: bytes, images: torch.Tensor) -> dict[str, float]:
    """Inference by layout, number type and folding."""
    fp32, bf16 = Execution(device="cpu", bf16=False), Execution(device="cpu", bf16=True)
    plain = to_module(model)
    rates = {"eager fp32": images_per_s(lambda: forward(plain, images), len(images))}
    for name, execution, fold in (
        ("channels_last fp32", fp32, False),
        ("channels_last bf16", bf16, False),
        ("channels_last bf16 folded", bf16, True),
    ):
        module = execution.place(to_module(model))
        if fold and isinstance(module, fx.GraphModule):
            fold_batchnorm(module)
        (placed,) = execution.inputs([images])
        work = lambda m=module, x=placed: forward(m, x)  # noqa: E731
        rates[name] = images_per_s(work, len(images))
    return rates


def training_rates(model: bytes, data: Data) -> dict[str, float]:
    """Training by number type, with the trainer's own loop."""
    rates, task = {}, classification(data)
    for name, bf16 in (("training fp32", False), ("training bf16", True)):
        recipe = Recipe(batch_size=125, bf16=bf16)
        with tempfile.TemporaryDirectory() as folder:
            training = Training(to_module(model).train(), task, recipe, folder=Path(folder))
            work = lambda t=training: t.run_epoch(lambda: None)  # noqa: E731
            rates[name] = images_per_s(work, IMAGES, rounds=1)
    return rates


def scoring_s(base: BaseNetwork, widths: list[int], data: Data) -> float:
    """CPU seconds to score one candidate: 250 images to re-calibrate, 1,000 held-out."""
    heldout = data.part("train").take(np.arange(1000) % IMAGES)
    task = classification(replace(data, parts={**data.parts, "heldout": heldout}))
    order = [np.arange(width) for width in base.plan.widths]
    # The first warms up; it remembers what it scored, so another is timed.
    first, timed = (Scorer(base.onnx, base.plan, order, task=task) for _ in range(2))
    first({"widths": widths})
    began = time.process_time_ns()
    timed({"widths": widths})
    return (time.process_time_ns() - began) / 1e9


def noise(count: int) -> Data:
    """Random images: what runs does not depend on what they show."""
    images = Tensors(
        inputs=(torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8),),
        targets=torch.arange(count) % 10,
        normalise=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
        augment="crop-flip",
    )
    return Data(
        name="noise",
        parts={"train": images, "calibration": images, "heldout": images.take(range(2))},
        content_hash="noise",
        classes=10,
    )


def main(names: list[str]) -> None:
    """Print one table for each network."""
    torch.set_num_threads(1)
    for name in names:
        data = noise(IMAGES)
        module = load_network(f"hwprune.network.zoo:{name}", num_classes=10)
        images = torch.cat([inputs for (inputs,) in data.inputs("train")])
        base = make_base(trace(module, data.example))
        half = [max(1, width // 2) for width in base.plan.widths]
        for label, widths in (("whole", list(base.plan.widths)), ("half", half)):
            model = Cutter(base.onnx, base.plan).cut_to(widths)
            rates = forward_rates(model, images) | training_rates(model, data)
            first = next(iter(rates.values()))
            print(f"{name}, {label}: scored in {scoring_s(base, widths, data):.2f} s of CPU")
            for way, rate in rates.items():
                print(f"  {way:28} {rate:8.0f} images/s  {rate / first:5.2f}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["cifar_resnet20", "cifar_resnet56"])

"""CIFAR-10 whole on one device, and networks trained and judged there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.network.execution import Execution, cpu_has_bf16
from hwprune.task.data import Data, load_data
from hwprune.task.tensors import Tensors

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HELDOUT = 1000
AT_ONCE = {"cpu": 125, "cuda": 2500}
"""Images that are judged together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """The images in the memory of the device that computes."""

    data: Data
    """The same in main memory."""
    train: Tensors
    heldout: Tensors
    test: Tensors
    execution: Execution

    @classmethod
    def load(cls, root: Path, device: str, *, test: int) -> Images:
        """`test`: how many test images are looked at, and held-out ones at most."""
        data = load_data(
            "torchvision:CIFAR10",
            root=str(root),
            heldout=HELDOUT,
            mean=MEAN,
            std=STD,
            augment="crop-flip",
        )
        parts = {}
        for name in ("train", "heldout", "test"):
            items = data.part(name)
            assert isinstance(items, Tensors)
            if name != "train":
                items = items.take(np.arange(min(test, len(items))))
            inputs = tuple(values.to(device) for values in items.inputs)
            parts[name] = replace(items, inputs=inputs, targets=items.targets.to(device))
        bf16 = device == "cuda" or cpu_has_bf16()
        return cls(data=data, execution=Execution(device=device, bf16=bf16), **parts)

    def accuracy(self, module: nn.Module, items: Tensors) -> float:
        """Share of items that are right, 0..1."""
        module.eval()
        right = torch.zeros((), device=self.execution.device)
        with torch.inference_mode(), self.autocast():
            for (values,), targets in items.pairs(AT_ONCE[self.execution.device]):
                right += (module(self.laid_out(values)).argmax(1) == targets).sum()
        return float(right) / len(items)

    def augmented(self, count: int) -> Tensors:
        """So many training images by chance, augmented."""
        chosen = torch.randperm(len(self.train))[:count]
        (values,), targets = self.train.batch(chosen, augmented=True)
        return Tensors(inputs=(values,), targets=targets)

    def autocast(self) -> torch.autocast:
        """bf16, where the device computes in it."""
        execution = self.execution
        return torch.autocast(execution.device, torch.bfloat16, enabled=execution.bf16)

    @staticmethod
    def laid_out(values: torch.Tensor) -> torch.Tensor:
        """Images as convolutions like them best."""
        return values.contiguous(memory_format=torch.channels_last)

    def fit(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        steps: int,
        *,
        batch: int,
        until_s: float = math.inf,
        rate: Callable[[float], float] | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> int:
        """Train on augmented images; how many steps it came to.

        Args:
            until_s: on `time.monotonic`, when no further step begins.
            rate: the learning rate at a share of the way, 0..1.
        """
        module.train()
        done = 0
        while done < steps:
            for (values,), targets in self.train.pairs(batch, training=True):
                if done == steps or time.monotonic() >= until_s:
                    return done
                if rate is not None:
                    for group in optimizer.param_groups:
                        group["lr"] = rate(done / steps)
                with self.autocast():
                    outputs = module(self.laid_out(values))
                loss = F.cross_entropy(outputs.float(), targets)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                done += 1
                on_step()
        return done

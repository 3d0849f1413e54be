"""How often a network is right."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from hwprune.network.data import Data
from hwprune.network.execution import EXACT, Execution


def accuracy_of(
    module: nn.Module, data: Data, part: str, *, execution: Execution = EXACT, batch: int = 128
) -> float:
    """Share of a part's images that the module classifies right, 0..1, in eval mode."""
    return float(correct(module, data, part, execution=execution, batch=batch).mean())


def correct(
    module: nn.Module, data: Data, part: str, *, execution: Execution = EXACT, batch: int = 128
) -> np.ndarray:
    """Whether each image of a part is classified right: N bool.

    Two networks on the same images are compared by these, not by their two shares: most images are
    right for both, so the paired difference is known far better than either share.
    """
    split = data.part(part)
    # A copy, because bf16 would round the caller's weights for good.
    module = execution.place(copy.deepcopy(module))
    rows = []
    for start in range(0, len(split), batch):
        # Normalised a batch at a time: a whole test set as float32 is needless memory.
        images = execution.images(data.normalise(split.images[start : start + batch]))
        rows.append(hits(module, images, split.labels[start : start + batch]))
    return torch.cat(rows).numpy()


def hits(module: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether each image is classified right: N bool on the CPU. The mode is put back after."""
    training = module.training
    module.eval()
    with torch.inference_mode():
        guessed = module(images).argmax(1).cpu()
    module.train(training)
    return guessed == labels.cpu()

"""Functions as a user would write them: they know torch and what they are handed, no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from hwprune.progress import Progress

NOTE = "trained-by-user.txt"
_PARTS = {"heldout": slice(0, 300), "final": slice(0, 300), "test": slice(300, 600)}


def _digits(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    whole = load_digits()
    chosen = _PARTS.get(part, slice(600, None))
    images = torch.from_numpy(whole.images[chosen].astype(np.float32) / 8 - 1)[:, None]
    return images, torch.from_numpy(whole.target[chosen])


def inputs(part: str, count: int) -> Iterator[torch.Tensor]:
    """Batches of images."""
    yield from _digits(part)[0][:count].split(64)


def score(run: Callable[[torch.Tensor], torch.Tensor], part: str) -> float:
    """Share of right answers."""
    images, labels = _digits(part)
    return float((run(images).argmax(1) == labels).float().mean())


def train(
    module: nn.Module, teacher: nn.Module | None, recipe: Any, folder: Path, progress: Progress
) -> None:
    """Two passes of Adam over the training images, towards the teacher's answers."""
    assert teacher is not None
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    module.train()
    progress.begin("my own training", 2)
    for _ in range(2):
        for images in inputs("train", 2000):
            with torch.no_grad():
                wanted = teacher(images).softmax(1)
            loss = nn.functional.cross_entropy(module(images), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        progress.advance()
    (folder / NOTE).write_text(f"last loss {loss.item():.4f}")
    progress.end("done")

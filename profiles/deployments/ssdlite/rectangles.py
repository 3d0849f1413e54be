"""Generated images with boxes: two rectangles each, whose colour is their class."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader

SIDE = 160
"""Pixels: half of SSDlite's own 320, which takes a quarter of the time."""
COLOURS = torch.eye(3)
BATCH = 16

Pair = tuple[torch.Tensor, dict[str, torch.Tensor]]
"""An image 3 SIDE SIDE from 0 to 1, and its boxes and labels; label 0 is the background."""


def rectangles(count: int, seed: int) -> list[Pair]:
    """Images on grey noise, a rectangle on each side."""
    draw = torch.Generator().manual_seed(seed)
    pairs = []
    for _ in range(count):
        image = 0.4 + 0.2 * torch.rand(3, SIDE, SIDE, generator=draw)
        corners = torch.randint(40, (2, 2), generator=draw) + torch.tensor([[0, 0], [80, 40]])
        sides = torch.randint(20, 40, (2, 2), generator=draw)
        boxes = torch.cat([corners, corners + sides], 1)
        kinds = torch.randint(len(COLOURS), (2,), generator=draw)
        for (left, top, right, bottom), kind in zip(boxes.tolist(), kinds, strict=True):
            image[:, top:bottom, left:right] = COLOURS[kind][:, None, None]
        pairs.append((image, {"boxes": boxes.float(), "labels": kinds + 1}))
    return pairs


DATA = {
    "train": rectangles(128, seed=0),
    "heldout": rectangles(32, seed=1),
    "final": rectangles(32, seed=2),
    "test": rectangles(32, seed=3),
}
DATA["calibration"] = DATA["train"]


def batches(part: str) -> DataLoader[Any]:
    """Lists of images and lists of their targets; those to train on shuffled."""
    return DataLoader(
        DATA[part],  # type: ignore[arg-type]
        batch_size=BATCH,
        shuffle=part == "train",
        collate_fn=lambda pairs: tuple(zip(*pairs, strict=True)),
    )

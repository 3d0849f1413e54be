"""Microscope images of blood cells and their boxes: read, fed, and augmented to train on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from boxes import HEIGHT, WIDTH, Targets, targets_of
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import ops

from hwprune import DataError, Part

SOURCE = {"train": "train", "calibration": "train", "heldout": "val", "final": "val"}
"""The data's own split behind each part; `test` is `test`."""
MEAN, SPREAD = 180.0, 50.0
ZOOM = (0.8, 1.25)
VISIBLE = 0.4
"""What of a box must be left in an augmented image for it to be looked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """One split, decoded."""

    pixels: torch.Tensor
    """N 3 2*HEIGHT 2*WIDTH uint8: twice the network's size, so that zooming in shows more."""
    boxes: tuple[torch.Tensor, ...]
    """Of each image, [M, 5]: x0 y0 x1 y1 in pixels of the network's input, and the class."""


@lru_cache
def read(split: str) -> Images:
    """The split `train`, `val` or `test`; kept in memory.

    Raises:
        DataError: the data is not there.
    """
    folder = _folder()
    known = json.loads((folder / "boxes.json").read_text())
    names = known["splits"][split]
    pixels = np.stack([_decoded(folder / "images" / f"{name}.jpg") for name in names])
    boxes = [torch.tensor(known["boxes"][name], dtype=torch.float32) for name in names]
    scale = torch.tensor([0.25, 0.25, 0.25, 0.25, 1.0])  # images are 640 x 480
    return Images(
        pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        boxes=tuple(one.view(-1, 5) * scale for one in boxes),
    )


def _folder() -> Path:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    for place in filter(None, (os.environ.get("HWPRUNE_DATA", ""), str(beside))):
        if (Path(place) / "bccd" / "boxes.json").is_file():
            return Path(place) / "bccd"
    raise DataError(
        "the blood cell images are not there",
        given=f"HWPRUNE_DATA={os.environ.get('HWPRUNE_DATA', '')}",
        possible="a folder with bccd/boxes.json and bccd/images/",
        next_step="get github.com/Shenggan/BCCD_Dataset, lay it out as README.md beside this "
        "task says, and set HWPRUNE_DATA to the folder above bccd/",
    )


def _decoded(file: Path) -> np.ndarray:
    image = Image.open(file).convert("RGB")
    return np.asarray(image.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BOX))


@lru_cache
def _plain(split: str) -> torch.Tensor:
    """A split as the network takes it: N 3 HEIGHT WIDTH."""
    # In pieces: as float the whole split at twice the size takes four times its bytes.
    return torch.cat([F.avg_pool2d(_normalised(some), 2) for some in read(split).pixels.split(32)])


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.float() - MEAN) / SPREAD


def boxes_in(part: Part) -> tuple[torch.Tensor, ...]:
    """Of each image of a part, [M, 5]: x0 y0 x1 y1 in the network's pixels, and the class."""
    return read(SOURCE.get(part, part)).boxes


def inputs(part: Part, count: int) -> Iterable[torch.Tensor]:
    """The first `count` images of a part: N 3 HEIGHT WIDTH, 32 at a time."""
    return _plain(SOURCE.get(part, part))[:count].split(32)


def batches(part: Part, size: int) -> DataLoader[Any]:
    """Images and targets: of `train` shuffled and augmented, of other parts as they are."""
    split, training = SOURCE.get(part, part), part == "train"
    data = read(split)

    def collate(indices: Sequence[int]) -> tuple[torch.Tensor, Targets]:
        chosen, boxes = torch.tensor(indices), [data.boxes[index] for index in indices]
        if not training:
            return _plain(split)[chosen], targets_of(boxes)
        images, boxes = augmented(data.pixels[chosen], boxes)
        return images, targets_of(boxes)

    numbers: Any = range(len(data.boxes))
    return DataLoader(
        numbers,
        batch_size=min(size, len(numbers)),
        shuffle=training,
        drop_last=training,
        collate_fn=collate,
    )


def augmented(
    pixels: torch.Tensor, boxes: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Images flipped, zoomed, moved and coloured at random: N 3 HEIGHT WIDTH, and their boxes."""
    count = len(pixels)
    zoom = torch.empty(count, 1).uniform_(math.log(ZOOM[0]), math.log(ZOOM[1])).exp()
    flip = torch.randint(0, 2, (count, 2)) * 2.0 - 1
    shift = torch.empty(count, 2).uniform_(-1, 1) * (1 - zoom).abs()
    # Coordinates run from -1 to 1 over either image: seen = factor * given + shift.
    factor = flip * zoom
    places = torch.zeros(count, 2, 3)
    places[:, 0, 0], places[:, 1, 1] = factor.T
    places[:, :, 2] = shift
    grid = F.affine_grid(places, [count, 3, HEIGHT, WIDTH], align_corners=False)
    images = F.grid_sample(_normalised(pixels), grid, align_corners=False)
    images *= torch.empty(count, 3, 1, 1).uniform_(0.9, 1.1)
    images *= torch.empty(count, 1, 1, 1).uniform_(0.8, 1.2)
    images += torch.empty(count, 3, 1, 1).uniform_(-0.2, 0.2)
    images += torch.empty(count, 1, 1, 1).uniform_(-0.3, 0.3)
    moved = [_moved(*one) for one in zip(boxes, factor, shift, strict=True)]
    return images, moved


def _moved(boxes: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    half = torch.tensor([WIDTH / 2, HEIGHT / 2])
    corners = ((boxes[:, :4].view(-1, 2, 2) / half - 1 - shift) / factor + 1) * half
    whole = torch.cat([corners.amin(1), corners.amax(1)], 1)
    seen = ops.clip_boxes_to_image(whole, (HEIGHT, WIDTH))
    kept = ops.box_area(seen) > VISIBLE * ops.box_area(whole)
    return torch.cat([seen, boxes[:, 4:]], 1)[kept]

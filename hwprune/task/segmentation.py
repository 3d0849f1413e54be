"""Segmentation: a class for every position of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from hwprune.errors import NetworkError
from hwprune.metric import Metric
from hwprune.task.data import Data
from hwprune.task.supervised import supervised
from hwprune.task.task import Remake, Task


def segmentation(
    data: Data, *, calibration: int = 0, remake: Callable[[], Remake] | None = None
) -> Task:
    """A network of scores N K H W, or N 1 H W for one class against the rest; masks are N H W.

    The metric is IoU, the mean over the classes of an image that its mask or the network names,
    and over images.
    """

    def check(outputs: object) -> None:
        """Compare shapes and classes with those of the masks."""
        shape, masks = list(getattr(outputs, "shape", ())), list(data.targets.shape)
        if len(shape) != len(masks) + 1 or shape[2:] != masks[1:]:
            raise NetworkError(
                "the network's output does not fit the masks",
                given=f"output {shape or type(outputs).__name__}, masks {masks}",
                possible="one tensor of N x classes x H x W scores, H and W those of the masks",
            )
        least, most = int(data.targets.min()), int(data.targets.max())
        if least < 0 or most >= max(2, shape[1]):
            raise NetworkError(
                "the masks name classes that the network does not score",
                given=f"classes {least} to {most}, output {shape}",
                possible=f"0 to {max(2, shape[1]) - 1}; masks of 0 and 255 become 0 and 1",
            )

    return supervised(
        data,
        name="segmentation",
        metric=Metric(name="IoU"),
        rate=_rate,
        loss=_loss,
        calibration=calibration,
        check=check,
        output_kinds=("classes",),
        remake=remake,
    )


def _rate(outputs: torch.Tensor, masks: torch.Tensor) -> Mapping[str, torch.Tensor]:
    outputs, masks = outputs.cpu(), masks.cpu()
    two = outputs.shape[1] == 1
    said = (outputs[:, 0] > 0).long() if two else outputs.argmax(1)
    # The rest is no class of its own where there is but one.
    kinds = [1] if two else range(outputs.shape[1])
    both, either, sizes = [], [], []
    for kind in kinds:
        # N x H*W
        one, other = (said == kind).flatten(1), (masks == kind).flatten(1)
        both.append((one & other).sum(1))
        either.append((one | other).sum(1))
        sizes.append(one.sum(1) + other.sum(1))
    shared, union, total = (torch.stack(rows, 1).double() for rows in (both, either, sizes))
    # N x classes
    named = (union > 0).double()
    count = named.sum(1)

    def mean(shares: torch.Tensor) -> torch.Tensor:
        # Nothing to find and nothing found is right.
        return torch.where(
            count > 0, (shares * named).sum(1) / count.clamp_min(1), torch.ones(()).double()
        )

    return {
        "IoU": mean(shared / union.clamp_min(1)),
        "Dice": mean(2 * shared / total.clamp_min(1)),
    }


def _loss(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    if outputs.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(outputs[:, 0].float(), masks.float())
    return F.cross_entropy(outputs.float(), masks)

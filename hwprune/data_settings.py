"""What a deployment says of its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwprune.number import Count, Number, Positive, Seed
from hwprune.toml_file import FORBID_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """Where the data comes from and how it is split."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    source: str
    """`sklearn:digits`, `torchvision:CIFAR10`, `imagefolder:PATH` or `package.module:function`."""
    root: str = "~/.cache/hwprune/data"
    """Folder of downloaded data."""
    heldout: Count = 1000
    """Training items set aside to score candidates; the test set is touched once, at the end."""
    final_heldout: Count = 0
    """Training items set aside to compare the finalists; 0: `heldout` again."""
    calibration: Count = 0
    """Training items that re-calibrate BatchNorm in a cut network; 0: 250, fewer where large."""
    mean: tuple[Number, ...] = ()
    """By channel, for values in 0..1. Empty: of the training items where these are bytes; numbers
    of your own are taken as prepared."""
    std: tuple[Number, ...] = ()
    """As `mean`."""
    augment: str = "none"
    """Of tensors in memory: none, crop-flip, shift."""
    size: tuple[Positive, ...] = ()
    """Height and width that streamed images are brought to; empty: as their transforms say."""
    transforms: str = ""
    """`torchvision:resnet18:IMAGENET1K_V1`: images are prepared as these weights want it; empty:
    by `size`, `mean` and `std`, and as ImageNet's where these are empty too."""
    workers: Count = 2
    """Processes that read and decode streamed items."""
    seed: Seed = 0
    """Of the split into parts."""

"""Augmentation of training batches, for the whole batch at once.

A loader that changes one image at a time would cost more than a small network's forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Augmentation = Callable[[torch.Tensor], torch.Tensor]
"""Images N C H W to images of the same shape and type, by torch's global random numbers."""


def none(images: torch.Tensor) -> torch.Tensor:
    """The images as they are."""
    return images


def crop_flip(images: torch.Tensor) -> torch.Tensor:
    """Shift by up to an eighth of the image, and mirror half of them: the usual CIFAR recipe."""
    flip = torch.rand(len(images), device=images.device) < 0.5
    return _shifted(images, flip)


def shift(images: torch.Tensor) -> torch.Tensor:
    """Shift by up to an eighth of the image; for digits, whose mirror is another sign."""
    return _shifted(images, torch.zeros(len(images), dtype=torch.bool, device=images.device))


AUGMENTATIONS: dict[str, Augmentation] = {"none": none, "crop-flip": crop_flip, "shift": shift}


def _shifted(images: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Each image moved by its own offset, zeros coming in, columns reversed where `flip`."""
    count, _, height, width = images.shape
    here = images.device
    pad_h, pad_w = max(1, height // 8), max(1, width // 8)
    padded = torch.nn.functional.pad(images, (pad_w, pad_w, pad_h, pad_h))
    # N 1, so that rows become N H and columns N W.
    top = torch.randint(2 * pad_h + 1, (count, 1), device=here)
    left = torch.randint(2 * pad_w + 1, (count, 1), device=here)
    rows = top + torch.arange(height, device=here)
    columns = torch.arange(width, device=here).expand(count, width)
    columns = left + torch.where(flip[:, None], width - 1 - columns, columns)
    # One gather does crop and flip; N H W C viewed back as N C H W is channels_last.
    which = torch.arange(count, device=here)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)

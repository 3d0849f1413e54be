"""A torchvision detector around another network: backbone and head replaced, the rest its own."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hwprune.errors import NetworkError
from hwprune.network.detector import OneStage, cuttable_part
from hwprune.network.modes import kept_modes

_IMAGES = "network_images"
"""Attribute of the first stand-in map: the images, on their way from backbone to head."""


def detector_with(
    detector: nn.Module,
    network: Callable[..., Any],
    *,
    size: tuple[int, int] | None = None,
) -> Any:
    """A detector like the one given, whose backbone and head are `network`.

    It is called as the detector is: a list of images C H W (or a batch N C H W) gives boxes,
    scores and labels; in train mode, with targets, losses. Transform, anchors, thresholds and
    losses are copies of the detector's, and the detector is left as it is. `network` is not
    copied: it is the submodule `head.network`, so that parameters(), state_dict(), to() and
    train() reach it, and a training loop trains it. Detector and network begin in eval mode.

    Args:
        detector: SSD, SSDlite, RetinaNet or FCOS of torchvision, unpruned; any weights.
        network: images N C H W, normalised, to the raw outputs of the detector's head: a dict, or
            its tensors in the dict's order. The torch twin of the detector's traced part or a cut
            of it, what `hwprune.load` gives, or any function of that kind, such as a board, which
            then only infers.
        size: height and width of the images the network takes. Every image is resized to it,
            whatever its own proportions. None: the detector's transform has a `fixed_size`.

    Raises:
        NetworkError: a detector of another kind, or no size; when called: outputs of `network` do
            not fit, or it cannot be trained.
    """
    part = cuttable_part(detector)
    if not isinstance(part, OneStage):
        raise _not_one_stage(detector)
    # deepcopy takes these from its memo, so that backbone and head are not copied for nothing.
    kept = {id(part.backbone): nn.Identity(), id(part.head): nn.Identity()}
    whole: Any = copy.deepcopy(detector, kept)
    _fix_size(whole.transform, size, detector)
    raw = _raw_outputs(part, whole.transform)
    whole.backbone = _Backbone(raw)
    whole.head = _Head(raw, part.head)
    whole.head.network = network
    return whole.eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawOutputs:
    """What post-processing hangs on: sizes of images and feature maps, and the head's outputs."""

    size: torch.Size
    """H W of the images."""
    maps: tuple[torch.Size, ...]
    """H W of each feature map; anchors are laid out by them."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of each output of the head, without the batch, in the head's order."""

    def named(self, outputs: Any) -> dict[str, torch.Tensor]:
        """A network's outputs by their names in the head."""
        match outputs:
            case Mapping():
                names, given = list(outputs), list(outputs.values())
            case list() | tuple():
                names, given = list(self.shapes), list(outputs)
            case _:
                names, given = list(self.shapes), [outputs]
        shapes = [tuple(getattr(tensor, "shape", ())) for tensor in given]
        found = dict(zip(names, (shape[1:] for shape in shapes), strict=False))
        if found != self.shapes or len(given) != len(names):
            raise NetworkError(
                "the network's outputs do not fit the detector",
                given=_listed([_sizes(shape) for shape in shapes]),
                possible=_listed([f"{name} Nx{_sizes(s)}" for name, s in self.shapes.items()]),
                next_step="give a network that was traced from this detector's part, with images "
                f"of {_sizes(self.size)}",
            )
        return dict(zip(names, given, strict=True))


class _Backbone(nn.Module):
    """In the backbone's place: hands the images on, with empty maps that have the right sizes."""

    def __init__(self, raw: _RawOutputs) -> None:
        super().__init__()
        self.raw = raw

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """Images N C H W -> by level an empty map N 1 h w, which carries the images."""
        size = images.shape[-2:]
        if size != self.raw.size:
            raise NetworkError(
                "images do not have the size the network takes",
                given=_sizes(size),
                possible=_sizes(self.raw.size),
                next_step="let the detector's transform resize them",
            )
        empty = images.new_zeros(())
        maps = [empty.expand(len(images), 1, *map_size) for map_size in self.raw.maps]
        # On the tensor and not on a module, so that calls from several threads keep apart.
        setattr(maps[0], _IMAGES, images)
        return OrderedDict((str(level), empty_map) for level, empty_map in enumerate(maps))


class _Head(nn.Module):
    """In the head's place: the network's outputs, and the losses of the detector's own head."""

    network: Callable[..., Any]

    def __init__(self, raw: _RawOutputs, head: nn.Module) -> None:
        super().__init__()
        self.raw = raw
        if hasattr(head, "compute_loss"):
            # A copy of the head without its weights; as a method it is no submodule of this one.
            weights: dict[int, Any] = {id(weight): None for weight in head.parameters()}
            self.compute_loss = copy.deepcopy(head, weights).compute_loss

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Maps of the stand-in backbone -> the network's raw outputs by name."""
        trains = self.training and torch.is_grad_enabled()
        if trains and not isinstance(self.network, nn.Module):
            raise NetworkError(
                "this detector's network only infers, it cannot be trained",
                given=type(self.network).__name__,
                possible="detector.eval(); for losses alone, torch.no_grad()",
                next_step="train a detector with the torch module in the place of its network",
            )
        images = getattr(maps[0], _IMAGES)
        found = self.raw.named(self.network(images))
        # Anchors have the images' type and place; a board's outputs come from elsewhere.
        return {name: tensor.to(images) for name, tensor in found.items()}


def _fix_size(transform: Any, size: tuple[int, int] | None, detector: nn.Module) -> None:
    """Make a transform resize every image to one size: the one given, or keep to its own."""
    if size is not None:
        transform.fixed_size = (size[1], size[0])  # torchvision has width first here
        # torchvision pads up to multiples of this (32), past the size that was asked for.
        transform.size_divisible = 1
    elif transform.fixed_size is None:
        name = type(detector).__name__
        raise NetworkError(
            f"the size of the images that the network takes is not known: this {name} resizes "
            "each image by its own proportions",
            given=f"{name} with min_size {transform.min_size}, max_size {transform.max_size}",
            possible="the height and width that the network was traced with",
            next_step="detector_with(detector, network, size=(height, width))",
        )


def _raw_outputs(part: OneStage, transform: Any) -> _RawOutputs:
    """What the unpruned part makes of a blank image; it is run once and left as it is."""
    weight = next(part.parameters())
    # C H W of any size: the transform resizes it to the one that all images get.
    blank = torch.zeros(3, 8, 8, dtype=weight.dtype, device=weight.device)
    with kept_modes(part), torch.no_grad():
        part.eval()
        images = transform.eval()([blank])[0].tensors
        maps = part.levels(images)
        outputs = part.head(maps)
    return _RawOutputs(
        size=images.shape[-2:],
        maps=tuple(level.shape[-2:] for level in maps),
        shapes={name: tuple(tensor.shape[1:]) for name, tensor in outputs.items()},
    )


def _not_one_stage(detector: nn.Module) -> NetworkError:
    return NetworkError(
        "no network can take the place of this detector's backbone and head",
        given=type(detector).__name__,
        possible="SSD, SSDlite, RetinaNet or FCOS of torchvision. Faster R-CNN and its kin pool "
        "regions between two parts of the network, so they are not one network of images",
        next_step="for those, hwprune.network.cut_module cuts the detector itself by a cut plan",
    )


def _sizes(numbers: Sequence[int]) -> str:
    return "x".join(str(number) for number in numbers)


def _listed(items: Sequence[str]) -> str:
    return ", ".join(item or "no tensor" for item in items)

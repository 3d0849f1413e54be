"""The zoo's networks have the published sizes and load the published weights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from hwprune.network import zoo

DATA = Path(os.environ.get("HWPRUNE_DATA", Path(__file__).parents[3] / "shared" / "data"))
WEIGHTS = DATA / "akamaster_resnet_cifar10"


@pytest.mark.parametrize(
    "make, million",
    [
        (zoo.cifar_resnet20, 0.27),
        (zoo.cifar_resnet32, 0.46),
        (zoo.cifar_resnet44, 0.66),
        (zoo.cifar_resnet56, 0.85),
        (zoo.cifar_resnet110, 1.73),
        (zoo.cifar_resnet18, 11.17),
        (zoo.cifar_vgg16_bn, 14.73),
        (zoo.digits_cnn, 0.12),
    ],
)
def test_networks_have_their_published_size(make: object, million: float) -> None:
    module = make()  # type: ignore[operator]
    assert sum(p.numel() for p in module.parameters()) / 1e6 == pytest.approx(million, abs=0.01)


@pytest.mark.skipif(not WEIGHTS.exists(), reason=f"no checkpoints in {WEIGHTS}; set HWPRUNE_DATA")
@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_published_checkpoints_load(depth: int) -> None:
    file = next(WEIGHTS.glob(f"resnet{depth}-*.th"))
    state = torch.load(file, weights_only=True, map_location="cpu")["state_dict"]
    module = getattr(zoo, f"cifar_resnet{depth}")()
    found = module.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    assert not found.missing_keys and not found.unexpected_keys


@pytest.mark.parametrize("make", [zoo.cifar_resnet20, zoo.cifar_vgg16_bn])
def test_number_of_classes_can_be_chosen(make: object) -> None:
    module = make(7).eval()  # type: ignore[operator]
    assert module(torch.zeros(1, 3, 32, 32)).shape == (1, 7)

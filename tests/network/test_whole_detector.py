"""A torchvision detector around a pruned network: it finds, trains and moves as before."""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD

import hwprune
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import NetworkError
from hwprune.network.detector import OneStage
from hwprune.network.graph_module import to_module
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.traced import randomise_norms

CLASSES = 4
SIDE = 64
WIDTH = 32
"""Channels of the small detectors: FCOS normalises them in 32 groups."""


class Pyramid(nn.Module):
    """A small backbone of two feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = self.block(3, 16)
        self.fine = self.block(16, WIDTH)
        self.coarse = self.block(WIDTH, WIDTH)
        self.out_channels = WIDTH

    @staticmethod
    def block(before: int, after: int) -> nn.Module:
        conv = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        fine = self.fine(self.stem(images))
        return OrderedDict(fine=fine, coarse=self.coarse(fine))


def small_ssd() -> nn.Module:
    backbone = Pyramid()
    backbone.out_channels = [WIDTH, WIDTH]  # type: ignore[assignment]
    anchors = DefaultBoxGenerator([[2], [2]])
    return SSD(backbone, anchors, (SIDE, SIDE), CLASSES, score_thresh=0.2)


def small_fcos() -> nn.Module:
    return fcos(fixed_size=(SIDE, SIDE), score_thresh=0.02)


def fcos(**given: Any) -> nn.Module:
    anchors = AnchorGenerator(((4,), (8,)), ((1.0,), (1.0,)))
    return detection.FCOS(Pyramid(), CLASSES, anchor_generator=anchors, **given)


def small_retinanet() -> nn.Module:
    anchors = AnchorGenerator(((8, 12), (16, 24)), ((1.0,), (1.0,)))
    size = {"fixed_size": (SIDE, SIDE), "score_thresh": 0.005}
    return detection.RetinaNet(Pyramid(), CLASSES, anchor_generator=anchors, **size)


def real(name: str, side: int) -> nn.Module:
    size = {} if "ssd" in name else {"fixed_size": (side, side)}
    blank = {"weights": None, "weights_backbone": None, "num_classes": CLASSES}
    return getattr(detection, name)(**blank, score_thresh=0.003, **size)


SMALL = {"ssd": small_ssd, "fcos": small_fcos, "retinanet": small_retinanet}
HEAVIEST = "ssd300_vgg16"
REAL = {
    "ssdlite320_mobilenet_v3_large": 320,
    HEAVIEST: 300,
    "fcos_resnet50_fpn": 128,
    "retinanet_resnet50_fpn": 128,
}
LOOKED_AT = [
    pytest.param(name, marks=pytest.mark.heavy) if name == HEAVIEST else name
    for name in (*SMALL, *REAL)
]
EVERY = [*SMALL, *(pytest.param(name, marks=pytest.mark.heavy) for name in REAL)]


def images(count: int = 2, seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    sizes = [(SIDE, SIDE), (100, 80), (50, 90)]
    return [torch.rand(3, *size, generator=draw) for size in sizes[:count]]


def targets(count: int = 2) -> list[dict[str, torch.Tensor]]:
    boxes = torch.tensor([[4.0, 6.0, 30.0, 40.0], [20.0, 10.0, 44.0, 48.0]])
    return [{"boxes": boxes, "labels": torch.tensor([1, 3])} for _ in range(count)]


@functools.cache
def detector_of(name: str) -> Any:
    torch.manual_seed(0)
    detector = SMALL[name]() if name in SMALL else real(name, REAL[name])
    randomise_norms(detector)
    return detector.eval()


@functools.cache
def base_of(name: str) -> BaseNetwork:
    side = REAL.get(name, SIDE)
    return make_base(trace(OneStage(detector_of(name)), torch.randn(2, 3, side, side)))


def cut_of(name: str, share: float) -> nn.Module:
    base = base_of(name)
    keep = [np.arange(max(1, int(share * group.width))) for group in base.plan.groups]
    return to_module(Cutter(base.onnx, base.plan).cut(keep))


def found_by(detector: nn.Module, some: Any) -> list[dict[str, torch.Tensor]]:
    with torch.inference_mode():
        return detector(some)


def assert_close(given: Any, expected: Any, tolerance: float) -> None:
    assert any(len(one["boxes"]) for one in expected)
    for one, other in zip(given, expected, strict=True):
        assert set(one) == {"boxes", "scores", "labels"}
        for key in one:
            torch.testing.assert_close(one[key], other[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_around_its_own_part_a_detector_finds_exactly_the_same(name: str) -> None:
    detector = detector_of(name)
    whole = hwprune.detector_with(detector, OneStage(detector))
    assert type(whole) is type(detector)
    assert_close(found_by(whole, images()), found_by(detector, images()), 0.0)
    batch = torch.stack([images()[0]] * 2)
    assert_close(found_by(whole, batch), found_by(detector, batch), 0.0)


@pytest.mark.parametrize("name", EVERY)
def test_the_twin_gives_the_raw_outputs_of_the_detectors_head_by_name(name: str) -> None:
    detector = detector_of(name)
    whole = hwprune.detector_with(detector, to_module(base_of(name).onnx))
    with torch.inference_mode():
        pixels = detector.transform(images())[0].tensors
        given = whole.head(list(whole.backbone(pixels).values()))
        expected = OneStage(detector)(pixels)
    assert set(given) == set(expected)
    for key in given:
        torch.testing.assert_close(given[key], expected[key], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_around_the_twin_of_its_part_a_detector_finds_the_same(name: str) -> None:
    # Not asked of the large ones: random weights score alike, and rounding would order the boxes.
    whole = hwprune.detector_with(detector_of(name), to_module(base_of(name).onnx))
    assert_close(found_by(whole, images()), found_by(detector_of(name), images()), 1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_the_losses_are_those_of_the_detector(name: str) -> None:
    detector = copy.deepcopy(detector_of(name)).train()
    whole = hwprune.detector_with(detector, OneStage(detector)).train()
    expected, given = detector(images(), targets()), whole(images(), targets())
    assert set(given) == set(expected)
    for key in given:
        torch.testing.assert_close(given[key], expected[key])


@pytest.mark.parametrize("name", EVERY)
def test_a_cut_network_finds_valid_boxes_and_learns(name: str) -> None:
    cut = cut_of(name, 0.75)
    whole = hwprune.detector_with(detector_of(name), cut)
    for found, image in zip(found_by(whole, images()), images(), strict=True):
        height, width = image.shape[-2:]
        left, top, right, bottom = found["boxes"].unbind(1)
        assert torch.all((left >= 0) & (left <= right) & (right <= width + 1e-3))
        assert torch.all((top >= 0) & (top <= bottom) & (bottom <= height + 1e-3))
        assert torch.all((found["scores"] > 0) & (found["scores"] <= 1))
        assert torch.all(found["labels"] < CLASSES)
    before = copy.deepcopy(cut.state_dict())
    optimizer = torch.optim.SGD(whole.parameters(), lr=1e-3)
    losses = whole.train()(images(), targets())
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    optimizer.step()
    learnt = [key for key, weight in cut.named_parameters() if weight.grad is not None]
    assert learnt == [key for key, _ in cut.named_parameters()]
    changed = [key for key in learnt if not torch.equal(before[key], cut.state_dict()[key])]
    assert any(key.startswith("backbone.") for key in changed)
    assert any(key.startswith("head.") for key in changed)


@pytest.mark.parametrize("name", EVERY)
def test_a_detectors_state_is_its_networks_under_the_names_of_the_trace(name: str) -> None:
    detector = detector_of(name)
    whole = hwprune.detector_with(detector, to_module(base_of(name).onnx))
    names = {key.removeprefix("head.network.") for key in whole.state_dict()}
    assert names == set(whole.head.network.state_dict())
    counters = {key for key in names if key.endswith("num_batches_tracked")}
    floats = {k for k, v in OneStage(detector).state_dict().items() if v.is_floating_point()}
    assert names - counters == floats


def test_a_detector_with_a_network_is_copied_loaded_and_moved_like_any_module() -> None:
    whole = hwprune.detector_with(detector_of("fcos"), cut_of("fcos", 0.5))
    twice = copy.deepcopy(whole)
    for weight in twice.parameters():
        weight.data.zero_()
    assert all(weight.any() for key, weight in whole.named_parameters() if key.endswith("weight"))
    twice.load_state_dict(whole.state_dict())
    assert_close(found_by(twice, images()), found_by(whole, images()), 0.0)
    double = twice.double().train()
    losses = double([image.double() for image in images()], targets())
    assert {loss.dtype for loss in losses.values()} == {torch.float64}


def test_what_was_given_is_left_as_it_was() -> None:
    detector = fcos(min_size=SIDE, max_size=SIDE).train()
    detector.backbone.stem.eval()
    state, modes = copy.deepcopy(detector.state_dict()), [m.training for m in detector.modules()]
    backbone = detector.backbone
    hwprune.detector_with(detector, lambda images: images, size=(SIDE, SIDE))
    assert detector.transform.fixed_size is None
    assert detector.backbone is backbone
    assert [m.training for m in detector.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in detector.state_dict().items())


@pytest.mark.parametrize("flat", [True, False])
def test_a_board_in_the_networks_place_infers_and_is_not_trained(flat: bool) -> None:
    detector = detector_of("retinanet")
    part = OneStage(detector)

    def board(pixels: torch.Tensor) -> Any:
        with torch.no_grad():
            outputs = part(pixels)
        return tuple(outputs.values()) if flat else outputs

    whole = hwprune.detector_with(detector, board)
    assert not list(whole.parameters())
    assert_close(found_by(whole, images()), found_by(detector, images()), 0.0)
    whole.train()
    with pytest.raises(NetworkError, match="only infers"):
        whole(images(), targets())
    with torch.no_grad():
        assert all(torch.isfinite(loss) for loss in whole(images(), targets()).values())


def test_images_of_calls_from_several_threads_keep_apart() -> None:
    detector = detector_of("ssd")
    whole = hwprune.detector_with(detector, OneStage(detector))
    batches = [images(3, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(functools.partial(found_by, whole), batches))
    for one, batch in zip(given, batches, strict=True):
        assert_close(one, found_by(detector, batch), 1e-6)


def test_a_detector_that_keeps_proportions_asks_for_the_networks_size() -> None:
    detector = fcos(min_size=48, max_size=96, score_thresh=0.0).eval()
    with pytest.raises(NetworkError, match=r"size=\(height, width\)"):
        hwprune.detector_with(detector, OneStage(detector))
    seen: list[tuple[int, ...]] = []

    def network(pixels: torch.Tensor) -> Any:
        seen.append(tuple(pixels.shape))
        return OneStage(detector)(pixels)

    whole = hwprune.detector_with(detector, network, size=(40, 72))
    for found, image in zip(found_by(whole, images(3)), images(3), strict=True):
        assert len(found["boxes"])
        assert found["boxes"][:, 2].max() <= image.shape[-1] + 1e-3
    assert seen == [(3, 3, 40, 72)]


def test_outputs_that_do_not_fit_are_refused() -> None:
    detector = detector_of("ssd")
    part = OneStage(detector)
    wrong = {
        "one missing": lambda pixels: part(pixels)["cls_logits"],
        "one too many": lambda pixels: (*part(pixels).values(), pixels),
        "another name": lambda pixels: {"boxes": part(pixels)["bbox_regression"]},
        "another size": lambda pixels: part(pixels[:, :, 8:]),
        "nothing": lambda pixels: None,
    }
    for network in wrong.values():
        whole = hwprune.detector_with(detector, network)
        with pytest.raises(NetworkError, match="do not fit"):
            found_by(whole, images())


def test_images_that_are_not_resized_are_refused() -> None:
    whole = hwprune.detector_with(detector_of("ssd"), OneStage(detector_of("ssd"))).train()
    whole.transform._skip_resize = True
    with pytest.raises(NetworkError, match="do not have the size"):
        whole(images(), targets())


def test_a_two_stage_detector_is_refused_and_told_what_is_possible() -> None:
    detector = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    with pytest.raises(NetworkError, match="cut_module"):
        hwprune.detector_with(detector, detector)
    with pytest.raises(NetworkError, match="SSD, SSDlite, RetinaNet or FCOS"):
        hwprune.detector_with(nn.Linear(2, 2), detector)

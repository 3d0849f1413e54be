"""The SSDlite example's own functions: they feed, score and train a detector around a network."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hwprune.network.detector import OneStage

FOLDER = Path(__file__).parents[2] / "profiles/deployments/ssdlite"
pytest.importorskip("torchmetrics", reason="the example scores by torchmetrics' mAP")
pytest.importorskip("pycocotools", reason="torchmetrics' mAP needs pycocotools")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    torch.manual_seed(0)
    return importlib.reload(importlib.import_module("prune_ssdlite"))


def test_a_part_is_the_same_each_time_and_its_boxes_hold_their_colour(example) -> None:
    rectangles = importlib.import_module("rectangles")
    for image, target in rectangles.rectangles(20, seed=7):
        assert image.shape == (3, example.SIDE, example.SIDE)
        for (left, top, right, bottom), label in zip(
            target["boxes"].int().tolist(), target["labels"].tolist(), strict=True
        ):
            assert 0 <= left < right <= example.SIDE and 0 <= top < bottom <= example.SIDE
            inside = image[:, top:bottom, left:right]
            assert torch.all(inside == rectangles.COLOURS[label - 1][:, None, None])
    first, again = (list(example.batches("heldout")) for _ in range(2))
    assert torch.equal(first[0][0][0], again[0][0][0])


def test_inputs_are_what_the_network_takes(example) -> None:
    given = example.inputs("calibration", 40)
    assert [len(batch) for batch in given] == [16, 16, 8]
    assert given[0].shape[1:] == (3, example.SIDE, example.SIDE)
    outputs = OneStage(example.DETECTOR).eval()(given[2])
    assert set(outputs) == {"bbox_regression", "cls_logits"}


@pytest.mark.heavy
def test_training_changes_the_network_and_makes_the_losses_small(
    example, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hwprune

    monkeypatch.setattr(example, "EPOCHS", 1)
    part = OneStage(example.DETECTOR)
    detector = hwprune.detector_with(example.DETECTOR, part).train()
    images, targets = next(iter(example.batches("heldout")))
    with torch.no_grad():
        before = sum(detector(images, targets).values())
    example.train(part)
    with torch.no_grad():
        after = sum(detector.train()(images, targets).values())
    assert after < 0.8 * before
    assert 0.0 <= example.score(part, "heldout") <= 1.0


@pytest.mark.heavy
def test_a_trained_detector_finds_the_rectangles(example) -> None:
    part = OneStage(example.DETECTOR)
    example.train(part)
    assert example.score(part, "test") > 0.5

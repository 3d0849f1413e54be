"""The blood cell detector: its boxes, its loss, its score, and how well it learns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from hwprune.channels.base import make_base
from hwprune.deployment import load_deployment
from hwprune.errors import DataError, NetworkError
from hwprune.finetune.trainer import train
from hwprune.network.gate import check_cut
from hwprune.network.source import load_network
from hwprune.network.trace import trace
from hwprune.task.scoring import score_of
from tests.profiles.folder import DEPLOYMENTS, loaded, needed

SETTINGS = DEPLOYMENTS / "bccd" / "bccd.toml"
BCCD, BOXES, IMAGES = (loaded(f"bccd/{name}.py") for name in ("task", "boxes", "images"))


@pytest.fixture
def bccd() -> ModuleType:
    needed("bccd/boxes.json")
    return BCCD


def network(seed: int = 0) -> torch.nn.Module:
    return load_network(load_deployment(SETTINGS).network.source, seed=seed)


def ideal(boxes: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw outputs of a network that knows where these boxes are."""
    heat, given, _ = BOXES.targets_of(boxes)
    centre = BOXES.cells().T.view(1, 2, BOXES.ROWS, BOXES.COLUMNS)
    sides = torch.cat([centre - given[:, :2], given[:, 2:] - centre], 1)
    distances = (sides.clamp_min(0.1) / (2 * BOXES.STRIDE)).log()
    return torch.where(heat == 1, 8.0, -8.0), distances


class Oracle:
    """A network that gives the right boxes of a split, in order."""

    def __init__(self, split: str) -> None:
        self._boxes: Iterator[torch.Tensor] = iter(IMAGES.read(split).boxes)

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return ideal([next(self._boxes) for _ in images])


def test_the_right_boxes_score_one_and_a_random_network_nothing(bccd: ModuleType) -> None:
    right = score_of(bccd.task(), Oracle("val"), "heldout")
    # Of a few cells that share a centre only one can be told.
    assert right.value > 0.98 and right.items is not None and right.items.mean() > 0.98
    assert set(right.others) == {"AP50 RBC", "AP50 WBC", "AP50 Platelets"}
    with torch.inference_mode():
        guessed = score_of(bccd.task(), network(), "heldout")
    assert guessed.value < 0.01 and guessed.items is not None and guessed.items.mean() < 0.01


def test_a_share_is_the_first_images_and_items_keep_their_order(bccd: ModuleType) -> None:
    task = bccd.task()
    boxes = [*IMAGES.read("val").boxes]
    missed = boxes[3]

    class OneMissed(Oracle):
        def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            drawn = [next(self._boxes) for _ in images]
            return ideal([one[:0] if one is missed else one for one in drawn])

    part = score_of(task, OneMissed("val"), "heldout", 0.1).items
    whole = score_of(task, OneMissed("val"), "heldout").items
    assert part is not None and whole is not None
    assert len(part) == 9 and len(whole) == 87
    assert np.array_equal(part, whole[:9])
    assert np.flatnonzero(part == 0).tolist() == [3]


def test_batches_can_be_repeated_and_only_training_is_augmented(bccd: ModuleType) -> None:
    def pixels(part: str) -> torch.Tensor:
        return torch.cat([images for images, _ in IMAGES.batches(part, 16)])

    torch.manual_seed(5)
    one, other = pixels("train"), pixels("train")
    torch.manual_seed(5)
    assert torch.equal(pixels("train"), one) and not torch.equal(one, other)
    assert one.shape == (192, 3, BOXES.HEIGHT, BOXES.WIDTH)
    assert torch.equal(pixels("calibration"), torch.cat([*IMAGES.inputs("train", 1000)]))
    assert len(torch.cat([*IMAGES.inputs("test", 40)])) == 40


def test_boxes_move_with_what_is_in_them() -> None:
    """A white rectangle on grey stays inside its box, wherever an image is moved to."""
    torch.manual_seed(0)
    pixels = torch.full((64, 3, 2 * BOXES.HEIGHT, 2 * BOXES.WIDTH), 180, dtype=torch.uint8)
    pixels[:, :, 100:150, 120:200] = 255
    box = torch.tensor([[60.0, 50.0, 100.0, 75.0, 1.0]])
    images, boxes = IMAGES.augmented(pixels, [box] * 64)
    for image, given in zip(images, boxes, strict=True):
        light = image.mean(0) > (image.mean(0).max() + image.mean(0).min()) / 2
        rows, columns = light.any(1).nonzero(), light.any(0).nonzero()
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert given[0, :4].tolist() == pytest.approx([float(v) for v in seen], abs=1.0)


def test_the_loss_falls_in_a_few_steps(bccd: ModuleType) -> None:
    torch.manual_seed(0)
    module = network().train()
    images, targets = next(iter(IMAGES.batches("train", 8)))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = bccd.loss(module(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_the_loss_is_least_where_outputs_are_ideal(bccd: ModuleType) -> None:
    _, targets = next(iter(IMAGES.batches("calibration", 8)))
    right = ideal([*IMAGES.read("train").boxes[:8]])
    wrong = right[0].roll(3, -1), right[1]
    far = right[0], right[1] + 0.7
    best = bccd.loss(right, targets)
    assert best < 0.1 * bccd.loss(wrong, targets) and best < bccd.loss(far, targets) - 0.3


def test_decoding_keeps_peaks_and_drops_doubles() -> None:
    heat = torch.full((1, 3, BOXES.ROWS, BOXES.COLUMNS), -9.0)
    heat[0, 0, 10, 10], heat[0, 0, 10, 11] = 2.0, 1.0  # no peak beside a higher one
    heat[0, 0, 10, 12] = 1.5  # a peak whose box covers the first one's
    heat[0, 0, 20, 30] = 0.0
    heat[0, 2, 10, 10] = -1.0  # another class at the same place
    distances = torch.zeros(1, 4, BOXES.ROWS, BOXES.COLUMNS)
    distances[0, :, 10, 12] = torch.tensor([2.0, 1.0, 0.001, 1.0]).log()
    (found,) = BOXES.decode((heat, distances))
    assert found["labels"].tolist() == [0, 0, 2]
    scores = torch.sigmoid(torch.tensor([2.0, 0.0, -1.0]))
    assert torch.allclose(found["scores"], scores)
    boxes = [[34.0, 34.0, 50.0, 50.0], [114.0, 74.0, 130.0, 90.0], [34.0, 34.0, 50.0, 50.0]]
    assert found["boxes"].tolist() == boxes


def test_ap_of_an_image_is_the_mean_over_its_classes() -> None:
    truth = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]]),
        "labels": torch.tensor([0, 0, 2]),
    }
    found = {
        # A false one first, then both red cells, one of them twice; the platelet is a white cell.
        "boxes": torch.tensor(
            [[70.0, 0, 80, 10], [0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 11], [50, 50, 60, 60]]
        ),
        "labels": torch.tensor([0, 0, 0, 0, 1]),
        "scores": torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]),
    }
    red = (1 / 2 + 2 / 4) / 2
    assert BCCD.image_ap(found, truth) == pytest.approx((red + 0) / 2)
    nothing = {key: value[:0] for key, value in truth.items()}
    assert BCCD.image_ap(found, nothing) == 1.0


def test_outputs_that_are_no_heads_are_refused() -> None:
    module = network()
    BCCD.check(module(torch.zeros(2, 3, BOXES.HEIGHT, BOXES.WIDTH)))
    for wrong in (torch.zeros(2, 10), (torch.zeros(2, 3, 30, 40), torch.zeros(2, 3, 30, 40))):
        with pytest.raises(NetworkError, match="not heat maps"):
            BCCD.check(wrong)


def test_absent_data_is_said_with_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = loaded("bccd/images.py")
    monkeypatch.setattr(elsewhere, "__file__", str(tmp_path / "a/b/c/d/e/images.py"))
    monkeypatch.setenv("HWPRUNE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="BCCD_Dataset"):
        elsewhere.read("train")


def test_every_cut_of_the_network_is_right() -> None:
    module = network()
    base = make_base(trace(module, torch.zeros(1, 3, BOXES.HEIGHT, BOXES.WIDTH)))
    assert check_cut(base, module) == ()
    assert {name for name, _ in base.plan.frozen} == {"heat.out", "box.out"}


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_trained_by_its_recipe_it_finds_blood_cells(bccd: ModuleType, tmp_path: Path) -> None:
    module = network()
    train(module, bccd.task(), load_deployment(SETTINGS).training, folder=tmp_path)
    with torch.inference_mode():
        assert score_of(bccd.task(), module, "test").value > 0.85

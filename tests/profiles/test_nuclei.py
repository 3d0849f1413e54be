"""The nuclei's U-Net: its crops, its loss, its score, and how well it learns."""

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

SETTINGS = DEPLOYMENTS / "nuclei" / "nuclei.toml"
NUCLEI = loaded("nuclei/task.py")


@pytest.fixture
def nuclei() -> ModuleType:
    needed("nuclei/masks")
    return NUCLEI


def network(seed: int = 0) -> torch.nn.Module:
    return load_network(load_deployment(SETTINGS).network.source, seed=seed)


class Oracle:
    """A network that knows the masks of a part, and shifts some of them."""

    def __init__(self, part: str, *, shifted: tuple[int, ...] = ()) -> None:
        self._masks: Iterator[tuple[int, torch.Tensor]] = iter(enumerate(NUCLEI.read(part).masks))
        self._shifted = shifted

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        drawn = [next(self._masks) for _ in images]
        rolled = [m.roll(128, 2) if n in self._shifted else m for n, m in drawn]
        return torch.stack(rolled) * 12.0 - 6.0


def test_the_right_masks_score_one_and_a_random_network_little(nuclei: ModuleType) -> None:
    right = score_of(nuclei.task(), Oracle("heldout"), "heldout")
    assert (right.value, right.others["Dice"]) == (1.0, 1.0)
    with torch.inference_mode():
        guessed = score_of(nuclei.task(), network(), "heldout", 0.3)
    assert guessed.value < 0.3


def test_half_of_a_nucleus_is_half_an_iou_and_two_thirds_of_a_dice(
    nuclei: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = torch.zeros(2, 1, nuclei.SIDE, nuclei.SIDE, dtype=torch.bool)
    masks[0, :, 10:30, 10:30] = True
    images = nuclei.Images(pixels=torch.zeros(2, 1, 256, 256, dtype=torch.uint8), masks=masks)
    monkeypatch.setattr(nuclei, "read", lambda part: images)

    def half(images: torch.Tensor) -> torch.Tensor:
        outputs = torch.full(images.shape, -1.0)
        outputs[0, :, 10:30, 10:20] = 1.0
        return outputs

    score = score_of(nuclei.task(), half, "test")
    assert score.items is not None and score.items.tolist() == [0.5, 1.0]
    assert score.others["Dice"] == pytest.approx((2 / 3 + 1) / 2)


def test_a_share_is_the_first_images_and_items_keep_their_order(nuclei: ModuleType) -> None:
    part = score_of(nuclei.task(), Oracle("heldout", shifted=(2, 20)), "heldout", 0.25).items
    whole = score_of(nuclei.task(), Oracle("heldout", shifted=(2, 20)), "heldout").items
    assert part is not None and whole is not None
    assert len(part) == 9 and len(whole) == 34
    assert np.array_equal(part, whole[:9])
    assert np.flatnonzero(whole < 1).tolist() == [2, 20]


def test_no_image_is_in_two_parts() -> None:
    parts = [NUCLEI.part_of(number) for number in range(NUCLEI.IMAGES)]
    assert [parts.count(part) for part in ("train", "heldout", "test")] == [233, 34, 67]


def test_batches_can_be_repeated_and_only_training_is_augmented(nuclei: ModuleType) -> None:
    def pixels(part: str) -> torch.Tensor:
        return torch.cat([images for images, _ in nuclei.batches(part, 16)])

    torch.manual_seed(5)
    one, other = pixels("train"), pixels("train")
    torch.manual_seed(5)
    assert torch.equal(pixels("train"), one) and not torch.equal(one, other)
    assert one.shape == (224, 1, nuclei.CROP, nuclei.CROP)
    assert torch.equal(pixels("calibration"), torch.cat([*nuclei.inputs("train", 1000)]))
    assert len(torch.cat([*nuclei.inputs("test", 20)])) == 20


def test_masks_move_with_their_images() -> None:
    torch.manual_seed(0)
    masks = torch.rand(16, 1, NUCLEI.SIDE, NUCLEI.SIDE) < 0.3
    images, moved = NUCLEI.augmented(masks.to(torch.uint8) * 255, masks)
    assert torch.equal(images > 0.5, moved > 0.5)


@pytest.mark.heavy
def test_the_loss_falls_in_a_few_steps(nuclei: ModuleType) -> None:
    torch.manual_seed(0)
    module = network().train()
    images, masks = next(iter(nuclei.batches("train", 8)))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = nuclei.loss(module(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert nuclei.loss(masks * 40 - 20, masks) < 0.01


def test_outputs_that_are_no_masks_are_refused() -> None:
    NUCLEI.check(network()(torch.zeros(2, 1, NUCLEI.SIDE, NUCLEI.SIDE)))
    for wrong in (torch.zeros(2, 10), torch.zeros(2, 2, 256, 256), (torch.zeros(2, 1),)):
        with pytest.raises(NetworkError, match="not a logit for each pixel"):
            NUCLEI.check(wrong)


def test_absent_data_is_said_with_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = loaded("nuclei/task.py")
    monkeypatch.setattr(elsewhere, "__file__", str(tmp_path / "a/b/c/d/e/task.py"))
    monkeypatch.setenv("HWPRUNE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="kaggle-dsbowl-2018-dataset-fixes"):
        elsewhere.read("train")


@pytest.mark.heavy
def test_every_cut_of_the_network_is_right() -> None:
    module = network()
    base = make_base(trace(module, torch.zeros(1, 1, NUCLEI.SIDE, NUCLEI.SIDE)))
    assert check_cut(base, module) == ()
    assert [name for name, _ in base.plan.frozen] == ["out"]


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_trained_by_its_recipe_it_segments_nuclei(nuclei: ModuleType, tmp_path: Path) -> None:
    module = network()
    train(module, nuclei.task(), load_deployment(SETTINGS).training, folder=tmp_path)
    with torch.inference_mode():
        score = score_of(nuclei.task(), module, "test")
    assert score.value > 0.83 and score.others["Dice"] > 0.9

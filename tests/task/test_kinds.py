"""The kinds of task that data with targets has: hand-made scores, items, losses and checks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.errors import NetworkError
from hwprune.task.data import Data
from hwprune.task.kinds import classification, multilabel, regression
from hwprune.task.segmentation import segmentation
from hwprune.task.task import PARTS, Task
from hwprune.task.tensors import as_tensors

torch.set_num_threads(1)


def data(targets: torch.Tensor, inputs: torch.Tensor | None = None) -> Data:
    """Every part the same items; inputs are their numbers unless others are given."""
    given = torch.arange(len(targets), dtype=torch.float32)[:, None] if inputs is None else inputs
    items = as_tensors(given, targets)
    whole = targets.ndim == 1 and not targets.is_floating_point()
    return Data(
        name="made",
        parts=dict.fromkeys(PARTS, items),
        content_hash="",
        classes=int(targets.max()) + 1 if whole else None,
    )


def answering(outputs: torch.Tensor):
    """A network that gives each item, by its number, what is written here."""
    return lambda numbers: outputs[numbers[:, 0].long()]


def scored(task: Task, outputs: torch.Tensor, share: float = 1.0):
    return task.score(answering(outputs), "heldout", share)


def one_hot(classes: list[int], count: int = 3) -> torch.Tensor:
    return nn.functional.one_hot(torch.tensor(classes), count).float()


def test_classification_scores_the_share_that_is_right():
    found = scored(classification(data(torch.tensor([0, 1, 2, 1]))), one_hot([0, 1, 1, 1]))
    assert found.value == 0.75 and found.items.tolist() == [1, 1, 0, 1]


def test_multilabel_scores_f1_by_item_and_nothing_to_say_is_right():
    targets = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    outputs = torch.tensor([[5.0, -1, -1], [-1, -1, -1], [-1, 2, -1], [3, -1, -1]])
    found = scored(multilabel(data(targets)), outputs)
    assert np.allclose(found.items, [2 / 3, 1, 0, 0])
    assert found.value == pytest.approx((2 / 3 + 1) / 4)
    assert found.others == pytest.approx({"labels right": (2 / 3 + 1 + 1 / 3 + 2 / 3) / 4})


def test_regression_scores_the_mean_error_and_items_are_higher_where_better():
    targets = torch.tensor([[0.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    outputs = torch.tensor([[0.0, 0.0], [2.0, 2.0], [3.0, -1.0]])
    task = regression(data(targets))
    found = scored(task, outputs)
    assert found.value == pytest.approx((0.5 + 0 + 2) / 3)
    assert found.items.tolist() == [-0.5, 0.0, -2.0]
    assert not task.metric.higher_is_better and not task.metric.is_share


def test_regression_takes_outputs_n_1_for_targets_n():
    task = regression(data(torch.tensor([1.0, 2.0, 4.0])))
    column = torch.tensor([[1.0], [2.0], [3.0]])
    assert scored(task, column).value == pytest.approx(1 / 3)
    assert float(task.loss(column, torch.tensor([1.0, 2.0, 4.0]))) == pytest.approx(1 / 3)


MASKS = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]])


def test_segmentation_scores_the_mean_over_classes_that_are_named():
    said = torch.tensor([[[0, 0], [0, 1]], [[0, 0], [0, 0]], [[2, 1], [1, 1]]])
    found = scored(segmentation(data(MASKS)), nn.functional.one_hot(said, 3).movedim(3, 1))
    # Item 0: 2/3 of class 0, 1/2 of class 1. Item 2: 3/4 of class 1, none of class 2.
    assert np.allclose(found.items, [(2 / 3 + 1 / 2) / 2, 1.0, 3 / 8])
    assert found.value == pytest.approx(float(np.mean(found.items)))
    assert found.others["Dice"] == pytest.approx(((4 / 5 + 2 / 3) / 2 + 1 + (6 / 7) / 2) / 3)


def test_one_class_against_the_rest_counts_that_class_alone():
    said = torch.tensor([[[0, 0], [0, 1]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]])
    found = scored(segmentation(data(MASKS)), (said[:, None] * 2.0 - 1.0))
    # An empty mask in which nothing was found is right; a full one in which nothing was is not.
    assert np.allclose(found.items, [1 / 2, 1.0, 0.0])


CASES = {
    "classification": (classification, torch.arange(64) % 3, 3),
    "multilabel": (multilabel, (torch.arange(64)[:, None] >> torch.arange(3)) % 2, 3),
    "regression": (regression, torch.linspace(0, 1, 64).reshape(64, 1), 1),
    "segmentation": (segmentation, (torch.arange(64 * 16).reshape(64, 4, 4) // 7) % 3, 3),
    "one class": (segmentation, (torch.arange(64 * 16).reshape(64, 4, 4) // 7) % 2, 1),
}


class Network(nn.Module):
    """Enough to learn what an item's pixels say; a map for masks, else numbers."""

    def __init__(self, outputs: int, *, maps: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(16, outputs, 1) if maps else nn.Linear(16 * 16, outputs)
        self.maps = maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.body(images)
        return self.head(features if self.maps else features.flatten(1))


@pytest.mark.parametrize("name", CASES)
def test_a_few_steps_make_the_loss_smaller_and_the_score_no_worse(name):
    kind, targets, outputs = CASES[name]
    torch.manual_seed(0)
    maps = targets.ndim == 3
    images = targets[:, None].float() if maps else torch.randn(64, 1, 4, 4)
    task = kind(data(targets, images))
    network = Network(outputs, maps=maps)
    task.check(network(images))
    run = torch.inference_mode()(network.forward)
    before = task.score(run, "heldout", 1.0)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    losses = []
    for _ in range(20):
        for (inputs,), wanted in task.batches("train", 32):
            loss = task.loss(network(inputs), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    assert not task.metric.better(before.value, task.score(run, "heldout", 1.0).value)


@pytest.mark.parametrize("name", CASES)
def test_a_share_is_a_prefix_and_items_follow_the_parts_order(name):
    kind, targets, outputs = CASES[name]
    shape = (64, outputs, *targets.shape[1:]) if targets.ndim == 3 else (64, outputs)
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    task = kind(data(targets))
    whole = scored(task, given).items
    for share, count in ((0.125, 8), (0.3, 20), (1e-9, 1)):
        assert np.array_equal(scored(task, given, share).items, whole[:count])


@pytest.mark.parametrize("name", CASES)
def test_what_is_better_by_the_items_is_better_by_the_value(name):
    kind, targets, outputs = CASES[name]
    shape = (64, outputs, *targets.shape[1:]) if targets.ndim == 3 else (64, outputs)
    task = kind(data(targets))
    one, other = (
        scored(task, torch.randn(shape, generator=torch.Generator().manual_seed(seed)))
        for seed in (1, 2)
    )
    assert (one.items.mean() > other.items.mean()) == task.metric.better(one.value, other.value)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("classification", (1, 4)),
        ("classification", (1, 3, 2)),
        ("multilabel", (1, 2)),
        ("regression", (1, 2)),
        ("segmentation", (1, 3, 2, 2)),
        ("segmentation", (1, 3)),
    ],
)
def test_outputs_of_another_shape_are_refused_with_both_shapes(name, shape):
    kind, targets, _ = CASES[name]
    with pytest.raises(NetworkError, match="does not fit") as raised:
        kind(data(targets)).check(torch.zeros(shape))
    assert str(list(shape)) in raised.value.given and raised.value.possible


def test_several_outputs_are_refused():
    for kind, targets, _ in CASES.values():
        with pytest.raises(NetworkError, match="does not fit"):
            kind(data(targets)).check({"scores": torch.zeros(1, 3)})


def test_masks_of_0_and_255_are_refused_before_they_score_nothing():
    with pytest.raises(NetworkError, match="classes that the network does not score") as raised:
        segmentation(data(MASKS * 255)).check(torch.zeros(1, 1, 2, 2))
    assert "0 to 255" in raised.value.given

"""Datasets read as they are wanted: folders of images, and sets larger than memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from hwprune.errors import DataError
from hwprune.task import data_source, streamed
from hwprune.task.data import load_data
from hwprune.task.streamed import Streamed
from hwprune.task.tensors import Tensors
from tests.digits import images_of, labels_of
from tests.photographs import write_photographs

torch.set_num_threads(1)
SPLIT = {"heldout": 6, "calibration": 4}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train` and `val` of three classes of small photographs; 30 and 9 of them."""
    root = tmp_path_factory.mktemp("images")
    write_photographs(root, {"train": 10, "val": 3})
    return root


def loaded(tree: Path, **keys: Any):
    keys = {"size": (32,), "workers": 0, **SPLIT, **keys}
    return load_data(f"imagefolder:{tree}", **keys)


def test_a_folder_of_images_comes_in_parts_with_each_class_in_its_share(tree):
    data = loaded(tree)
    assert data.classes == 3 and data.example[0].shape == (1, 3, 32, 32)
    assert {name: len(part) for name, part in data.parts.items()} == {
        **{"train": 24, "calibration": 24},
        **{"heldout": 6, "final": 6, "test": 9},
    }
    assert torch.bincount(labels_of(data, "heldout")).tolist() == [2, 2, 2]
    assert torch.bincount(labels_of(data, "train")).tolist() == [8, 8, 8]
    # Each class has a colour that is full everywhere: the images are those of their labels.
    images, labels = images_of(data, "test"), labels_of(data, "test")
    assert torch.equal(images.mean((2, 3)).argmax(1), labels)


def test_items_are_prepared_as_the_weights_want_them(tree):
    from torchvision import models
    from torchvision.datasets import ImageFolder

    data = loaded(tree, size=(), transforms="torchvision:resnet18:IMAGENET1K_V1")
    prepare = models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    wanted = ImageFolder(str(tree / "val"), prepare)
    assert data.example[0].shape == (1, 3, 224, 224)
    assert torch.equal(images_of(data, "test", 1)[0], wanted[0][0])


@pytest.mark.parametrize(
    "weights", ["torchvision:resnet18:V9", "torchvision:resnet999:V1", "resnet18"]
)
def test_weights_that_are_not_there_are_refused(tree, weights):
    with pytest.raises(DataError, match="names no weights") as raised:
        loaded(tree, transforms=weights)
    assert "IMAGENET1K_V1" in raised.value.possible


def test_mean_and_spread_of_the_settings_are_taken_out(tree):
    plain = images_of(loaded(tree, mean=(0.0,) * 3, std=(1.0,) * 3), "test")
    found = images_of(loaded(tree, mean=(0.5,) * 3, std=(0.25,) * 3), "test")
    assert plain.min() >= 0 and plain.max() <= 1
    assert torch.allclose(found, (plain - 0.5) / 0.25, atol=1e-5)


def test_folders_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match="no images can be read") as raised:
        loaded(tmp_path)
    assert "CLASS" in raised.value.possible


def test_readers_give_the_order_that_this_process_gives(tree):
    one, two = loaded(tree, workers=0), loaded(tree, workers=2)
    for part in ("calibration", "heldout", "test"):
        assert torch.equal(images_of(one, part), images_of(two, part))
        assert torch.equal(labels_of(one, part), labels_of(two, part))


def test_training_is_augmented_and_repeats_itself_from_the_same_seed(tree):
    data = loaded(tree)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([inputs for (inputs,), _ in data.pairs("train", 5)])

    one, again, other = drawn(0), drawn(0), drawn(1)
    assert len(one) == 20, "all batches are full"
    assert torch.equal(one, again) and not torch.equal(one, other)
    seen = {image.numpy().tobytes() for image in images_of(data, "calibration")}
    assert not seen & {image.numpy().tobytes() for image in one}


class Counted(Dataset[Any]):
    """Images made from their number; counts how many were read."""

    def __init__(self, count: int, size: int = 16, target: Any = None) -> None:
        self.count, self.size, self.read = count, size, 0
        self.target = target or (lambda index: index % 3)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        self.read += 1
        return torch.full((3, self.size, self.size), float(index)), self.target(index)


def sets(monkeypatch: pytest.MonkeyPatch, train: Any, test: Any) -> str:
    """A source that gives these parts."""
    monkeypatch.setattr(data_source, "load_function", lambda *_, **__: lambda: (train, test))
    return "mine.py:sets"


def test_a_small_dataset_is_read_into_memory_once(monkeypatch):
    train, test = Counted(60), Counted(9)
    data = load_data(sets(monkeypatch, train, test), **SPLIT)
    assert all(isinstance(part, Tensors) for part in data.parts.values())
    assert data.classes == 3
    known = train.read
    images_of(data, "calibration")
    assert train.read == known < 70


def test_a_large_dataset_is_streamed_and_hardly_read_to_begin_with(monkeypatch):
    monkeypatch.setattr(data_source, "IN_MEMORY_BYTES", 100_000)
    train, test = Counted(5000), Counted(20)
    data = load_data(sets(monkeypatch, train, test), workers=0, **SPLIT)
    assert all(isinstance(part, Streamed) for part in data.parts.values())
    assert train.read < 20 and test.read < 20
    # A small test part is streamed with it: both are prepared alike.
    assert float(images_of(data, "test")[3].mean()) == 3.0
    assert next(iter(data.pairs("train", 8)))[0][0].shape == (8, 3, 16, 16)
    assert train.read < 40


def test_a_small_training_part_is_streamed_where_the_test_part_is_large(monkeypatch):
    monkeypatch.setattr(data_source, "IN_MEMORY_BYTES", 1_000_000)
    data = load_data(sets(monkeypatch, Counted(30), Counted(5000)), workers=0, **SPLIT)
    assert all(isinstance(part, Streamed) for part in data.parts.values())


def test_arrays_beside_a_large_dataset_are_refused(monkeypatch):
    monkeypatch.setattr(data_source, "IN_MEMORY_BYTES", 1000)
    arrays = torch.rand(30, 3, 16, 16), torch.arange(30)
    with pytest.raises(DataError, match="one part is arrays"):
        load_data(sets(monkeypatch, arrays, Counted(50)), **SPLIT)


@pytest.mark.parametrize(
    "keys", [{"mean": (0.5,) * 3}, {"std": (0.5,) * 3}, {"augment": "crop-flip"}]
)
def test_a_preparation_that_a_streamed_set_would_not_get_is_refused(monkeypatch, keys):
    monkeypatch.setattr(data_source, "IN_MEMORY_BYTES", 1000)
    with pytest.raises(DataError, match="prepares and augments its items itself"):
        load_data(sets(monkeypatch, Counted(50), Counted(50)), workers=0, **SPLIT, **keys)


def test_a_set_that_cannot_be_asked_for_an_item_is_refused(monkeypatch):
    class Endless(IterableDataset[Any]):
        def __iter__(self):
            yield torch.zeros(3), 0

    with pytest.raises(DataError, match="cannot be read") as raised:
        load_data(sets(monkeypatch, Endless(), Endless()), **SPLIT)
    assert "Dataset of (inputs, target)" in raised.value.possible


def test_items_of_several_shapes_are_streamed(monkeypatch):
    class Growing(Counted):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
            return torch.zeros(3, 8, 8 + index % 2), 0

    data = load_data(sets(monkeypatch, Growing(30), Growing(30)), workers=0, **SPLIT)
    assert isinstance(data.part("train"), Streamed)


def test_targets_that_are_no_tensors_of_one_shape_come_as_a_list():
    def boxes(index: int) -> dict[str, torch.Tensor]:
        return {"boxes": torch.zeros(index, 4)}

    for target in (boxes, lambda index: torch.zeros(index, 4), lambda index: f"word {index}"):
        items = Streamed(dataset=Counted(6, target=target))
        ((inputs,), targets), _ = items.pairs(3)
        assert inputs.shape == (3, 3, 16, 16)
        assert isinstance(targets, list) and len(targets) == 3


@pytest.mark.parametrize(
    ("target", "dtype"),
    [
        (lambda index: torch.full((4, 4), index, dtype=torch.uint8), torch.int64),
        (lambda index: np.int32(index), torch.int64),
        (lambda index: index, torch.int64),
        (lambda index: float(index), torch.float32),
        (lambda index: np.float64(index), torch.float32),
    ],
)
def test_targets_have_the_type_that_losses_want_streamed_or_not(target, dtype):
    items = Streamed(dataset=Counted(6, target=target))
    assert next(iter(items.pairs(3)))[1].dtype == dtype
    held = items.in_memory(1 << 20)
    assert held is not None and held.targets.dtype == dtype


def test_inputs_of_double_precision_come_as_float32_like_those_in_memory():
    items = Streamed(dataset=TensorDataset(torch.rand(6, 4).double(), torch.arange(6)))
    assert next(iter(items.pairs(3)))[0][0].dtype == torch.float32


def test_labels_that_are_not_one_an_item_tell_nothing():
    dataset = Counted(6)
    for labels in (["cat", "dog", "owl"], [0, 1, 2], {"cat": 0}):
        dataset.labels = labels  # type: ignore[attr-defined]
        assert Streamed(dataset=dataset).known_targets().shape == (6, 1)
    dataset.labels = [0, 1, 2, 0, 1, 2]  # type: ignore[attr-defined]
    assert Streamed(dataset=dataset).known_targets().tolist() == dataset.labels  # type: ignore[attr-defined]


def taken(items: Streamed, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = list(items.pairs(size))
    return torch.cat([i[0] for i, _ in pairs]), torch.cat([t for _, t in pairs])


def test_kept_batches_are_bounded_and_the_next_pass_is_the_same(monkeypatch):
    # An item is 3,072 bytes and its target 8.
    monkeypatch.setattr(streamed, "KEPT_BYTES", 20_000)
    dataset = Counted(20)
    items = Streamed(dataset=dataset).take(np.arange(19, -1, -1))
    first = taken(items, 3)
    assert dataset.read == 20
    second = taken(items, 3)
    assert dataset.read == 40 - 6, "two batches of three were kept"
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert first[1].tolist() == [index % 3 for index in range(19, -1, -1)]
    # Batches of another size share the room.
    taken(items, 2)
    kept = [pair for pairs in items._kept.values() for pair in pairs]
    assert sum(len(inputs[0]) for inputs, _ in kept) <= 6


def test_a_pass_that_was_broken_off_leaves_the_next_one_whole():
    items = Streamed(dataset=Counted(20))
    next(iter(items.pairs(3)))
    assert taken(items, 3)[0][:, 0, 0, 0].tolist() == list(range(20))

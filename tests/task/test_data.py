from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.errors import DataError
from hwprune.task.augmentation import AUGMENTATIONS
from hwprune.task.data import load_data
from hwprune.task.items import stratified_order
from tests.digits import CIFAR, digit_data, digit_images, images_of, labels_of


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_parts_have_the_asked_sizes_and_the_test_part_does_not_follow_the_seed():
    one = load_data("sklearn:digits", heldout=200, final_heldout=100, calibration=50, seed=1)
    two = load_data("sklearn:digits", heldout=200, final_heldout=100, calibration=50, seed=2)
    sizes = {name: len(part) for name, part in one.parts.items()}
    assert sizes == {"train": 1137, "calibration": 1137, "heldout": 200, "final": 100, "test": 360}
    assert torch.equal(labels_of(one, "test"), labels_of(two, "test"))
    assert not torch.equal(images_of(one, "heldout"), images_of(two, "heldout"))
    assert one.content_hash != two.content_hash


def test_no_image_is_in_two_parts_that_must_not_meet():
    data = load_data("sklearn:digits", heldout=300, final_heldout=200)
    kinds = [rows(images_of(data, name)) for name in ("train", "heldout", "final", "test")]
    assert sum(map(len, kinds)) == len(set.union(*kinds))
    assert rows(images_of(data, "calibration", 250)) <= kinds[0]


def test_without_final_images_the_heldout_ones_serve_again():
    assert torch.equal(digit_images("final"), digit_images("heldout"))


def test_every_part_has_the_classes_in_their_shares():
    for name in ("train", "heldout", "test"):
        counts = torch.bincount(labels_of(digit_data(), name), minlength=10)
        assert counts.max() - counts.min() <= max(3, 0.1 * counts.max())


def test_inputs_come_out_normalised_in_an_order_that_stays():
    images = digit_images("train")
    assert images.dtype == torch.float32
    assert abs(images.mean()) < 1e-3 and abs(images.std() - 1) < 1e-2
    assert torch.equal(images[:40], digit_images("calibration", 40))
    assert [tuple(values.shape) for values in digit_data().example] == [(1, 1, 8, 8)]


def test_bytes_and_floats_are_normalised_alike():
    normalise = digit_data().part("train").normalise
    pixels = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    assert torch.allclose(normalise(pixels), normalise(pixels / 255), atol=1e-5)


def test_what_trains_is_shuffled_moved_and_drawn_alike_from_the_same_seed():
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([inputs for (inputs,), _ in digit_data().pairs("train", 64)])

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(first) == len(digit_data().part("train")) // 64 * 64


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=5, max_size=60), st.integers(0, 5))
def test_stratified_order_is_a_permutation_whose_prefixes_follow_the_shares(labels, seed):
    numbers = torch.tensor(labels)
    order = stratified_order(numbers, seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    half = len(labels) // 2
    for value in set(labels):
        among = sum(labels[i] == value for i in order[:half])
        assert abs(among - labels.count(value) * half / len(labels)) <= 2 + len(set(labels)) / 2


def augmented(name: str, images: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)
    return AUGMENTATIONS[name](images)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_augmentation_keeps_shape_type_and_pixels(name):
    images = torch.randint(1, 256, (32, 3, 16, 12), dtype=torch.uint8)
    moved = augmented(name, images)
    assert moved.shape == images.shape and moved.dtype == images.dtype
    again = augmented(name, images)
    assert torch.equal(moved, again)
    for before, after in zip(images, moved, strict=True):
        assert set(after.unique().tolist()) <= {0, *before.unique().tolist()}


def test_crop_flip_moves_and_mirrors_whole_images():
    images = torch.arange(64, dtype=torch.float32).reshape(1, 1, 8, 8).repeat(200, 1, 1, 1) + 1
    moved = augmented("crop-flip", images)
    inner = moved[:, 0, 3, 3:5]
    step = inner[:, 1] - inner[:, 0]
    assert set(step.tolist()) == {1.0, -1.0}
    assert 60 < int((step == 1).sum()) < 140


def test_a_users_function_gives_data(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def pairs():\n"
        "    x = torch.rand(60, 3, 8, 8); y = torch.arange(60) % 3\n"
        "    return (x, y), (x[:9], y[:9])\n"
        "def sets():\n"
        "    x, y = pairs()[0]\n"
        "    whole = torch.utils.data.TensorDataset(x, y)\n"
        "    return whole, whole\n"
        "def wrong(): return 1, 2\n"
    )
    for name in ("pairs", "sets"):
        data = load_data(f"{file}:{name}", heldout=12, calibration=10)
        assert data.example[0].shape == (1, 3, 8, 8) and data.classes == 3
    with pytest.raises(DataError, match="cannot be read"):
        load_data(f"{file}:wrong", heldout=1, calibration=2)
    with pytest.raises(DataError, match="no function 'nothing'"):
        load_data(f"{file}:nothing")


@pytest.mark.parametrize("source", ["torchvision:ImageNet", "sklearn:iris", "digits"])
def test_unknown_data_says_what_is_possible(source):
    with pytest.raises(DataError) as caught:
        load_data(source)
    assert "sklearn:digits" in str(caught.value)


def test_too_few_images_for_the_split_are_refused():
    with pytest.raises(DataError, match="too few"):
        load_data("sklearn:digits", heldout=1400)


def test_mean_of_the_wrong_length_is_refused():
    with pytest.raises(DataError, match="one number for each channel"):
        load_data("sklearn:digits", heldout=100, mean=(0.1, 0.2, 0.3))


def test_data_that_cannot_be_downloaded_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HWPRUNE_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError) as caught:
        load_data("torchvision:CIFAR10", root=str(tmp_path / "here"))
    assert "here" in str(caught.value) and "elsewhere" in str(caught.value)


@pytest.mark.heavy
def test_cifar_is_found_where_the_environment_says(cifar_root, tmp_path, monkeypatch):
    monkeypatch.setenv("HWPRUNE_DATA", str(cifar_root))
    data = load_data("torchvision:CIFAR10", root=str(tmp_path), heldout=500, **CIFAR)
    assert data.example[0].shape == (1, 3, 32, 32) and data.classes == 10
    assert data.part("train").inputs[0].dtype == torch.uint8 and len(data.part("test")) == 10_000
    assert torch.bincount(labels_of(data, "heldout")).tolist() == [50] * 10

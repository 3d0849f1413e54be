"""Inputs from image and array files: what fits is read as it is wanted, the rest is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwprune.errors import DataError
from hwprune.task.files import FileInputs
from hwprune.task.image_file import InputShape

NCHW = InputShape(name="image", shape=(1, 3, 6, 8))
RAMP = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def images(folder: Path, count: int = 12, *, suffix: str = "png", mode: str = "RGB") -> str:
    """Files of one ramp of pixels, each a step brighter, and the pattern that finds them."""
    for number in range(count):
        Image.fromarray(RAMP + number).convert(mode).save(folder / f"{number:02}.{suffix}")
    return str(folder / f"*.{suffix}")


def everything(files: FileInputs, part: str = "calibration") -> torch.Tensor:
    return torch.cat([inputs[0] for inputs in files.inputs(part)])  # type: ignore[arg-type]


def whole(pattern: str, *entries: InputShape, **keys) -> FileInputs:
    return FileInputs(pattern, entries or (NCHW,), apart=False, **keys)


def test_colour_images_become_0_to_1_by_channel(tmp_path):
    found = everything(whole(images(tmp_path)))
    assert found.shape == (12, 3, 6, 8) and found.dtype == torch.float32
    assert np.allclose(found[2], (RAMP + 2).transpose(2, 0, 1) / 255)


def test_jpegs_in_capital_letters_are_images_too(tmp_path):
    found = everything(whole(images(tmp_path, suffix="JPG")))
    assert np.abs(found[0].numpy() - RAMP.transpose(2, 0, 1) / 255).mean() < 0.1


def test_mean_and_spread_are_taken_out_by_channel_or_for_all(tmp_path):
    pattern, plain = images(tmp_path), RAMP.transpose(2, 0, 1) / 255
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.25, 0.2])
    found = everything(whole(pattern, mean=mean.tolist(), std=std.tolist()))
    assert np.allclose(found[0], (plain - mean[:, None, None]) / std[:, None, None], atol=1e-6)
    found = everything(whole(pattern, mean=[0.5], std=[0.5]))
    assert np.allclose(found[0], plain * 2 - 1, atol=1e-6)


def test_grey_networks_get_grey_images_whatever_the_file_has(tmp_path):
    pattern = images(tmp_path)
    found = everything(whole(pattern, InputShape(name="x", shape=(1, 1, 6, 8))))
    assert found.shape == (12, 1, 6, 8)
    assert np.allclose(found[0, 0], np.asarray(Image.fromarray(RAMP).convert("L")) / 255)


def test_grey_files_fill_three_channels(tmp_path):
    found = everything(whole(images(tmp_path, mode="L")))
    assert torch.equal(found[:, 0], found[:, 2])


def test_nhwc_networks_get_channels_last(tmp_path):
    found = everything(whole(images(tmp_path), InputShape(name="x", shape=(1, 6, 8, 3))))
    assert np.allclose(found[0], RAMP / 255)


def test_networks_of_bytes_get_bytes_as_they_are(tmp_path):
    pattern = images(tmp_path)
    bytes_ = InputShape(name="x", shape=(1, 6, 8, 3), dtype="uint8")
    files = whole(pattern, bytes_)
    found = everything(files)
    assert found.dtype == torch.uint8 and np.array_equal(found[3], RAMP + 3)
    assert not files.guessed
    with pytest.raises(DataError, match="mean and std do not fit") as raised:
        whole(pattern, bytes_, mean=[0.5], std=[0.5])
    assert "bytes as they are" in raised.value.possible


def test_images_are_brought_to_the_networks_size(tmp_path):
    entry = InputShape(name="x", shape=(1, 3, 3, 4))
    found = everything(whole(images(tmp_path), entry, size=[3, 4]))
    assert found.shape == (12, 3, 3, 4)
    assert abs(found.mean() - (RAMP + 5.5).mean() / 255) < 0.01


def test_what_is_guessed_is_said(tmp_path):
    pattern = images(tmp_path)
    assert "no mean and spread" in whole(pattern).guessed[0]
    assert "no spread" in whole(pattern, mean=[0.5]).guessed[0]
    assert not whole(pattern, mean=[0.5], std=[0.5]).guessed
    both = InputShape(name="x", shape=(1, 3, 8, 3))
    assert whole(pattern, both).guessed[0] == "layout NCHW"
    assert "layout" not in whole(pattern, both, layout="NHWC").guessed[0]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"mean": [0.1, 0.2]}, "mean and std do not fit"),
        ({"std": [0.1, 0.0, 0.2]}, "mean and std do not fit"),
        ({"size": [5, 5]}, "images do not fit"),
        ({"layout": "NHWC"}, "images do not fit"),
    ],
)
def test_a_preparation_that_does_not_fit_is_refused(tmp_path, keys, said):
    with pytest.raises(DataError, match=said):
        whole(images(tmp_path), **keys)


def test_images_do_not_feed_networks_of_several_inputs_or_few_axes(tmp_path):
    pattern = images(tmp_path)
    for entries in ((NCHW, NCHW), (InputShape(name="x", shape=(1, 8)),)):
        with pytest.raises(DataError, match="one input of four axes"):
            whole(pattern, *entries)


def test_a_file_that_is_no_image_is_named(tmp_path):
    pattern = images(tmp_path)
    (tmp_path / "03.png").write_bytes(b"no image")
    whole_png = (tmp_path / "04.png").read_bytes()
    (tmp_path / "04.png").write_bytes(whole_png[: len(whole_png) // 2])
    files = whole(pattern)
    for name in ("03.png", "04.png"):
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            files.batch([int(name[:2])])


def test_deep_images_are_refused_instead_of_cut_to_white(tmp_path):
    for number in range(8):
        Image.fromarray(np.full((6, 8), 30000, np.uint16)).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match="cannot be read") as raised:
        everything(whole(str(tmp_path / "*.png")))
    assert ".npy" in raised.value.given


ROWS = InputShape(name="row", shape=(1, 5))


def test_npy_files_of_one_item_or_of_many_rows(tmp_path):
    rows = np.arange(60, dtype=np.float64).reshape(12, 5)
    np.save(tmp_path / "a.npy", rows[:10])
    np.save(tmp_path / "b.npy", rows[10])
    np.save(tmp_path / "c.npy", rows[11:])
    found = everything(whole(str(tmp_path / "*.npy"), ROWS))
    assert found.dtype == torch.float32 and np.array_equal(found, rows)


def test_npz_files_give_several_inputs_by_name(tmp_path):
    entries = ROWS, InputShape(name="ids", shape=(1, 2), dtype="int64")
    for number in range(3):
        np.savez(
            tmp_path / f"{number}.npz",
            ids=np.full((4, 2), number),
            row=np.full((4, 5), number + 0.5),
        )
    files = whole(str(tmp_path / "*.npz"), *entries)
    rows, ids = next(iter(files.inputs("calibration")))
    assert rows.shape == (12, 5) and rows.dtype == torch.float32
    assert ids.dtype == torch.int64 and torch.equal(ids[:, 0] + 0.5, rows[:, 0])


def test_an_input_without_a_batch_axis_goes_with_all_rows(tmp_path):
    entries = InputShape(name="anchor", shape=(1, 2)), ROWS
    np.savez(tmp_path / "all.npz", anchor=np.array([3.0, 4.0]), row=np.ones((9, 5)))
    anchor, rows = next(iter(whole(str(tmp_path / "*.npz"), *entries).inputs("test")))
    assert rows.shape == (9, 5) and torch.equal(anchor, torch.tensor([[3.0, 4.0]] * 9))


def test_arrays_of_different_numbers_of_items_are_refused(tmp_path):
    entries = ROWS, InputShape(name="ids", shape=(1, 2), dtype="int64")
    np.savez(tmp_path / "all.npz", row=np.ones((9, 5)), ids=np.ones((8, 2)))
    with pytest.raises(DataError, match="different numbers of items") as raised:
        whole(str(tmp_path / "*.npz"), *entries)
    assert "row 9, ids 8" in raised.value.given


@pytest.mark.parametrize("shape", [(9, 4), (4,), (9, 5, 1), (9, 1, 5), ()])
def test_arrays_of_another_shape_are_refused_with_both_shapes(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(DataError, match="do not fit the network") as raised:
        whole(str(tmp_path / "*.npy"), ROWS)
    assert str(list(shape)) in raised.value.given and "row ['N', 5]" in raised.value.possible


def test_an_input_that_an_npz_lacks_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", row=np.ones((9, 5)), other=np.ones((9, 2)))
    with pytest.raises(DataError, match="do not fit the network") as raised:
        whole(str(tmp_path / "*.npz"), ROWS, InputShape(name="ids", shape=(1, 2)))
    assert "ids" in raised.value.possible


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"some text", b"\x93NUMPY"])
def test_a_file_that_is_no_array_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="no arrays can be read") as raised:
        whole(str(tmp_path / name), ROWS)
    assert name in str(raised.value)


def test_pickled_arrays_are_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}] * 9, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="no arrays can be read"):
        whole(str(tmp_path / "a.npy"), ROWS)


def test_no_files_mixed_kinds_and_too_few_are_refused(tmp_path):
    with pytest.raises(DataError, match="no inputs are there"):
        whole(str(tmp_path / "*.png"))
    images(tmp_path, 7)
    with pytest.raises(DataError, match="7 inputs are too few"):
        FileInputs(str(tmp_path / "*.png"), [NCHW])
    np.save(tmp_path / "a.npy", np.zeros((3, 6, 8)))
    with pytest.raises(DataError, match="several kinds") as raised:
        whole(str(tmp_path / "*"))
    assert ".npy, .png" in raised.value.given


def test_parts_do_not_meet_and_stay_the_same(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(200, dtype=np.float32).reshape(40, 5))
    one, two = (FileInputs(str(tmp_path / "a.npy"), [ROWS]) for _ in range(2))
    assert one.counts == {
        **{"train": 20, "calibration": 20},
        **{"heldout": 10, "final": 10, "test": 10},
    }
    found = {part: set(everything(one, part)[:, 0].tolist()) for part in one.counts}
    assert not found["train"] & found["heldout"] and not found["heldout"] & found["test"]
    assert len(found["train"] | found["heldout"] | found["test"]) == 40
    assert all(torch.equal(everything(one, p), everything(two, p)) for p in one.counts)
    first = torch.cat([inputs[0] for inputs in one.inputs("heldout", 3)])
    assert torch.equal(first, everything(one, "heldout")[:3])


def test_pairs_are_shuffled_full_and_without_targets(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(200, dtype=np.float32).reshape(40, 5))
    files = FileInputs(str(tmp_path / "a.npy"), [ROWS])
    pairs = files.pairs("train", 8)
    torch.manual_seed(0)
    batches = list(pairs)
    assert len(batches) == len(pairs) == 2
    assert all(len(inputs[0]) == 8 and targets is None for inputs, targets in batches)
    torch.manual_seed(0)
    assert torch.equal(next(iter(pairs))[0][0], batches[0][0][0])
    assert not torch.equal(next(iter(pairs))[0][0], batches[0][0][0])


def test_other_files_under_the_same_names_are_another_task(tmp_path):
    pattern = images(tmp_path)
    before = whole(pattern).content_hash
    assert whole(pattern).content_hash == before
    Image.fromarray(RAMP[:3]).save(tmp_path / "11.png")
    assert whole(pattern).content_hash != before


def test_an_npy_file_is_mapped_and_not_read_whole(tmp_path):
    file = tmp_path / "large.npy"
    made = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(40_000, 2560))
    made[7] = 1.0
    made.flush()
    del made

    def resident_mb() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    entry = InputShape(name="x", shape=(1, 2560))
    before = resident_mb()
    files = whole(str(file), entry)
    found = files.batch([7, 39_999])[0]
    assert float(found.sum()) == 2560.0
    # The file is 410 MB.
    assert resident_mb() - before < 100

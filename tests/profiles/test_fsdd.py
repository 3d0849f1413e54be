"""Spoken digits: the front end, its two networks, their score, and how well they learn."""

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
from hwprune.task.task import Task
from tests.profiles.folder import DEPLOYMENTS, loaded, needed

FSDD = loaded("fsdd/task.py")
BOTH = pytest.mark.parametrize(
    ("settings", "function", "shape"),
    [
        ("fsdd", "task", (1, 40, 64)),
        pytest.param("fsdd-1d", "task_1d", (40, 64), marks=pytest.mark.heavy),
    ],
)


@pytest.fixture
def fsdd() -> ModuleType:
    needed("fsdd/recordings.npz")
    return FSDD


def network(settings: str) -> torch.nn.Module:
    return load_network(load_deployment(DEPLOYMENTS / "fsdd" / f"{settings}.toml").network.source)


class Oracle:
    """A network that knows the words of a part, apart from some."""

    def __init__(self, part: str, *, wrong: tuple[int, ...] = ()) -> None:
        words = FSDD.read(part).words.clone()
        words[list(wrong)] = (words[list(wrong)] + 1) % FSDD.WORDS
        self._words: Iterator[torch.Tensor] = iter(words)

    def __call__(self, mels: torch.Tensor) -> torch.Tensor:
        said = torch.stack([next(self._words) for _ in mels])
        return torch.nn.functional.one_hot(said, FSDD.WORDS).float()


@BOTH
def test_the_right_words_score_one_and_a_random_network_a_tenth(
    fsdd: ModuleType, settings: str, function: str, shape: tuple[int, ...]
) -> None:
    task: Task = getattr(fsdd, function)()
    assert score_of(task, Oracle("heldout"), "heldout").value == 1.0
    with torch.inference_mode():
        assert score_of(task, network(settings), "heldout").value < 0.25


def test_a_share_is_the_first_recordings_and_items_keep_their_order(fsdd: ModuleType) -> None:
    part = score_of(fsdd.task(), Oracle("test", wrong=(3, 250)), "test", 0.125)
    whole = score_of(fsdd.task(), Oracle("test", wrong=(3, 250)), "test")
    assert part.items is not None and whole.items is not None
    assert np.flatnonzero(whole.items == 0).tolist() == [3, 250]
    assert len(part.items) == 38 and np.array_equal(part.items, whole.items[:38])
    assert (part.value, whole.value) == pytest.approx((37 / 38, 298 / 300))


def test_every_part_and_its_first_eighth_hold_all_words(fsdd: ModuleType) -> None:
    sizes = {part: len(fsdd.read(part).words) for part in ("train", "heldout", "test")}
    assert sizes == {"train": 2400, "heldout": 300, "test": 300}
    for part, size in sizes.items():
        words = fsdd.read(part).words
        assert words.bincount().tolist() == [size // 10] * 10
        assert len(words[: size // 8].unique()) == 10


@BOTH
def test_batches_can_be_repeated_and_only_training_is_augmented(
    fsdd: ModuleType, settings: str, function: str, shape: tuple[int, ...]
) -> None:
    task: Task = getattr(fsdd, function)()

    def mels(part: str) -> torch.Tensor:
        assert task.batches is not None
        return torch.cat([given for given, _ in task.batches(part, 64)])  # type: ignore[arg-type]

    torch.manual_seed(5)
    one, other = mels("train"), mels("train")
    torch.manual_seed(5)
    assert torch.equal(mels("train"), one) and not torch.equal(one, other)
    assert one.shape == (2368, *shape)
    assert torch.equal(mels("calibration"), torch.cat([*task.inputs("train", 10_000)]))
    assert torch.cat([*task.inputs("test", 150)]).shape == (150, *shape)


def test_a_tone_is_loudest_in_the_band_of_its_pitch() -> None:
    time = np.arange(FSDD.RATE) / FSDD.RATE
    loudest = []
    for pitch in (300, 1000, 3000):
        tone = (8000 * np.sin(2 * np.pi * pitch * time)).astype(np.int16)
        mels = FSDD.log_mels(tone)
        assert mels.shape == (FSDD.MELS, FSDD.FRAMES + 2 * FSDD.MARGIN)
        loudest.append(int(mels.mean(1).argmax()))
    mel = 2595 * np.log10(1 + np.array([20, 4000, 300, 1000, 3000]) / 700)
    expected = (mel[2:] - mel[0]) / (mel[1] - mel[0]) * (FSDD.MELS + 1) - 1
    assert np.abs(np.array(loudest) - expected).max() <= 1


@pytest.mark.parametrize("length", [1, 1148, 6599, 6600, 6601, 18262])
def test_a_recording_of_any_length_is_cut_or_padded_around_its_middle(length: int) -> None:
    samples = np.zeros(length, np.int16)
    samples[length // 2] = 20000
    mels = FSDD.log_mels(samples)
    loud = np.flatnonzero(mels.mean(0) > mels.mean() + 1e-3)
    assert mels.shape == (FSDD.MELS, FSDD.FRAMES + 2 * FSDD.MARGIN)
    assert abs(loud.mean() - (mels.shape[1] - 1) / 2) <= 1.5


@BOTH
@pytest.mark.heavy
def test_the_loss_falls_in_a_few_steps(
    fsdd: ModuleType, settings: str, function: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    task, module = getattr(fsdd, function)(), network(settings).train()
    mels, words = next(iter(task.batches("train", 32)))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = task.loss(module(mels), words)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@BOTH
def test_every_cut_of_the_network_is_right(
    settings: str, function: str, shape: tuple[int, ...]
) -> None:
    module = network(settings)
    FSDD.check(module(torch.zeros(2, *shape)))
    base = make_base(trace(module, torch.zeros(1, *shape)))
    assert check_cut(base, module) == ()
    assert [name for name, _ in base.plan.frozen] == ["out"]


def test_outputs_that_are_no_words_are_refused() -> None:
    for wrong in (torch.zeros(2, 11), torch.zeros(2, 10, 4), (torch.zeros(2, 10),)):
        with pytest.raises(NetworkError, match="not a score for each word"):
            FSDD.check(wrong)


def test_absent_data_is_said_with_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = loaded("fsdd/task.py")
    monkeypatch.setattr(elsewhere, "__file__", str(tmp_path / "a/b/c/d/e/task.py"))
    monkeypatch.setenv("HWPRUNE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="free-spoken-digit-dataset"):
        elsewhere.read("train")


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@BOTH
def test_trained_by_its_recipe_it_hears_digits(
    fsdd: ModuleType, tmp_path: Path, settings: str, function: str, shape: tuple[int, ...]
) -> None:
    task, module = getattr(fsdd, function)(), network(settings)
    recipe = load_deployment(DEPLOYMENTS / "fsdd" / f"{settings}.toml").training
    train(module, task, recipe, folder=tmp_path)
    with torch.inference_mode():
        assert score_of(task, module, "test").value > 0.975

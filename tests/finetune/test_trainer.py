from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch

from hwprune.errors import DataError, InputError, RunFolderError
from hwprune.finetune.checkpoint import FILE
from hwprune.finetune.history import read_history
from hwprune.finetune.trainer import train
from hwprune.finetune.training import Training
from hwprune.network.graph_module import to_module
from hwprune.progress import Silent
from hwprune.recipe import Recipe
from hwprune_device.cut import Cutter
from tests.digits import accuracy_of, digit_data, digits, digits_module
from tests.doubles.recorded_progress import RecordedProgress

SHORT = Recipe(epochs=2, batch_size=64, lr=0.05, warmup_epochs=0.5, bf16=False)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def small() -> torch.nn.Module:
    """A network that trains in a moment, the same each time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        OrderedDict(
            conv=torch.nn.Conv2d(1, 8, 3),
            norm=torch.nn.BatchNorm2d(8),
            relu=torch.nn.ReLU(),
            flat=torch.nn.Flatten(),
            linear=torch.nn.Linear(8 * 36, 10),
        )
    )


class Stop(Silent):
    """Interrupts a training after some steps."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, count=1, note=""):
        self.left -= count
        if self.left == 0:
            raise KeyboardInterrupt


def same(one, two):
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_network_without_weights_learns_to_read_digits(tmp_path):
    module = digits_module()
    heard = RecordedProgress()
    epochs = train(module, digits(), replace(SHORT, epochs=5), folder=tmp_path, progress=heard)
    assert accuracy_of(module, digits(), "heldout") > 0.85
    assert [e.epoch for e in epochs] == [1, 2, 3, 4, 5] and epochs[-1].loss < epochs[0].loss
    assert heard.steps == heard.total == 5 * (len(digit_data().part("train")) // 64)
    assert any("5/5" in note for note in heard.notes)
    assert read_history(tmp_path) == epochs
    assert not module.training and next(module.parameters()).is_contiguous()


@pytest.mark.parametrize(("ema", "taught"), [(None, False), (0.95, True)])
def test_an_interrupted_training_ends_with_the_same_weights(ema, taught, tmp_path, trained_digits):
    recipe = replace(SHORT, ema_decay=ema, distillation=0.5 if taught else 0.0)
    teacher = to_module(trained_digits.onnx) if taught else None
    whole, broken = small(), small()
    train(whole, digits(), recipe, folder=tmp_path / "whole", teacher=teacher)
    steps = len(digit_data().part("train")) // recipe.batch_size
    with pytest.raises(KeyboardInterrupt):
        train(
            broken,
            digits(),
            recipe,
            folder=tmp_path / "broken",
            teacher=teacher,
            progress=Stop(steps + 5),
        )
    assert len(read_history(tmp_path / "broken")) == 1
    resumed = small()
    train(resumed, digits(), recipe, folder=tmp_path / "broken", teacher=teacher)
    assert same(whole, resumed)


def test_dropout_is_drawn_alike_after_a_resume(tmp_path):
    def network():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(64, 32),
            torch.nn.Dropout(),
            torch.nn.Linear(32, 10),
        )

    whole, broken, resumed = network(), network(), network()
    train(whole, digits(), SHORT, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(broken, digits(), SHORT, folder=tmp_path / "broken", progress=Stop(25))
    torch.rand(7)
    train(resumed, digits(), SHORT, folder=tmp_path / "broken")
    assert same(whole, resumed)


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    module = small()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(module, digits(), replace(SHORT, epochs=1), folder=tmp_path)
    assert torch.equal(torch.rand(1), expected)


def test_a_finished_training_is_not_done_again(tmp_path):
    first, second = small(), small()
    train(first, digits(), SHORT, folder=tmp_path)
    heard = RecordedProgress()
    train(second, digits(), SHORT, folder=tmp_path, progress=heard)
    assert same(first, second) and heard.notes == ["going on after epoch 2"]


def test_another_trainings_checkpoint_is_refused(tmp_path):
    train(small(), digits(), replace(SHORT, epochs=1), folder=tmp_path)
    with pytest.raises(RunFolderError, match="another training"):
        train(small(), digits(), replace(SHORT, epochs=1, lr=0.01), folder=tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    recipe = replace(SHORT, epochs=1)
    train(small(), digits(), recipe, folder=tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:99])
    with pytest.raises(RunFolderError, match="cannot be read"):
        train(small(), digits(), recipe, folder=tmp_path)


def test_fine_tuning_mends_a_cut_network_and_a_teacher_is_listened_to(tmp_path, trained_digits):
    widths = [max(2, width // 3) for width in trained_digits.plan.widths]
    cut = to_module(Cutter(trained_digits.onnx, trained_digits.plan).cut_to(widths))
    before = accuracy_of(cut, digits(), "heldout")
    recipe = replace(SHORT, epochs=4, distillation=0.7, ema_decay=0.9)
    train(cut, digits(), recipe, folder=tmp_path, teacher=to_module(trained_digits.onnx))
    assert accuracy_of(cut, digits(), "heldout") > max(0.8, before + 0.1)


def test_bf16_trains_about_as_well(tmp_path):
    module = digits_module()
    train(module, digits(), replace(SHORT, bf16=True, epochs=5), folder=tmp_path)
    assert all(p.dtype == torch.float32 for p in module.parameters())
    assert accuracy_of(module, digits(), "heldout") > 0.85


def test_a_diverging_training_says_so(tmp_path):
    with pytest.raises(InputError, match="no longer a number"):
        train(small(), digits(), replace(SHORT, lr=1e9), folder=tmp_path)


def test_a_users_function_trains_instead(tmp_path):
    def fit(module, teacher, recipe, folder):
        (folder / "been").touch()
        with torch.no_grad():
            module.linear.bias.fill_(float(recipe.epochs))

    task, recipe = replace(digits(), train=fit), replace(SHORT, epochs=3, ema_decay=0.9)
    module, again = small(), small()
    (epoch,) = train(module, task, recipe, folder=tmp_path / "run")
    assert (tmp_path / "run" / "been").exists() and epoch.loss is None
    assert module.linear.bias.tolist() == [3.0] * 10
    (tmp_path / "run" / "been").unlink()
    train(again, task, recipe, folder=tmp_path / "run")
    assert same(module, again) and not (tmp_path / "run" / "been").exists()


def test_a_users_function_that_fails_says_what_it_said(tmp_path):
    def fail(module):
        raise OSError("full")

    with pytest.raises(InputError, match="full"):
        train(small(), replace(digits(), train=fail), SHORT, folder=tmp_path)


def test_without_a_loss_the_unpruned_network_is_imitated(tmp_path, trained_digits):
    widths = [max(2, width // 2) for width in trained_digits.plan.widths]
    cut = to_module(Cutter(trained_digits.onnx, trained_digits.plan).cut_to(widths))
    before = accuracy_of(cut, digits(), "heldout")
    task = replace(digits(), loss=None, batches=None)
    with pytest.raises(InputError, match="no network to imitate"):
        train(cut, task, SHORT, folder=tmp_path / "alone")
    teacher = to_module(trained_digits.onnx)
    train(cut, task, replace(SHORT, epochs=4), folder=tmp_path / "taught", teacher=teacher)
    assert accuracy_of(cut, digits(), "heldout") > max(0.8, before + 0.1)


def test_batches_of_unknown_number_and_lists_of_targets_will_do(tmp_path):
    def stream(part, size):
        for (images,), labels in digit_data().pairs(part, size):
            yield images, [{"label": int(label)} for label in labels]

    def loss(outputs, targets):
        wanted = torch.tensor([target["label"] for target in targets])
        return torch.nn.functional.cross_entropy(outputs, wanted)

    task = replace(digits(), batches=stream, loss=loss)
    module, plain = small(), small()
    train(module, task, SHORT, folder=tmp_path / "stream")
    train(plain, digits(), SHORT, folder=tmp_path / "plain")
    assert same(module, plain)


def test_small_data_makes_one_batch(tmp_path):
    training = Training(small(), digits(), replace(SHORT, batch_size=5000), folder=tmp_path)
    assert training.steps == 1
    training.run_epoch(lambda: None)
    assert training.epochs[0].loss > 0


def test_a_short_look_is_the_same_each_time_and_leaves_nothing_on_disk(tmp_path, trained_digits):
    def looked(steps: int):
        module = to_module(trained_digits.onnx)
        training = Training(module, digits(), SHORT, folder=tmp_path / "none")
        training.run_steps(steps)
        training.finish()
        return module

    first, again, longer = looked(5), looked(5), looked(40)
    assert same(first, again) and not same(first, longer)
    assert not (tmp_path / "none").exists()


def test_a_few_steps_with_averaged_weights_are_not_lost(tmp_path):
    start, module = small(), small()
    recipe = replace(SHORT, ema_decay=0.9)
    training = Training(module, digits(), recipe, folder=tmp_path)
    training.run_steps(5)
    training.finish()
    assert not same(module, start)


@pytest.mark.parametrize("stream", [lambda: [], lambda: iter(())])
def test_a_task_without_batches_is_refused_and_not_waited_for(stream, tmp_path):
    task = replace(digits(), batches=lambda part, size: stream())
    training = Training(small(), task, SHORT, folder=tmp_path)
    with pytest.raises(DataError, match="nothing to train on"):
        training.run_steps(3)
    with pytest.raises(DataError, match="nothing to train on"):
        training.run_epoch(lambda: None)

"""Trains a network: fine-tuning after a cut, or from scratch where it has no weights."""

from __future__ import annotations

import time
from pathlib import Path

from torch import nn

from hwprune.errors import HwpruneError, InputError
from hwprune.finetune.history import Epoch
from hwprune.finetune.training import Training
from hwprune.progress import Progress, Silent
from hwprune.recipe import Recipe
from hwprune.task.task import Task
from hwprune.user_code import call_with


def train(
    module: nn.Module,
    task: Task,
    recipe: Recipe,
    *,
    folder: Path,
    teacher: nn.Module | None = None,
    progress: Progress | None = None,
    stage: str = "train",
) -> tuple[Epoch, ...]:
    """Train `module` in place by a recipe; an interrupted training in `folder` goes on.

    Args:
        module: left on the CPU in eval mode.
        task: its `train` part is trained on, `heldout` scored after each epoch. A task that has
            a function `train` of its own is trained by that.
        recipe: what to do.
        folder: checkpoint.safetensors and history.jsonl go there, after each epoch.
        teacher: the unpruned network, imitated as far as `recipe.distillation` says, or alone
            where the task has no loss.
        progress: receives each step; `stage` is what it is called.

    Raises:
        DataError: the task gives no batch to train on.
        InputError: the user's function fails, or the loss diverges, or there is none.
        RunFolderError: the folder holds another training's checkpoint.
    """
    progress = progress or Silent()
    folder.mkdir(parents=True, exist_ok=True)
    training = Training(module, task, recipe, folder=folder, teacher=teacher)
    # The teacher and what imitation holds are settled before the weights change.
    training.resume()
    # The user's own training is one epoch: done or not, never half.
    if task.train is not None and not training.epochs:
        _by_users_function(training, teacher, progress, stage)
    elif task.train is None:
        _by_recipe(training, progress, stage)
    training.finish()
    return tuple(training.epochs)


def _by_recipe(training: Training, progress: Progress, stage: str) -> None:
    epochs = training.all_epochs
    progress.begin(stage, epochs * training.steps)
    if training.epochs:
        done = len(training.epochs)
        progress.skip(done * training.steps, f"going on after epoch {done}")
    text = training.task.metric.text
    while len(training.epochs) < epochs:
        epoch = training.run_epoch(progress.advance)
        progress.advance(
            0,
            f"epoch {epoch.epoch}/{epochs}: loss {epoch.loss:.3f}, held-out {text(epoch.score)}",
        )
    progress.end(f"held-out {text(training.epochs[-1].score)}" if training.epochs else "")


def _by_users_function(
    training: Training, teacher: nn.Module | None, progress: Progress, stage: str
) -> None:
    """What the user's function leaves in the module is kept as one epoch."""
    function = training.task.train
    assert function is not None
    progress.begin(f"{stage} by the task's own function", None)
    began = time.monotonic()
    module, recipe = training.module, training.recipe
    try:
        call_with(function, module, teacher, recipe, training.folder, progress)
    except HwpruneError:
        raise
    except Exception as error:  # whatever the user's own code raises
        raise InputError(
            f"the training function of '{training.task.name}' failed",
            given=f"{type(error).__name__}: {error}",
        ) from error
    training.epochs.append(
        Epoch(
            epoch=1,
            loss=None,
            score=training.score(),
            lr=0.0,
            seconds=time.monotonic() - began,
        )
    )
    training.save()
    progress.end(f"held-out {training.task.metric.text(training.epochs[-1].score)}")

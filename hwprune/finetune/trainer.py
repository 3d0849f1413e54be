"""Trains a network: fine-tuning after a cut, or from scratch where it has no weights."""

from __future__ import annotations

import time
from pathlib import Path

from torch import nn

from hwprune.errors import InputError
from hwprune.finetune.history import Epoch
from hwprune.finetune.training import Training
from hwprune.network.data import Data
from hwprune.network.user_code import load_function
from hwprune.progress import Progress, Silent
from hwprune.recipe import Recipe


def train(
    module: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    folder: Path,
    teacher: nn.Module | None = None,
    progress: Progress | None = None,
    stage: str = "train",
) -> tuple[Epoch, ...]:
    """Train `module` in place by a recipe; an interrupted training in `folder` goes on.

    Args:
        module: takes N C H W, gives logits; left on the CPU in eval mode.
        data: its `train` part is trained on, `heldout` evaluated after each epoch.
        recipe: what to do. With `custom`, the user's function
            `(module, data, teacher, progress, folder) -> None` trains instead.
        folder: checkpoint.safetensors and history.jsonl go there, after each epoch.
        teacher: gives soft labels where `recipe.distillation` is above 0.
        progress: told each step; `stage` is what it is called.

    Raises:
        InputError: the custom function is not there or fails; or the loss diverges.
        RunFolderError: the folder holds another training's checkpoint.
    """
    progress = progress or Silent()
    folder.mkdir(parents=True, exist_ok=True)
    training = Training(module, data, recipe, folder=folder, teacher=teacher)
    training.resume()
    if recipe.custom and not training.epochs:
        _by_users_function(training, teacher, progress)
    elif not recipe.custom:
        _by_recipe(training, progress, stage)
    training.finish()
    return tuple(training.epochs)


def _by_recipe(training: Training, progress: Progress, stage: str) -> None:
    epochs = training.recipe.epochs
    progress.begin(stage, epochs * training.steps)
    if training.epochs:
        done = len(training.epochs)
        progress.advance(done * training.steps, f"going on after epoch {done}")
    while len(training.epochs) < epochs:
        epoch = training.run_epoch(progress.advance)
        progress.advance(
            0,
            f"epoch {epoch.epoch}/{epochs}: loss {epoch.loss:.3f}, held-out {epoch.accuracy:.1%}",
        )
    progress.end(f"held-out {training.epochs[-1].accuracy:.1%}" if training.epochs else "")


def _by_users_function(training: Training, teacher: nn.Module | None, progress: Progress) -> None:
    """What the user's function leaves in the module is kept as one epoch."""
    name = training.recipe.custom
    function = load_function(name, InputError, what="training function")
    began = time.monotonic()
    try:
        function(training.module, training.data, teacher, progress, training.folder)
    except Exception as error:
        raise InputError(
            f"the training function {name} failed", given=f"{type(error).__name__}: {error}"
        ) from error
    training.epochs.append(
        Epoch(
            epoch=1,
            loss=None,
            accuracy=training.accuracy(),
            lr=0.0,
            seconds=time.monotonic() - began,
        )
    )
    training.save()

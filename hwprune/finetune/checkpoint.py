"""A training's state on disk after an epoch: one safetensors file, tensors and JSON in one.

One file, because two could not be replaced in one atomic step. Random numbers need no state in it:
every epoch draws from generators seeded by the recipe's seed and the epoch's number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from hwprune.errors import RunFolderError
from hwprune.finetune.history import Epoch
from hwprune.recipe import Recipe
from hwprune.stored import as_noun, said
from hwprune.whole_file import replacing

FILE = "checkpoint.safetensors"
_PARTS = ("weights", "momentum", "average")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """Everything that an interrupted training needs to go on as if nothing had happened."""

    identity: str
    """Of recipe, task and structure; see `identity_of`."""
    epochs: tuple[Epoch, ...]
    """Finished ones."""
    weights: Mapping[str, torch.Tensor]
    momentum: Mapping[str, torch.Tensor]
    average: Mapping[str, torch.Tensor]
    """Empty where weights are not averaged."""


def identity_of(module: nn.Module, recipe: Recipe, task: str, *, taught: bool) -> str:
    """What a checkpoint shares with the training it is of; initial weights are not in it."""
    shapes = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    facts = [asdict(recipe), task, shapes, taught]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the one before stays whole until this one is on disk."""
    from safetensors.torch import save_file

    tensors = {
        # A copy each: weights that are shared share memory, which safetensors refuses.
        f"{part}/{name}": tensor.detach().cpu().contiguous().clone()
        for part in _PARTS
        for name, tensor in getattr(checkpoint, part).items()
    }
    epochs = json.dumps([asdict(epoch) for epoch in checkpoint.epochs])
    with replacing(folder / FILE) as part:
        save_file(tensors, part, metadata={"identity": checkpoint.identity, "epochs": epochs})


def load_checkpoint(folder: Path, identity: str) -> Checkpoint | None:
    """The checkpoint in a folder, or None where there is none.

    Raises:
        RunFolderError: it is damaged, or of another training.
    """
    from safetensors import safe_open

    file = folder / FILE
    if not file.is_file():
        return None
    parts: dict[str, dict[str, torch.Tensor]] = {part: {} for part in _PARTS}
    try:
        with safe_open(file, framework="pt") as content:
            facts = content.metadata() or {}
            for key in content.keys():  # noqa: SIM118, it is no mapping
                part, _, name = key.partition("/")
                parts[part][name] = content.get_tensor(key)
        epochs = as_noun(tuple[Epoch, ...], json.loads(facts["epochs"]))
        known = facts["identity"]
    except Exception as error:  # safetensors raises its own SafetensorError
        raise RunFolderError(
            f"the checkpoint {file} cannot be read",
            given=f"{type(error).__name__}: {said(error)}",
            next_step="remove it to train from the start",
        ) from None
    if known != identity:
        raise RunFolderError(
            f"the checkpoint {file} is of another training",
            possible="the same network, data and recipe as when it was written",
            next_step="remove it, or use another folder",
        )
    return Checkpoint(
        identity=identity,
        epochs=epochs,
        weights=parts["weights"],
        momentum=parts["momentum"],
        average=parts["average"],
    )

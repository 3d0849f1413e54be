"""One training under way: a module, its optimizer, and what an epoch does to them."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import fx, nn

from hwprune.errors import InputError
from hwprune.finetune.average import WeightAverage
from hwprune.finetune.checkpoint import (
    Checkpoint,
    identity_of,
    load_checkpoint,
    save_checkpoint,
)
from hwprune.finetune.history import Epoch, write_history
from hwprune.finetune.loss import training_loss
from hwprune.finetune.optimizer import (
    learning_rate,
    make_optimizer,
    momentum_buffers,
    restore_momentum,
)
from hwprune.network.accuracy import accuracy_of
from hwprune.network.data import Data
from hwprune.network.execution import best_execution
from hwprune.recipe import Recipe
from hwprune_device.torch_graph.folding import fold_batchnorm


def steps_per_epoch(data: Data, recipe: Recipe) -> int:
    """Full batches in the training part; a smaller last one would give BatchNorm poor sums."""
    return max(1, len(data.train) // recipe.batch_size)


class Training:
    """Trains `module` in place, an epoch at a time, and can go on from its own checkpoint.

    The same recipe, data and first weights give the same weights, interrupted or not, bit for bit
    on one CPU thread.
    """

    def __init__(
        self,
        module: nn.Module,
        data: Data,
        recipe: Recipe,
        *,
        folder: Path,
        teacher: nn.Module | None = None,
    ) -> None:
        self.module = module
        self.data = data
        self.recipe = recipe
        self.folder = folder
        self.execution = best_execution(recipe.bf16)
        self.steps = steps_per_epoch(data, recipe)
        self.epochs: list[Epoch] = []
        module.to(device=self.execution.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = make_optimizer(module, recipe)
        # A user's own training function knows nothing of the average.
        decay = None if recipe.custom else recipe.ema_decay
        self._average = None if decay is None else WeightAverage(module, decay)
        taught = teacher is not None and recipe.distillation > 0
        self._teacher = self._placed_teacher(teacher) if teacher is not None and taught else None
        self._identity = identity_of(module, recipe, data.content_hash, taught=taught)

    def _placed_teacher(self, teacher: nn.Module) -> nn.Module:
        """A copy that only infers, as fast as it can: it runs at every step."""
        copied = self.execution.place(copy.deepcopy(teacher)).eval()
        if isinstance(copied, fx.GraphModule):
            fold_batchnorm(copied)
        return copied

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if there is one.

        Raises:
            RunFolderError: the checkpoint is damaged, or of another training.
        """
        known = load_checkpoint(self.folder, self._identity)
        if known is None:
            return
        self.epochs = list(known.epochs)
        self.module.load_state_dict(dict(known.weights))
        restore_momentum(self.module, self._optimizer, dict(known.momentum))
        if self._average is not None:
            self._average.restore(dict(known.average), len(self.epochs) * self.steps)

    def run_epoch(self, on_step: Callable[[], None]) -> Epoch:
        """One pass over the training images, an evaluation, and a checkpoint.

        Raises:
            InputError: the loss is no longer a number.
        """
        began = time.monotonic()
        number = len(self.epochs)
        # A seed of its own for each epoch: a resumed training draws what it would have drawn.
        seed = self.recipe.seed * 100_003 + number
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            loss = self._pass_over_images(number * self.steps, generator, on_step)
        if not math.isfinite(loss):
            raise InputError(
                f"the training loss is no longer a number in epoch {number + 1}",
                given=f"lr {self.recipe.lr:g}",
                next_step="lower lr, or give more warmup_epochs",
            )
        epoch = Epoch(
            epoch=number + 1,
            loss=loss,
            accuracy=self.accuracy(),
            lr=learning_rate((number + 1) * self.steps - 1, self.steps, self.recipe),
            seconds=time.monotonic() - began,
        )
        self.epochs.append(epoch)
        self.save()
        return epoch

    def accuracy(self) -> float:
        """Accuracy on held-out images, 0..1, as the network would be delivered now."""
        now = self.module
        if self._average is not None:
            now = copy.deepcopy(self.module)
            now.load_state_dict(self._average.state)
        return accuracy_of(now, self.data, "heldout", execution=self.execution)

    def save(self) -> None:
        """Write checkpoint and history."""
        save_checkpoint(
            self.folder,
            Checkpoint(
                identity=self._identity,
                epochs=tuple(self.epochs),
                weights=self.module.state_dict(),
                momentum=momentum_buffers(self.module, self._optimizer),
                average=self._average.state if self._average is not None else {},
            ),
        )
        write_history(self.folder, self.epochs)

    def finish(self) -> None:
        """Leave the module on the CPU, in eval mode, with the averaged weights where there are."""
        if self._average is not None:
            self.module.load_state_dict(self._average.state)
        # Back in the plain layout: exporters write other graphs for channels_last weights.
        self.module.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.module.eval()

    def _pass_over_images(
        self, step: int, generator: torch.Generator, on_step: Callable[[], None]
    ) -> float:
        self.module.train()
        size = min(self.recipe.batch_size, len(self.data.train))
        order = torch.randperm(len(self.data.train), generator=generator)
        total = torch.zeros((), device=self.execution.device)
        for number, batch in enumerate(order[: self.steps * size].split(size)):
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate(step + number, self.steps, self.recipe)
            total += self._step(batch, generator)
            if self._average is not None:
                self._average.update(self.module)
            on_step()
        return float(total) / self.steps

    def _step(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        device = self.execution.device
        images = self.data.training_batch(batch, generator).to(device)
        images = images.contiguous(memory_format=torch.channels_last)
        taught = None
        if self._teacher is not None:
            with torch.inference_mode():
                taught = self._teacher(self.execution.images(images)).float()
        labels = self.data.train.labels[batch].to(device)
        with torch.autocast(device, torch.bfloat16, enabled=self.execution.bf16):
            outputs = self.module(images)
        # An inference tensor may not be saved for backward, its clone may.
        loss = training_loss(
            outputs, labels, None if taught is None else taught.clone(), self.recipe
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

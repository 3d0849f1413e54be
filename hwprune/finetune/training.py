"""One training under way: a module, its optimizer, and what an epoch does to them."""

from __future__ import annotations

import copy
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
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
from hwprune.finetune.one_pass import OnePass
from hwprune.finetune.optimizer import (
    learning_rate,
    make_optimizer,
    momentum_buffers,
    restore_momentum,
)
from hwprune.finetune.upstream import upstream
from hwprune.network.execution import best_execution, lay_out
from hwprune.recipe import Recipe
from hwprune.task.agreement import imitation_loss
from hwprune.task.items import as_inputs
from hwprune.task.scoring import score_of
from hwprune.task.task import Task
from hwprune_device.torch_graph.folding import fold_batchnorm

STEEPEST = 1.0
"""Norm of a gradient of imitation alone. Right after a cut outputs may be many times off, and the
first steps would kill the network (basic-pitch: agreement 0.21 and constant without, 0.74 with).
"""


class Training:
    """Trains `module` in place, an epoch at a time, and can go on from its own checkpoint.

    The same recipe, task and first weights give the same weights, interrupted or not, bit for bit
    on one CPU thread.

    Args:
        task: gives batches, loss and score; without a loss the module imitates the teacher.
        teacher: the unpruned network; run where the recipe distils, or there is no loss.
    """

    def __init__(
        self,
        module: nn.Module,
        task: Task,
        recipe: Recipe,
        *,
        folder: Path,
        teacher: nn.Module | None = None,
    ) -> None:
        self.module = module
        self.task = task
        self.recipe = recipe
        self.folder = folder
        self.execution = best_execution(recipe.bf16)
        self.epochs: list[Epoch] = []
        self._pass = OnePass(task, recipe.batch_size)
        lay_out(module.to(self.execution.device))
        # Before the optimizer, which takes what may be trained, and before a checkpoint's weights.
        self._held = self._hold(teacher)
        self._optimizer = make_optimizer(module, recipe)
        # A user's own training function knows nothing of the average.
        decay = None if task.train else recipe.ema_decay
        self._average = None if decay is None else WeightAverage(module, decay)
        # Weights in bf16 are faster than autocast, and not every graph bears them.
        self._of_teacher = replace(self.execution, bf16=self.execution.bf16 and task.bf16)
        self._imitated = 1.0 if task.loss is None else recipe.distillation
        taught = teacher is not None and self._imitated > 0
        if teacher is None and task.loss is None and task.train is None:
            raise InputError(
                f"the task '{task.name}' has no loss, and there is no network to imitate",
                possible="a task with loss and batches, or with train",
                next_step="give trained weights ([network] weights), or say how it is trained",
            )
        self._teacher = self._placed_teacher(teacher) if teacher is not None and taught else None
        self._identity = identity_of(module, recipe, task.identity, taught=taught)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self._pass.steps

    @property
    def all_epochs(self) -> int:
        """How many there will be."""
        if self.recipe.epochs == 0:
            return 0
        # Whole epochs, rounded up.
        return max(self.recipe.epochs, -(-self.recipe.least_steps // self.steps))

    def _hold(self, teacher: nn.Module | None) -> tuple[nn.Parameter, ...]:
        """What an imitation alone need not train."""
        if teacher is None or self.task.loss is not None or self.task.train is not None:
            return ()
        held = upstream(self.module, teacher)
        # An uncut network: with all held nothing would be trained.
        if len(held) == sum(1 for _ in self.module.parameters()):
            return ()
        for weight in held:
            weight.requires_grad_(False)
        return held

    def _placed_teacher(self, teacher: nn.Module) -> nn.Module:
        """A copy that only infers, as fast as it can: it runs at every step."""
        copied = self._of_teacher.place(copy.deepcopy(teacher)).eval()
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
        """One pass over what trains, a score, and a checkpoint.

        Raises:
            DataError: the task has no batch.
            InputError: the loss is no longer a number.
        """
        began = time.monotonic()
        number = len(self.epochs)
        # A seed of its own for each epoch: a resumed training draws what it would have drawn.
        with seeded(self.recipe.seed * 100_003 + number):
            loss = self._one_pass(number * self.steps, on_step)
        if not math.isfinite(loss):
            raise InputError(
                f"the training loss is no longer a number in epoch {number + 1}",
                given=f"lr {self.recipe.lr:g}",
                next_step="lower lr, or give more warmup_epochs",
            )
        epoch = Epoch(
            epoch=number + 1,
            loss=loss,
            score=self.score(),
            lr=self._rate((number + 1) * self.steps - 1),
            seconds=time.monotonic() - began,
        )
        self.epochs.append(epoch)
        self.save()
        return epoch

    def run_steps(self, count: int) -> None:
        """So many steps on a schedule of their own: a short look at what a training would make.

        The same batches for every network; nothing is kept on disk.

        Raises:
            DataError: the task has no batch.
        """
        self.module.train()
        # A warm-up is a share of an epoch, and here all steps are one.
        recipe = replace(self.recipe, warmup_epochs=0.0)
        # As epoch 0 is seeded, so that all networks see the same batches.
        with seeded(recipe.seed * 100_003):
            passes = itertools.chain.from_iterable(itertools.repeat(self._pass))
            for number, (inputs, targets) in enumerate(itertools.islice(passes, count)):
                self._step(inputs, targets, learning_rate(number, count, 1, recipe))

    def score(self) -> float:
        """The task's score on held-out items, as the network would be delivered now."""
        # A copy, because bf16 would round the weights that are being trained for good.
        now = copy.deepcopy(self.module)
        if self._average is not None:
            now.load_state_dict(self._average.state)
        fast = self.execution if self.task.bf16 else best_execution(bf16=False)
        return score_of(self.task, fast.run(fast.place(now)), "heldout").value

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
        for weight in self._held:
            weight.requires_grad_(True)
        # Back in the plain layout: exporters write other graphs for channels_last weights.
        self.module.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.module.eval()

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.steps, self.all_epochs, self.recipe)

    def _one_pass(self, step: int, on_step: Callable[[], None]) -> float:
        self.module.train()
        # A tensor: a number each step would make a GPU wait for its result.
        total = torch.zeros((), device=self.execution.device)
        for number, (inputs, targets) in enumerate(self._pass):
            total += self._step(inputs, targets, self._rate(step + number))
            on_step()
        return float(total) / self.steps

    def _step(self, given: Any, targets: Any, rate: float) -> torch.Tensor:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        device = self.execution.device
        inputs = replace(self.execution, bf16=False).inputs(as_inputs(given))
        autocast = torch.autocast(device, torch.bfloat16, enabled=self.execution.bf16)
        taught = None
        if self._teacher is not None:
            with torch.inference_mode(), autocast:
                taught = self._teacher(*self._of_teacher.inputs(inputs))
            # An inference tensor may not be saved for backward, its clone may.
            taught = torch.utils._pytree.tree_map(torch.clone, taught)
        with autocast:
            outputs = self.module(*inputs)
        loss = self._loss(outputs, _on(targets, device), taught)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.task.loss is None:
            nn.utils.clip_grad_norm_(self.module.parameters(), STEEPEST)
        self._optimizer.step()
        if self._average is not None:
            self._average.update(self.module)
        return loss.detach()

    def _loss(self, outputs: Any, targets: Any, taught: Any) -> torch.Tensor:
        """The task's loss, mixed with imitation of the teacher."""
        if taught is None:
            assert self.task.loss is not None
            return self.task.loss(outputs, targets)
        soft = imitation_loss(outputs, taught, self.task.output_kinds, self.recipe.temperature)
        # All imitation: a loss times zero would still be computed.
        if self.task.loss is None or self._imitated == 1.0:
            return soft
        return (1 - self._imitated) * self.task.loss(outputs, targets) + self._imitated * soft


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every global generator that a user's batches may draw from, and put them back after."""
    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        # numpy takes 32 bits at most.
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)


def _on(targets: Any, device: str) -> Any:
    return torch.utils._pytree.tree_map(
        lambda value: value.to(device) if isinstance(value, torch.Tensor) else value, targets
    )

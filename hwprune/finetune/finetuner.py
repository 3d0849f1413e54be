"""Fine-tunes cut networks that come and go as ONNX, in a process of its own or in this one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwprune.finetune.trainer import train
from hwprune.finetune.training import Training
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import NetworkModule, to_module, to_onnx, users_module
from hwprune.network.recalibration import recalibrated
from hwprune.network.scorer import task_again
from hwprune.progress import Progress
from hwprune.recipe import Recipe
from hwprune.task.agreement import completed
from hwprune.task.scoring import score_of
from hwprune.task.task import Remake, Task

LOG = "worker.log"


class Finetuner:
    """Trains one network after another by one recipe.

    Args:
        task: with a score.
        teacher: the unpruned network as ONNX; None to train without one.
        recipe: the same for all.
        own_process: what libraries and the user's code print goes to a file in the folder.
    """

    def __init__(
        self, task: Task, teacher: bytes | None, recipe: Recipe, *, own_process: bool = False
    ) -> None:
        self._own_process = own_process
        self._task = task
        self._teacher = teacher
        self._recipe = recipe

    def __call__(self, request: Mapping[str, Any], progress: Progress) -> bytes | float:
        """Train the network `onnx` in `folder`, and give it back with its new weights.

        Called again after an interruption it goes on. Given a number of `steps`, it trains for so
        many and returns the score on the finalists' items instead.

        Raises:
            HwpruneError: see `trainer.train`.
        """
        if "steps" in request:
            return self._briefly(request["onnx"], int(request["steps"]))
        folder, network = Path(request["folder"]), request["onnx"]
        folder.mkdir(parents=True, exist_ok=True)
        if self._own_process:
            _print_into(folder / LOG)
        # The user's own framework may save, trace or wrap what it trains.
        module = to_module(network) if self._task.train is None else users_module(network)
        train(
            module,
            self._task,
            self._recipe,
            folder=folder,
            teacher=self._unpruned(),
            progress=progress,
            stage="fine-tune",
        )
        return to_onnx(module, network)

    def _briefly(self, network: bytes, steps: int) -> float:
        module, nowhere = to_module(network), Path(os.devnull)
        training = Training(
            module, self._task, self._recipe, folder=nowhere, teacher=self._unpruned()
        )
        training.run_steps(steps)
        training.finish()
        return score_of(self._task, EXACT.run(recalibrated(module, self._task)), "final").value

    def _unpruned(self) -> NetworkModule | None:
        return None if self._teacher is None else to_module(self._teacher)


def make_finetuner(
    task: Mapping[str, Any],
    teacher: bytes,
    recipe: Mapping[str, Any],
    *,
    kinds: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
) -> Finetuner:
    """A fine-tuner from plain data, for a process of its own; see `make_scorer`."""
    unpruned = EXACT.run(EXACT.place(to_module(teacher)))
    own = completed(task_again(Remake(**task)), unpruned, kinds, names)  # type: ignore[arg-type]
    return Finetuner(own, teacher, Recipe(**recipe), own_process=True)


def _print_into(file: Path) -> None:
    """Have everything that this process prints from now on in a file."""
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    # By descriptor: C libraries print past sys.stdout.
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)

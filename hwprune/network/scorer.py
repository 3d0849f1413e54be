"""Scores candidates: cut, re-calibrate, and have the task's own function judge the result."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from hwprune.network.execution import EXACT, Execution, best_execution
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate
from hwprune.network.replay import Replay
from hwprune.task.agreement import completed
from hwprune.task.items import calibration_of, example_of
from hwprune.task.scoring import score_of
from hwprune.task.task import Part, Remake, Task
from hwprune_device import quiet
from hwprune_device.cut import Cutter
from hwprune_device.plan import CutPlan
from hwprune_device.torch_graph.folding import fold_batchnorm

RECENT = 4
"""Candidates that are kept ready: each is scored share by share, others in between."""


class Scorer:
    """The score of any candidate of one base network; the same widths give the same number.

    Args:
        base: the base network as ONNX.
        plan: its cut plan.
        order: by group, units from the most to the least important.
        task: with a score.
        execution: how the networks run; None for what is best here and right for the task.
    """

    def __init__(
        self,
        base: bytes,
        plan: CutPlan,
        order: Sequence[np.ndarray],
        *,
        task: Task,
        execution: Execution | None = None,
    ) -> None:
        self._task = task
        self._cutter = Cutter(base, plan)
        self._order = [np.asarray(units) for units in order]
        self.execution = execution or _bearable(base, task)
        self._calibration = batches_of(map(self.execution.inputs, calibration_of(task)))
        self._recent: OrderedDict[tuple[int, ...], Replay] = OrderedDict()

    def __call__(self, request: Mapping[str, Any], progress: object = None) -> dict[str, Any]:
        """The score of the candidate with `widths`, on a `share` of a `part`, as plain data.

        Asked for a larger share of a candidate it scored lately, it computes what is new alone.
        `seconds`: what it took.
        """
        began = time.perf_counter_ns()
        run = self._run(tuple(int(width) for width in request["widths"]))
        run.rewind()
        part: Part = request.get("part", "heldout")
        score = score_of(self._task, run, part, float(request.get("share", 1.0)))
        return {
            "value": score.value,
            "others": dict(score.others),
            "items": score.items,
            "seconds": (time.perf_counter_ns() - began) / 1e9,
        }

    def candidate(self, widths: Sequence[int]) -> nn.Module:
        """The candidate as it is scored: cut, re-calibrated, folded, in eval mode."""
        keep = [np.sort(units[:width]) for units, width in zip(self._order, widths, strict=True)]
        module = to_module(self._cutter.cut(keep))
        self.execution.place(module)
        _rest_for_boards(module)
        # Before folding, after which no BatchNorm is left that could take statistics.
        recalibrate(module, self._calibration)
        if isinstance(module, fx.GraphModule):
            fold_batchnorm(module)
        return module.eval()

    def _run(self, widths: tuple[int, ...]) -> Replay:
        if widths not in self._recent:
            self._recent[widths] = Replay(self.execution.run(self.candidate(widths)))
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        self._recent.move_to_end(widths)
        return self._recent[widths]


def _rest_for_boards(module: nn.Module) -> None:
    """Every pass waits until no board on this machine times."""
    # Two hooks cannot share a `with`; the stack holds the lock open from one to the other.
    under_way = ExitStack()
    module.register_forward_pre_hook(lambda *_: under_way.enter_context(quiet.working()))
    # Also after a pass that fails: boards would wait for one that never ends.
    module.register_forward_hook(lambda *_: under_way.close(), always_call=True)


def _bearable(base: bytes, task: Task) -> Execution:
    """The fastest execution in which the network runs: some graphs mix number types with bf16."""
    fast = best_execution(None if task.bf16 else False)
    if not fast.bf16:
        return fast
    try:
        fast.run(fast.place(to_module(base)))(*example_of(task))
    except RuntimeError:
        return best_execution(bf16=False)
    return fast


def make_scorer(
    base: bytes,
    plan: Mapping[str, Any],
    order: Sequence[np.ndarray],
    task: Mapping[str, Any],
    *,
    kinds: Sequence[str] = (),
    names: Sequence[str] = (),
    threads: int = 1,
) -> Scorer:
    """A scorer from plain data, for a process of its own.

    Args:
        plan: `CutPlan.to_json()`.
        task: `factory` and `arguments` of a `Remake`.
        kinds: of the network's outputs, and their `names`, where the task has no score of its own.

    One thread each: several processes with one thread score more candidates than one process with
    several, and they cannot stall each other.
    """
    torch.set_num_threads(threads)
    own = task_again(Remake(**task))
    teacher = EXACT.run(EXACT.place(to_module(base)))
    own = completed(own, teacher, kinds, names)  # type: ignore[arg-type]
    return Scorer(base, CutPlan.from_json(plan), order, task=own)


def task_again(remake: Remake) -> Task:
    """The task that a remake describes, made in this process."""
    module, _, name = remake.factory.partition(":")
    made = getattr(import_module(module), name)(**remake.arguments)
    assert isinstance(made, Task)
    return made

"""Scores candidates: cut, re-calibrate, and count what is right on held-out images."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from hwprune.network.accuracy import hits
from hwprune.network.execution import Execution, best_execution
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import recalibrate
from hwprune_device.cut import Cutter
from hwprune_device.plan import CutPlan
from hwprune_device.torch_graph.folding import fold_batchnorm

BATCH = 125
"""Images a pass: fastest on a core with 1 MB of second-level cache; see bench_scorer."""


class Scorer:
    """Accuracy of any candidate of one base network; the same widths give the same number.

    Args:
        base: the base network as ONNX.
        plan: its cut plan.
        order: by group, units from the most to the least important.
        calibration: N C H W float32, normalised: BatchNorm statistics are taken from them.
        images: held-out N C H W float32, normalised, with their `labels` N.
        execution: how the networks run; None for what is best here.
    """

    def __init__(
        self,
        base: bytes,
        plan: CutPlan,
        order: Sequence[np.ndarray],
        *,
        calibration: np.ndarray,
        images: np.ndarray,
        labels: np.ndarray,
        execution: Execution | None = None,
    ) -> None:
        self.execution = execution or best_execution()
        self._cutter = Cutter(base, plan)
        self._order = [np.asarray(units) for units in order]
        self._calibration = self._tensor(calibration)
        self._images = self._tensor(images)
        self._labels = torch.from_numpy(np.array(labels))

    def __call__(self, widths: Sequence[int]) -> dict[str, float]:
        """`accuracy`, 0..1, of the candidate with these widths, and the `seconds` it took."""
        began = time.perf_counter_ns()
        accuracy = self.accuracy(widths)
        return {"accuracy": accuracy, "seconds": (time.perf_counter_ns() - began) / 1e9}

    def accuracy(self, widths: Sequence[int]) -> float:
        """Share of the held-out images that the candidate classifies right, 0..1."""
        module = self.candidate(widths)
        right = [
            hits(module, images, labels)
            for images, labels in zip(
                self._images.split(BATCH), self._labels.split(BATCH), strict=True
            )
        ]
        return float(torch.cat(right).double().mean())

    def candidate(self, widths: Sequence[int]) -> nn.Module:
        """The candidate as it is scored: cut, re-calibrated, folded, in eval mode."""
        keep = [np.sort(units[:width]) for units, width in zip(self._order, widths, strict=True)]
        module = to_module(self._cutter.cut(keep))
        self.execution.place(module)
        recalibrate(module, self._calibration)
        if isinstance(module, fx.GraphModule):
            fold_batchnorm(module)
        return module.eval()

    def _tensor(self, images: np.ndarray) -> torch.Tensor:
        # A copy: arrays that come from another process by shared memory are read-only.
        return self.execution.images(torch.from_numpy(np.array(images, np.float32)))


def make_scorer(
    base: bytes,
    plan: Mapping[str, Any],
    order: Sequence[np.ndarray],
    calibration: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    threads: int = 1,
    bf16: bool | None = None,
) -> Scorer:
    """A scorer from plain data, for a process of its own; `plan` is `CutPlan.to_json()`.

    One thread each: several processes with one thread score more candidates than one process with
    several, and they cannot stall each other.
    """
    torch.set_num_threads(threads)
    return Scorer(
        base,
        CutPlan.from_json(plan),
        order,
        calibration=calibration,
        images=images,
        labels=labels,
        execution=best_execution(bf16),
    )

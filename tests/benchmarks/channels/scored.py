"""What a choice of channels is worth right after the cut, and how often one may ask."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from torch import fx, nn

from hwprune.network.execution import best_execution
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate
from hwprune.pipeline.prepare import Prepared
from hwprune.task.items import calibration_of
from hwprune.task.scoring import score_of
from hwprune_device.cut import Cutter
from hwprune_device.torch_graph.folding import fold_batchnorm

Keep = list[np.ndarray]
"""By group, the units that stay, ascending."""


class Spent(Exception):
    """No further choice may be scored."""


class Scored:
    """Scores choices of channels at given widths; the best is kept."""

    def __init__(
        self, prepared: Prepared, widths: Sequence[int], *, share: float, allowed: int
    ) -> None:
        """`share`: of the held-out items. `allowed`: scorings."""
        self.widths = tuple(widths)
        self.allowed = allowed
        self.asked = 0
        self.seconds = 0.0
        self.best: tuple[float, Keep] | None = None
        self._prepared, self._share = prepared, share
        self._cutter = Cutter(prepared.base.onnx, prepared.base.plan)
        self._execution = best_execution()
        calibration = calibration_of(prepared.task)
        self._calibration = batches_of(map(self._execution.inputs, calibration))

    def __call__(self, keep: Keep) -> float:
        """The score of a choice.

        Raises:
            Spent: so many were scored already.
        """
        if self.asked == self.allowed:
            raise Spent
        self.asked += 1
        began = time.monotonic()
        found = self.score(keep, "heldout", self._share)
        self.seconds += time.monotonic() - began
        if self.best is None or found > self.best[0]:
            self.best = found, keep
        return found

    def cut(self, keep: Keep) -> bytes:
        """The network with these units, as ONNX."""
        return self._cutter.cut(keep)

    def score(self, keep: Keep, part: str, share: float = 1.0) -> float:
        """Right after the cut, BatchNorm re-calibrated; counts as nothing asked for."""
        module: nn.Module = self._execution.place(to_module(self.cut(keep)))
        recalibrate(module, self._calibration)
        if isinstance(module, fx.GraphModule):
            fold_batchnorm(module)
        run = self._execution.run(module.eval())
        return score_of(self._prepared.task, run, part, share).value  # type: ignore[arg-type]

    def highest(self, values: Sequence[np.ndarray]) -> Keep:
        """The units of the highest values, as many of each group as its width."""
        return [
            np.sort(np.argsort(-row, kind="stable")[:width])
            for row, width in zip(values, self.widths, strict=True)
        ]

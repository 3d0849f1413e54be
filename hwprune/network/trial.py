"""One candidate on one drawing: any set of its groups can be cut, and compared with silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
import torch

from hwprune.channels.base import BaseNetwork
from hwprune.errors import NetworkError
from hwprune.network.comparison import difference
from hwprune.network.double import in_double
from hwprune.network.drawing import Drawing
from hwprune.network.graph_module import to_module
from hwprune.network.silencing import silenced_module
from hwprune_device.cut import Cutter
from hwprune_device.output_structure import leaves_of
from hwprune_device.plan import CutPlan

TOLERANCE = 1e-9
"""Both sides compute in float64; right cuts differ by 1e-14 at most
(tests/benchmarks/bench_coverage.py)."""
_OTHERS = 8
"""Drawings of the units of a group before they may be those of another group of its width."""


class Trial:
    """A random candidate of a network, of which some or all groups are cut.

    Args:
        base: the network.
        drawing: its weights and inputs.
        seed: of the units that stay.
        tolerance: of the difference that a right cut makes.
    """

    def __init__(
        self, base: BaseNetwork, drawing: Drawing, seed: int, *, tolerance: float = TOLERANCE
    ) -> None:
        self._plan = base.plan
        self._tolerance = tolerance
        self._drawing = drawing
        self.keep = _random_keep(base.plan, np.random.default_rng(seed))
        self._errors: dict[tuple[int, ...], float] = {}
        self._whole: list[torch.Tensor] = []

    def error(self, groups: Sequence[int]) -> float:
        """Difference that a cut of these groups makes; infinite where it does not run."""
        key = tuple(groups)
        if key not in self._errors:
            self._errors[key] = self._error(key)
        return self._errors[key]

    def faults(self, groups: Sequence[int]) -> list[int]:
        """The groups to leave whole so that a cut of all others is right.

        Each is the first in a row with which the row fails: without it the row was right.
        """
        left, found, right, stride = list(groups), list[int](), 0, len(groups)
        while left and not self.error(left) <= self._tolerance:
            number = self._first_fault(left, right, stride)
            stride, right = max(1, number - right), number - 1
            found.append(left.pop(number - 1))
        return found

    def _first_fault(self, groups: Sequence[int], right: int, stride: int) -> int:
        """How many of the groups, at least, fail together; the first `right` do not."""
        wrong = len(groups)
        while wrong - right > 1:
            middle = right + min(stride, (wrong - right) // 2)
            if self.error(groups[:middle]) <= self._tolerance:
                right, stride = middle, 2 * stride
            else:
                wrong = middle
        return wrong

    def effect(self, group: int, axes: Collection[int]) -> float:
        """How far the outputs move when what the group has on these axes of the plan is zero."""
        own = tuple(self._plan.axes[axis] for axis in axes)
        # Silence alone, nothing is cut: numbers that follow a cut play no part.
        plan = dataclasses.replace(self._plan, axes=own, literals=())
        if not self._whole:
            self._whole = self._run(in_double(to_module(self._drawing.model)))
        model = silenced_module(self._drawing.model, plan, self._kept([group]))
        return difference(self._run(in_double(model)), self._whole)

    def _error(self, groups: Sequence[int]) -> float:
        keep, model = self._kept(groups), self._drawing.model
        try:
            cut = self._run(in_double(to_module(Cutter(model, self._plan).cut(keep))))
            return difference(cut, self._run(in_double(silenced_module(model, self._plan, keep))))
        except (RuntimeError, NetworkError, ValueError, IndexError):
            # Shapes that do not fit: the cut is wrong.
            return float("inf")

    def _kept(self, groups: Collection[int]) -> list[np.ndarray]:
        return [
            self.keep[number] if number in groups else np.arange(group.width)
            for number, group in enumerate(self._plan.groups)
        ]

    def _run(self, module: torch.nn.Module) -> list[torch.Tensor]:
        with torch.no_grad():
            # Called as a module, fx would print where a cut of a wrong plan does not run.
            return leaves_of(module.forward(*self._drawing.inputs))


def _random_keep(plan: CutPlan, rng: np.random.Generator) -> list[np.ndarray]:
    """A random half or more of each group, never all of it.

    Groups of one width keep different units as far as there are such: exchanged for one another
    they would not be seen otherwise.
    """
    keep: list[np.ndarray] = []
    taken: set[tuple[int, ...]] = set()
    for group in plan.groups:
        for _ in range(_OTHERS):
            # The upper end is excluded: one unit goes at least.
            count = int(rng.integers((group.width + 1) // 2, max(group.width, 2)))
            units = np.sort(rng.choice(group.width, count, replace=False))
            key = (group.width, *units.tolist())
            if key not in taken:
                break
        taken.add(key)
        keep.append(units)
    return keep

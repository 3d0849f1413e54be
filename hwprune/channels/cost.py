"""Exact parameters and multiply-accumulates of any candidate, from its widths alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from hwprune.channels.weight_uses import Weight, weights_of
from hwprune.layer import ChannelCount, Layer
from hwprune.products import Products
from hwprune_device.branches import Branches, Recent, gone_at
from hwprune_device.plan import STAYS, AxisCut, CutPlan

FEATURES = (
    "depth",
    "width",
    "macs_share",
    "params_share",
    "positions",
    "kernel",
    "members",
    "readers",
    "grouped",
)
"""Columns of `CostModel.features`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCost:
    """What a channel group costs in the unpruned network: what goes when it is cut to one unit."""

    name: str
    width: int
    macs: int
    params: int


class CostModel:
    """Costs of the candidates of one base network.

    Multiply-accumulates are those of convolutions and matrix products with weights, for batch 1;
    those of layers in `uncounted` are not known and left out;
    parameters are all trainable floats (BatchNorm's running statistics are none).
    """

    def __init__(self, base: bytes, plan: CutPlan) -> None:
        model = onnx.load_model_from_string(base)
        self._base, self._plan = base, plan
        self._others = Recent[CostModel]()
        self._weights = weights_of(model)
        self.uncounted = tuple(w.name for w in self._weights if w.is_uncounted)
        """Weights whose multiplications are left out: the size of what they make is not known."""
        self._nodes = max(1, len(model.graph.node))
        self._axes: dict[str, list[AxisCut]] = {}
        for axis_cut in plan.axes:
            self._axes.setdefault(axis_cut.initializer, []).append(axis_cut)
        self._of_group: list[list[Weight]] = [[] for _ in plan.groups]
        for weight in self._weights:
            for group in _groups(self._axes.get(weight.name, ())):
                self._of_group[group].append(weight)

    def macs(self, widths: Sequence[int]) -> int:
        """Multiply-accumulates at these widths, batch 1."""
        left = self._left_at(widths)
        return sum(w.uses * left._elements(w, widths) for w in left._weights if w.uses)

    def params(self, widths: Sequence[int]) -> int:
        """Trainable parameters at these widths."""
        left = self._left_at(widths)
        return sum(left._elements(w, widths) for w in left._weights if w.is_parameter)

    def _left_at(self, widths: Sequence[int]) -> CostModel:
        """The costs of what is left where groups of width 0 go as whole branches."""
        gone = gone_at(widths)
        return self._others.get(gone, lambda: self._without(gone)) if gone else self

    def _without(self, gone: tuple[int, ...]) -> CostModel:
        model, plan = Branches(onnx.load_model_from_string(self._base), self._plan).without(gone)
        return CostModel(model.SerializeToString(), plan)

    def form(self, quantity: str) -> Products | None:
        """`params` or `macs` as a form; None where a weight is cut on more than two axes.

        None also where nothing is counted, as in a network of Einsum alone.

        At a width of 0 it still counts what a branch's last layers have beside their weights.
        """
        found = []
        for weight in self._weights:
            times = weight.uses if quantity == "macs" else int(weight.is_parameter)
            if not times:
                continue
            cut = self._axes.get(weight.name, ())
            if len(cut) > 2:
                return None
            whole = {axis_cut.axis for axis_cut in cut}
            times *= math.prod(n for axis, n in enumerate(weight.dims) if axis not in whole)
            counts = [_count(axis_cut) for axis_cut in cut]
            # Always two counts: an axis that no cut touches is in `times`.
            found.append((times, *counts, *[ChannelCount(fixed=1)] * (2 - len(cut))))
        if not found:
            return None
        times_each, first, second = zip(*found, strict=True)
        return Products(times=np.array(times_each, float), first=first, second=second)

    def group_costs(self) -> tuple[GroupCost, ...]:
        """By group, in the plan's order."""
        full = self._plan.widths
        # Changed in place and put back, a number at a time.
        least = list(full)
        costs = []
        for number, group in enumerate(self._plan.groups):
            touched = self._of_group[number]
            before = [self._elements(weight, full) for weight in touched]
            least[number] = 1
            gone = [was - self._elements(w, least) for w, was in zip(touched, before, strict=True)]
            least[number] = group.width
            rows = list(zip(touched, gone, strict=True))
            costs.append(
                GroupCost(
                    name=group.name,
                    width=group.width,
                    macs=sum(weight.uses * size for weight, size in rows),
                    params=sum(size for weight, size in rows if weight.is_parameter),
                )
            )
        return tuple(costs)

    def layers(self) -> tuple[Layer, ...]:
        """The layers with weights, in order of use, with their channels as functions of widths."""
        return tuple(
            Layer(
                name=weight.name.rpartition(".")[0] or weight.name,
                positions=weight.positions,
                kernel=weight.kernel,
                grouped=weight.is_grouped,
                outputs=self._channels(weight, weight.outputs),
                inputs=self._channels(weight, weight.inputs),
                operation=weight.operation,
            )
            for weight in self._weights
            if weight.uses and len(weight.dims) > 1
        )

    def _channels(self, weight: Weight, axis: int) -> ChannelCount:
        for axis_cut in self._axes.get(weight.name, ()):
            if axis_cut.axis == axis:
                return _count(axis_cut)
        return ChannelCount(fixed=weight.dims[axis])

    def features(self) -> np.ndarray:
        """One row of `FEATURES` per group, float32, each about -1…1: what a policy sees of it."""
        full = self._plan.widths
        macs, params = max(1, self.macs(full)), max(1, self.params(full))
        rows = []
        for number, cost in enumerate(self.group_costs()):
            group = self._plan.groups[number]
            touched = self._touched(number)
            positions = max((w.positions for w in touched), default=1)
            kernel = max((w.kernel for w in touched), default=1)
            # Scaled so that 1 to 1024 units, 128 x 128 places, 64 elements of a kernel and 64
            # layers lie within -1…1.
            rows.append(
                (
                    2 * min((w.node for w in touched), default=0) / self._nodes - 1,
                    math.log2(cost.width) / 5 - 1,
                    _log_share(cost.macs / macs),
                    _log_share(cost.params / params),
                    math.log2(positions) / 7 - 1,
                    math.log2(kernel) / 3 - 1,
                    math.log2(max(1, len(group.members))) / 3 - 1,
                    math.log2(max(1, len(group.readers))) / 3 - 1,
                    1.0 if any(w.is_grouped for w in touched) else -1.0,
                )
            )
        array = np.asarray(rows, dtype=np.float32).reshape(-1, len(FEATURES))
        return np.clip(array, -1.5, 1.5)

    def _elements(self, weight: Weight, widths: Sequence[int]) -> int:
        dims = list(weight.dims)
        for axis_cut in self._axes.get(weight.name, ()):
            dims[axis_cut.axis] = axis_cut.size(widths)
        return math.prod(dims)

    def _touched(self, group: int) -> list[Weight]:
        """Weights with multiplications whose axes carry the group."""
        return [weight for weight in self._of_group[group] if weight.uses]


def _groups(axes: Sequence[AxisCut]) -> set[int]:
    """The groups on these axes."""
    return {span.group for axis_cut in axes for span in axis_cut.spans} - {STAYS}


def _count(axis_cut: AxisCut) -> ChannelCount:
    per_unit = {s.group: s.repeat for s in axis_cut.spans if s.group != STAYS}
    fixed = sum(s.size for s in axis_cut.spans if s.group == STAYS)
    return ChannelCount(fixed=fixed, per_unit=tuple(per_unit.items()))


def _log_share(share: float) -> float:
    """A share of the network's cost on a log scale: 1 -> 1, 0.1 % -> -1."""
    return 1 + 2 * math.log10(max(share, 1e-4)) / 3

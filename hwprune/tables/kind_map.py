"""What layers of one kind take, by the channels that they read and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.layer import Layer, channels
from hwprune.tables.model import TableModel
from hwprune.tables.table import widths_of

MOST = 32
"""Counts along one side of a map."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KindMap:
    """Predicted milliseconds of one kind of layer; layers of a kind differ in channels alone."""

    positions: int
    kernel: int
    grouped: bool
    layers: tuple[str, ...]
    """Those of the network that are of this kind."""
    inputs: np.ndarray
    """Counts of channels, ascending in even strides; of the widest layer."""
    outputs: np.ndarray
    ms: np.ndarray
    """[inputs, outputs]."""
    read: np.ndarray
    """[inputs, outputs]: whether the board read a layer of this kind at about these counts."""

    @property
    def text(self) -> str:
        """What the kind is: "kernel of 9, 1024 positions"."""
        many = "" if self.positions == 1 else "s"
        grouped = ", grouped" if self.grouped else ""
        return f"kernel of {self.kernel}, {self.positions} position{many}{grouped}"


def kind_maps(model: TableModel) -> list[KindMap]:
    """One map for each kind of layer, in the network's order."""
    kinds: dict[tuple[int, int, bool], list[int]] = {}
    layers = model.table.own.layers
    for number, layer in enumerate(layers):
        kinds.setdefault(layer.kind, []).append(number)
    points = _points(model)
    return [_map(model, layers, mine, points[kind]) for kind, mine in kinds.items()]


def _map(
    model: TableModel, layers: Sequence[Layer], mine: Sequence[int], points: np.ndarray
) -> KindMap:
    counts = {number: model.layer_counts(number) for number in mine}
    widest = max(mine, key=lambda number: counts[number][0][-1] * counts[number][1][-1])
    inputs, outputs = (_strides(some) for some in counts[widest])
    inside = points[(points[:, 0] <= inputs[-1]) & (points[:, 1] <= outputs[-1])]
    read = np.zeros((len(inputs), len(outputs)), bool)
    # Counts that the map leaves out are shown by the nearest that it has.
    read[_nearest(inputs, inside[:, 0]), _nearest(outputs, inside[:, 1])] = True
    layer = layers[widest]
    return KindMap(
        positions=layer.positions,
        kernel=layer.kernel,
        grouped=layer.grouped,
        layers=tuple(layers[number].name for number in mine),
        inputs=inputs,
        outputs=outputs,
        ms=model.layer_ms(widest, inputs[:, None], outputs[None]),
        read=read,
    )


def _points(model: TableModel) -> dict[tuple[int, int, bool], np.ndarray]:
    """By kind, the different pairs of counts that any row of the table has; [pairs, 2]."""
    table = model.table
    found: dict[tuple[int, int, bool], set[tuple[float, float]]] = {
        layer.kind: set() for layer in table.own.layers
    }
    for number, network in enumerate(table.networks):
        rows = table.of(number, "block", "network", "held out")
        if not rows:
            continue
        widths = widths_of(rows)
        inputs = channels([layer.inputs for layer in network.layers], widths)
        outputs = channels([layer.outputs for layer in network.layers], widths)
        for place, layer in enumerate(network.layers):
            pairs = zip(inputs[:, place], outputs[:, place], strict=True)
            # The layers that feed and drain windows are of kinds that the network may not have.
            found.setdefault(layer.kind, set()).update(pairs)
    return {kind: np.array(sorted(pairs)).reshape(-1, 2) for kind, pairs in found.items()}


def _strides(counts: np.ndarray) -> np.ndarray:
    """At most MOST of them in even strides from the highest down."""
    stride = 1
    while len(counts) > MOST * stride:
        stride *= 2
    return np.asarray(counts[::-1][::stride][::-1])


def _nearest(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(values[:, None] - counts[None]).argmin(axis=1), int)

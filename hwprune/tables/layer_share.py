"""What each layer of an unpruned network takes of its latency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwprune.layer import channels
from hwprune.tables.model import TableModel


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShare:
    """One layer, with what follows it up to the next one."""

    name: str
    inputs: int
    """Channels that it reads; of one group of the convolution, where it is grouped."""
    outputs: int
    ms: float
    share: float
    """Of the network's latency, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """A whole network's latency, parted."""

    latency_ms: float
    """Of the unpruned network, as predicted; layers and `beside_ms` add up to it."""
    layers: tuple[LayerShare, ...]
    beside_ms: float
    """What the table counts for no layer. Below 0 where layers run faster together than apart."""


def shares_of(model: TableModel) -> Shares:
    """How a table parts the latency of its unpruned network."""
    own = model.table.own
    full = np.array([own.full])
    latency = float(model.latency_ms(full)[0])
    taken = model.layers_ms(full)[0]
    sides = ([layer.inputs for layer in own.layers], [layer.outputs for layer in own.layers])
    inputs, outputs = (channels(counts, full)[0] for counts in sides)
    layers = tuple(
        LayerShare(
            name=layer.name,
            inputs=int(ins),
            outputs=int(outs),
            ms=float(ms),
            share=float(ms) / latency,
        )
        for layer, ms, ins, outs in zip(own.layers, taken, inputs, outputs, strict=True)
    )
    return Shares(
        latency_ms=latency, layers=layers, beside_ms=latency - sum(layer.ms for layer in layers)
    )

"""Costs of layers by kind: what readings of whole networks show of what these are made of.

A layer's cost is taken as a bilinear form u(inputs)ᵀ M u(outputs), one M for all layers and a
correction for each kind. u holds a count of channels, the count rounded up to the board's block,
and whether it fills its blocks: that is what decides which kernel a runtime picks and where it has
to change the layout of a tensor. M is learned by ridge regression from networks, be they whole
ones or a few copies of a block between its neighbours, so nothing is timed out of its place, and
the block need not be known: several are offered at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.layer import Layer, channels
from hwprune.peak import BLOCKS
from hwprune.tables.ridge import Blocks, Ridge

OWN = 3.0
"""How far a kind's own form may stray, where what all kinds share may stray 10 (`blocks_of`)."""
COUNTED = np.array([0, 0, 1, 1, 1])
"""Entries of u, for each block: which of them hold a count of channels."""
TERMS = len(COUNTED)
SHAPE = (len(BLOCKS), TERMS, TERMS)
"""Of a layer's form."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Readings of one network at some widths."""

    layers: Sequence[Layer]
    widths: np.ndarray
    """[n, groups]."""
    cost: np.ndarray
    """[n]."""
    copies: int = 1
    """How often the network holds its layers, beside each other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forms:
    """What is known of the layers of one network."""

    start: float
    """What the network costs beside its layers."""
    of_layers: np.ndarray
    """The form of each layer, [layers, blocks, terms, terms]."""


class LayerCosts:
    """What layers cost by their kind, learned from readings of several networks.

    Args:
        layers: of the network that all are of interest for.
        full: its widths, which scale costs.
    """

    def __init__(self, layers: Sequence[Layer], full: Sequence[int]) -> None:
        self._totals = totals(layers, full)
        self._kinds: list[tuple[int, int, bool]] = []
        self._own = np.zeros((0, *SHAPE))
        self._shared = np.zeros(SHAPE)
        self.start = 0.0
        """What a network costs beside its layers."""
        self.error = 0.0
        """Typical relative error on readings like those learned from."""

    def fit(self, samples: Sequence[Sample]) -> None:
        """Learn from readings; each counts by its relative error."""
        self._kinds = sorted({layer.kind for sample in samples for layer in sample.layers})
        each = [self._rows(sample) for sample in samples]
        blocks = blocks_of(np.concatenate(each))
        cost = np.concatenate([sample.cost for sample in samples])
        ridge = Ridge()
        ridge.fit(blocks, cost, 1 / cost**2)
        start, shared, own = ridge.coefficients(blocks)
        self.start = float(start[0])
        self._shared = shared.reshape(SHAPE)
        self._own = own.reshape(len(self._kinds), *SHAPE)
        # `Ridge` divides weights by their mean; times its root the error is relative again.
        self.error = ridge.error * float(np.sqrt(np.mean(1 / cost**2)))

    def forms(self, layers: Sequence[Layer]) -> Forms:
        """What is known of a network's layers, in the units of cost.

        One of a kind that was never read has what all kinds have together.
        """
        place = {kind: number for number, kind in enumerate(self._kinds)}
        none = np.zeros(SHAPE)
        own = [self._own[place[k.kind]] if k.kind in place else none for k in layers]
        each = (np.stack(own) + self._shared) * scales(layers, self._totals)
        return Forms(start=self.start, of_layers=each)

    def unread(self, layers: Sequence[Layer]) -> list[str]:
        """Names of the layers whose kind was never read."""
        return [layer.name for layer in layers if layer.kind not in self._kinds]

    def predict(self, layers: Sequence[Layer], widths: np.ndarray) -> np.ndarray:
        """Cost of a network at widths [n, groups]; [n]."""
        inputs, outputs = u_of(layers, widths)
        # n candidates, l layers, b block sizes, i and j entries of u.
        each = self.forms(layers).of_layers
        return np.asarray(
            self.start + np.einsum("nlbi,nlbj,lbij->n", inputs, outputs, each, optimize=True)
        )

    def _rows(self, sample: Sample) -> np.ndarray:
        inputs, outputs = u_of(sample.layers, sample.widths)
        numbers = np.array([self._kinds.index(layer.kind) for layer in sample.layers], int)
        scale = scales(sample.layers, self._totals) * sample.copies
        return by_kind(inputs, outputs, scale, numbers, len(self._kinds))


def u_of(layers: Sequence[Layer], widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """u of the inputs and outputs of layers at widths [n, groups]; [n, layers, blocks, terms]."""
    sides = ([layer.inputs for layer in layers], [layer.outputs for layer in layers])
    inputs, outputs = (terms_of(channels(counts, np.asarray(widths))) for counts in sides)
    return inputs, outputs


def terms_of(counts: np.ndarray) -> np.ndarray:
    """u of counts [...]: open, filled, the count where open, where filled, rounded up.

    [..., blocks, terms].
    """
    block = np.array(BLOCKS, float)
    count = counts[..., None]
    filled = (count % block == 0).astype(float)
    rounded = np.ceil(count / block) * block
    entries = [1 - filled, filled, count * (1 - filled), count * filled, rounded]
    return np.stack(entries, axis=-1)


def totals(layers: Sequence[Layer], full: Sequence[int]) -> np.ndarray:
    """What an unpruned network has of each: layers, data given, data taken, arithmetic; [4]."""
    inputs = channels([layer.inputs for layer in layers], np.array([full]))[0]
    outputs = channels([layer.outputs for layer in layers], np.array([full]))[0]
    each = _each(layers) * [np.ones(len(layers)), outputs, inputs, inputs * outputs]
    return np.asarray(each.sum(axis=1))


def scales(layers: Sequence[Layer], of: np.ndarray) -> np.ndarray:
    """[layers, blocks, terms, terms]: makes the unpruned network's sum of each entry about 1.

    An entry without a count of channels is a fixed cost, with one count it is data moved, with two
    it is arithmetic; these go by positions and kernel. `of`: the network's totals.
    """
    with_input, with_output = np.meshgrid(COUNTED, COUNTED, indexing="ij")
    # Row 0 of `_each` for entries without a count, 1 with outputs, 2 with inputs, 3 with both.
    entries = (_each(layers) / of[:, None]).T[:, 2 * with_input + with_output]
    return np.repeat(entries[:, None], len(BLOCKS), axis=1)


def by_kind(
    inputs: np.ndarray, outputs: np.ndarray, scale: np.ndarray, kinds: np.ndarray, count: int
) -> np.ndarray:
    """Forms of layers, summed over each kind; [n, kinds, blocks, terms, terms]."""
    rows = np.zeros((len(inputs), count, *SHAPE))
    for kind in range(count):
        of_kind = kinds == kind
        if of_kind.any():
            rows[:, kind] = np.einsum(
                "nlbi,nlbj,lbij->nbij",
                inputs[:, of_kind],
                outputs[:, of_kind],
                scale[of_kind],
                optimize=True,
            )
    return rows


def blocks_of(rows: np.ndarray) -> Blocks:
    """Regression columns of rows by kind: a constant, the sum over all kinds, each kind."""
    constant = np.ones((len(rows), 1))
    shared = rows.sum(1).reshape(len(rows), -1)
    # All rows bear on what kinds share, few on what is a kind's own: that strays less.
    return [(constant, 3.0), (shared, 10.0), (rows.reshape(len(rows), -1), OWN)]


def _each(layers: Sequence[Layer]) -> np.ndarray:
    """By layer: 1, positions twice, positions times kernel; [4, layers]."""
    positions = np.array([layer.positions for layer in layers], float)
    kernel = np.array([layer.kernel for layer in layers], float)
    return np.stack([np.ones(len(layers)), positions, positions, positions * kernel])

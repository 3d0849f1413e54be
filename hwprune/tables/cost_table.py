"""The cost table: what a network costs at any widths, from readings and from what is known before.

Before there are readings of the network itself, costs of layers that were learned from its blocks,
or on another board, may be known. Then a scale, and what they miss, is all that is learned.

A regression on widths and multiply-accumulates alone errs several times as much on a residual
network, as a stream decides together with what is inside its blocks; bench_table compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hwprune.changes import Changes
from hwprune.form import Form
from hwprune.layer import ChannelCount, Layer
from hwprune.tables.layer_costs import (
    SHAPE,
    Forms,
    blocks_of,
    by_kind,
    scales,
    terms_of,
    totals,
)
from hwprune.tables.ridge import Blocks, Ridge

WORTH = 0.9
"""What was known before is only corrected, beyond its scale, where that makes the error smaller by
this factor: some ten readings correct nothing but noise."""
PAIRS = 8_000_000
"""Pairs of places of all layers, up to which costs are kept by pair: 64 MB."""
OF_FORM = 30.0
"""How far what is counted from the graph may stray: it is nearly all that the cost is."""


class CostTable:
    """What one quantity costs at any widths of one network, such as a time over its limit."""

    def __init__(
        self,
        layers: Sequence[Layer],
        full: Sequence[int],
        form: Form | None = None,
        *,
        before: Forms | None = None,
    ) -> None:
        """`full`: the unpruned network's widths, which scale costs.

        Args:
            form: what is counted from the graph.
            before: what is known of the layers in a unit of its own, such as milliseconds.
        """
        self._form = form
        self._whole_form = 1.0 if form is None else form.terms(np.array([full]))
        self._of_form = np.zeros(0)
        kinds = sorted({layer.kind for layer in layers})
        self._kinds = np.array([kinds.index(layer.kind) for layer in layers], int)
        self._count = len(kinds)
        self._scale = scales(layers, totals(layers, full))
        self._from = _Axes([layer.inputs for layer in layers], full)
        self._to = _Axes([layer.outputs for layer in layers], full)
        self._before = before
        self._flat = self._to.terms.reshape(len(self._to.terms), -1)
        self._pairs = _Pairs(self._from, self._to)
        self._costs: np.ndarray | None = None
        """By pair of places of a layer, once many candidates were asked for."""
        self._touches = (self._from.steps != 0) | (self._to.steps != 0)
        self._ridge = Ridge()
        self.forms = before or Forms(start=0.0, of_layers=np.zeros((len(layers), *SHAPE)))
        """What is believed of the layers, for a table of the same network to begin with."""
        self._take(self.forms)

    @property
    def error(self) -> float:
        """Typical error of `predict` at widths it has not seen."""
        return self._ridge.error

    def fit(self, widths: np.ndarray, used: np.ndarray, weight: np.ndarray) -> None:
        """Learn from costs [n] of candidates [n, groups], trusted by `weight` [n]."""
        start, forms = 0.0, np.zeros((1, *SHAPE))
        if self._before is not None:
            # What an earlier fit added to it must not count as known before.
            self._take(self._before)
            self._of_form = np.zeros(0)
            # A model may predict less than nothing, which has no logarithm.
            believed = np.maximum(self.predict(widths), 1e-9)
            # Weights are of absolute errors; times the square of a cost they are of relative ones.
            scale = math.exp(_median(np.log(used / believed), weight * used**2))
            used = used - scale * believed
            start, forms = self._before.start * scale, self._before.of_layers * scale
        blocks = self._rows(widths)
        self._ridge.fit(blocks, used, weight)
        if self._before is not None and self._ridge.error > WORTH * _spread(used, weight):
            self._ridge.forget(_spread(used, weight))
        constant, shared, own, *of_form = self._ridge.coefficients(blocks)
        found = own.reshape(self._count, *SHAPE) + shared.reshape(SHAPE)
        each = forms + found[self._kinds] * self._scale
        self._take(Forms(start=start + float(constant[0]), of_layers=each))
        self._of_form = of_form[0] if of_form else self._of_form

    def predict(self, widths: np.ndarray) -> np.ndarray:
        """Cost of candidates [n, groups]; [n]."""
        costs = self.by_layer(widths).sum(axis=1)
        if self._form is not None and len(self._of_form):
            costs = costs + self._form.terms(widths) / self._whole_form @ self._of_form
        return np.asarray(self.forms.start + costs)

    def by_layer(self, widths: np.ndarray) -> np.ndarray:
        """What each layer of candidates [n, groups] costs; [n, layers]."""
        inputs, outputs = self._from.places(widths), self._to.places(widths)
        if inputs.size <= self._pairs.size or self._pairs.size > PAIRS:
            return self._cost(inputs, outputs)
        # To compute all pairs once pays where more of them are asked for than there are.
        if self._costs is None:
            self._costs = self._cost(*self._pairs.places())
        return np.asarray(self._costs[self._pairs.of(inputs, outputs)])

    def of_layer(self, layer: int, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """What one layer costs at counts of channels, each as `counts` has them; [...]."""
        return self._cost(self._from.at(layer, inputs), self._to.at(layer, outputs))

    def counts(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """The counts that a layer's inputs, and its outputs, can have; ascending."""
        return self._from.counts(layer), self._to.counts(layer)

    def changed(self, widths: np.ndarray, changes: Changes) -> np.ndarray:
        """Cost of rows of widths [n, groups] after one change each, [changes].

        Only layers that the changed group touches are looked at.
        """
        inputs, outputs = self._from.places(widths), self._to.places(widths)
        before = self._cost(inputs, outputs)
        # One entry for each change and layer that it touches, not changes x layers.
        change, layer = np.nonzero(self._touches[changes.group])
        group, row = changes.group[change], changes.row[change]
        by = changes.width[change] - widths[row, group]
        after = self._cost(
            inputs[row, layer] + by * self._from.steps[group, layer],
            outputs[row, layer] + by * self._to.steps[group, layer],
        )
        more = np.bincount(change, after - before[row, layer], len(changes.row))
        if self._form is not None and len(self._of_form):
            of_form = self._form.changed(widths, changes)
            more = more + of_form / self._whole_form @ self._of_form
        return np.asarray(self.forms.start + before.sum(axis=1)[changes.row] + more)

    def _take(self, forms: Forms) -> None:
        """Believe these forms of layers from now on."""
        self.forms = forms
        each = forms.of_layers[self._from.axis]
        # p places of inputs, b block sizes, i and j entries of u.
        carried = np.einsum("pbi,pbij->pbj", self._from.terms, each)
        self._carried = carried.reshape(len(carried), -1)
        """By place of an input: what each term of the outputs costs."""
        self._costs = None

    def _cost(self, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Costs of layers whose axes are at these places, of any shape."""
        return np.asarray(np.einsum("...t,...t->...", self._carried[inputs], self._flat[outputs]))

    def _rows(self, widths: np.ndarray) -> Blocks:
        """A constant, the form summed over all layers and over each kind, and what is counted."""
        inputs, outputs = (a.terms[a.places(widths)] for a in (self._from, self._to))
        blocks = list(blocks_of(by_kind(inputs, outputs, self._scale, self._kinds, self._count)))
        if self._form is not None:
            blocks.append((self._form.terms(widths) / self._whole_form, OF_FORM))
        return blocks


class _Axes:
    """One axis of each layer, and u at every count that it can have, one place each."""

    def __init__(self, counts: Sequence[ChannelCount], full: Sequence[int]) -> None:
        # Groups with 4 and 6 channels a unit move an axis by 2; gcd() of no group is 0.
        each = [math.gcd(*(units for _, units in count.per_unit)) or 1 for count in counts]
        self._each = np.array(each, int)
        self.steps = np.zeros((len(full), len(counts)), int)
        """[groups, axes]: the places that a unit of a group moves an axis by."""
        for axis, count in enumerate(counts):
            for group, units in count.per_unit:
                self.steps[group, axis] += units // each[axis]
        self._moves = self.steps.astype(float)
        self.sizes = np.asarray(full) @ self.steps + 1
        self.first = np.cumsum([0, *self.sizes[:-1]])
        self.axis = np.repeat(np.arange(len(counts)), self.sizes)
        """[places]."""
        place = np.arange(len(self.axis)) - self.first[self.axis]
        self._fixed = np.array([count.fixed for count in counts], int)
        self.terms = terms_of(self._fixed[self.axis] + place * self._each[self.axis])
        """[places, blocks, terms]."""

    def places(self, widths: np.ndarray) -> np.ndarray:
        """Places of the counts at widths [n, groups]; [n, axes]."""
        # In floats, where BLAS multiplies and whole numbers of this size stay exact.
        moved = np.asarray(widths, float) @ self._moves
        return np.asarray(moved.astype(int) + self.first)

    def counts(self, axis: int) -> np.ndarray:
        """All counts that an axis can have; what it may not lose is in each of them."""
        return np.asarray(self._fixed[axis] + np.arange(self.sizes[axis]) * self._each[axis])

    def at(self, axis: int, counts: np.ndarray) -> np.ndarray:
        """Places of an axis at counts that it can have."""
        return np.asarray((counts - self._fixed[axis]) // self._each[axis] + self.first[axis])


class _Pairs:
    """All pairs of a place of a layer's inputs and one of its outputs, layer by layer."""

    def __init__(self, inputs: _Axes, outputs: _Axes) -> None:
        self._inputs, self._outputs = inputs, outputs
        counts = inputs.sizes * outputs.sizes
        self.size = int(counts.sum())
        self._first = np.cumsum([0, *counts[:-1]])

    def of(self, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """The pair of each layer's two places, [n, layers]."""
        row = (inputs - self._inputs.first) * self._outputs.sizes
        return np.asarray(self._first + row + outputs - self._outputs.first)

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The two places of every pair, [pairs] each."""
        grids = [
            np.divmod(np.arange(ins * outs), outs)
            for ins, outs in zip(self._inputs.sizes, self._outputs.sizes, strict=True)
        ]
        ins = [row + first for (row, _), first in zip(grids, self._inputs.first, strict=True)]
        outs = [
            column + first for (_, column), first in zip(grids, self._outputs.first, strict=True)
        ]
        return np.concatenate(ins), np.concatenate(outs)


def _spread(values: np.ndarray, weight: np.ndarray) -> float:
    """Weighted root mean square of values [n]."""
    return float(np.sqrt(np.average(values**2, weights=weight)))


def _median(values: np.ndarray, weight: np.ndarray) -> float:
    """The middle of values [n], each counting by its weight."""
    order = np.argsort(values)
    below = np.cumsum(weight[order]) - weight[order] / 2
    return float(values[order][min(np.searchsorted(below, weight.sum() / 2), len(values) - 1)])

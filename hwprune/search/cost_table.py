"""The cost table: what a board's readings of whole networks tell of each kind of layer.

A layer's cost is taken as a bilinear form u(inputs)ᵀ M u(outputs), one M for all layers and a
correction for each kind. u holds a count of channels, the count rounded up to the board's block,
and whether it fills its blocks: that is what decides which kernel a runtime picks and where it has
to change the layout of a tensor. M is learned by ridge regression from whole networks, so nothing
is timed out of its place, and the block need not be known: several are offered at once.

A regression on widths and multiply-accumulates alone errs several times as much on a residual
network, as a stream decides together with what is inside its blocks; bench_table compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hwprune.changes import Changes
from hwprune.form import Form
from hwprune.layer import ChannelCount, Layer, channels
from hwprune.peak import BLOCKS
from hwprune.search.ridge import Blocks, Ridge

OWN = 3.0
"""How far a kind's own form may stray, where all kinds together may 10."""
OF_FORM = 30.0
"""The same of what is counted from the graph: it is nearly all that the cost is."""
COUNTED = np.array([0, 0, 1, 1, 1])
"""Entries of u, for each block: which of them hold a count of channels."""
TERMS = len(COUNTED)


class CostTable:
    """What one constraint costs at any widths, in units of its limit."""

    def __init__(
        self, layers: Sequence[Layer], full: Sequence[int], form: Form | None = None
    ) -> None:
        """`full`: the unpruned network's widths, which scale costs; `form`: what is counted."""
        self._form = form
        self._whole_form = 1.0 if form is None else form.terms(np.array([full]))
        self._of_form = np.zeros(0)
        kinds = sorted({layer.kind for layer in layers})
        self._kinds = np.array([kinds.index(layer.kind) for layer in layers], int)
        self._count = len(kinds)
        self._scale = _scales(layers, np.array([full]))
        self._from = _Axes([layer.inputs for layer in layers], full)
        self._to = _Axes([layer.outputs for layer in layers], full)
        self._carried = np.zeros((len(self._from.terms), len(BLOCKS) * TERMS))
        """By place of an input: what each term of the outputs costs."""
        self._flat = self._to.terms.reshape(len(self._to.terms), -1)
        self._touches = (self._from.steps != 0) | (self._to.steps != 0)
        self._ridge = Ridge()
        self._start = 0.0

    @property
    def error(self) -> float:
        """Typical error of `predict` at widths it has not seen."""
        return self._ridge.error

    def fit(self, widths: np.ndarray, used: np.ndarray, weight: np.ndarray) -> None:
        """Learn from costs [n] of candidates [n, groups], trusted by `weight` [n]."""
        blocks = self._rows(widths)
        self._ridge.fit(blocks, used, weight)
        start, shared, own, *of_form = self._ridge.coefficients(blocks)
        shape = (len(BLOCKS), TERMS, TERMS)
        forms = own.reshape(self._count, *shape) + shared.reshape(shape)
        forms = forms[self._kinds] * self._scale
        carried = np.einsum("pbi,pbij->pbj", self._from.terms, forms[self._from.axis])
        self._carried = carried.reshape(len(carried), -1)
        self._start = float(start[0])
        self._of_form = of_form[0] if of_form else self._of_form

    def predict(self, widths: np.ndarray) -> np.ndarray:
        """Cost of candidates [n, groups]; [n]."""
        costs = self._cost(self._from.places(widths), self._to.places(widths)).sum(axis=1)
        if self._form is not None:
            costs = costs + self._form.terms(widths) / self._whole_form @ self._of_form
        return np.asarray(self._start + costs)

    def changed(self, widths: np.ndarray, changes: Changes) -> np.ndarray:
        """Cost of rows of widths [n, groups] after one change each, [changes].

        Only layers that the changed group touches are looked at.
        """
        inputs, outputs = self._from.places(widths), self._to.places(widths)
        before = self._cost(inputs, outputs)
        change, layer = np.nonzero(self._touches[changes.group])
        group, row = changes.group[change], changes.row[change]
        by = changes.width[change] - widths[row, group]
        after = self._cost(
            inputs[row, layer] + by * self._from.steps[group, layer],
            outputs[row, layer] + by * self._to.steps[group, layer],
        )
        more = np.bincount(change, after - before[row, layer], len(changes.row))
        if self._form is not None:
            of_form = self._form.changed(widths, changes)
            more = more + of_form / self._whole_form @ self._of_form
        return np.asarray(self._start + before.sum(axis=1)[changes.row] + more)

    def _cost(self, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Of layers whose axes are at these places, of any shape."""
        return np.asarray(np.einsum("...t,...t->...", self._carried[inputs], self._flat[outputs]))

    def _rows(self, widths: np.ndarray) -> Blocks:
        """A constant, the form summed over all layers, and the form summed over each kind."""
        inputs, outputs = (a.terms[a.places(widths)] for a in (self._from, self._to))
        rows = np.zeros((len(widths), self._count, len(BLOCKS), TERMS, TERMS))
        for kind in range(self._count):
            of_kind = self._kinds == kind
            rows[:, kind] = np.einsum(
                "nlbi,nlbj,lbij->nbij",
                inputs[:, of_kind],
                outputs[:, of_kind],
                self._scale[of_kind],
                optimize=True,
            )
        shared = rows.sum(1).reshape(len(widths), -1)
        constant = np.ones((len(widths), 1))
        blocks = [(constant, 30.0), (shared, 10.0), (rows.reshape(len(widths), -1), OWN)]
        if self._form is not None:
            blocks.append((self._form.terms(widths) / self._whole_form, OF_FORM))
        return blocks


class _Axes:
    """One axis of each layer, and u at every count that it can have, one place each."""

    def __init__(self, counts: Sequence[ChannelCount], full: Sequence[int]) -> None:
        each = [math.gcd(*(units for _, units in count.per_unit)) or 1 for count in counts]
        self.steps = np.zeros((len(full), len(counts)), int)
        """[groups, axes]: the places that a unit of a group moves an axis by."""
        for axis, count in enumerate(counts):
            for group, units in count.per_unit:
                self.steps[group, axis] += units // each[axis]
        sizes = np.asarray(full) @ self.steps + 1
        self._first = np.cumsum([0, *sizes[:-1]])
        self.axis = np.repeat(np.arange(len(counts)), sizes)
        """[places]."""
        place = np.arange(len(self.axis)) - self._first[self.axis]
        fixed = np.array([count.fixed for count in counts], int)
        self.terms = _terms(fixed[self.axis] + place * np.array(each, int)[self.axis])
        """[places, blocks, terms]."""

    def places(self, widths: np.ndarray) -> np.ndarray:
        """Of the counts at widths [n, groups]; [n, axes]."""
        return np.asarray(np.asarray(widths, int) @ self.steps + self._first)


def _scales(layers: Sequence[Layer], full: np.ndarray) -> np.ndarray:
    """[layers, blocks, terms, terms]: makes the unpruned network's sum of each entry about 1.

    An entry without a count of channels is a fixed cost, with one count it is data moved, with two
    it is arithmetic; these go by positions and kernel.
    """
    inputs = channels([layer.inputs for layer in layers], full)[0]
    outputs = channels([layer.outputs for layer in layers], full)[0]
    positions = np.array([layer.positions for layer in layers], float)
    kernel = np.array([layer.kernel for layer in layers], float)
    one = np.ones(len(layers))
    each = np.stack([one, positions, positions, positions * kernel])
    whole = (each * [one, outputs, inputs, inputs * outputs]).sum(1, keepdims=True)
    with_input, with_output = np.meshgrid(COUNTED, COUNTED, indexing="ij")
    entries = (each / whole).T[:, 2 * with_input + with_output]
    return np.repeat(entries[:, None], len(BLOCKS), axis=1)


def _terms(counts: np.ndarray) -> np.ndarray:
    """u of counts [n]: open, filled, the count where open, where filled, rounded up.

    [n, blocks, terms].
    """
    block = np.array(BLOCKS, float)
    count = counts[..., None]
    filled = (count % block == 0).astype(float)
    rounded = np.ceil(count / block) * block
    entries = [1 - filled, filled, count * (1 - filled), count * filled, rounded]
    return np.stack(entries, axis=-1)

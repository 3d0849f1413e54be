"""The grid: a table's predictions for parts of its network, over the widths that it measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.layer import ChannelCount, Layer, channels
from hwprune.tables.model import TableModel
from hwprune.tables.table import Table, widths_of

WIDTHS = 8
"""Of each group of channels at most so many, from the narrowest measured to the unpruned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One part of a network at some widths."""

    counts: tuple[int, ...]
    """Channels of each axis asked for."""
    latency_ms: float


class Grid:
    """Predictions of parts of a table's network.

    Args:
        each: of the widths of a group at most so many.

    Raises:
        InputError: the table knows no layers of its network.
    """

    def __init__(self, table: Table, each: int = WIDTHS) -> None:
        self.table = table
        self._model = TableModel(table)
        self._each = max(2, each)
        self._places = {id(layer): place for place, layer in enumerate(table.own.layers)}
        own = table.own
        rows = [*table.whole("network", "held out")]
        self.full = np.array(own.full, int)
        """Unpruned widths."""
        # The unpruned widths as well: a table of blocks alone has a grid of one point.
        self._measured = np.vstack([self.full[None], *([widths_of(rows)] if rows else [])])

    @property
    def rows(self) -> int:
        """Rows that predictions are learned from."""
        return sum(row.role != "held out" and not row.doubts for row in self.table.rows)

    @property
    def spread(self) -> float:
        """Relative standard deviation of what whole networks take from what is predicted.

        Not a number where nothing was held out.
        """
        interval = self._model.interval
        # The interval holds 95 % of candidates, as 1.96 deviations of a normal distribution do.
        return math.nan if interval is None else math.expm1(interval) / 1.96

    @property
    def beside_ms(self) -> float:
        """What a network takes beside its layers."""
        whole = self._model.latency_ms(self.full[None])[0]
        return float(whole - self._model.layers_ms(self.full[None]).sum())

    def points(self, layers: Sequence[Layer], axes: Sequence[ChannelCount]) -> list[Point]:
        """Layers together, at all combinations of measured widths of the groups on `axes`.

        Groups that are on none of them stay unpruned.
        """
        found: dict[tuple[int, ...], Point] = {}
        for point in self._at(layers, axes, np.array(list(self._combinations(axes)))):
            found.setdefault(point.counts, point)
        return list(found.values())

    def at(
        self, layers: Sequence[Layer], axes: Sequence[ChannelCount], widths: np.ndarray
    ) -> Point:
        """Layers together, at given widths [groups] of the whole network."""
        return next(self._at(layers, axes, widths[None]))

    def _at(
        self, layers: Sequence[Layer], axes: Sequence[ChannelCount], widths: np.ndarray
    ) -> Iterator[Point]:
        # By place and not by name: files exist that give several layers one.
        places = [self._places[id(layer)] for layer in layers]
        latencies = self._model.layers_ms(widths)[:, places].sum(axis=1)
        for counts, latency in zip(channels(axes, widths), latencies, strict=True):
            yield Point(counts=tuple(int(c) for c in counts), latency_ms=float(latency))

    def narrowed(self, axis: ChannelCount, count: int) -> np.ndarray | None:
        """The unpruned network with so many channels on an axis; None where that was never near.

        An axis of one group alone can be asked for any count.
        """
        if count == channels([axis], self.full[None])[0, 0]:
            return self.full
        if len(axis.per_unit) != 1 or axis.fixed:
            return None
        ((group, units),) = axis.per_unit
        width, over = divmod(count, units)
        if over or not self._measured[:, group].min() <= width <= self.full[group]:
            return None
        widths = self.full.copy()
        widths[group] = width
        return widths

    def _combinations(self, axes: Sequence[ChannelCount]) -> Iterator[np.ndarray]:
        """Widths of the whole network. Axes that share groups go together, as measured."""
        together = _together(axes)
        choices = [self._choices([axes[number] for number in one]) for one in together]
        for chosen in itertools.product(*choices):
            widths = self.full.copy()
            for groups, values in chosen:
                widths[groups] = values
            yield widths

    def _choices(self, axes: Sequence[ChannelCount]) -> list[tuple[list[int], np.ndarray]]:
        groups = sorted({group for axis in axes for group, _ in axis.per_unit})
        counts = channels(axes, self._measured)
        _, first = np.unique(counts, axis=0, return_index=True)
        # Distinct counts ascend, so the last is the unpruned one.
        kept = np.unique(np.linspace(0, len(first) - 1, self._each).round().astype(int))
        return [(groups, self._measured[row][groups]) for row in first[kept]]


def _together(axes: Sequence[ChannelCount]) -> list[list[int]]:
    """Numbers of axes, those that share a group in one list."""
    found: list[tuple[set[int], list[int]]] = []
    for number, axis in enumerate(axes):
        groups, numbers = {group for group, _ in axis.per_unit}, [number]
        apart = []
        for others, theirs in found:
            if groups & others:
                groups, numbers = groups | others, [*theirs, *numbers]
            else:
                apart.append((others, theirs))
        found = [*apart, (groups, numbers)]
    return [numbers for groups, numbers in found if groups]

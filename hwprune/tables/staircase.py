"""Staircases: what a network takes as one group narrows, and the widths that are worth offering.

Boards compute channels in blocks, so most widths cost what a wider one costs. Those gain nothing:
a search that is offered only the others loses no speed and has fewer places to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.errors import InputError
from hwprune.tables.model import TableModel
from hwprune.tables.table import widths_of

MOST = 128
"""Widths of a staircase besides those read; a wider group is looked at in even strides, which meet
the ends of its blocks."""
TOLERANCE = 0.05
"""Of what a group's choices span in milliseconds: a width that saves less than this, compared to
a wider one, is not offered. Of the span, as a share of the network's latency would leave nothing
of a deep network's groups. Tables of ResNet-20 on a made-up board in blocks of 16, read with an
error of 2 %, so keep every step and 0.8 needless choices of 9; with 0.02 it is 1.1. With 0.12 a
board without steps loses 3.5 choices of 9, here 2.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """Predicted latency of the whole network by one group's width, all other groups whole."""

    name: str
    """Of the group."""
    widths: tuple[int, ...]
    """Ascending, up to the unpruned one."""
    latency_ms: tuple[float, ...]
    read: tuple[int, ...]
    """Widths at which the board read the network; between them there is the model alone."""
    offered: tuple[int, ...]
    """Of those read, the ones that are worth offering."""
    shares_axis: bool
    """Some axis holds channels of other groups too, so that steps hang on those groups' widths."""

    def at(self, width: int) -> float:
        """Latency in milliseconds at one of the widths."""
        return self.latency_ms[self.widths.index(width)]


def staircases(model: TableModel) -> list[Staircase]:
    """The staircase of each group of a table's network, in their order."""
    groups = model.table.own.groups
    read = _read(model)
    offered = worth_offering(model, read)
    shared = _shared(model)
    widths = [
        tuple(sorted({*_strides(full), *mine}))
        for (_, full), mine in zip(groups, read, strict=True)
    ]
    return [
        Staircase(
            name=name,
            widths=widths[group],
            latency_ms=tuple(map(float, latency)),
            read=read[group],
            offered=offered[group],
            shares_axis=group in shared,
        )
        for group, ((name, _), latency) in enumerate(
            zip(groups, _latencies(model, widths), strict=True)
        )
    ]


def worth_offering(
    model: TableModel, choices: Sequence[Sequence[int]], tolerance: float = TOLERANCE
) -> list[tuple[int, ...]]:
    """For each group, the choices that no wider one makes needless; ascending.

    A choice is needless where a wider one that is offered costs as much or less, within the
    tolerance, all other groups whole. Comparing only with what is offered keeps a slope that has
    no steps from being dropped width by width. The widest and the narrowest always stay. So does
    all of a group that shares an axis with others: blocks are filled by all of them together.

    Args:
        choices: widths of each group, in any order.
        tolerance: share of what a group's choices span in milliseconds.

    Raises:
        InputError: choices that are not widths of the table's network.
    """
    _check(model, choices)
    ascending = [tuple(sorted(set(mine))) for mine in choices]
    shared = _shared(model)
    return [
        widths if group in shared else _undominated(widths, latency, tolerance)
        for group, (widths, latency) in enumerate(
            zip(ascending, _latencies(model, ascending), strict=True)
        )
    ]


def _undominated(widths: Sequence[int], latency: np.ndarray, tolerance: float) -> tuple[int, ...]:
    if len(widths) < 3:
        return tuple(widths)
    least_gain = tolerance * float(latency.max() - latency.min())
    kept, cheapest = [widths[-1]], float(latency[-1])
    # Down from the second widest; both ends stay whatever they cost.
    for width, cost in zip(widths[-2:0:-1], latency[-2:0:-1], strict=True):
        if cost < cheapest - least_gain:
            kept.append(width)
            cheapest = float(cost)
    return (widths[0], *reversed(kept))


def _latencies(model: TableModel, choices: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """By group, latency at each of its choices, all other groups whole; asked for at once."""
    counts = [len(mine) for mine in choices]
    rows = np.repeat(np.array([model.table.own.full]), sum(counts), axis=0)
    group = np.repeat(np.arange(len(choices)), counts)
    rows[np.arange(len(rows)), group] = [width for mine in choices for width in mine]
    return np.split(model.latency_ms(rows), np.cumsum(counts)[:-1])


def _shared(model: TableModel) -> set[int]:
    """Groups that have channels on an axis beside those of another group."""
    counts = [c.per_unit for k in model.table.own.layers for c in (k.inputs, k.outputs)]
    return {group for units in counts if len({g for g, _ in units}) > 1 for group, _ in units}


def _read(model: TableModel) -> list[tuple[int, ...]]:
    """By group, the widths at which the whole network was read; the unpruned one too."""
    own = model.table.own
    rows = widths_of(model.table.whole("network", "held out")).reshape(-1, len(own.full))
    return [
        tuple(sorted({int(width) for width in rows[:, group]} | {full}))
        for group, full in enumerate(own.full)
    ]


def _strides(full: int) -> tuple[int, ...]:
    stride = 1
    while full // stride > MOST:
        stride *= 2
    return (1, *range(max(2, stride), full + 1, stride))


def _check(model: TableModel, choices: Sequence[Iterable[int]]) -> None:
    groups = model.table.own.groups
    if len(choices) != len(groups):
        raise InputError(
            "choices do not fit the table's network",
            given=f"of {len(choices)} groups",
            possible=f"{len(groups)} groups",
        )
    for (name, full), mine in zip(groups, choices, strict=True):
        wrong = [width for width in mine if not 1 <= width <= full]
        if wrong:
            raise InputError(
                f"{name} has no width {wrong[0]}", given=str(wrong[:8]), possible=f"1 to {full}"
            )

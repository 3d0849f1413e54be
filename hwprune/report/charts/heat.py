"""A heat map: what a kind of layer takes, by the channels that it reads and gives."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from hwprune.report import figures
from hwprune.report.charts.plane import Plane, Scale
from hwprune.tables.kind_map import KindMap

COLOURS = 10
"""Classes h0 to h9 of the page's style sheet, from dark to light: viridis, which people with any
colour vision can order."""
SIDE, ROW_PX = 232, 34
"""Length of a side of the map; height of one that has a single row."""
LEFT, TOP, BOTTOM, RIGHT, BAR_PX = 44, 26, 44, 84, 14

SMALL = 24
"""Cells along a side, above which dots are smaller so that colours still show."""


def heat(found: KindMap) -> str:
    """Cells in ten colours with a labelled scale; dots where the board read such a layer."""
    tall, wide = _length(found.outputs), _length(found.inputs)
    plane = Plane(
        _reach(found.inputs), _reach(found.outputs),
        width=LEFT + wide + RIGHT, height=TOP + max(tall, 4 * ROW_PX) + BOTTOM,
        left=LEFT, right=RIGHT, top=TOP + max(0, 4 * ROW_PX - tall), bottom=BOTTOM,
    )  # fmt: skip
    low, high = float(found.ms.min()), float(found.ms.max())
    high = high if high > low else low + max(abs(low), 1e-6) * 1e-3
    colour = np.minimum((found.ms - low) / (high - low) * COLOURS, COLOURS - 1).astype(int)
    edges = np.linspace(low, high, COLOURS + 1)
    for shade in range(COLOURS):
        if path := _cells(plane, found, colour == shade):
            title = f"{_ms(edges[shade])} to {_ms(edges[shade + 1])} ms"
            plane.add(f'<path class="h{shade}" d="{path}"><title>{title}</title></path>')
    _dots(plane, found)
    _axes(plane, found)
    _scale(plane, edges)
    return plane.svg(f"Milliseconds of layers with a {found.text}, from {_ms(low)} to {_ms(high)}")


def _cells(plane: Plane, found: KindMap, chosen: np.ndarray) -> str:
    """A rectangle for each run of chosen cells beside each other."""
    half_x, half_y = _half(found.inputs), _half(found.outputs)
    parts = []
    for row, count in enumerate(found.outputs):
        top, bottom = plane.y(count + half_y), plane.y(count - half_y)
        place = 0
        for is_chosen, run in groupby(chosen[:, row]):
            length = len(list(run))
            if is_chosen:
                left = plane.x(found.inputs[place] - half_x)
                right = plane.x(found.inputs[place + length - 1] + half_x)
                parts.append(f"M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}z")
            place += length
    return "".join(parts)


def _dots(plane: Plane, found: KindMap) -> None:
    """Twice, so that they stand out from light cells and from dark ones."""
    path = "".join(
        f"M{plane.x(found.inputs[i]):.1f} {plane.y(found.outputs[o]):.1f}h0"
        for i, o in np.argwhere(found.read)
    )
    if path:
        small = " small" if max(found.ms.shape) > SMALL else ""
        plane.add(
            f'<path class="was-read halo{small}" d="{path}"/>'
            f'<path class="was-read{small}" d="{path}"/>'
        )


def _axes(plane: Plane, found: KindMap) -> None:
    for count in _some(found.inputs):
        at = plane.x(count)
        plane.add(f'<path class="tick" d="M{at:.1f} {plane.y.start:.1f}v5"/>')
        plane.text(at, plane.y.start + 15, str(count), anchor="middle")
    for count in _some(found.outputs):
        at = plane.y(count)
        plane.add(f'<path class="tick" d="M{plane.x.start:.1f} {at:.1f}h-5"/>')
        plane.text(plane.x.start - 9, at, str(count), anchor="end")
    middle = (plane.x.start + plane.x.stop) / 2
    plane.text(middle, plane.height - 8, "channels in", anchor="middle", cls="title")
    plane.text(2, plane.y.stop - 15, "channels out", cls="title")


def _scale(plane: Plane, edges: np.ndarray) -> None:
    """The legend: a bar of the colours, with milliseconds beside it."""
    left, bottom, top = plane.x.stop + 16, plane.height - BOTTOM, float(TOP)
    along = Scale(float(edges[0]), float(edges[-1]), bottom, top)
    for shade in range(COLOURS):
        upper, lower = along(edges[shade + 1]), along(edges[shade])
        plane.add(
            f'<rect class="h{shade}" x="{left:.1f}" y="{upper:.1f}" width="{BAR_PX}" '
            f'height="{lower - upper:.1f}"/>'
        )
    for value in np.linspace(edges[0], edges[-1], 5):
        plane.text(left + BAR_PX + 5, along(float(value)), _ms(float(value)))
    plane.text(left, top - 15, "ms", cls="title")


def _length(counts: np.ndarray) -> int:
    return SIDE if len(counts) > 1 else ROW_PX


def _half(counts: np.ndarray) -> float:
    """Half of a cell, in channels."""
    return float(counts[-1] - counts[-2]) / 2 if len(counts) > 1 else 0.5


def _reach(counts: np.ndarray) -> tuple[float, float]:
    half = _half(counts)
    return float(counts[0]) - half, float(counts[-1]) + half


def _some(counts: np.ndarray) -> list[int]:
    """Up to four counts in even strides, the highest among them."""
    stride = -(-len(counts) // 4)
    return [int(count) for count in counts[::-1][::stride]]


def _ms(value: float) -> str:
    return figures.plain(value).replace("-", "−")

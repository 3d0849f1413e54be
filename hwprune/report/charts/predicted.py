"""How far a latency table errs: predictions against readings, and how errors are spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hwprune.report import figures
from hwprune.report.charts.plane import Plane, span
from hwprune.tables.held_out import HeldOut

WIDTH, HEIGHT = 480, 380
BINS = 24
"""Of the histogram, at most."""
_NICE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def predicted(found: Sequence[HeldOut], interval: float | None) -> str:
    """Predicted against read latency, one mark a candidate, with the band of 95 % of them.

    Args:
        interval: half width of the band, in log latency.
    """
    if not found:
        return ""
    ends = [value for one in found for value in (one.low_ms, one.high_ms, one.predicted_ms)]
    low, high = span(ends)
    low = max(low, 0.0)
    plane = Plane((low, high), (low, high), width=WIDTH, height=HEIGHT)
    plane.y_axis("predicted, ms")
    plane.x_axis("read on the board, ms")
    away = math.exp(interval) if interval is not None else 1.0
    plane.add(f'<path class="band" d="{_band(plane, away)}"/>')
    plane.add(
        f'<path class="rule" d="M{plane.x(low):.1f} {plane.y(low):.1f}'
        f'L{plane.x(high):.1f} {plane.y(high):.1f}"/>'
    )
    for one in found:
        outside = interval is not None and abs(math.log1p(one.off)) > interval
        left, right, at = plane.x(one.low_ms), plane.x(one.high_ms), plane.y(one.predicted_ms)
        cls, shape = ("m1", "triangle") if outside else ("m0", "circle")
        plane.add(f'<path class="reach {cls}" d="M{left:.1f} {at:.1f}H{right:.1f}"/>')
        plane.mark(one.read_ms, one.predicted_ms, shape, f"dot {cls}", title=_says(one))
    return plane.svg(f"Predicted against read latency of {len(found)} held-out candidates")


def errors(found: Sequence[HeldOut], interval: float | None) -> str:
    """A histogram of relative errors, with the interval that holds 95 % of them."""
    if not found:
        return ""
    off = np.array([100 * one.off for one in found])
    away = 100 * math.expm1(interval) if interval is not None else 0.0
    reach = 1.15 * max(float(np.abs(off).max()), away, _NICE[0])
    wide = next((step for step in _NICE if 2 * reach / step <= BINS), _NICE[-1])
    most = math.ceil(reach / wide)
    edges = wide * np.arange(-most, most + 1)
    counts, _ = np.histogram(off, edges)
    plane = Plane(
        (edges[0], edges[-1]), (0, counts.max() * 1.12), width=WIDTH, height=HEIGHT, top=44
    )
    plane.text(2, 9, "held-out candidates", cls="title")
    step = max(1, math.ceil(counts.max() / 5))
    for count in range(0, int(counts.max()) + 1, step):
        plane.horizontal(count, "grid")
        plane.text(plane.x.start - 8, plane.y(count), str(count), anchor="end")
    for left, count in zip(edges, counts, strict=False):
        if count:
            plane.add(_bar(plane, float(left), wide, int(count)))
    plane.x_axis("error of the prediction, % of the reading")
    plane.vertical(0.0, "axis")
    if interval is not None:
        for at in (100 * math.expm1(-interval), away):
            plane.vertical(at, "rule")
            plane.text(
                plane.x(at), plane.y.stop - 8, f"{at:+.1f} %".replace("-", "−"), anchor="middle"
            )
    return plane.svg(f"Errors of {len(found)} held-out candidates")


def _band(plane: Plane, away: float) -> str:
    """Where the reading is within the interval around the prediction, within the plane."""
    low, high = plane.x.low, plane.x.high
    corners = (
        (low, low), (low, min(low * away, high)), (high / away, high),
        (high, high), (high, high / away), (min(low * away, high), low),
    )  # fmt: skip
    return f"M{'L'.join(f'{plane.x(x):.1f} {plane.y(y):.1f}' for x, y in corners)}z"


def _bar(plane: Plane, left: float, wide: float, count: int) -> str:
    x, top = plane.x(left), plane.y(count)
    return (
        f'<rect class="kept" x="{x + 0.8:.1f}" y="{top:.1f}" '
        f'width="{plane.x(left + wide) - x - 1.6:.1f}" height="{plane.y.start - top:.1f}">'
        f"<title>{count} from {left:.4g} % to {left + wide:.4g} %</title></rect>"
    )


def _says(one: HeldOut) -> str:
    read = f"{figures.ms(one.read_ms)} ({figures.spread_ms(one.low_ms, one.high_ms)})"
    widths = " ".join(map(str, one.widths))
    return f"predicted {figures.ms(one.predicted_ms)}, read {read}; widths {widths}"

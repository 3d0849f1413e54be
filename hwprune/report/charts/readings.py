"""The fresh readings behind the closing table: every run, the median, and the 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hwprune.report import figures
from hwprune.report.certificate import ConstraintFinding
from hwprune.report.charts.plane import Plane
from hwprune.report.result import Result
from hwprune_device.reading import Reading

ROW_PX = 30
_NEAR = 0.12
"""A limit this far from the readings, as a share, is still drawn with them."""


def strips(result: Result) -> list[tuple[str, str]]:
    """(network, picture) for each network that was read afresh; a row is one process."""
    names = dict.fromkeys(f.network for f in result.final_readings)
    pictures = []
    for name in names:
        readings = [f.reading for f in result.final_readings if f.network == name]
        limits = [f for f in result.certificate.findings if name != "unpruned" and f.unit == "ms"]
        pictures.append((name, _strip(name, readings, limits)))
    return pictures


def normal_runs(reading: Reading) -> list[float]:
    """The timed runs in milliseconds, each freed of the drift its own round's base run shows."""
    return [
        run / base * reading.base_nominal_ms
        for runs, base in zip(reading.runs_ms, reading.base_ms, strict=True)
        for run in runs
    ]


def _strip(name: str, readings: Sequence[Reading], limits: Sequence[ConstraintFinding]) -> str:
    runs = [sorted(normal_runs(r)) for r in readings]
    low, high = _window(readings, runs, limits)
    height = ROW_PX * len(readings) + 64
    plane = Plane(
        (low, high),
        (len(readings) - 0.4, -0.6),
        width=480,
        height=height,
        left=34,
        right=84,
        top=24,
    )
    plane.x_axis("latency of single runs, ms")
    for place, (reading, mine) in enumerate(zip(readings, runs, strict=True)):
        _row(plane, place, reading, mine)
    for finding in limits:
        if low <= finding.limit <= high:
            plane.vertical(finding.limit, "limit")
            text = f"budget {figures.limit(finding.limit, finding.unit)}"
            at = min(max(plane.x(finding.limit), 60), 420)
            plane.text(at, 9, text, anchor="middle", cls="limit-text")
    return plane.svg(f"{len(readings)} fresh readings of the {name} network")


def _row(plane: Plane, place: int, reading: Reading, runs: Sequence[float]) -> None:
    """One process: a band for the interval, a thin mark a run, a tall mark for the median."""
    middle = plane.y(place)
    left, right = plane.x(reading.low_ms), plane.x(reading.high_ms)
    says = (
        f"reading {place + 1}, {reading.taken_at}: {figures.ms(reading.latency_ms)}, "
        f"95 % {figures.spread_ms(reading.low_ms, reading.high_ms)}"
    )
    plane.add(f"<g><title>{escape(says)}</title>")
    plane.add(
        f'<rect class="band" x="{left:.1f}" y="{middle - 11:.1f}" '
        f'width="{max(1.0, right - left):.1f}" height="22"/>'
    )
    inside = [run for run in runs if run <= plane.x.high]
    for run in inside:
        at = plane.x(run)
        plane.add(f'<path class="run" d="M{at:.1f} {middle - 6:.1f}v12"/>')
    at = plane.x(reading.latency_ms)
    plane.add(f'<path class="median" d="M{at:.1f} {middle - 12:.1f}v24"/></g>')
    plane.text(plane.x.start - 8, middle, str(place + 1), anchor="end")
    if beyond := len(runs) - len(inside):
        plane.text(plane.x.stop + 6, middle, f"{beyond} beyond →")


def _window(
    readings: Sequence[Reading],
    runs: Sequence[Sequence[float]],
    limits: Sequence[ConstraintFinding],
) -> tuple[float, float]:
    """The range to show: all but the slowest runs, the intervals, and a limit that is near."""
    low = min([*(r.low_ms for r in readings), *(mine[0] for mine in runs if mine)])
    # A preempted run can be ten times slower: it is counted at the edge, not drawn to scale.
    slow = [mine[int(0.97 * (len(mine) - 1))] for mine in runs if mine]
    high = max([*(r.high_ms for r in readings), *slow])
    for finding in limits:
        if high < finding.limit < high * (1 + _NEAR):
            high = finding.limit
        if low * (1 - _NEAR) < finding.limit < low:
            low = finding.limit
    margin = 0.05 * max(high - low, high * 1e-3)
    return low - margin, high + margin

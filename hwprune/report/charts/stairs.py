"""A staircase: what the whole network takes as one group narrows."""

from __future__ import annotations

from hwprune.report import figures
from hwprune.report.charts.plane import Plane, span
from hwprune.tables.staircase import Staircase

WIDTH, HEIGHT = 330, 210
NAME = 44
"""Letters of a name; its end tells groups apart, so the front gives way."""

LABELS = 8
"""Steps that are labelled at most, in even strides from the widest; the others tell on hover."""


def stairs(found: Staircase) -> str:
    """Predicted latency by width: a dot where the board read, a diamond where a step ends."""
    plane = Plane(
        (0, found.widths[-1] * 1.06), span(found.latency_ms, pad=0.12),
        width=WIDTH, height=HEIGHT, left=58, right=10, top=34,
    )  # fmt: skip
    plane.y_axis(_short(found.name))
    _widths(plane, found.widths[-1])
    plane.line(list(zip(found.widths, found.latency_ms, strict=True)), "thin m0")
    steps = () if found.shares_axis else found.offered
    for width in found.read:
        if width not in steps:
            plane.mark(
                width, found.at(width), "circle", "dot m0", size=2.6, title=_says(found, width)
            )
    for width in steps:
        says = f"{_says(found, width)}, worth offering"
        plane.mark(width, found.at(width), "diamond", "dot m1", size=4.6, title=says)
    for width in steps[:: -max(1, -(-len(steps) // LABELS))]:
        plane.label(width, found.at(width), str(width), gap=8)
    return plane.svg(f"Latency of the network by the width of {found.name}")


def _widths(plane: Plane, full: int) -> None:
    """The axis, with texts at quarters of the unpruned width: steps lie at such counts."""
    stride = -(-full // 4)
    bottom = plane.y.start
    for width in range(full, 0, -stride):
        at = plane.x(width)
        plane.add(f'<path class="tick" d="M{at:.1f} {bottom:.1f}v5"/>')
        plane.text(at, bottom + 15, str(width), anchor="middle")
    plane.add(f'<path class="axis" d="M{plane.x.start:.1f} {bottom:.1f}H{plane.x.stop:.1f}"/>')
    middle = (plane.x.start + plane.x.stop) / 2
    plane.text(middle, plane.height - 8, "channels", anchor="middle", cls="title")


def _says(found: Staircase, width: int) -> str:
    return f"{width} of {found.widths[-1]} channels: {figures.ms(found.at(width))}"


def _short(name: str) -> str:
    return name if len(name) <= NAME else "…" + name[1 - NAME :]

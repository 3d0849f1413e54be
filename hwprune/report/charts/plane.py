"""A plane to draw on: two linear scales, their axes, and marks placed in data units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from hwprune.report import figures

TEXT_PX = 12.5
"""Height of chart text in SVG units; charts are shown at about their own size."""
_GLYPH = 0.64
"""Mean width of a glyph as a share of its height, for keeping labels apart."""
_ROW_PX = 17
"""From one label to the next above or below it."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to pixels."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


def span(
    values: Iterable[float], *, pad: float = 0.06, least: float = 1e-9
) -> tuple[float, float]:
    """The range of `values` with a margin; never empty, so that one value still draws."""
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    width = max(high - low, abs(high) * 1e-3, least)
    middle = (low + high) / 2
    return middle - width * (0.5 + pad), middle + width * (0.5 + pad)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between `low` and `high`."""
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's text: no trailing zeros, a true minus, a suffix on large counts."""
    if value >= 1e5:
        return figures.count(value)
    return f"{value:.6g}".replace("-", "−")


class Plane:
    """Collects SVG elements; `svg()` gives the whole picture."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        width: int,
        height: int,
        left: int = 54,
        right: int = 16,
        top: int = 32,
        bottom: int = 44,
    ) -> None:
        self.width, self.height = width, height
        self.x = Scale(*x, left, width - right)
        self.y = Scale(*y, height - bottom, top)
        self._parts: list[str] = []
        self._boxes: list[tuple[float, float, float, float]] = []

    def add(self, element: str) -> None:
        """Append a finished SVG element."""
        self._parts.append(element)

    def x_axis(self, title: str, *, whole: bool = False) -> None:
        """The line at the bottom, tick texts and the title; `whole` leaves out fractions."""
        bottom, left, right = self.y.start, self.x.start, self.x.stop
        for value in ticks(self.x.low, self.x.high, 7 if self.width > 600 else 5):
            if whole and value != int(value):
                continue
            at = self.x(value)
            self.add(f'<path class="tick" d="M{at:.1f} {bottom:.1f}v5"/>')
            self.text(at, bottom + 15, number(value), anchor="middle")
        self.add(f'<path class="axis" d="M{left:.1f} {bottom:.1f}H{right:.1f}"/>')
        self.text((left + right) / 2, self.height - 8, title, anchor="middle", cls="title")

    def y_axis(self, title: str, *, percent: bool = False) -> None:
        """Grid lines, tick texts and the title."""
        for value in ticks(self.y.low, self.y.high):
            text = f"{number(value * 100)} %" if percent else number(value)
            self.horizontal(value, "grid")
            self.text(self.x.start - 8, self.y(value), text, anchor="end")
        # Above the plot, not turned on its side: it reads at once and never meets the ticks.
        self.text(2, 9, title, cls="title")

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", cls: str = "") -> None:
        """Text at pixels, centred on its height."""
        shown = f' class="{cls}"' if cls else ""
        self.add(
            f'<text{shown} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
            f'dominant-baseline="central">{escape(text)}</text>'
        )

    def line(
        self, points: Sequence[tuple[float, float]], cls: str, *, steps: bool = False
    ) -> None:
        """A polyline through data points; `steps` holds each value until the next."""
        if not points:
            return
        path = f"M{self.x(points[0][0]):.1f} {self.y(points[0][1]):.1f}"
        for x, y in points[1:]:
            to = f"{self.x(x):.1f}", f"{self.y(y):.1f}"
            path += f"H{to[0]}V{to[1]}" if steps else f"L{to[0]} {to[1]}"
        self.add(f'<path class="line {cls}" d="{path}"/>')

    def vertical(self, x: float, cls: str) -> None:
        """A rule over the whole height at a data value."""
        at = self.x(x)
        self.add(f'<path class="{cls}" d="M{at:.1f} {self.y.stop:.1f}V{self.y.start:.1f}"/>')

    def horizontal(self, y: float, cls: str) -> None:
        """A rule over the whole width at a data value."""
        at = self.y(y)
        self.add(f'<path class="{cls}" d="M{self.x.start:.1f} {at:.1f}H{self.x.stop:.1f}"/>')

    def mark(
        self, x: float, y: float, shape: str, cls: str, *, size: float = 4, title: str = ""
    ) -> None:
        """A mark at data values, with a hover title."""
        path = outline(shape, size)
        hover = f"<title>{escape(title)}</title>" if title else ""
        at = f"translate({self.x(x):.1f} {self.y(y):.1f})"
        self.add(f'<path class="{cls}" transform="{at}" d="{path}">{hover}</path>')

    def label(self, x: float, y: float, text: str, *, cls: str = "label", gap: float = 11) -> None:
        """Text next to a data point, on the first side that is free of other labels and edges."""
        wide, tall = len(text) * TEXT_PX * _GLYPH, TEXT_PX * 1.3
        px, py = self.x(x), self.y(y)
        sides = [
            (px + gap, py), (px - gap - wide, py), (px - wide / 2, py - gap - 5),
            (px - wide / 2, py + gap + 5),
            *((side, py + away * _ROW_PX) for row in range(1, int(self.height / _ROW_PX))
              for away in (-row, row) for side in (px + gap, px - gap - wide)),
        ]  # fmt: skip
        left, middle = next((s for s in sides if self._free(*s, wide, tall)), sides[0])
        self._boxes.append((left, middle - tall / 2, left + wide, middle + tall / 2))
        self.text(left, middle, text, cls=cls)

    def _free(self, left: float, middle: float, wide: float, tall: float) -> bool:
        top, bottom, right = middle - tall / 2, middle + tall / 2, left + wide
        if left < self.x.start or right > self.width - 2 or top < 0 or bottom > self.y.start:
            return False
        return not any(
            left < r and right > l_ and top < b and bottom > t for l_, t, r, b in self._boxes
        )

    def svg(self, says: str) -> str:
        """The picture; `says` is what a screen reader is told."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'role="img" aria-label="{escape(says)}" style="--w:{self.width}px">'
            f"{''.join(self._parts)}</svg>"
        )


def outline(shape: str, size: float) -> str:
    """The path of a mark around the origin, of about equal area whatever the shape."""
    s = size
    if shape == "square":
        h = s * 0.89
        return f"M{-h:.2f} {-h:.2f}h{2 * h:.2f}v{2 * h:.2f}h{-2 * h:.2f}z"
    if shape == "triangle":
        return f"M0 {-1.25 * s:.2f}L{1.2 * s:.2f} {0.85 * s:.2f}H{-1.2 * s:.2f}z"
    if shape == "diamond":
        return f"M0 {-1.3 * s:.2f}L{1.3 * s:.2f} 0L0 {1.3 * s:.2f}L{-1.3 * s:.2f} 0z"
    if shape == "down":
        return f"M0 {1.25 * s:.2f}L{1.2 * s:.2f} {-0.85 * s:.2f}H{-1.2 * s:.2f}z"
    if shape == "star":
        spokes = [(math.sin(k * math.pi / 5), -math.cos(k * math.pi / 5)) for k in range(10)]
        reach = [1.6 * s if k % 2 == 0 else 0.68 * s for k in range(10)]
        corners = [f"{x * r:.2f} {y * r:.2f}" for (x, y), r in zip(spokes, reach, strict=True)]
        return f"M{'L'.join(corners)}z"
    return f"M{-s:.2f} 0a{s:.2f} {s:.2f} 0 1 0 {2 * s:.2f} 0a{s:.2f} {s:.2f} 0 1 0 {-2 * s:.2f} 0z"

"""What tells methods apart in every chart: a colour, a shape and a dash, never colour alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from hwprune.report.charts.plane import outline

SHAPES = ("circle", "square", "triangle", "diamond", "down")
COLOURS = 5
"""Number of method colours in the style sheet: classes m0 to m4, lines with a dash each."""


def order_of(names: Iterable[str]) -> dict[str, int]:
    """A steady number for each method, in order of appearance."""
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def shape_of(place: int) -> str:
    """The mark of the method with this number."""
    return SHAPES[place % len(SHAPES)]


def colour_of(place: int) -> str:
    """The style class of the method with this number."""
    return f"m{place % COLOURS}"


def legend(places: Mapping[str, int], notes: Mapping[str, str]) -> str:
    """A legend in HTML: a mark, the method's name and a note."""
    items = "".join(
        f"<li>{swatch(shape_of(place), f'dot {colour_of(place)}')}<b>{escape(name)}</b>"
        f"<span>{escape(notes.get(name, ''))}</span></li>"
        for name, place in places.items()
    )
    return f'<ul class="legend">{items}</ul>'


def swatch(shape: str, cls: str) -> str:
    """A mark on its own, as large as a line of text."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 16 16" class="swatch" '
        f'aria-hidden="true"><path class="{cls}" d="{outline(shape, 5)}"/></svg>'
    )

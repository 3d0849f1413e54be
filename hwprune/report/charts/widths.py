"""What was cut: the width of every channel group before and after, and what that saves."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hwprune.report.charts.plane import TEXT_PX
from hwprune.report.rows import GroupRow

ROW_PX = 24
MOST_NAME_PX, BAR_PX, COUNT_PX = 300, 380, 110
SAVED_PX = 170
_GLYPH_PX = TEXT_PX * 0.6


def widths(groups: Sequence[GroupRow]) -> str:
    """Horizontal bars: the share of channels kept in each group, and milliseconds saved."""
    if not groups:
        return ""
    most = max((g.saved_ms or 0.0 for g in groups), default=0.0)
    name_px = min(MOST_NAME_PX, max(len(g.name) for g in groups) * _GLYPH_PX + 16)
    total = name_px + BAR_PX + COUNT_PX + (SAVED_PX + 70 if most > 0 else 0)
    height = ROW_PX * (len(groups) + 1) + 6
    parts = [_text(name_px, ROW_PX / 2, "channels kept", cls="title")]
    if most > 0:
        parts.append(
            _text(name_px + BAR_PX + COUNT_PX, ROW_PX / 2, "saves, ms (measured)", cls="title")
        )
    for place, group in enumerate(groups):
        parts.append(_row(group, name_px, ROW_PX * (place + 1), most))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total:.0f} {height}" role="img" '
        f'aria-label="Width of {len(groups)} channel groups before and after" '
        f'style="--w:{total:.0f}px">{"".join(parts)}</svg>'
    )


def _row(group: GroupRow, name_px: float, top: float, most: float) -> str:
    middle, share = top + ROW_PX / 2, group.width_after / max(1, group.width_before)
    saved = "" if group.saved_ms is None else f", saves {group.saved_ms:.3g} ms"
    says = f"{group.name}: {group.width_before} → {group.width_after} channels{saved}"
    bar = f'x="{name_px:.1f}" y="{top + 5:.1f}" height="{ROW_PX - 10}"'
    parts = [
        f"<g><title>{escape(says)}</title>",
        _text(name_px - 10, middle, _short(group.name), anchor="end"),
        f'<rect class="gone" {bar} width="{BAR_PX}"/>',
        f'<rect class="kept" {bar} width="{BAR_PX * share:.1f}"/>',
        _text(name_px + BAR_PX + 10, middle, f"{group.width_after} of {group.width_before}"),
    ]
    if most > 0 and group.saved_ms is not None:
        left = name_px + BAR_PX + COUNT_PX
        wide = max(0.0, group.saved_ms) / most * SAVED_PX
        parts.append(
            f'<rect class="saved" x="{left:.1f}" y="{top + 5:.1f}" height="{ROW_PX - 10}" '
            f'width="{wide:.1f}"/>'
        )
        parts.append(_text(left + wide + 8, middle, f"{group.saved_ms:.3f}".replace("-", "−")))
    return "".join([*parts, "</g>"])


def _short(name: str) -> str:
    """The end of a name tells layers apart, so the front gives way."""
    room = int((MOST_NAME_PX - 16) / _GLYPH_PX)
    return name if len(name) <= room else "…" + name[1 - room :]


def _text(x: float, y: float, text: str, *, anchor: str = "start", cls: str = "") -> str:
    shown = f' class="{cls}"' if cls else ""
    return (
        f'<text{shown} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'dominant-baseline="central">{escape(text)}</text>'
    )

"""One constraint of the certificate as a picture: the limit, the value and its interval."""

from __future__ import annotations

from html import escape

from hwprune.report.certificate import ConstraintFinding
from hwprune.report.charts.plane import Scale

WIDTH, HEIGHT = 384, 30


def bullet(finding: ConstraintFinding) -> str:
    """A bar from 0 to the value, a whisker for the interval and a rule at the limit."""
    if finding.value is None or finding.low is None or finding.high is None:
        return ""
    x = Scale(0.0, max(finding.limit, finding.high) * 1.12, 0, WIDTH)
    value, limit = x(finding.value), x(finding.limit)
    cls = {"PASS": "good", "FAIL": "bad"}.get(finding.status, "unsure")
    parts = [
        f'<rect class="gone" x="0" y="9" width="{WIDTH}" height="12"/>',
        f'<rect class="{cls}" x="0" y="9" width="{value:.1f}" height="12"/>',
        f'<path class="limit" d="M{limit:.1f} 2V28"/>',
    ]
    if finding.high > finding.low:
        low, high = x(finding.low), x(finding.high)
        parts.append(
            f'<path class="whisker" d="M{low:.1f} 15H{high:.1f}'
            f'M{low:.1f} 10v10M{high:.1f} 10v10"/>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(finding.words)}" style="--w:{WIDTH}px"><title>'
        f"{escape(finding.words)}</title>{''.join(parts)}</svg>"
    )

"""The report of several budgets: one page with the curve, and links to each one's own report."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from hwprune.report import figures
from hwprune.report.charts.front import front as curve
from hwprune.report.front import Front
from hwprune.report.html import environment, write_page


def render_front(front: Front) -> str:
    """The page as HTML: no script, nothing loaded from elsewhere."""
    return (
        environment()
        .get_template("front.html.j2")
        .render(front=front, r=front.first, f=figures, curve=Markup(curve(front)))
    )


def write_front(front: Front, path: Path) -> None:
    """Render into a file; an interrupted write leaves the old one."""
    write_page(render_front(front), path)

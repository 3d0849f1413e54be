"""The console of results and messages: it shows text as it is, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from hwprune.plain_text import plain_text


class PlainConsole(Console):
    """Square brackets are text, not rich's markup, and control characters are not let through.

    What is to have a style is a `rich.text.Text`.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, highlight=False, **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As rich, without what a terminal would act on."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(plain_text(text), style)


def headed(head: str, rest: str) -> Text:
    """A line that begins in bold."""
    return Text.assemble((head, "bold"), rest)

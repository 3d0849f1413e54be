"""Progress of long work and its time left: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from hwprune.plain_text import plain_text
from hwprune.report.figures import seconds

if TYPE_CHECKING:
    from rich.console import Console

    from hwprune.progress import Progress

LINE_EVERY_S = 5.0


class Pace:
    """The time left of a stage, from the steps of this session alone.

    Steps that were done before a run was resumed say nothing of time.
    """

    def __init__(self, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = 0
        self._clock = clock
        self._started = clock()
        self._skipped = 0

    def advance(self, count: int) -> None:
        """Steps are done."""
        self.done += count

    def skip(self, count: int) -> None:
        """Steps were done before, or came from memory."""
        self.done += count
        self._skipped += count

    @property
    def took_s(self) -> float:
        """Seconds since the stage began."""
        return self._clock() - self._started

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest will take; None without a total or a step of this session."""
        own = self.done - self._skipped
        if not self.total or own <= 0 or self.done >= self.total:
            return None
        return self.took_s / own * (self.total - self.done)


class LineProgress:
    """Plain lines: a stage's start, its state at most every few seconds, and its end."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        every_s: float = LINE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._every_s = every_s
        self._clock = clock
        # One that its holder may take again: `begin` ends a stage that is open.
        self._lock = threading.RLock()
        self._stage = ""
        self._pace = Pace(None, clock)
        self._spoke = 0.0

    def begin(self, stage: str, total: int | None) -> None:
        """A stage starts; one that is still open is over."""
        with self._lock:
            if self._stage:
                self.end()
            self._stage, self._pace = stage, Pace(total, self._clock)
            self._spoke = self._clock()
            self._say(f"{stage} …")

    def advance(self, count: int = 1, note: str = "") -> None:
        """Steps are done; said only if the last line is old enough."""
        with self._lock:
            self._pace.advance(count)
            self._state(note)

    def skip(self, count: int, note: str = "") -> None:
        """Steps were done before."""
        with self._lock:
            self._pace.skip(count)
            self._state(note)

    def end(self, note: str = "") -> None:
        """The stage is over."""
        with self._lock:
            if self._stage:
                took = seconds(self._pace.took_s)
                self._say("  ".join(p for p in (f"{self._stage}: done in {took}", note) if p))
                self._stage = ""

    def close(self) -> None:
        """Nothing is left to tidy."""

    def _state(self, note: str) -> None:
        """Say where the stage stands, if the last line is old enough."""
        if self._clock() - self._spoke < self._every_s:
            return
        self._spoke = self._clock()
        pace = self._pace
        state = f"{self._stage}: {pace.done}" + (f"/{pace.total}" if pace.total else "")
        eta = "" if pace.left_s is None else f"ETA {seconds(pace.left_s)}"
        self._say("  ".join(part for part in (state, eta, note) if part))

    def _say(self, text: str) -> None:
        print(plain_text(text), file=self._stream, flush=True)


class BarProgress:
    """A live bar with the time left; finished stages stay above it, a line each."""

    def __init__(self, console: Console) -> None:
        from rich import progress as bars

        self._bars = bars.Progress(
            bars.TextColumn("{task.description}", style="bold", markup=False),
            bars.BarColumn(bar_width=24),
            bars.MofNCompleteColumn(),
            # Not rich's own time left, which would count steps of an earlier session.
            bars.TextColumn("{task.fields[eta]}"),
            bars.TextColumn("{task.fields[note]}", markup=False),
            console=console,
            # A finished stage is printed as a line, so its bar goes.
            transient=True,
            refresh_per_second=8,
        )
        self._lock = threading.RLock()
        self._task: bars.TaskID | None = None
        self._stage = ""
        self._pace = Pace(None)

    def begin(self, stage: str, total: int | None) -> None:
        """A stage starts; one that is still open is over."""
        with self._lock:
            if self._task is not None:
                self.end()
            self._stage, self._pace = stage, Pace(total)
            self._task = self._bars.add_task(stage, total=total, note="", eta="")
            self._bars.start()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Steps are done; the last note stays until there is another."""
        with self._lock:
            self._pace.advance(count)
            self._draw(count, note)

    def skip(self, count: int, note: str = "") -> None:
        """Steps were done before."""
        with self._lock:
            self._pace.skip(count)
            self._draw(count, note)

    def _draw(self, count: int, note: str) -> None:
        if self._task is None:
            return
        left = self._pace.left_s
        fields: dict[str, Any] = {"note": note} if note else {}
        eta = "" if left is None else f"ETA {seconds(left)}"
        self._bars.update(self._task, advance=count, eta=eta, **fields)

    def end(self, note: str = "") -> None:
        """The stage is over."""
        with self._lock:
            if self._task is None:
                return
            from rich.text import Text

            self._bars.remove_task(self._task)
            self._bars.stop()
            self._task = None
            took = (seconds(self._pace.took_s), "dim")
            parts = (("✓", "green"), " ", (self._stage, "bold"), " ", took)
            self._bars.console.print(Text.assemble(*parts, f"  {note}" if note else ""))

    def close(self) -> None:
        """Take the bar off the screen, also after an error or Ctrl-C."""
        self._bars.stop()


def messages() -> Console:
    """The console of progress and errors."""
    from hwprune.report.console import PlainConsole

    return PlainConsole(stderr=True, soft_wrap=True)


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[Progress]:
    """The progress that fits: none if `quiet`, a bar on a terminal, plain lines elsewhere.

    All of them write to stderr, so that stdout holds results alone; the screen is tidied however
    the work ends.
    """
    from hwprune.progress import Silent

    if quiet:
        yield Silent()
        return
    progress = BarProgress(messages()) if sys.stderr.isatty() else LineProgress()
    try:
        yield progress
    finally:
        progress.close()


@contextmanager
def watched(stage: str, total: int | None = None) -> Iterator[Progress]:
    """Show where one stage of work stands while it is done.

    That it is over is said only when it was not broken off.
    """
    with shown() as progress:
        progress.begin(stage, total)
        yield progress
        progress.end()

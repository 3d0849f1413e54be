"""A progress that keeps what it is told."""

from __future__ import annotations

from hwprune.progress import Silent


class RecordedProgress(Silent):
    """How far a stage came, and every note."""

    def __init__(self) -> None:
        self.steps, self.total = 0, None
        self.notes: list[str] = []

    def begin(self, stage, total):
        self.total = total

    def advance(self, count=1, note=""):
        self.steps += count
        self.notes += [note] if note else []

    def skip(self, count, note=""):
        self.advance(count, note)

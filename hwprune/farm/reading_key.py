"""The key of a reading: what was measured, how, and under which conditions."""

from __future__ import annotations

from dataclasses import dataclass

BY_KEY = "architecture = ? AND target_key = ? AND conditions_key = ?"
"""The store's rows of one key, in SQL; its values are `ReadingKey.columns`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingKey:
    """What selects a latency. Weights, names, load and temperature are not in it."""

    architecture: str
    """Hash of the structure: operators, attributes, shapes, types."""
    target_key: str
    """Canonical JSON of the Target."""
    conditions_key: str
    """Hash of the board's class, its runtime and the protocol."""

    @property
    def columns(self) -> tuple[str, str, str]:
        """In the order of every table."""
        return (self.architecture, self.target_key, self.conditions_key)

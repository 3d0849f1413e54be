"""The front: one run's networks for several budgets, and the budgets that none was found for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprune.errors import RunFolderError
from hwprune.report.result import Result, read_result
from hwprune.run_folder import write_json

FILE = "front.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEntry:
    """What came of one budget."""

    budget: str
    folder: str
    """Inside the run's."""
    result: Result | None
    failed: str = ""
    """Why there is no result, in words."""
    exit_code: int = 0
    """As if it had been the only budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What came of all budgets, in the order they were asked for."""

    name: str
    entries: tuple[FrontEntry, ...]

    @property
    def passed(self) -> bool:
        """Whether every budget was shown to be kept."""
        return all(e.result is not None and e.result.passed for e in self.entries)

    @property
    def good_enough(self) -> bool:
        """Whether every delivered network reaches its floor."""
        return all(e.result is None or e.result.good_enough for e in self.entries)

    @property
    def first(self) -> Result:
        """A result: what is said of network, board and search is the same in all."""
        return next(entry.result for entry in self.entries if entry.result is not None)

    def save(self, run: Path) -> None:
        """Write front.json; results lie in their own folders."""
        rows = [
            {
                "budget": entry.budget,
                "folder": entry.folder,
                "failed": entry.failed,
                "exit_code": entry.exit_code,
            }
            for entry in self.entries
        ]
        write_json(run / FILE, {"format": FORMAT, "name": self.name, "budgets": rows})


def read_front(run: Path) -> Front:
    """The front in a run folder.

    Raises:
        RunFolderError: it cannot be read, or was written by another hwprune.
    """
    try:
        data: Mapping[str, Any] = json.loads((run / FILE).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}")
        rows = data["budgets"]
        name = str(data["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{run / FILE} cannot be read", given=str(error), possible=f"format {FORMAT}"
        ) from error
    return Front(
        name=name,
        entries=tuple(
            FrontEntry(
                **row,
                result=None if row["failed"] else read_result(run / row["folder"] / "result.json"),
            )
            for row in rows
        ),
    )

"""The front: one run's networks for several budgets, and the budgets that none was found for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwprune.errors import RunFolderError
from hwprune.report.result import Result, read_result
from hwprune.stored import read_stored
from hwprune.whole_file import write_json

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
    file = run / FILE
    front = read_stored(file, _Stored, what="the front", next_step="start the run anew")
    folders = [entry.folder for entry in front.budgets]
    # Whoever changed the file must not lead a reader out of the run's folder.
    strange = [f for f in folders if f in ("", "..") or Path(f).name != f]
    if front.format != FORMAT or strange or all(entry.failed for entry in front.budgets):
        raise RunFolderError(
            f"{file} is not what a run writes",
            given=f"format {front.format}, folders {', '.join(folders)}",
            possible=f"format {FORMAT}, a folder inside {run} for each budget, one with a result",
        )
    return Front(
        name=front.name,
        entries=tuple(
            FrontEntry(
                budget=entry.budget,
                folder=entry.folder,
                result=None if entry.failed else read_result(run / entry.folder / "result.json"),
                failed=entry.failed,
                exit_code=entry.exit_code,
            )
            for entry in front.budgets
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredEntry:
    """A budget in front.json."""

    budget: str
    folder: str
    failed: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What front.json holds."""

    format: int
    name: str
    budgets: tuple[_StoredEntry, ...]

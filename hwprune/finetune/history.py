"""What each epoch of a training gave, as a file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hwprune.errors import RunFolderError
from hwprune.stored import as_noun, said
from hwprune.whole_file import write_whole

FILE = "history.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch, after its last step."""

    epoch: int
    """1-based."""
    loss: float | None
    """Mean training loss; None where a user's function trained."""
    score: float
    """The task's, on held-out items, of the averaged weights where there are any."""
    lr: float
    """Of the last step."""
    seconds: float


def write_history(folder: Path, epochs: Sequence[Epoch]) -> None:
    """Write all epochs so far."""
    # All of it each time: after a kill before this, an appended line would be missing for good.
    write_whole(folder / FILE, "".join(json.dumps(asdict(epoch)) + "\n" for epoch in epochs))


def read_history(folder: Path) -> tuple[Epoch, ...]:
    """The epochs of a training; empty where none was finished.

    Raises:
        RunFolderError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return ()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return tuple(as_noun(Epoch, json.loads(line)) for line in lines)
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(
            f"the history of a training {file} cannot be read",
            given=said(error),
            next_step="start a new run with --out",
        ) from None

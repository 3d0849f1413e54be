"""What each epoch of a training gave, as a file of JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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
    half = folder / f"{FILE}.half"
    half.write_text("".join(json.dumps(asdict(epoch)) + "\n" for epoch in epochs))
    os.replace(half, folder / FILE)


def read_history(folder: Path) -> tuple[Epoch, ...]:
    """The epochs of a training; empty where none was finished."""
    file = folder / FILE
    if not file.is_file():
        return ()
    return tuple(Epoch(**json.loads(line)) for line in file.read_text().splitlines())

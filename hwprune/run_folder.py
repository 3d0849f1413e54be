"""The run folder: what a run has finished, kept so that a kill loses only what was in flight.

deployment.json   the deployment's settings, as the run took them
run.sqlite        each finished step and what came out of it; the score of every candidate
base/             traced network, cut plan, saliency ranking
search/           checkpoints and histories of the methods
training/ finetune/   checkpoints by epoch
model.onnx weights.safetensors architecture.json     what is delivered
model.engine model.engine.json model.int8.onnx       its compiled forms, where boards have such
result.json certificate.json report.html             the evidence
NAME/             for each of several budgets: what is delivered and the evidence, as above
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hwprune.errors import RunFolderError
from hwprune.file_name import file_name
from hwprune.run_book import RunBook
from hwprune.stored import read_stored
from hwprune.whole_file import write_json

FORMAT = 4
"""1: steps in steps.json, accuracies in scores.sqlite. 2: one budget a run. 3: settings
by the names of older versions."""


RUN_NAMES = (
    *("base", "search", "training", "finetune"),
    *("deployment.json", "run.sqlite", "run.sqlite-wal", "run.sqlite-shm"),
    *("model.onnx", "weights.safetensors", "architecture.json"),
    *("result.json", "certificate.json", "report.html", "front.json"),
)
"""Names inside a run folder, which no budget may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """What deployment.json says."""

    format: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    """Older formats have none."""


class RunFolder:
    """One run's folder, locked by one process at a time."""

    def __init__(
        self, path: Path, lock: IO[str], book: RunBook | None = None, prefix: str = ""
    ) -> None:
        self.path = path
        self._lock = lock
        self._prefix = prefix
        self.book = book or RunBook(path)

    def part(self, name: str) -> RunFolder:
        """What belongs to one of several budgets: a folder inside, with steps of its own."""
        if not name:
            return self
        inner = self.folder(file_name(name))
        # The steps of all budgets are in the run's one book, apart by their names' beginning.
        return RunFolder(inner, self._lock, self.book, f"{name}: ")

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any], *, resume: bool) -> RunFolder:
        """Start a run in `path`, or go on with the one that is there.

        Raises:
            RunFolderError: it cannot be written, is in use, holds another run, or there is none
                to resume.
        """
        expect_run(path, resume=resume)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / ".lock").open("a+")
        except OSError as error:
            raise RunFolderError(
                f"the run folder {path} cannot be written",
                given=str(error),
                next_step="name another folder with --out",
            ) from None
        try:
            # The kernel lets go of it when the process dies, however that happens.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise RunFolderError(
                f"another process is working in {path}",
                next_step="wait for it, stop it, or name another folder with --out",
            ) from None
        folder = cls(path, lock)
        try:
            folder._agree_on(settings)
        except RunFolderError:
            folder.close()
            raise
        return folder

    def _agree_on(self, settings: Mapping[str, Any]) -> None:
        """Refuse to mix two deployments in one folder: their readings would not compare."""
        file = self.path / "deployment.json"
        # As the file gives it back: tuples have become lists.
        now = json.loads(json.dumps(dict(settings)))
        if not file.exists():
            write_json(file, {"format": FORMAT, "settings": now})
            return
        old = kept_settings(self.path)
        differ = [k for k in sorted({*old, *now}) if old.get(k) != now.get(k)]
        if differ:
            raise RunFolderError(
                f"the deployment changed since the run in {self.path} began",
                given="; ".join(f"{k}: {old.get(k)} → {now.get(k)}" for k in differ)[:600],
                next_step="undo the change to resume, or start anew with --out",
            )

    def step(self, name: str, kind: Any) -> Any:
        """What came out of a finished step, or None; see `RunBook.step`."""
        return self.book.step(self._prefix + name, kind)

    def finish(self, name: str, outcome: Any) -> Any:
        """Record a step as finished with an outcome that JSON can hold; gives the outcome back."""
        return self.book.finish(self._prefix + name, outcome)

    def folder(self, name: str) -> Path:
        """A folder inside the run's, made if it is not there."""
        inner = self.path / name
        inner.mkdir(parents=True, exist_ok=True)
        return inner

    def close(self) -> None:
        """Let another process have the folder."""
        self.book.close()
        self._lock.close()


def kept_settings(path: Path) -> dict[str, Any]:
    """The deployment's settings as the run in a folder took them.

    Raises:
        RunFolderError: they cannot be read, or another version wrote them.
    """
    file = path / "deployment.json"
    then = read_stored(
        file, _Begun, what="the settings of a run", next_step="start a new run with --out"
    )
    if then.format != FORMAT:
        newer = then.format > FORMAT
        raise RunFolderError(
            f"{path} was written by {'a newer' if newer else 'an older'} hwprune",
            given=f"format {then.format}",
            possible=f"format {FORMAT}",
            next_step="upgrade hwprune" if newer else "start anew with --out",
        )
    return then.settings


def next_free(root: Path, name: str) -> Path:
    """`root/name`, or `root/name-2` and so on where runs are already there."""
    taken = _runs(root, name)
    return root / name if not taken else root / f"{name}-{max(taken) + 1}"


def latest(root: Path, name: str) -> Path:
    """The newest run of that name: the one that --resume means."""
    taken = _runs(root, name)
    return root / (name if not taken or max(taken) == 1 else f"{name}-{max(taken)}")


def _runs(root: Path, name: str) -> list[int]:
    numbers = []
    for path in root.glob(f"{name}*"):
        tail = path.name[len(name) :]
        if tail == "":
            numbers.append(1)
        elif tail[0] == "-" and tail[1:].isdigit():
            numbers.append(int(tail[1:]))
    return numbers


def expect_run(path: Path, *, resume: bool) -> None:
    """Refuse to begin where a run is, or to go on where none is.

    Raises:
        RunFolderError: says which, and what else can be done.
    """
    there = (path / "deployment.json").exists()
    if resume and not there:
        raise RunFolderError(
            f"there is no run to resume in {path}",
            next_step="leave --resume out to start one, or name its folder with --out",
        )
    if there and not resume:
        raise RunFolderError(
            f"{path} already holds a run",
            possible="--resume to go on with it, or --out for another folder",
        )

"""The run book: finished steps and scores of a run, on disk before anyone uses them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwprune.errors import RunFolderError
from hwprune.stored import as_noun, said

FILE = "run.sqlite"
_SCORE = "value, share, items, others, of_shares"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownScore:
    """What a candidate scored on the first `share` of a part."""

    value: float
    share: float = 1.0
    items: np.ndarray | None = None
    """[N] float32, a number for each item, where the task gives such."""
    others: Mapping[str, float] = field(default_factory=dict)
    of_shares: Mapping[float, float] = field(default_factory=dict)
    """The value after each share that it was scored on."""


class RunBook:
    """Steps by name, scores by part and widths, in SQLite; safe to use from several threads."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._lock, self._file = threading.Lock(), folder / FILE
        try:
            if read_only:
                place = f"{self._file.resolve().as_uri()}?mode=ro"
                self._db = sqlite3.connect(place, uri=True, check_same_thread=False)
                return
            # One connection for all threads, which take turns in `_ask`; each statement commits.
            self._db = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            # In WAL mode a power cut then costs the last commits at most, and damages nothing.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS step (name TEXT PRIMARY KEY, outcome TEXT NOT NULL)"
                " STRICT"
            )
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS score (part TEXT NOT NULL, widths TEXT NOT NULL,"
                " value REAL NOT NULL, share REAL NOT NULL, items BLOB, others TEXT NOT NULL,"
                " of_shares TEXT NOT NULL, PRIMARY KEY (part, widths)) STRICT"
            )
        except (sqlite3.Error, ValueError) as error:  # its words may be no UTF-8
            raise self._damaged(said(error)) from None

    def step(self, name: str, kind: Any) -> Any:
        """What came out of a finished step, as the type `kind`; or None.

        Raises:
            RunFolderError: something else came out, or the file is damaged.
        """
        rows = self._ask("SELECT outcome FROM step WHERE name = ?", name)
        try:
            return as_noun(kind, json.loads(rows[0][0])) if rows else None
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"step '{name}': {said(error)}") from None

    def steps(self) -> list[str]:
        """Names of the finished steps, in the order they were finished."""
        return [name for (name,) in self._ask("SELECT name FROM step ORDER BY rowid")]

    def finish(self, name: str, outcome: Any) -> Any:
        """Record a step as finished with an outcome that JSON can hold; gives the outcome back."""
        text = json.dumps(outcome)
        self._ask("INSERT OR REPLACE INTO step VALUES (?, ?)", name, text)
        # As a resumed run will read it: tuples have become lists, keys text.
        return json.loads(text)

    def score(self, part: str, widths: Sequence[int]) -> KnownScore | None:
        """The score of a candidate on a part, or None if it was never scored."""
        rows = self._ask(
            f"SELECT {_SCORE} FROM score WHERE part = ? AND widths = ?",
            part,
            json.dumps(list(widths)),
        )
        return self._known(*rows[0]) if rows else None

    def scores(self, part: str) -> Iterator[tuple[tuple[int, ...], KnownScore]]:
        """Widths and score of every candidate on a part, in the order they were scored."""
        query = f"SELECT widths, {_SCORE} FROM score WHERE part = ? ORDER BY rowid"
        for widths, *row in self._ask(query, part):
            try:
                yield as_noun(tuple[int, ...], json.loads(widths)), self._known(*row)
            except (ValueError, RecursionError) as error:
                raise self._damaged(f"a score: {said(error)}") from None

    def _known(
        self, value: float, share: float, items: bytes | None, others: str, of_shares: str
    ) -> KnownScore:
        try:
            return KnownScore(
                value=value,
                share=share,
                items=None if items is None else np.frombuffer(items, np.float32),
                others=as_noun(dict[str, float], json.loads(others)),
                of_shares=as_noun(dict[float, float], json.loads(of_shares)),
            )
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"a score: {said(error)}") from None

    def keep_score(self, part: str, widths: Sequence[int], score: KnownScore) -> None:
        """Keep a score."""
        self._ask(
            "INSERT OR REPLACE INTO score VALUES (?, ?, ?, ?, ?, ?, ?)",
            part,
            json.dumps(list(widths)),
            score.value,
            score.share,
            None if score.items is None else score.items.astype(np.float32).tobytes(),
            json.dumps(dict(score.others)),
            json.dumps(dict(score.of_shares)),
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _ask(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except (sqlite3.Error, ValueError) as error:
                raise self._damaged(said(error)) from None

    def _damaged(self, why: str) -> RunFolderError:
        return RunFolderError(
            f"the run book {self._file} cannot be used",
            given=why,
            next_step="start a new run with --out",
        )

"""The score book: accuracy of every candidate a run has scored, on disk before anyone uses it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from hwprune.errors import RunFolderError


class ScoreBook:
    """Accuracies by (data split, widths) in SQLite; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS score (split TEXT NOT NULL, widths TEXT NOT NULL,"
                " accuracy REAL NOT NULL, PRIMARY KEY (split, widths)) STRICT"
            )
        except sqlite3.Error as error:
            raise RunFolderError(
                f"the score book {path} cannot be opened", given=str(error)
            ) from None

    def get(self, split: str, widths: Sequence[int]) -> float | None:
        """The accuracy of a candidate on a split, 0..1, or None if it was never scored."""
        with self._lock:
            row = self._db.execute(
                "SELECT accuracy FROM score WHERE split = ? AND widths = ?",
                (split, json.dumps(list(widths))),
            ).fetchone()
        return None if row is None else float(row[0])

    def put(self, split: str, widths: Sequence[int], accuracy: float) -> None:
        """Keep an accuracy."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO score VALUES (?, ?, ?)",
                (split, json.dumps(list(widths)), accuracy),
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

"""The store of readings: every measurement that was taken, by what was measured, how and where.

SQLite in WAL mode: many readers beside one writer, and a writer that is killed leaves it whole.
Readings are only added; a later doubt can take one out of those that are served. What cannot be
written because the disk is full is kept in memory and written once there is room.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from hwprune.errors import RunFolderError
from hwprune.farm.reading_key import BY_KEY, ReadingKey
from hwprune.farm.store_tables import SCHEMA, TABLES
from hwprune_device.reading import Failure, Reading

FAILURES_SERVED_AFTER = 2
"""A network that failed this often is not tried again: a hang costs a minute every time."""
BUSY_S = 30.0

_FULL = ("full", "disk I/O error")
"""What SQLite says where there is no space left."""


class ReadingStore:
    """Readings and failures by key; safe to use from several threads and processes.

    Args:
        path: the database file; it and its folders are made when they are not there.

    Raises:
        RunFolderError: it cannot be opened, is no store, or was written by a newer hwprune.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._unwritten: list[tuple[str, Sequence[object]]] = []
        self._kept: list[tuple[ReadingKey, Reading]] = []
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=BUSY_S, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._prepare()

    def close(self) -> None:
        """Close the file.

        Raises:
            RunFolderError: the disk is still full, so that what was kept in memory is lost.
        """
        with self._lock:
            left = self._flush()
            self._database.close()
        if left:
            raise RunFolderError(
                f"the disk of the store {self.path} is full",
                given=f"{left} readings could not be written; they will have to be taken again",
                next_step="free some space, or name another store in HWPRUNE_STORE",
            )

    @property
    def unwritten(self) -> int:
        """How many entries wait in memory for room on the disk."""
        return len(self._unwritten)

    def get(self, key: ReadingKey) -> Reading | None:
        """The reading of median latency among those without doubts; None when there is none."""
        rows = self._rows(
            f"SELECT body FROM readings WHERE {BY_KEY} AND doubted = 0 ORDER BY latency_ms",
            key.columns,
        )
        if rows:
            return Reading.from_json(json.loads(rows[(len(rows) - 1) // 2][0]))
        return next((r for kept, r in self._kept if kept == key and not r.doubts), None)

    def readings(self, key: ReadingKey) -> list[Reading]:
        """All readings, doubted ones too, oldest first."""
        query = f"SELECT body FROM readings WHERE {BY_KEY} ORDER BY number"
        rows = self._rows(query, key.columns)
        written = [Reading.from_json(json.loads(body)) for (body,) in rows]
        return [*written, *(reading for kept, reading in self._kept if kept == key)]

    def outcome(self, key: ReadingKey) -> Reading | Failure | None:
        """What need not be measured again: a good reading, or a failure that came twice."""
        reading = self.get(key)
        if reading is not None:
            return reading
        query = f"SELECT body FROM failures WHERE {BY_KEY} ORDER BY number DESC"
        rows = self._rows(query, key.columns)
        failures = [Failure.from_json(json.loads(body)) for (body,) in rows]
        poison = next((failure for failure in failures if failure.stage == "poison"), None)
        if poison is None and len(failures) < FAILURES_SERVED_AFTER:
            return None
        return poison or failures[0]

    def add(self, key: ReadingKey, outcome: Reading | Failure) -> None:
        """Keep an outcome; a lost board says nothing about a network, so that is not kept."""
        body = json.dumps(outcome.to_json(), allow_nan=False)
        if isinstance(outcome, Reading):
            self._write(
                "INSERT OR IGNORE INTO readings (architecture, target_key, conditions_key, "
                "reading_id, latency_ms, doubted, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *key.columns,
                    outcome.reading_id,
                    outcome.latency_ms,
                    int(bool(outcome.doubts)),
                    body,
                ),
            )
            if self._unwritten:
                self._kept.append((key, outcome))
        elif outcome.stage != "lost":
            self._write(
                "INSERT INTO failures (architecture, target_key, conditions_key, stage, body) "
                "VALUES (?, ?, ?, ?, ?)",
                (*key.columns, outcome.stage, body),
            )

    def doubt(self, reading_id: str, words: str) -> None:
        """Take a reading out of those that are served: something was wrong when it was taken."""
        self._write(
            "UPDATE readings SET doubted = 1, body = json_insert(body, '$.doubts[#]', ?) "
            "WHERE reading_id = ?",
            (words, reading_id),
        )

    def spread(self, conditions_key: str, target_key: str) -> tuple[float, int]:
        """How far good readings of the same network lie apart, over all networks read again.

        Returns the sum of squared relative deviations from each network's mean, and its degrees
        of freedom.
        """
        rows = self._rows(
            "SELECT architecture, latency_ms FROM readings WHERE conditions_key = ? AND "
            "target_key = ? AND doubted = 0",
            (conditions_key, target_key),
        )
        groups: dict[str, list[float]] = {}
        for architecture, latency_ms in rows:
            groups.setdefault(architecture, []).append(math.log(float(latency_ms)))
        squares, freedom = 0.0, 0
        for values in groups.values():
            middle = fmean(values)
            squares += sum((value - middle) ** 2 for value in values)
            freedom += len(values) - 1
        return squares, freedom

    def strike(self, key: ReadingKey, board: str, verdict: str) -> str:
        """Note that a board was lost while this network alone was at work; the strike's id."""
        strike_id = uuid.uuid4().hex
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._write(
            "INSERT INTO strikes VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (strike_id, *key.columns, board, verdict, at),
        )
        return strike_id

    def acquit(self, strike_id: str) -> None:
        """Withdraw a strike: the board came back and had not died."""
        self._write("UPDATE strikes SET acquitted = 1 WHERE strike_id = ?", (strike_id,))

    def strikes(self, key: ReadingKey) -> list[tuple[str, str]]:
        """The strikes against a network that stand: board and verdict, oldest first."""
        query = f"SELECT board, verdict FROM strikes WHERE {BY_KEY} AND acquitted = 0 ORDER BY at"
        return [(board, verdict) for board, verdict in self._rows(query, key.columns)]

    def calm_ms(self, key: ReadingKey, board: str) -> float | None:
        """A board's own time of an unpruned network when nothing disturbs it."""
        query = f"SELECT calm_ms FROM calm WHERE {BY_KEY} AND board = ?"
        rows = self._rows(query, (*key.columns, board))
        return float(rows[0][0]) if rows else None

    def keep_calm(self, key: ReadingKey, board: str, calm_ms: float) -> None:
        """Keep a board's calm time; the newest counts."""
        self._write(
            "INSERT OR REPLACE INTO calm VALUES (?, ?, ?, ?, ?)", (*key.columns, board, calm_ms)
        )

    def nominal_ms(self, key: ReadingKey) -> float | None:
        """The calibrated time of an unpruned network; None when it was not calibrated here."""
        rows = self._rows(f"SELECT nominal_ms FROM nominals WHERE {BY_KEY}", key.columns)
        return float(rows[0][0]) if rows else None

    def calibrate(self, key: ReadingKey, reading: Reading) -> None:
        """Keep a calibration reading and the nominal time it stands for; the first one stays."""
        self.add(key, reading)
        self._write(
            "INSERT OR IGNORE INTO nominals VALUES (?, ?, ?, ?, ?)",
            (*key.columns, reading.base_nominal_ms, reading.reading_id),
        )

    def _prepare(self) -> None:
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA:
            self._database.close()
            raise RunFolderError(
                f"the store of readings {self.path} was written by a newer hwprune",
                given=f"schema version {found}",
                possible=f"this hwprune reads versions up to {SCHEMA}",
                next_step="upgrade hwprune, or name another store in HWPRUNE_STORE",
            )
        if found < SCHEMA:
            self._database.executescript(
                f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;"
            )

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[str, ...]]:
        with self._lock, self._errors():
            return self._database.execute(query, values).fetchall()

    def _write(self, query: str, values: Sequence[object]) -> None:
        with self._lock, self._errors():
            self._unwritten.append((query, values))
            self._flush()

    def _flush(self) -> int:
        """Write all that waits, in its order; how much a full disk leaves over."""
        while self._unwritten:
            query, values = self._unwritten[0]
            try:
                with self._database:
                    self._database.execute(query, values)
            except sqlite3.OperationalError as error:
                if not any(words in str(error) for words in _FULL):
                    self._unwritten.pop(0)
                    raise
                break
            self._unwritten.pop(0)
        if not self._unwritten:
            self._kept.clear()
        return len(self._unwritten)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RunFolderError(
                f"the store of readings {self.path} cannot be used",
                given=str(error),
                next_step="check the path and its permissions, or name another store in "
                "HWPRUNE_STORE",
            ) from error

"""The store of readings: every measurement that was taken, by what was measured, how and where.

Readings are only added; a later doubt can take one out of those that are served. What cannot be
written because the disk is full is kept in memory and written once there is room.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from hwprune.channels.base import BaseNetwork
from hwprune.errors import RunFolderError
from hwprune.farm.packed_reading import text_of
from hwprune.farm.reading_key import BY_KEY, ReadingKey
from hwprune.farm.store_file import StoreFile, Write
from hwprune.farm.store_rows import (
    COLUMNS,
    Cut,
    Setting,
    put_doubt,
    put_reading,
    reading_of,
    setting_of,
    short,
    upgrade,
)
from hwprune_device.reading import Failure, Reading

FAILURES_SERVED_AFTER = 2
"""A network that failed this often is not tried again: a hang costs a minute every time."""


class ReadingStore:
    """Readings and failures by key; safe to use from several threads and processes.

    Args:
        path: the database file; it and its folders are made when they are not there. One of an
            older hwprune is brought up to date.

    Raises:
        RunFolderError: it cannot be opened, is no store, or was written by a newer hwprune.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.unreadable = 0
        """Rows that were asked for and are damaged; they are passed over."""
        self.file = StoreFile(self.path, upgrade)
        self._settings: dict[tuple[str, str], Setting] = {}
        self._kept: list[tuple[ReadingKey, Reading]] = []

    def close(self) -> None:
        """Close the file.

        Raises:
            RunFolderError: the disk is still full, so that what was kept in memory is lost.
        """
        self.file.close()

    @property
    def unwritten(self) -> int:
        """How many entries wait in memory for room on the disk."""
        return self.file.waiting

    def know(self, base: BaseNetwork) -> None:
        """Keep a base network's structure, so that its candidates' readings mean something."""
        self.file.execute(
            "INSERT OR IGNORE INTO bases VALUES (?, ?, ?)",
            (base.base_id, base.architecture, json.dumps(base.structure)),
        )

    def get(self, key: ReadingKey) -> Reading | None:
        """The reading of median latency among those without doubts; None when there is none."""
        numbers = [
            number
            for (number,) in self._rows_of(
                key, "number", "AND r.doubted = 0 ORDER BY r.latency_ms"
            )
        ]
        while numbers:
            # Where the median's row is damaged, the next one to it.
            number = numbers.pop((len(numbers) - 1) // 2)
            query = f"SELECT {COLUMNS} FROM readings WHERE number = ?"
            for reading in self._readable(key, self.file.rows(query, (number,))):
                return reading
        return next((r for kept, r in self._waiting() if kept == key and not r.doubts), None)

    def readings(self, key: ReadingKey) -> list[Reading]:
        """All readings that can be read, doubted ones too, oldest first."""
        written = self._readable(key, self._rows_of(key, COLUMNS, "ORDER BY r.number"))
        return [*written, *(reading for kept, reading in self._waiting() if kept == key)]

    def outcome(self, key: ReadingKey) -> Reading | Failure | None:
        """What need not be measured again: a good reading, or a failure that came twice."""
        reading = self.get(key)
        if reading is not None:
            return reading
        query = f"SELECT body FROM failures WHERE {BY_KEY} ORDER BY number DESC"
        rows = self.file.rows(query, key.columns)
        failures = [Failure.from_json(json.loads(body)) for (body,) in rows]
        # Poison is final: one is enough.
        poison = next((failure for failure in failures if failure.stage == "poison"), None)
        if poison is None and len(failures) < FAILURES_SERVED_AFTER:
            return None
        return poison or failures[0]

    def add(self, key: ReadingKey, outcome: Reading | Failure, cut: Cut | None = None) -> None:
        """Keep an outcome; see `add_all`."""
        self.add_all([(key, outcome, cut)])

    def add_all(
        self, outcomes: Sequence[tuple[ReadingKey, Reading | Failure, Cut | None]]
    ) -> None:
        """Keep outcomes, and what network each is of, where that is known.

        A lost board says nothing about a network, so that is not kept.

        Raises:
            RunFolderError: an outcome that cannot be written; the others are.
        """
        writes: list[Write] = []
        kept: list[tuple[ReadingKey, Reading]] = []
        refused: list[str] = []
        for key, outcome, cut in outcomes:
            try:
                write = _write_of(key, outcome, cut)
            except ValueError as error:
                refused.append(f"{outcome.architecture[:12]}: {error}")
                continue
            if write is not None:
                writes.append(write)
            if isinstance(outcome, Reading):
                kept.append((key, outcome))
        self.file.write(*writes)
        # What waits for the disk is in no query, so it is served from here.
        if self.unwritten:
            self._kept += kept
        if refused:
            raise RunFolderError(
                f"{len(refused)} of {len(outcomes)} outcomes cannot be kept in {self.path}",
                given="; ".join(refused)[:300],
            )

    def doubt(self, reading_id: str, message: str) -> None:
        """Take a reading out of those that are served: something was wrong when it was taken."""
        self.file.write(lambda database: put_doubt(database, reading_id, message))

    def spread(self, conditions_key: str, target_key: str) -> tuple[float, int]:
        """How far good readings of the same network lie apart, over all networks read again.

        Returns the sum of squared relative deviations from each network's mean, and its degrees
        of freedom.
        """
        rows = self.file.rows(
            "SELECT squares, freedom FROM settings WHERE target_key = ? AND conditions_key = ?",
            (target_key, conditions_key),
        )
        return (float(rows[0][0]), int(rows[0][1])) if rows else (0.0, 0)

    def strike(self, key: ReadingKey, board: str, verdict: str) -> str:
        """Note that a board was lost while this network alone was at work; the strike's id."""
        strike_id = uuid.uuid4().hex
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.file.execute(
            "INSERT INTO strikes VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (strike_id, *key.columns, board, verdict, at),
        )
        return strike_id

    def acquit(self, strike_id: str) -> None:
        """Withdraw a strike: the board came back and had not died."""
        self.file.execute("UPDATE strikes SET acquitted = 1 WHERE strike_id = ?", (strike_id,))

    def strikes(self, key: ReadingKey) -> list[tuple[str, str]]:
        """The strikes against a network that stand: board and verdict, oldest first."""
        query = f"SELECT board, verdict FROM strikes WHERE {BY_KEY} AND acquitted = 0 ORDER BY at"
        return [(board, verdict) for board, verdict in self.file.rows(query, key.columns)]

    def calm_ms(self, key: ReadingKey, board: str) -> float | None:
        """A board's own time of an unpruned network when nothing disturbs it."""
        query = f"SELECT calm_ms FROM calm WHERE {BY_KEY} AND board = ?"
        rows = self.file.rows(query, (*key.columns, board))
        return float(rows[0][0]) if rows else None

    def keep_calm(
        self, key: ReadingKey, board: str, calm_ms: float, *, first: bool = False
    ) -> None:
        """Keep a board's calm time; the newest counts, or the first one."""
        how = "IGNORE" if first else "REPLACE"
        self.file.execute(
            f"INSERT OR {how} INTO calm VALUES (?, ?, ?, ?, ?)", (*key.columns, board, calm_ms)
        )

    def nominal_ms(self, key: ReadingKey) -> float | None:
        """The calibrated time of an unpruned network; None when it was not calibrated here."""
        query = f"SELECT nominal_ms FROM nominals WHERE {BY_KEY}"
        rows = self.file.rows(query, key.columns)
        return float(rows[0][0]) if rows else None

    def calibrate(self, key: ReadingKey, reading: Reading) -> None:
        """Keep a calibration reading and the nominal time it stands for; the first one stays."""
        self.add(key, reading)
        # Readings of several runs share it, so a second calibration must not move it.
        self.file.execute(
            "INSERT OR IGNORE INTO nominals VALUES (?, ?, ?, ?, ?)",
            (*key.columns, reading.base_nominal_ms, reading.reading_id),
        )

    def _rows_of(self, key: ReadingKey, columns: str, rest: str) -> list[tuple[object, ...]]:
        """Rows of a key's readings."""
        setting = self._setting(key)
        if setting is None:
            return []
        return self.file.rows(
            f"SELECT {columns} FROM readings r JOIN networks n ON n.network = r.network "
            f"WHERE n.architecture = ? AND r.setting = ? {rest}",
            (short(key.architecture), setting.number),
        )

    def _readable(self, key: ReadingKey, rows: Sequence[tuple[object, ...]]) -> list[Reading]:
        setting = self._setting(key)
        # While the disk is full, even the first reading of a setting is in memory alone.
        if setting is None:
            return []
        found = [reading_of(row, setting.pattern) for row in rows]
        self.unreadable += found.count(None)
        return [reading for reading in found if reading is not None]

    def _setting(self, key: ReadingKey) -> Setting | None:
        name = key.columns[1:]
        # One that is there never changes; one that is not may come any time.
        if name not in self._settings:
            found = self.file.read(partial(setting_of, key=key))
            if found is None:
                return None
            self._settings[name] = found
        return self._settings[name]

    def _waiting(self) -> list[tuple[ReadingKey, Reading]]:
        if not self.unwritten:
            self._kept.clear()
        return self._kept


def _write_of(key: ReadingKey, outcome: Reading | Failure, cut: Cut | None) -> Write | None:
    """How an outcome is written; None where it is not kept.

    Raises:
        ValueError: it holds what cannot be written.
    """
    if isinstance(outcome, Reading):
        if not outcome.latency_ms > 0:
            raise ValueError(f"a latency of {outcome.latency_ms} ms")
        text = text_of(outcome)
        return lambda database: put_reading(database, key, outcome, text, cut)
    if outcome.stage == "lost":
        return None
    body = json.dumps(outcome.to_json(), allow_nan=False)
    query = (
        "INSERT INTO failures (architecture, target_key, conditions_key, stage, body) "
        "VALUES (?, ?, ?, ?, ?)"
    )
    return lambda database: database.execute(query, (*key.columns, outcome.stage, body))

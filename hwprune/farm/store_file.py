"""The file of a store: one SQLite connection, and writes that a full disk keeps waiting.

WAL mode: many readers beside one writer, and a writer that is killed leaves the file whole.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hwprune.errors import RunFolderError
from hwprune.farm.store_tables import SCHEMA, found_schema, make_tables

BUSY_S = 30.0
Write = Callable[[sqlite3.Connection], object]
"""Something that is written in one transaction."""
Answer = TypeVar("Answer")

_FULL = ("full", "disk I/O error")
"""What SQLite says where there is no space left."""


class StoreFile:
    """Safe to use from several threads and processes.

    Args:
        path: the database file; it and its folders are made when they are not there.
        upgrade: brings the tables of an older file to this schema.

    Raises:
        RunFolderError: it cannot be opened, is no store, or was written by a newer hwprune.
    """

    def __init__(self, path: Path, upgrade: Write) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._waiting: list[Write] = []
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Threads take turns by our lock; transactions begin where `_in_one` says, not sqlite3.
            self._database = sqlite3.connect(
                path, timeout=BUSY_S, check_same_thread=False, isolation_level=None
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            # In WAL mode a power cut then costs the last writes at most, never the file.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._prepare(upgrade)

    def close(self) -> None:
        """Close the file.

        Raises:
            RunFolderError: the disk is still full, so that what was kept in memory is lost, or
                some of it cannot be written, ever.
        """
        with self._lock, self._errors():
            try:
                self._flush()
            finally:
                self._database.close()
        if self._waiting:
            raise RunFolderError(
                f"the disk of the store {self.path} is full",
                given=f"{len(self._waiting)} entries could not be written; readings among them "
                "will have to be taken again",
                next_step="free some space, or name another store in HWPRUNE_STORE",
            )

    @property
    def waiting(self) -> int:
        """How many writes wait for room on the disk."""
        return len(self._waiting)

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock, self._errors():
            return self._database.execute(query, values).fetchall()

    def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """What some reading work finds."""
        with self._lock, self._errors():
            return work(self._database)

    def write(self, *writes: Write) -> None:
        """Write in this order, after what waits; what a full disk leaves over waits.

        Raises:
            RunFolderError: one of them cannot be written, ever; it is left out, the others not.
        """
        with self._lock, self._errors():
            self._waiting += writes
            self._flush()

    def execute(self, query: str, values: Sequence[object] = ()) -> None:
        """Write by one statement; see `write`."""
        self.write(lambda database: database.execute(query, values))

    def compact(self) -> None:
        """Give the room of what was deleted back to the disk."""
        with self._lock, self._errors():
            self._database.execute("VACUUM")

    def _flush(self) -> None:
        """All that waits in one transaction, or one by one to find what cannot be written."""
        try:
            self._in_one(self._waiting)
            self._waiting.clear()
            return
        except Exception as error:
            if _is_full(error):
                return
            # Another process that holds the file is no entry's fault: each would wait for it.
            if len(self._waiting) == 1 or "locked" in str(error):
                self._waiting.clear()
                raise
        refused: Exception | None = None
        while self._waiting:
            try:
                self._in_one(self._waiting[:1])
            except Exception as error:  # whatever it is, what comes after it must not wait
                if _is_full(error):
                    break
                refused = refused or error
            self._waiting.pop(0)
        if refused is not None:
            raise refused

    def _in_one(self, writes: Sequence[Write]) -> None:
        if not writes:
            return
        # At once for writing: SQLite refuses, without waiting, to turn an older read into one.
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for write in writes:
                write(self._database)
            self._database.execute("COMMIT")
        except BaseException:
            # After some errors, such as a full disk, SQLite has rolled back itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _prepare(self, upgrade: Write) -> None:
        found = found_schema(self._database)
        if found > SCHEMA:
            self._database.close()
            raise RunFolderError(
                f"the store of readings {self.path} was written by a newer hwprune",
                given=f"schema version {found}",
                possible=f"this hwprune reads versions up to {SCHEMA}",
                next_step="upgrade hwprune, or name another store in HWPRUNE_STORE",
            )
        if found == 0:
            self._in_one([make_tables])
        elif found < SCHEMA:
            self._in_one([lambda database: self._upgraded(database, upgrade)])
            # Outside the transaction, as it must be: packed rows leave most of the file empty.
            self._database.execute("VACUUM")

    @staticmethod
    def _upgraded(database: sqlite3.Connection, upgrade: Write) -> None:
        """Inside the transaction: another process may have been the first."""
        if found_schema(database) < SCHEMA:
            upgrade(database)

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


def _is_full(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and any(w in str(error) for w in _FULL)

"""The tables of the store of readings, and how older stores come to have them.

Schema history: 1, the first; 2, strikes against networks that killed boards, calm times by board;
3, networks by base and widths, readings packed, the spread kept as they come.
"""

from __future__ import annotations

import sqlite3

SCHEMA = 3

# Names are bytes where they are hashes, see `store_rows.short`. networks.base is the rowid of a
# base: bases are never deleted, so VACUUM, which may number rows anew in their order, keeps it.
TABLES = """
CREATE TABLE IF NOT EXISTS bases (
    base_id TEXT PRIMARY KEY, architecture TEXT NOT NULL, structure TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS networks (
    network INTEGER PRIMARY KEY, architecture BLOB NOT NULL UNIQUE,
    base INTEGER, widths TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS settings (
    setting INTEGER PRIMARY KEY,
    target_key TEXT NOT NULL, conditions_key TEXT NOT NULL,
    pattern BLOB NOT NULL,
    squares REAL NOT NULL DEFAULT 0, freedom INTEGER NOT NULL DEFAULT 0,
    UNIQUE (target_key, conditions_key)
) STRICT;
CREATE TABLE IF NOT EXISTS readings (
    number INTEGER PRIMARY KEY,
    network INTEGER NOT NULL, setting INTEGER NOT NULL,
    reading_id BLOB NOT NULL UNIQUE, latency_ms REAL NOT NULL, doubted INTEGER NOT NULL,
    body BLOB NOT NULL, runs BLOB NOT NULL, later_doubts TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS readings_by_network ON readings (network, setting, doubted, latency_ms);
CREATE TABLE IF NOT EXISTS repeats (
    setting INTEGER NOT NULL, network INTEGER NOT NULL,
    count INTEGER NOT NULL, total REAL NOT NULL,
    PRIMARY KEY (setting, network)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (
    number INTEGER PRIMARY KEY,
    architecture TEXT NOT NULL, target_key TEXT NOT NULL, conditions_key TEXT NOT NULL,
    stage TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS failures_by_key
    ON failures (architecture, target_key, conditions_key);
CREATE TABLE IF NOT EXISTS nominals (
    architecture TEXT NOT NULL, target_key TEXT NOT NULL, conditions_key TEXT NOT NULL,
    nominal_ms REAL NOT NULL, reading_id TEXT NOT NULL,
    PRIMARY KEY (architecture, target_key, conditions_key)
) STRICT;
CREATE TABLE IF NOT EXISTS calm (
    architecture TEXT NOT NULL, target_key TEXT NOT NULL, conditions_key TEXT NOT NULL,
    board TEXT NOT NULL, calm_ms REAL NOT NULL,
    PRIMARY KEY (architecture, target_key, conditions_key, board)
) STRICT;
CREATE TABLE IF NOT EXISTS strikes (
    strike_id TEXT PRIMARY KEY,
    architecture TEXT NOT NULL, target_key TEXT NOT NULL, conditions_key TEXT NOT NULL,
    board TEXT NOT NULL, verdict TEXT NOT NULL, at TEXT NOT NULL, acquitted INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS strikes_by_key
    ON strikes (architecture, target_key, conditions_key);
"""


def found_schema(database: sqlite3.Connection) -> int:
    """The schema version of a file; 0 for a new one."""
    (found,) = database.execute("PRAGMA user_version").fetchone()
    return int(found)


def make_tables(database: sqlite3.Connection) -> None:
    """Make what is not there; the caller's transaction."""
    # One by one: sqlite3's executescript would commit the caller's transaction first.
    for statement in TABLES.split(";"):
        if statement.strip():
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA}")

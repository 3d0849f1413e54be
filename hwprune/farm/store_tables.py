"""The tables of the store of readings. Schema history: 1, the first; 2, strikes against networks
that killed boards, calm times by board.
"""

from __future__ import annotations

SCHEMA = 2

TABLES = """
CREATE TABLE IF NOT EXISTS readings (
    number INTEGER PRIMARY KEY,
    architecture TEXT NOT NULL, target_key TEXT NOT NULL, conditions_key TEXT NOT NULL,
    reading_id TEXT NOT NULL UNIQUE, latency_ms REAL NOT NULL, doubted INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS readings_by_key
    ON readings (architecture, target_key, conditions_key, doubted);
CREATE INDEX IF NOT EXISTS readings_for_spread
    ON readings (conditions_key, target_key, doubted, architecture, latency_ms);
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

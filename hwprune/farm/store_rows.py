"""Rows of readings: written with their network, their setting and the spread; read and checked."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hwprune.farm.packed_reading import PackedReading, pack, text_of, unpack
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.store_tables import make_tables
from hwprune_device.reading import Reading

COLUMNS = "body, runs, later_doubts"
"""Of a reading's row, as `reading_of` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What an architecture is: widths of the groups of a base network."""

    base_id: str
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A target and conditions, as rows name them."""

    number: int
    pattern: bytes
    """What readings of it are packed with."""


def put_reading(
    database: sqlite3.Connection, key: ReadingKey, reading: Reading, text: bytes, cut: Cut | None
) -> None:
    """Add a reading, unless it is there; in the caller's transaction. `text`: `text_of` it."""
    setting = setting_of(database, key) or _new_setting(database, key, text)
    network = _network(database, key.architecture, cut)
    packed = pack(reading, text, setting.pattern)
    doubted = bool(reading.doubts)
    added = database.execute(
        "INSERT OR IGNORE INTO readings (network, setting, reading_id, latency_ms, doubted, body, "
        "runs) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(network, setting.number, short(reading.reading_id), reading.latency_ms),
            *(int(doubted), packed.body, packed.runs),
        ),
    ).rowcount
    if added and not doubted:
        _count(database, setting.number, network, math.log(reading.latency_ms), 1)


def put_doubt(database: sqlite3.Connection, reading_id: str, message: str) -> None:
    """Doubt a reading; in the caller's transaction."""
    found = database.execute(
        "SELECT number, setting, network, latency_ms, doubted FROM readings WHERE reading_id = ?",
        (short(reading_id),),
    ).fetchone()
    if found is None:
        return
    number, setting, network, latency_ms, doubted = found
    database.execute(
        "UPDATE readings SET doubted = 1, later_doubts = "
        "json_insert(coalesce(later_doubts, '[]'), '$[#]', ?) WHERE number = ?",
        (message, number),
    )
    if not doubted:
        _count(database, setting, network, math.log(latency_ms), -1)


def drop_reading(database: sqlite3.Connection, reading_id: str) -> None:
    """Delete a reading; in the caller's transaction."""
    found = database.execute(
        "DELETE FROM readings WHERE reading_id = ? "
        "RETURNING setting, network, latency_ms, doubted",
        (short(reading_id),),
    ).fetchone()
    if found is not None and not found[3]:
        _count(database, found[0], found[1], math.log(found[2]), -1)


def reading_of(row: Sequence[Any], pattern: bytes) -> Reading | None:
    """The reading of a row of COLUMNS; None where it is damaged."""
    body, runs, later = row
    try:
        reading = unpack(PackedReading(body=body, runs=runs), pattern)
        if not later:
            return reading
        return replace(reading, doubts=(*reading.doubts, *json.loads(later)))
    except ValueError:
        return None


def setting_of(database: sqlite3.Connection, key: ReadingKey) -> Setting | None:
    """The setting of a key; None where nothing was read under it."""
    row = database.execute(
        "SELECT setting, pattern FROM settings WHERE target_key = ? AND conditions_key = ?",
        key.columns[1:],
    ).fetchone()
    return Setting(number=row[0], pattern=row[1]) if row else None


def short(name: str) -> bytes:
    """A hash as half as many bytes; any other name as it is."""
    try:
        found = bytes.fromhex(name)
    except ValueError:
        return name.encode()
    # uuid4 and SHA-256; what would not come back as it was, such as capitals, stays a text.
    return found if len(name) in (32, 64) and found.hex() == name else name.encode()


def upgrade(database: sqlite3.Connection) -> None:
    """Bring the readings of schemas 1 and 2 over; damaged ones are left out."""
    for index in ("readings_by_key", "readings_for_spread"):
        database.execute(f"DROP INDEX IF EXISTS {index}")
    database.execute("ALTER TABLE readings RENAME TO old_readings")
    make_tables(database)
    for *columns, body in database.execute(
        "SELECT architecture, target_key, conditions_key, body FROM old_readings ORDER BY number"
    ):
        architecture, target_key, conditions_key = columns
        key = ReadingKey(
            architecture=architecture, target_key=target_key, conditions_key=conditions_key
        )
        try:
            reading = Reading.from_json(json.loads(body))
            put_reading(database, key, reading, text_of(reading), None)
        except (ValueError, TypeError, KeyError):
            continue
    database.execute("DROP TABLE old_readings")


def _new_setting(database: sqlite3.Connection, key: ReadingKey, pattern: bytes) -> Setting:
    number = database.execute(
        "INSERT INTO settings (target_key, conditions_key, pattern) VALUES (?, ?, ?)",
        (*key.columns[1:], pattern),
    ).lastrowid
    assert number is not None
    return Setting(number=number, pattern=pattern)


def _network(database: sqlite3.Connection, architecture: str, cut: Cut | None) -> int:
    name = short(architecture)
    row = database.execute(
        "SELECT network, base FROM networks WHERE architecture = ?", (name,)
    ).fetchone()
    # A reading may come before it is known what was cut, as from an older store.
    if row and (row[1] is not None or cut is None):
        return int(row[0])
    base = widths = None
    if cut is not None:
        found = database.execute(
            "SELECT rowid FROM bases WHERE base_id = ?", (cut.base_id,)
        ).fetchone()
        base, widths = (found[0], json.dumps(cut.widths)) if found else (None, None)
    if row:
        database.execute(
            "UPDATE networks SET base = ?, widths = ? WHERE network = ?", (base, widths, row[0])
        )
        return int(row[0])
    number = database.execute(
        "INSERT INTO networks (architecture, base, widths) VALUES (?, ?, ?)", (name, base, widths)
    ).lastrowid
    assert number is not None
    return number


def _count(
    database: sqlite3.Connection, setting: int, network: int, log_ms: float, sign: int
) -> None:
    """Keep the spread of a setting when a good reading comes (1) or goes (-1).

    Squared deviations from a network's mean grow by (x - mean)² n / (n + 1), and shrink likewise.
    """
    at = (setting, network)
    row = database.execute(
        "SELECT count, total FROM repeats WHERE setting = ? AND network = ?", at
    ).fetchone()
    count, total = row or (0, 0.0)
    after = count + sign
    # The first reading of a network has nothing to lie apart from, nor has the last that goes.
    if count and after:
        squares = sign * (log_ms - total / count) ** 2 * count / after
        database.execute(
            # max: what was added and taken away again leaves rounding errors behind.
            "UPDATE settings SET squares = max(0, squares + ?), freedom = freedom + ? "
            "WHERE setting = ?",
            (squares, sign, setting),
        )
    database.execute(
        "INSERT OR REPLACE INTO repeats VALUES (?, ?, ?, ?)", (*at, after, total + sign * log_ms)
    )

"""What a store holds, entry by entry: to list it, to hand it on, to thin it out, to join two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.store import ReadingStore
from hwprune.farm.store_rows import Cut, drop_reading, reading_of
from hwprune_device.reading import Reading

AT_ONCE = 1000
"""Rows that are held in memory, and written in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReading:
    """One reading of a store."""

    setting: int
    key: ReadingKey
    reading: Reading
    cut: Cut | None
    """What network it is of; None where the store does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSummary:
    """What a store holds of one target under one set of conditions."""

    setting: int
    target: dict[str, Any]
    conditions_key: str
    boards: tuple[str, ...]
    readings: int
    doubted: int
    networks: int
    bases: int
    """Base networks whose candidates these are, of those that are known."""
    first_at: str
    """When the first and the last of them were taken: UTC, ISO 8601."""
    last_at: str


def summaries(store: ReadingStore) -> list[SettingSummary]:
    """One for each setting, by its number."""
    rows = store.file.rows(
        "SELECT s.setting, s.target_key, s.conditions_key, count(*), sum(r.doubted), "
        "count(DISTINCT r.network), count(DISTINCT n.base) FROM settings s "
        "JOIN readings r ON r.setting = s.setting JOIN networks n ON n.network = r.network "
        "GROUP BY s.setting ORDER BY s.setting"
    )
    found = []
    for setting, target, conditions, readings, doubted, networks, bases in rows:
        ends = [e.reading for e in _ends(store, setting)]
        found.append(
            SettingSummary(
                setting=setting,
                target=json.loads(target),
                conditions_key=conditions,
                boards=tuple(sorted({reading.board for reading in ends if reading.board})),
                readings=readings,
                doubted=doubted,
                networks=networks,
                bases=bases,
                first_at=min((r.taken_at for r in ends), default=""),
                last_at=max((r.taken_at for r in ends), default=""),
            )
        )
    return found


def entries(store: ReadingStore, setting: int | None = None) -> Iterator[StoredReading]:
    """All readings that can be read, oldest first; of one setting, or of all."""
    last, where = 0, "" if setting is None else f"AND r.setting = {int(setting)}"
    while True:
        # Onwards by number, not by OFFSET: rows may come and go between two pages.
        query = f"{_QUERY} WHERE r.number > ? {where} ORDER BY r.number LIMIT ?"
        rows = store.file.rows(query, (last, AT_ONCE))
        if not rows:
            return
        for row in rows:
            last = row[0]
            entry = _entry(row)
            if entry is None:
                store.unreadable += 1
            else:
                yield entry


def of_base(
    store: ReadingStore, conditions_key: str, target_key: str, base_id: str
) -> list[StoredReading]:
    """Of each network cut from a base, the median reading without doubts."""
    found: dict[tuple[int, ...], list[StoredReading]] = {}
    where = "WHERE b.base_id = ? AND s.target_key = ? AND s.conditions_key = ? AND r.doubted = 0"
    query = f"{_QUERY} {where} ORDER BY r.latency_ms"
    for row in store.file.rows(query, (base_id, target_key, conditions_key)):
        entry = _entry(row)
        if entry is not None and entry.cut is not None:
            found.setdefault(entry.cut.widths, []).append(entry)
    # They came in order of latency.
    return [entries[(len(entries) - 1) // 2] for entries in found.values()]


def matching(store: ReadingStore, *, setting: int | None, doubted: bool, before: str) -> list[str]:
    """Ids of the readings that all of these hold for.

    Args:
        setting: of this one; None: of any.
        doubted: only doubted ones.
        before: taken before this moment, ISO 8601; empty: at any time.
    """
    return [
        entry.reading.reading_id
        for entry in entries(store, setting)
        if (not doubted or entry.reading.doubts)
        and (not before or entry.reading.taken_at < before)
    ]


def delete(store: ReadingStore, reading_ids: list[str]) -> None:
    """Delete readings and give their room back."""
    store.file.write(*(lambda database, i=i: drop_reading(database, i) for i in reading_ids))
    store.file.compact()  # SQLite gives no room back by itself


def merge(store: ReadingStore, other: ReadingStore) -> int:
    """Bring over what another store has and this one lacks; how many readings."""
    # Before the readings, whose rows name their base by its row.
    for base in other.file.rows("SELECT * FROM bases"):
        store.file.execute("INSERT OR IGNORE INTO bases VALUES (?, ?, ?)", base)
    before, waiting = count(store), entries(other)
    while batch := list(islice(waiting, AT_ONCE)):
        store.add_all([(entry.key, entry.reading, entry.cut) for entry in batch])
    return count(store) - before


def count(store: ReadingStore) -> int:
    """How many readings a store holds."""
    return int(store.file.rows("SELECT count(*) FROM readings")[0][0])


def _ends(store: ReadingStore, setting: int) -> list[StoredReading]:
    """The first and the last entry of a setting."""
    found = []
    for order in ("ASC", "DESC"):
        query = f"{_QUERY} WHERE r.setting = ? ORDER BY r.number {order} LIMIT 1"
        found += [e for row in store.file.rows(query, (setting,)) if (e := _entry(row))]
    return found


def _entry(row: tuple[Any, ...]) -> StoredReading | None:
    _, setting, target, conditions, pattern, base, widths, body, runs, later = row
    reading = reading_of((body, runs, later), pattern)
    if reading is None:
        return None
    key = ReadingKey(
        architecture=reading.architecture, target_key=target, conditions_key=conditions
    )
    cut = Cut(base_id=base, widths=tuple(json.loads(widths))) if base else None
    return StoredReading(setting=setting, key=key, reading=reading, cut=cut)


_QUERY = """
SELECT r.number, s.setting, s.target_key, s.conditions_key, s.pattern, b.base_id, n.widths,
    r.body, r.runs, r.later_doubts
FROM readings r JOIN settings s ON s.setting = r.setting
    JOIN networks n ON n.network = r.network LEFT JOIN bases b ON b.rowid = n.base
"""

"""Readings as other programs read them: CSV, JSON Lines, Parquet, pyperf, Bencher.

| form | is read by |
|---|---|
| csv, jsonl, parquet | anything; one row a reading; runs in jsonl alone |
| pyperf | `python -m pyperf stats FILE`: a benchmark a network, its runs in seconds |
| bencher | `bencher run --adapter json`: value and interval a network, in nanoseconds |
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hwprune.farm.store_entries import StoredReading


def row_of(entry: StoredReading) -> dict[str, Any]:
    """A reading as one flat row."""
    reading, cut = entry.reading, entry.cut
    target = reading.target
    return {
        "reading_id": reading.reading_id,
        "architecture": entry.key.architecture,
        "base_id": cut.base_id if cut else "",
        "widths": " ".join(map(str, cut.widths)) if cut else "",
        "board": reading.board,
        "runtime": target.get("runtime", ""),
        "runtime_version": target.get("version", ""),
        "precision": target.get("precision", ""),
        "threads": target.get("threads", 0),
        "batch": target.get("batch", 1),
        "conditions_key": entry.key.conditions_key,
        "taken_at": reading.taken_at,
        "clock": reading.clock,
        "latency_ms": reading.latency_ms,
        "low_ms": reading.low_ms,
        "high_ms": reading.high_ms,
        "p95_ms": reading.quantile_ms(0.95),
        "runs": sum(map(len, reading.runs_ms)),
        "base_nominal_ms": reading.base_nominal_ms,
        "memory_mb": reading.memory.peak_mb,
        "weights_mb": reading.memory.weights_mb,
        "energy_mj": reading.energy_mj,
        "doubts": "; ".join(reading.doubts),
    }


def to_csv(entries: Iterable[StoredReading], file: Path) -> int:
    """Write a table; how many readings."""
    rows = map(row_of, entries)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer: csv.DictWriter[str] | None = None
        count = 0
        for row in rows:
            count += 1
            # With the first row, as a store may hold more than memory does.
            if writer is None:
                writer = csv.DictWriter(stream, list(row))
                writer.writeheader()
            writer.writerow(row)
    return count


def to_jsonl(entries: Iterable[StoredReading], file: Path) -> int:
    """Write a line a reading: the row, with all runs and conditions; how many."""
    count = 0
    with file.open("w", encoding="utf-8") as stream:
        for entry in entries:
            count += 1
            whole = row_of(entry) | {"reading": entry.reading.to_json()}
            stream.write(json.dumps(whole, ensure_ascii=False) + "\n")
    return count


def to_parquet(entries: Iterable[StoredReading], file: Path) -> int:
    """Write a table with pyarrow, which Ray brings; how many readings."""
    import pyarrow
    import pyarrow.parquet

    rows = list(map(row_of, entries))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return len(rows)


def to_pyperf(entries: Iterable[StoredReading], file: Path) -> int:
    """Write a benchmark suite; runs are the timed ones, in seconds. How many readings."""
    benchmarks: dict[str, dict[str, Any]] = {}
    count = 0
    for entry in _good(entries):
        reading, count = entry.reading, count + 1
        name = _name(entry)
        metadata = {"name": name, "unit": "second", "hwprune_architecture": reading.architecture}
        benchmark = benchmarks.setdefault(name, {"metadata": metadata, "runs": []})
        # Each run by the base's time in its round, as `Reading.quantile_ms`; ms to s.
        scale = reading.base_nominal_ms / 1e3
        values = [
            run / base * scale
            for runs, base in zip(reading.runs_ms, reading.base_ms, strict=True)
            for run in runs
        ]
        benchmark["runs"].append({"values": values})
    _write(file, {"version": "1.0", "benchmarks": list(benchmarks.values())})
    return count


def to_bencher(entries: Iterable[StoredReading], file: Path) -> int:
    """Write Bencher's metric format: latency in nanoseconds and memory; how many readings."""
    metrics: dict[str, dict[str, Any]] = {}
    count = 0
    for entry in _good(entries):
        reading, count = entry.reading, count + 1
        latency = {
            # ms to ns; below, MB to bytes.
            "value": reading.latency_ms * 1e6,
            "lower_value": reading.low_ms * 1e6,
            "upper_value": reading.high_ms * 1e6,
        }
        metrics[_name(entry)] = {"latency": latency}
        if reading.memory.peak_mb is not None:
            metrics[_name(entry)]["memory"] = {"value": reading.memory.peak_mb * 1e6}
    _write(file, metrics)
    return count


FORMS: dict[str, Callable[[Iterable[StoredReading], Path], int]] = {
    "csv": to_csv,
    "jsonl": to_jsonl,
    "parquet": to_parquet,
    "pyperf": to_pyperf,
    "bencher": to_bencher,
}


def _good(entries: Iterable[StoredReading]) -> Iterator[StoredReading]:
    """Those without doubts: these forms have no place for one."""
    return (entry for entry in entries if not entry.reading.doubts)


def _name(entry: StoredReading) -> str:
    reading = entry.reading
    where = reading.board or entry.key.conditions_key[:8]
    return f"{entry.key.architecture[:16]} on {where}"


def _write(file: Path, data: Any) -> None:
    file.write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")

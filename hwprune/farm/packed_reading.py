"""A reading as the store keeps it: what all readings of a setting share costs next to nothing.

Everything but the runs is JSON, deflated with the first such text of the setting as dictionary, so
a board's fingerprint is written once. Runs are whole nanoseconds where they are such, else
doubles; `unpack` gives back exactly what was packed.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from hwprune_device.reading import Memory, Reading, fault_of

_NAMES = tuple(f.name for f in fields(Reading) if f.name not in ("runs_ms", "base_ms"))
_MEMORY = tuple(f.name for f in fields(Memory))
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_WINDOW = -13
"""8 KB, no header: what a fingerprint needs; zlib's own 32 KB cost five times as long."""
_NS = 1e6
"""Nanoseconds in a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedReading:
    """The two columns of a row."""

    body: bytes
    runs: bytes


def text_of(reading: Reading) -> bytes:
    """All but the runs, as JSON.

    Raises:
        ValueError: a number that cannot be, or something that JSON has no form for.
    """
    if fault := fault_of(reading):
        raise ValueError(fault)
    told = {name: getattr(reading, name) for name in _NAMES}
    told["memory"] = {name: getattr(reading.memory, name) for name in _MEMORY}
    # Runs are packed as one row of numbers; this divides it again.
    told["rounds"] = [len(runs) for runs in reading.runs_ms]
    try:
        return _ENCODER.encode(told).encode()
    except TypeError as error:
        raise ValueError(str(error)) from None


def pack(reading: Reading, text: bytes, pattern: bytes) -> PackedReading:
    """Pack a reading.

    Args:
        text: `text_of` the reading.
        pattern: a text of the same setting.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, _WINDOW, 6, zlib.Z_DEFAULT_STRATEGY, pattern)
    body = packer.compress(text) + packer.flush()
    runs = _packed([run for each in reading.runs_ms for run in each])
    return PackedReading(body=body, runs=runs + _packed(reading.base_ms))


def unpack(packed: PackedReading, pattern: bytes) -> Reading:
    """What was packed.

    Raises:
        ValueError: the columns are damaged.
    """
    try:
        unpacker = zlib.decompressobj(_WINDOW, zdict=pattern)
        told = json.loads(unpacker.decompress(packed.body) + unpacker.flush())
        rounds = told.pop("rounds")
        times, rest = _unpacked(packed.runs, sum(rounds))
        base, _ = _unpacked(rest, None)
        told["base_ms"], told["runs_ms"] = base, _in_rounds(times, rounds)
        reading = Reading.from_json(told)
        if fault := fault_of(reading):
            raise ValueError(fault)
        return reading
    except (zlib.error, struct.error, KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _packed(times_ms: Sequence[float]) -> bytes:
    """The form's letter and the numbers, little-endian."""
    # Clocks give whole nanoseconds; these take half of a double, up to 2.1 s.
    whole = [round(t * _NS) for t in times_ms]
    exact = [n / _NS for n in whole] == list(times_ms)
    if exact and min(whole, default=0) >= 0 and max(whole, default=0) < 2**31:
        return b"i" + struct.pack(f"<{len(whole)}i", *whole)
    return b"d" + struct.pack(f"<{len(times_ms)}d", *times_ms)


def _unpacked(data: bytes, count: int | None) -> tuple[list[float], bytes]:
    """`count` times, or all there are, and what comes after them."""
    code = data[:1].decode()
    size = struct.calcsize(f"<{code}")
    many = (len(data) - 1) // size if count is None else count
    end = 1 + many * size
    values = struct.unpack(f"<{many}{code}", data[1:end])
    return [v / _NS for v in values] if code == "i" else list(values), data[end:]


def _in_rounds(times: Sequence[float], rounds: Sequence[int]) -> list[Any]:
    found, start = [], 0
    for count in rounds:
        found.append(times[start : start + count])
        start += count
    return found

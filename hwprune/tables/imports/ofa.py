"""once-for-all's YAML, in milliseconds: keys name blocks, and no network that they are of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from hwprune.errors import InputError
from hwprune.number import Amount, Number
from hwprune.stored import as_noun, said
from hwprune.tables.exports.ofa import TAIL
from hwprune.tables.exports.ofa_key import OfaKey
from hwprune.tables.imports.rows_alone import network_alone, rows_alone, text_of
from hwprune.tables.table import Table, TableRow
from hwprune_device.range import Range


def read_ofa(path: Path, board: str = "") -> tuple[Table, tuple[str, ...]]:
    """Read once-for-all's YAML, in milliseconds: a network a kind of block, a row an entry.

    Raises:
        InputError: it is no such file.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        # libyaml's safe loader where PyYAML was built with it, as such files are long.
        content = yaml.load(text_of(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no YAML", given=said(error)) from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} is no latency table", possible="keys with {count, mean, std}")
    kinds: dict[OfaKey, list[tuple[OfaKey, TableRow]]] = {}
    left_out = []
    for text, value in content.items():
        try:
            key = OfaKey.parse(str(text))
        except InputError as error:
            left_out.append(f"{error.happened}: {error.given}")
            continue
        mean, spread, count = _told(path, str(text), value)
        if mean == 0:
            left_out.append(f"{key}: 0 ms")
            continue
        # Keys that differ in widths alone are of one kind of block.
        kind = key.at((0,) * len(key.widths))
        found = kinds.setdefault(kind, [])
        found.append((key, _ofa_row(key, mean, spread, count)))
    if not kinds:
        raise InputError(
            f"no entry of {path} is one of once-for-all's",
            given=left_out[0],
            possible="Conv-input:160x160x3-output:80x80x24: {count: 20, mean: 1.5, std: 0.1}",
        )
    sizes = [kind.input for kind in kinds if kind.kind == "Conv"]
    networks = [network_alone(path.stem, tuple((1, 3, *size[:2]) for size in sizes[:1]))]
    rows = []
    for number, (kind, entries) in enumerate(kinds.items(), start=1):
        names = ("input", "expand", "output") if len(kind.widths) == 3 else ("input", "output")
        # The file does not say what is unpruned: the widest counts as that.
        widest = [max(widths) for widths in zip(*(key.widths for key, _ in entries), strict=True)]
        shape = (1, widest[0], *kind.input[:-1])
        groups = tuple(zip(names, widest, strict=True))
        networks.append(network_alone(str(kind), (shape,), groups))
        rows += [replace(row, network=number) for _, row in entries]
    table = rows_alone(path, board, networks, rows)
    return table, tuple(left_out)


def _told(path: Path, key: str, value: Any) -> tuple[float, float, int]:
    """Mean and standard deviation in ms, and runs, of an entry."""
    try:
        entry = as_noun(_Entry, value)
    except ValueError as error:
        raise InputError(
            f"an entry of {path} has no latency",
            given=f"{key}: {said(error)}"[:200],
            possible="{count, mean, std} in milliseconds, or var for std",
        ) from None
    spread = max(entry.var, 0.0) ** 0.5 if entry.std is None else entry.std
    return entry.mean, spread if spread > 0 else 0.0, max(1, entry.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What once-for-all says of a block."""

    mean: Amount
    std: Number | None = None
    var: Number = 0.0
    count: Annotated[int, Range(low=-(10**9), high=10**9)] = 1


def _ofa_row(key: OfaKey, mean: float, spread: float, count: int) -> TableRow:
    """A row whose quantiles are those of a normal distribution, as the file has mean and std."""
    half = 1.96 * spread / count**0.5
    return TableRow(
        network=0,
        role="block",
        widths=key.widths,
        latency_ms=mean,
        # Below the mean by the factor that `high_ms` is above it, which never reaches 0.
        low_ms=mean / (1 + half / mean),
        high_ms=mean + half,
        p95_ms=mean + TAIL * spread,
        memory_mb=None,
        runs=count,
    )

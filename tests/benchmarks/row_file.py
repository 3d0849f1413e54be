"""A file of rows, JSON Lines: a benchmark that was killed goes on from the rows that are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any


def rows_in(path: Path) -> Iterator[dict[str, Any]]:
    """The rows that are there."""
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Write one row behind the others."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def rows_made(
    make: Callable[..., dict[str, Any]], places: Iterable[tuple[Any, ...]], *, processes: int
) -> Iterator[dict[str, Any]]:
    """`make(*place)` of each place, in processes of their own, as they come."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(make, *place) for place in places]):
            yield future.result()

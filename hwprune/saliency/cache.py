"""What a criterion found, kept on disk by what it hangs on: weights, plan, data, seed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprune.file_name import file_name
from hwprune.stored import plain_json
from hwprune.whole_file import write_json

if TYPE_CHECKING:
    from hwprune.channels.base import BaseNetwork
    from hwprune.task.task import Task


def cache_file(
    folder: Path, kind: str, name: str, base: BaseNetwork, task: Task | None, seed: int
) -> Path:
    """Where it lies; other weights, another plan, other data or another seed lie elsewhere."""
    content = "" if task is None else task.identity
    # base_id is of weights and plan: trained further, the same network is ranked anew.
    key = hashlib.sha256(f"{base.base_id} {name} {seed} {content}".encode()).hexdigest()
    return folder / f"{kind}-{file_name(name)}-{key[:16]}.json"


def read_cache(file: Path) -> Any:
    """Plain data; None where there is none, or what is there is damaged."""
    try:
        return plain_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def write_cache(file: Path, found: Any) -> None:
    """Whole or not at all, also when two processes write at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, found)

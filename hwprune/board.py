"""The board: one piece of hardware that can run a network, and how it is reached and timed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwprune.errors import DeploymentError
from hwprune_device.job import Protocol, Target

CONNECTIONS = ("local",)
RUNTIMES = ("onnxrt",)
_KEYS = ("name", "connection", "python", "cores", "target", "protocol")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board, as its profile describes it."""

    name: str
    connection: str = "local"
    python: str = ""
    """The board's own Python; empty: the one that runs hwprune (local boards only)."""
    cores: tuple[int, ...] = ()
    """Cores that networks are timed on, and nothing of ours besides; empty: as many as threads,
    from the last one down."""
    target: Target = field(default_factory=Target)
    protocol: Protocol = field(default_factory=Protocol)


def this_machine() -> Board:
    """This machine's processor, timed with one thread on its last core."""
    return Board(name="this-machine", cores=_cores("last", threads=1, where="this machine"))


def load_board(path: Path) -> Board:
    """Read a board profile.

    Raises:
        DeploymentError: the file is missing, is no TOML, or says something that cannot be.
    """
    from hwprune.toml_file import read_toml

    return parse_board(read_toml(path, what="board"), name=path.stem)


def parse_board(data: Mapping[str, Any], *, name: str) -> Board:
    """A board from plain data; `name` is used where the data have none.

    Raises:
        DeploymentError: a key is unknown, or a value cannot be.
    """
    from hwprune.toml_file import validate

    where = f"board {name}"
    unknown = [key for key in data if key not in _KEYS]
    if unknown:
        raise DeploymentError(f"{where}: unknown key '{unknown[0]}'", possible=", ".join(_KEYS))
    target = validate(Target, data.get("target", {}), where=f"{where} [target]")
    protocol = validate(Protocol, data.get("protocol", {}), where=f"{where} [protocol]")
    _check(target, protocol, where)
    rest = {
        "name": name,
        **{key: data[key] for key in ("name", "connection", "python") if key in data},
        "cores": _cores(data.get("cores", "last"), threads=target.threads, where=where),
        "target": target,
        "protocol": protocol,
    }
    board = validate(Board, rest, where=where)
    if board.connection not in CONNECTIONS:
        raise DeploymentError(
            f"{where}: unknown connection", given=board.connection, possible=", ".join(CONNECTIONS)
        )
    return board


def _check(target: Target, protocol: Protocol, where: str) -> None:
    """Refuse values that have the right type and still make no sense."""
    if target.runtime not in RUNTIMES:
        raise DeploymentError(
            f"{where} [target]: unknown runtime",
            given=target.runtime,
            possible=", ".join(RUNTIMES),
        )
    least = {
        "[target] threads": target.threads,
        "[target] batch": target.batch,
        "[protocol] rounds": protocol.rounds,
        "[protocol] base_every": protocol.base_every,
        "[protocol] warmup_runs": protocol.warmup_runs,
        "[protocol] timeout_s": protocol.timeout_s,
    }
    for key, value in least.items():
        if value < 1:
            raise DeploymentError(f"{where} {key} must be 1 or more", given=str(value))
    if protocol.max_rounds < protocol.rounds:
        raise DeploymentError(
            f"{where} [protocol]: max_rounds is less than rounds",
            given=f"rounds {protocol.rounds}, max_rounds {protocol.max_rounds}",
        )


def _cores(wanted: object, *, threads: int, where: str) -> tuple[int, ...]:
    """Core numbers from a profile's words, on the machine this runs on."""
    allowed = sorted(os.sched_getaffinity(0))
    if wanted == "last":
        return tuple(allowed[-threads:])
    if wanted == "all":
        return tuple(allowed)
    listed = isinstance(wanted, list | tuple) and wanted and all(type(c) is int for c in wanted)
    if not listed or not set(wanted) <= set(range(os.cpu_count() or 1)):  # type: ignore[call-overload]
        raise DeploymentError(
            f"{where}: cores cannot be used",
            given=repr(wanted),
            possible=f'"last", "all", or a list such as [{allowed[-1]}]; '
            f"this machine has cores 0 to {(os.cpu_count() or 1) - 1}",
        )
    return tuple(wanted)  # type: ignore[arg-type]

"""The board: one piece of hardware that can run a network, and how it is reached and timed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hwprune.board_folder import THIS_MACHINE, find_profile, is_path, no_such_board
from hwprune.errors import DeploymentError
from hwprune.file_name import checked_name
from hwprune.number import Amount
from hwprune.toml_file import read_toml, validate
from hwprune_device.job import Protocol, Target
from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.registry import known_facts, normal_options, runtime_names

CONNECTIONS = ("local", "ssh", "ray", "table")
PLACEHOLDER_HOST = "change-me"
"""Host of a profile that describes a kind of board alone: its user puts a real one there."""
_REACHED_BY = ("connection", "host", "ssh_options", "gateway", "python")
_PLAIN_KEYS = ("name", "kind", *_REACHED_BY, "cache", "cache_mb", "table")
PROFILE_KEYS = (*_PLAIN_KEYS, "cores", "target", "protocol", "facts")
"""Of a profile's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board, as its profile describes it."""

    name: str
    """What it is called; of a profile that says nothing: as its file."""
    kind: str = ""
    """Boards of one kind take each other's work and share their readings; by default its name."""
    connection: str = "local"
    """"local": this machine; "ssh": the user's OpenSSH; "ray": the board is a Ray node; "table": a
    latency table in a board's place."""
    table: str = ""
    """For table: its file."""
    host: str = ""
    """For ssh: HOST or USER@HOST, as the user's own ssh understands it."""
    ssh_options: tuple[str, ...] = ()
    """For ssh: further `-o` options, such as "Port=2222"."""
    gateway: str = ""
    """The Ray node, by its resource "gateway:NAME", that reaches this board; empty: the head."""
    python: str = ""
    """The board's own Python; empty: python3 there, or locally the one that runs hwprune."""
    cache: str = ""
    """Folder on the board for what need not be sent again; empty: ~/.cache/hwprune-device."""
    cache_mb: Amount | None = None
    """What the networks kept there may take; 0: none are kept; None: the board's default."""
    cores: tuple[int, ...] = ()
    """Cores that networks are timed on, and nothing of ours besides; empty, in a profile also
    `"last"`: as many as threads, from the last one down. `"all"`: every core."""
    all_cores: bool = False
    """Every core of a board elsewhere, whose number is not known here."""
    target: Target = field(default_factory=Target)
    """How networks run there."""
    protocol: Protocol = field(default_factory=Protocol)
    """How they are timed."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was found out about the hardware, for readers; nothing depends on it."""

    def __post_init__(self) -> None:
        # The class is frozen, and this default depends on another field.
        object.__setattr__(self, "kind", self.kind or self.name)

    @property
    def is_here(self) -> bool:
        """Whether the board is this very machine, so that its cores are ours too."""
        return self.connection == "local" and not self.gateway

    @property
    def is_placeholder(self) -> bool:
        """Whether its host still has to be filled in."""
        return self.host.rpartition("@")[2] == PLACEHOLDER_HOST

    @property
    def core_list(self) -> str:
        """The cores in the words of the board's own command line."""
        return ",".join(map(str, self.cores)) or ("all" if self.all_cores else "last")


def this_machine() -> Board:
    """This machine's processor, timed with one thread on its last core."""
    return Board(
        name=THIS_MACHINE,
        kind=THIS_MACHINE,
        cores=_cores("last", threads=1, where="this machine"),
    )


def find_board(name_or_path: str, folder: Path | None = None) -> Board:
    """The board with a name, or the one of a profile's path.

    A name is looked up in `folder`, by default in `board_folders()`; `this-machine` is known
    everywhere.

    Raises:
        DeploymentError: there is no such board, or its profile is wrong.
    """
    if is_path(name_or_path):
        return load_board(Path(name_or_path).expanduser())
    path = find_profile(name_or_path, folder)
    if path is not None:
        return load_board(path)
    if name_or_path == THIS_MACHINE:
        return this_machine()
    raise no_such_board(name_or_path, folder)


def load_board(path: Path) -> Board:
    """Read a board profile.

    Raises:
        DeploymentError: the file is missing, is no TOML, or says something that cannot be.
    """
    board = parse_board(read_toml(path, what="board"), name=path.stem)
    if not board.table:
        return board
    # As other paths in files of ours: from where the file lies.
    return replace(board, table=str(path.parent / Path(board.table).expanduser()))


def parse_board(data: Mapping[str, Any], *, name: str) -> Board:
    """A board from plain data; `name` is used where the data have none.

    Raises:
        DeploymentError: a key is unknown, or a value cannot be.
    """
    where = f"board {name}"
    unknown = [key for key in data if key not in PROFILE_KEYS]
    if unknown:
        raise DeploymentError(
            f"{where}: unknown key '{unknown[0]}'", possible=", ".join(PROFILE_KEYS)
        )
    target = validate(Target, data.get("target", {}), where=f"{where} [target]")
    protocol = validate(Protocol, data.get("protocol", {}), where=f"{where} [protocol]")
    # Before the options, which are looked up by runtime: it has to be a known one.
    _check(target, protocol, where)
    target = _with_normal_options(target, where)
    plain = {key: data[key] for key in _PLAIN_KEYS if key in data}
    here = plain.get("connection", "local") == "local" and not plain.get("gateway")
    wanted = data.get("cores", "last")
    rest = {
        "name": name,
        "kind": str(plain.get("name", name)),
        **plain,
        "cores": _cores(wanted, threads=target.threads, where=where)
        if here
        else _far_cores(wanted, where=where),
        "all_cores": not here and wanted == "all",
        "target": target,
        "protocol": protocol,
        "facts": data.get("facts", {}),
    }
    board = validate(Board, rest, where=where)
    checked_name(board.name, what=f"{where}: the name")
    _check_connection(board, where)
    return board


def _check_connection(board: Board, where: str) -> None:
    if board.connection not in CONNECTIONS:
        raise DeploymentError(
            f"{where}: unknown connection", given=board.connection, possible=", ".join(CONNECTIONS)
        )
    if board.connection == "ssh" and not board.host:
        raise DeploymentError(
            f"{where}: an ssh board needs its host",
            possible='host = "user@address", or a Host of your ~/.ssh/config',
        )
    if (board.connection == "table") != bool(board.table):
        raise DeploymentError(
            f"{where}: a board that is a latency table needs its file, and no other has one",
            given=f'connection = "{board.connection}", table = "{board.table}"',
            possible='connection = "table" and table = "FILE.parquet"',
        )
    # ssh would take it for an option, and some of its options run commands.
    if board.host.startswith("-"):
        raise DeploymentError(f"{where}: host cannot be used", given=board.host)


def _check(target: Target, protocol: Protocol, where: str) -> None:
    """Refuse what hangs on more than one value."""
    if target.runtime not in runtime_names():
        raise DeploymentError(
            f"{where} [target]: unknown runtime",
            given=target.runtime,
            possible=", ".join(runtime_names()),
        )
    facts = known_facts(target.runtime)
    largest = facts.largest_batch if facts is not None else None
    if largest is not None and target.batch > largest:
        raise DeploymentError(
            f"{where} [target]: runtime {target.runtime} takes no such batch",
            given=f"batch = {target.batch}",
            possible=f"{largest}" if largest == 1 else f"1 to {largest}",
        )
    if protocol.max_rounds < protocol.rounds:
        raise DeploymentError(
            f"{where} [protocol]: max_rounds is less than rounds",
            given=f"rounds {protocol.rounds}, max_rounds {protocol.max_rounds}",
        )


def _with_normal_options(target: Target, where: str) -> Target:
    """Without what is a default anyway, so that spelling it out selects the same readings."""
    try:
        options = normal_options(target.runtime, target.options, target.threads, target.precision)
    except OptionError as error:
        raise DeploymentError(
            f"{where} [target.options]: {error.said}", given=error.given, possible=error.possible
        ) from None
    return replace(target, options=options)


def _cores(wanted: object, *, threads: int, where: str) -> tuple[int, ...]:
    """Core numbers from a profile's words, on the machine this runs on."""
    # A container, or taskset, may allow fewer cores than the machine has.
    allowed = sorted(os.sched_getaffinity(0))
    if wanted == "last":
        return tuple(allowed[-threads:])
    if wanted == "all":
        return tuple(allowed)
    if not _is_list_of_cores(wanted) or not set(wanted) <= set(range(os.cpu_count() or 1)):  # type: ignore[call-overload]
        raise DeploymentError(
            f"{where}: cores cannot be used",
            given=repr(wanted),
            possible=f'"last", "all", or a list that names each core once, such as '
            f"[{allowed[-1]}]; this machine has cores 0 to {(os.cpu_count() or 1) - 1}",
        )
    return tuple(wanted)  # type: ignore[arg-type]


def _far_cores(wanted: object, *, where: str) -> tuple[int, ...]:
    """Core numbers on another machine; only that machine knows whether it has them."""
    if wanted in ("last", "all"):
        return ()
    if not _is_list_of_cores(wanted):
        raise DeploymentError(
            f"{where}: cores cannot be used",
            given=repr(wanted),
            possible='"last", "all", or a list that names each core once, such as [2, 3]',
        )
    return tuple(wanted)  # type: ignore[arg-type]


def _is_list_of_cores(wanted: object) -> bool:
    return (
        isinstance(wanted, list | tuple)
        and len(wanted) > 0
        # Not isinstance: a bool is an int, and `true` is no core.
        and all(type(core) is int and core >= 0 for core in wanted)
        and len(set(wanted)) == len(wanted)
    )

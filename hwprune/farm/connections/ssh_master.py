"""The ssh connection that sessions to one host share: where its socket is, and its end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hwprune.board import Board
from hwprune.user_cache import user_cache

PERSIST_S = 60
"""How long a connection waits for another session before it ends itself."""
# A socket's path has at most 107 characters; ssh makes it with 17 more, and %C is 40.
_FOLDER_LIMIT = 107 - 17 - 40 - len("/123456-")
_ASK_TIMEOUT_S = 3.0
_PROBE_TIMEOUT_S = 5.0


def base_options(board: Board) -> list[str]:
    """The options of every ssh to this board.

    ssh takes the first value that it meets, so the user's come before those that may be changed.
    """
    ours = [
        "ConnectTimeout=10",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        "ControlMaster=auto",
        f"ControlPath={_control_path(board)}",
        f"ControlPersist={PERSIST_S}",
    ]
    options = ["-T", "-o", "BatchMode=yes"]
    for option in (*board.ssh_options, *ours):
        # Whole words such as "-F/path/config" are ssh's own; the rest are values of -o.
        options += [option] if option.startswith("-") else ["-o", option]
    return options


def drop_dead_master(board: Board) -> None:
    """Make sure that a new session does not hang on a connection that is dead but not yet over.

    Other sessions of the same connection are left alone: if it lives after all, so do they.
    """
    if not shutil.which("ssh"):
        return
    # Before the question: what appears after it is somebody's new connection.
    sockets = _sockets(board)
    if _says_yes(board, ["-O", "check"], _ASK_TIMEOUT_S):
        # Its process lives; whether its link does is known from a command that runs over it.
        alone = ["-o", "ControlMaster=no"]
        if _says_yes(board, alone, _PROBE_TIMEOUT_S, command="true"):
            return
        _says_yes(board, ["-O", "stop"], _ASK_TIMEOUT_S)
    _remove(sockets)


def end_master(board: Board) -> None:
    """End the shared connection and every session that runs over it."""
    sockets = _sockets(board)
    if sockets:
        _says_yes(board, ["-O", "exit"], _ASK_TIMEOUT_S)
        _remove(sockets)


def _says_yes(
    board: Board,
    request: Sequence[str],
    timeout_s: float,
    *,
    command: str = "",
) -> bool:
    words = ["ssh", *request, *base_options(board), "--", board.host]
    try:
        done = subprocess.run(
            [*words, command] if command else words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _control_path(board: Board) -> str:
    folder = _socket_folder()
    return f"{folder}/{_prefix(board)}-%C" if folder else "none"


def _prefix(board: Board) -> str:
    """Boards of one host with other options, such as another key, do not share a connection."""
    words = "\n".join((board.host, *board.ssh_options))
    return hashlib.sha256(words.encode()).hexdigest()[:6]


def _sockets(board: Board) -> list[Path]:
    folder = _socket_folder()
    return list(folder.glob(f"{_prefix(board)}-*")) if folder else []


def _remove(sockets: Sequence[Path]) -> None:
    for path in sockets:
        with contextlib.suppress(OSError):
            path.unlink()


def _socket_folder() -> Path | None:
    """A folder of this user alone with a path short enough; None: connections are not shared."""
    cache = user_cache() / "ssh"
    short = Path(tempfile.gettempdir()) / f"hwprune-ssh-{os.getuid()}"
    for folder in (cache, short, Path("/tmp") / short.name):
        # ssh would read % and blanks in the path as its own.
        fits = len(os.fsencode(folder)) <= _FOLDER_LIMIT and not set("% \t\"'") & set(str(folder))
        if fits and _is_ours_alone(folder):
            return folder
    return None


def _is_ours_alone(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    owned = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return owned and not found.st_mode & 0o077

"""Whose supervisor this is: an owner has one on a board, and learns how its last one ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwprune_device.own_folder import cache_without_home

Previous = Literal["none", "running", "died", "rebooted"]
"""How an owner's last supervisor ended: in order or never there; still at work until now; without
a word; or the board started anew since."""
_FORGET_S = 7 * 86400.0
_NOWHERE = Path(os.devnull)
"""No folder can be made below a file, so nothing is kept."""
_KILL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A head's session with this board; the name is unique to it.

    A supervisor that a cut link left behind still holds the board's cores. The owner's next one
    ends it, so that a new link need not wait until the old one is known to be dead.
    """

    name: str
    folder: Path

    def take_over(self) -> Previous:
        """End this owner's earlier supervisor if it still runs, and note down the new one.

        Where nothing can be noted the next one learns of none.
        """
        self._forget_strangers()
        previous = self._previous()
        note = {"pid": os.getpid(), "started": start_of(os.getpid()), "boot_id": boot_id()}
        part = self._file.with_suffix(f".{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(note))
            # Renamed whole: a reader never sees half a note.
            part.replace(self._file)
        except OSError:
            # The disk is full or cannot be written, which is no reason not to measure. The old
            # note must not stay: it would tell of somebody who was ended here.
            for file in (part, self._file):
                with contextlib.suppress(OSError):
                    file.unlink()
        return previous

    def leave(self) -> None:
        """The end in order: the next supervisor has nothing to tell."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            # A supervisor that was taken over must not take away its successor's note.
            if json.loads(self._file.read_text())["pid"] == os.getpid():
                self._file.unlink()

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.name}.json"

    def _previous(self) -> Previous:
        try:
            note = json.loads(self._file.read_text())
            pid, started, boot = int(note["pid"]), note["started"], note["boot_id"]
        except (OSError, ValueError, KeyError, TypeError):
            return "none"
        # Numbers of processes and ticks start anew with the machine.
        if boot != boot_id():
            return "rebooted"
        # The number may be another process's by now, which started at another tick.
        if started is None or start_of(pid) != started:
            return "died"
        _end(pid, started)
        return "running"

    def _forget_strangers(self) -> None:
        """Notes of owners that were not seen for a week."""
        for file in self.folder.glob("*.json"):
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > _FORGET_S:
                    file.unlink()


def cache_folder(wanted: str = "") -> Path:
    """Where this board keeps what need not be made again: `wanted`, or in the user's cache.

    An account without a home has it below the temporary folder, if it can be its own alone there.
    """
    try:
        if wanted:
            return Path(wanted).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hwprune-device"
    except RuntimeError:
        # There is no HOME, and the account is none of those that the system knows.
        return (cache_without_home() or _NOWHERE) / "hwprune-device"


def boot_id() -> str:
    """A name for this start of the machine; empty where the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_of(pid: int) -> int | None:
    """When a process started, in ticks since boot; None when there is none of that number."""
    try:
        # Its main thread began with it. An emulator makes up the file one level above for a
        # process that reads its own, and is some ticks off what others see.
        text = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie has nothing left to end, and its number may soon be another's.
    return None if fields[0] == "Z" else int(fields[19])


def _end(pid: int, started: int) -> None:
    """Kill a process and wait until it is gone; its child dies with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    patience = time.monotonic() + _KILL_WAIT_S
    while time.monotonic() < patience and start_of(pid) == started:
        time.sleep(0.01)

"""What the gate found out about a base network, and where that is remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwprune.channels.base import BaseNetwork
from hwprune.stored import as_noun, plain_json
from hwprune.user_cache import user_cache
from hwprune.whole_file import write_json

VERSION = 3
"""Of the gate's checks: a record of another version is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """The outcome of one passage through the gate."""

    candidates: int
    """Random candidates that were cut and compared; 0 where the network cannot be tried."""
    worst_error: float
    """Relative, in float64, of those that passed."""
    failed: tuple[str, ...]
    """Groups left whole because a cut of them computed something else."""
    unjudged: tuple[str, ...]
    """Groups left whole because they hardly move the outputs: a wrong cut would not be seen."""
    re_export: str
    """`equal` or `different`: the hash of a cut against that of the cut module's own export; or
    why that was not tried."""
    untried: str = ""
    """Why nothing was compared, where nothing was."""

    @property
    def left_whole(self) -> dict[str, str]:
        """Why each group that the gate does not let pass is left whole."""
        failed = dict.fromkeys(self.failed, "a cut of it computes something else")
        hidden = "it hardly moves the outputs, so that a wrong cut would not be seen"
        return failed | dict.fromkeys(self.unjudged, hidden)

    @property
    def summary(self) -> str:
        """One line for people."""
        return self.untried or (
            f"{self.candidates} random cuts agree with the silenced network to "
            f"{self.worst_error:.0e}; hash of a cut and of its export: {self.re_export}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


class GateRecords:
    """Records by structure, in a folder: weights make no difference to a plan."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, base: BaseNetwork, ignore: Sequence[str]) -> GateRecord | None:
        """The record of this structure and plan; None where there is none, or a damaged one."""
        try:
            # A file that another version wrote has another name; a torn one is examined anew.
            return as_noun(GateRecord, plain_json(self._file(base, ignore).read_bytes()))
        except (OSError, ValueError):
            return None

    def put(self, base: BaseNetwork, ignore: Sequence[str], record: GateRecord) -> None:
        """Remember a record; a folder that cannot be written is done without."""
        file = self._file(base, ignore)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, record.to_json())
        except OSError:
            return

    def _file(self, base: BaseNetwork, ignore: Sequence[str]) -> Path:
        plan = json.dumps(base.plan.to_json(), sort_keys=True)
        parts = [str(VERSION), base.architecture, plan, *ignore]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self._folder / f"{key[:32]}.json"


def user_records() -> GateRecords:
    """Those in the user's cache folder."""
    return GateRecords(user_cache() / "gates")

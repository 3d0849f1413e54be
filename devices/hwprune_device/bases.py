"""The base networks of a board: placed by heads, and kept for the supervisors to come."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwprune_device.bounded_folder import BoundedFolder
from hwprune_device.cut import Cutter
from hwprune_device.frame import FrameDecoder, FrameError, encode
from hwprune_device.plan import CutPlan, content_id
from hwprune_device.runtimes.interface import batch_symbols

_CONTENT_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """One base network, ready to be cut."""

    cutter: Cutter
    symbols: tuple[str, ...]
    """Names of symbolic dimensions in the first place of its inputs: the batch."""


class Bases:
    """Base networks by content hash: in memory, and behind that in a folder on the disk.

    Args:
        folder: outlives the supervisor, so that the next one need not be sent what is there.
    """

    def __init__(self, folder: BoundedFolder) -> None:
        self._folder = folder
        self._ready: dict[str, Base] = {}

    def find(self, base_id: str) -> Base | None:
        """The network of that hash; None if it is not here, or was damaged on the disk."""
        if base_id not in self._ready:
            kept = self._kept(base_id)
            if kept is None:
                return None
            self._ready[base_id] = _made_ready(*kept)
        return self._ready[base_id]

    def place(self, base_id: str, plan: Mapping[str, Any], packed: bytes) -> None:
        """Have a network ready: its cut plan as plain data, and its graph, zlib.

        Raises:
            zlib.error, ValueError, KeyError, TypeError: they are not what they should be.
        """
        self._ready[base_id] = _made_ready(zlib.decompress(packed), plan)

    def keep(self, base_id: str, plan: Mapping[str, Any], packed: bytes) -> None:
        """Write a network to the folder; only under its own hash, by which it is checked later."""
        if content_id(zlib.decompress(packed), plan) == base_id:
            self._folder.put(base_id, encode({"base_id": base_id, "plan": plan}, packed))

    def _kept(self, base_id: str) -> tuple[bytes, Mapping[str, Any]] | None:
        """Graph and plan from the folder."""
        # Names come from the head: one that is no hash must not become a path.
        data = self._folder.get(base_id) if _CONTENT_ID.fullmatch(base_id) else None
        if data is None:
            return None
        try:
            (frame,) = FrameDecoder().feed(data)
            model, plan = zlib.decompress(frame.body), frame.header["plan"]
        except (FrameError, ValueError, KeyError, zlib.error):
            return None
        # Damaged on the disk is as good as not there: the head sends it again.
        return (model, plan) if content_id(model, plan) == base_id else None


def _made_ready(model: bytes, plan: Mapping[str, Any]) -> Base:
    return Base(cutter=Cutter(model, CutPlan.from_json(plan)), symbols=batch_symbols(model))

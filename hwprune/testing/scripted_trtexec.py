"""A program in place of trtexec that does what a script says, with real processes and files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TrtexecScript:
    """What the program pretends to be, and how it behaves."""

    version: str = "10.3.0"
    """Of the generations 8, 10 and 11: their flags and their form of times differ."""
    device: str = "Orin"
    """An engine of another device does not load."""
    fixed_ms: float = 0.2
    """What an inference takes on the GPU whatever the network."""
    ms_per_mb: float = 10.0
    """And for each MB of its ONNX file."""
    copy_ms: float = 0.1
    """Of inputs to the GPU, and of outputs from it."""
    build_s: float = 0.0
    least_bytes: int = 0
    """The build of a smaller ONNX file fails with `build_errors`."""
    build_errors: Sequence[str] = (
        "Error[10]: IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not "
        "find any implementation for node conv0.)",
        "Engine could not be created from network",
    )
    ends_build_with: int = 0
    """A signal that ends every build."""
    hangs: bool = False
    """No run comes to its end."""


class ScriptedTrtexec:
    """A folder with a program `trtexec`, to be put in front of PATH.

    Outputs are real, of the graph as it was given; times are scripted and really pass. What the
    flags of precision or of the builder would change is not simulated.
    """

    def __init__(self, folder: Path, script: TrtexecScript | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        program = Path(__file__).with_name("trtexec_program.py")
        launcher = folder / "trtexec"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "{folder}" "$@"\n')
        launcher.chmod(0o755)
        self.play(script or TrtexecScript())

    def play(self, script: TrtexecScript) -> None:
        """Behave like this from now on."""
        part = self.folder / "script.json.new"
        part.write_text(json.dumps(asdict(script)))
        part.replace(self.folder / "script.json")

    @property
    def calls(self) -> list[Mapping[str, Any]]:
        """Every start of the program but those for help: `pid`, and `flags` with their values."""
        file = self.folder / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [call for call in map(json.loads, lines) if "--help" not in call["flags"]]

    @property
    def builds(self) -> list[Mapping[str, str]]:
        """Flags of the calls that built an engine."""
        return [call["flags"] for call in self.calls if "--onnx" in call["flags"]]

    @property
    def runs(self) -> list[Mapping[str, str]]:
        """Flags of the calls that ran one."""
        return [call["flags"] for call in self.calls if "--loadEngine" in call["flags"]]

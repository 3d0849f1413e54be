"""Scripted Jetsons as boards of this machine, each in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.scripted_jetson import PROGRAM, board_python

TROUBLED = "tests.hwprune_device.runtimes.trt.troubled_jetson"
QUICK = "rounds = 5\nmax_rounds = 5\n"
"""A protocol for tests that ask whether it measures, not how well."""


def jetson_profile(
    folder: Path,
    *,
    precision: str = "fp16",
    release: str = "10.3",
    options: str = "",
    protocol: str = "",
    program: str = PROGRAM,
) -> Path:
    """The profile of a new scripted Jetson of kind "orin"; what it keeps lies in the folder too.

    `options` and `protocol` are lines of those tables.
    """
    python = board_python(folder / "jetson", release=release, program=program)
    profile = folder / "orin.toml"
    profile.write_text(
        f'kind = "orin"\nconnection = "local"\npython = "{python}"\n'
        f'cache = "{folder / "cache"}"\ncores = "last"\n'
        f'[target]\nruntime = "trt"\nprecision = "{precision}"\n'
        f"[target.options]\n{options}\n[protocol]\n{protocol}\n"
    )
    return profile

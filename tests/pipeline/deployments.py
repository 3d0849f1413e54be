"""A deployment small enough for tests: real digits, a real board, few evaluations."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
QUICKSTART = ROOT / "profiles" / "deployments" / "quickstart.toml"
SMALL = (
    "search.evaluations=8",
    "search.finalists=1",
    "training.epochs=3",
    "finetune.epochs=2",
    "delivery.certificate_readings=2",
)
"""Overrides that make the quickstart a matter of a minute; every step is still a real one."""


def command(
    out: Path,
    *more: str,
    overrides: tuple[str, ...] = SMALL,
    deployment: Path = QUICKSTART,
) -> list[str]:
    """`python -m hwprune prune` on the small quickstart, into the folder `out`."""
    import sys

    sets = [part for override in overrides for part in ("--set", override)]
    return [
        *(sys.executable, "-m", "hwprune", "prune", str(deployment)),
        *("--out", str(out), "--json", *sets, *more),
    ]

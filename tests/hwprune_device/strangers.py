"""Processes of other accounts, and of surroundings that are not as usual; they need root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hwprune_device.board import ROOT

NOBODY = 65534
UNKNOWN = 54321
"""An account that no list of accounts has, so that it has no home either."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another account")


def _can_mount() -> bool:
    """Whether a process may have mounts of its own here."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    words = ["unshare", "-m", "mount", "--bind", "/tmp", "/tmp"]
    return subprocess.run(words, capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(
    not _can_mount(), reason="only root with unshare may have mounts of its own"
)


@contextmanager
def open_to_all() -> Iterator[Path]:
    """A folder in which every account may make files, as /tmp is; pytest's are root's alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o1777)
        yield place


def said_as(account: int, code: str, imports: str = "import os", **environment: str) -> str:
    """What Python prints as another account; `imports` are made before it is that account."""
    whole = f"{imports}\nimport os\nos.setgroups([])\nos.setgid({account})\nos.setuid({account})\n"
    done = subprocess.run(
        [sys.executable, "-c", whole + code],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "devices"), **environment},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def python_with_read_only(folder: Path, *places: str) -> str:
    """A Python for which these places are read-only, and which has no other temporary folder."""
    mounts = "; ".join(f"mount --bind {p} {p}; mount -o remount,ro,bind {p}" for p in places)
    script = folder / "python3"
    script.write_text(
        f"#!/bin/sh\nexport TMPDIR=/nowhere\n"
        f'exec unshare -m sh -c \'{mounts}; cd /proc; exec {sys.executable} "$@"\' sh "$@"\n'
    )
    script.chmod(0o755)
    return str(script)

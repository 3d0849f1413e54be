"""Virtual environments for packages that are no requirement of hwprune."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def make_venv(folder: Path, *packages: str, sees_ours: bool = False, alone: bool = False) -> Path:
    """Python of a new virtual environment with packages from the index.

    Args:
        folder: of the environment.
        packages: as pip takes them.
        sees_ours: what runs this test is there too.
        alone: without what the packages require.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    if sees_ours:
        (site,) = folder.glob("lib/python3*/site-packages")
        (site / "ours.pth").write_text("\n".join(p for p in sys.path if p.endswith("-packages")))
    install = [python, "-m", "pip", "install", "-q", *(["--no-deps"] if alone else [])]
    subprocess.run([*install, *packages], check=True)
    return python

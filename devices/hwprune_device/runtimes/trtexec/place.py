"""Where the program trtexec is on a board; standard library only: a survey asks early."""

from __future__ import annotations

import shutil
from pathlib import Path

PLACES = (Path("/usr/src/tensorrt/bin"),)
"""Where JetPack and NVIDIA's packages put it, which is not on the path."""


def find() -> Path:
    """The program.

    Raises:
        ImportError: it is not there.
    """
    path = shutil.which("trtexec") or next(
        (str(place / "trtexec") for place in PLACES if (place / "trtexec").is_file()), None
    )
    if path is None:
        places = " or ".join(map(str, PLACES))
        raise ImportError(f"there is no program trtexec on the path, nor in {places}")
    return Path(path)

"""What is sent to a board at every start: the device package, and the text that takes it in."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import hwprune_device

# The same files give the same bytes, whenever they were checked out.
_DATE = (1980, 1, 1, 0, 0, 0)


@cache
def device_zip() -> bytes:
    """The device package as a zip file that Python can import from."""
    package = Path(hwprune_device.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(package.rglob("*.py")):
            name = (Path(package.name) / source.relative_to(package)).as_posix()
            archive.writestr(
                zipfile.ZipInfo(name, _DATE), source.read_bytes(), zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


@cache
def boot_text() -> str:
    """`boot.py` as one line, for `python -c`: some shells allow no line breaks in quotes."""
    return f"exec({Path(__file__).with_name('boot.py').read_text(encoding='utf-8')!r})"

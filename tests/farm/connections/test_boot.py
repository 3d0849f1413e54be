"""What a board's Python is told first, run by real Pythons without a supervisor."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile

import pytest

from hwprune.farm.connections.boot import MARKER
from hwprune.farm.connections.pipe import boot_text, device_zip

CHILD = """
import os, sys

def main(words):
    pid = os.fork()
    if pid == 0:
        from hwprune_device import late
        os.write(1, (" ".join(words) + late.WORD).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    print("", [entry for entry in sys.path if not entry], os.read(0, 9).decode(), flush=True)
    return 5
"""


def package(**files: str) -> bytes:
    """A stand-in for the device package with these modules."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hwprune_device/__init__.py", "")
        for name, text in files.items():
            archive.writestr(f"hwprune_device/{name}.py", text)
    return buffer.getvalue()


def boot(data: bytes, *words: str, size: int | None = None, before: str = "", rest: bytes = b""):
    text = f"{before}\n{boot_text()}" if before else boot_text()
    command = [sys.executable, "-B", "-c", text, str(len(data) if size is None else size), *words]
    return subprocess.run(command, input=data + rest, capture_output=True)


def test_the_package_runs_from_memory_and_so_do_its_children():
    data = package(__main__=CHILD, late="WORD = ' and lately'")
    done = boot(data, "--cores", "0", rest=b"and frame")
    assert done.returncode == 5, done.stderr
    assert done.stdout == MARKER + b"--cores 0 and lately [] and frame\n"


def test_a_home_folder_is_understood_without_a_shell(monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/mine")
    main = "def main(words):\n    print(words, flush=True)\n    return 0\n"
    done = boot(package(__main__=main), "--cache", "~/cache", "a~b")
    assert done.stdout.endswith(b"['--cache', '/home/of/mine/cache', 'a~b']\n")


def test_a_head_that_goes_away_early_is_said():
    done = boot(b"half", size=100)
    assert done.returncode != 0 and b"the head went away" in done.stderr


def test_a_python_that_is_too_old_says_so():
    done = boot(device_zip(), before="import sys; sys.version_info = (3, 6, 9, 'final', 0)")
    assert b"needs Python 3.10 or newer; this is Python 3.6.9" in done.stderr
    assert done.returncode != 0 and done.stdout == b""


def test_an_old_python_can_read_the_text():
    text = ast.literal_eval(boot_text()[len("exec(") : -1])
    assert ast.parse(text, feature_version=(3, 6)).body


@pytest.mark.parametrize("char", ["\n", "!", "\\\\", "\\'"])
def test_no_character_that_some_shell_reads_inside_quotes(char):
    assert char not in boot_text()


def test_the_package_is_the_same_bytes_every_time():
    assert device_zip() == device_zip.__wrapped__()
    names = zipfile.ZipFile(io.BytesIO(device_zip())).namelist()
    assert "hwprune_device/__main__.py" in names
    assert "hwprune_device/runtimes/onnxrt/runtime.py" in names

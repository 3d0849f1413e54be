"""Whose supervisor: the last one of the same owner is ended, and how it ended is told."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from hwprune_device.owner import Owner, start_of
from tests.hwprune_device.strangers import NOBODY, UNKNOWN, needs_root, open_to_all, said_as

IMPORTS = "from hwprune_device.owner import Owner, cache_folder"
TAKES_OVER = """
folder = cache_folder("")
print(folder)
print(Owner(name="a", folder=folder / "owners").take_over())
"""


def test_an_owner_that_was_never_here_has_no_previous(tmp_path):
    owner = Owner(name="a", folder=tmp_path / "owners")
    assert owner.take_over() == "none"
    owner.leave()
    assert owner.take_over() == "none"


def note(folder, **changes) -> None:
    """As another supervisor of the owner would have left it."""
    file = folder / "a.json"
    data = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(data))


def test_a_supervisor_that_still_runs_is_ended(tmp_path):
    owner = Owner(name="a", folder=tmp_path)
    owner.take_over()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note(tmp_path, pid=other.pid, started=start_of(other.pid))
    assert owner.take_over() == "running"
    assert other.wait(10) == -9


def test_one_that_went_without_a_word_died_and_another_boot_is_a_reboot(tmp_path):
    owner = Owner(name="a", folder=tmp_path)
    owner.take_over()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    note(tmp_path, pid=gone.pid, started=start_of(gone.pid))
    gone.wait()
    assert owner.take_over() == "died"
    note(tmp_path, boot_id="another")
    assert owner.take_over() == "rebooted"


def test_a_number_that_is_another_process_now_is_left_alone(tmp_path):
    owner = Owner(name="a", folder=tmp_path)
    owner.take_over()
    note(tmp_path, started=1)
    assert owner.take_over() == "died"
    assert start_of(os.getpid())


def test_a_predecessor_does_not_take_its_successors_note(tmp_path):
    owner = Owner(name="a", folder=tmp_path)
    owner.take_over()
    note(tmp_path, pid=1)
    owner.leave()
    assert (tmp_path / "a.json").exists()


def test_notes_of_long_ago_are_forgotten_and_a_torn_one_does_no_harm(tmp_path):
    old = tmp_path / "old.json"
    old.write_text("{}")
    os.utime(old, (time.time() - 8 * 86400,) * 2)
    (tmp_path / "a.json").write_text("{")
    assert Owner(name="a", folder=tmp_path).take_over() == "none"
    assert not old.exists()


def test_a_disk_that_is_full_ends_no_supervisor_and_no_wrong_note_is_left(tmp_path, monkeypatch):
    owner = Owner(name="a", folder=tmp_path / "owners")
    owner.take_over()
    note(tmp_path / "owners", started=1)

    def full(self: Path, text: str) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert owner.take_over() == "died"
    assert list((tmp_path / "owners").iterdir()) == []
    owner.leave()
    monkeypatch.undo()
    (tmp_path / "file").touch()
    assert Owner(name="a", folder=tmp_path / "file" / "owners").take_over() == "none"


@needs_root
def test_an_account_without_a_home_keeps_things_in_a_folder_of_its_own():
    with open_to_all() as place:
        own = place / f"hwprune-cache-{UNKNOWN}"
        said = said_as(UNKNOWN, TAKES_OVER, IMPORTS, TMPDIR=str(place))
        assert said.split() == [str(own / "hwprune-device"), "none"]
        assert own.stat().st_mode & 0o777 == 0o700
        assert (own / "hwprune-device" / "owners" / "a.json").exists()
        code = TAKES_OVER.replace('cache_folder("")', 'cache_folder("~/kept")')
        assert said_as(UNKNOWN, code, IMPORTS, TMPDIR=str(place)).split()[1] == "died"


@needs_root
def test_it_keeps_nothing_where_a_stranger_made_that_folder():
    with open_to_all() as place:
        own = place / f"hwprune-cache-{UNKNOWN}"
        said_as(NOBODY, f"os.mkdir({str(own)!r}); os.chmod({str(own)!r}, 0o777)")
        said = said_as(UNKNOWN, TAKES_OVER, IMPORTS, TMPDIR=str(place))
        assert said.split()[1] == "none"
        assert list(own.iterdir()) == []

"""Lock files: found by an account alone, whatever its temporary folder, and by no stranger."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hwprune_device import lock_file, quiet
from hwprune_device.lease import lease
from hwprune_device.lock_file import NoLockFolderError, opened, try_alone
from tests.hwprune_device.board import ROOT, running
from tests.hwprune_device.chain import WIDTHS, chain, job, plan
from tests.hwprune_device.strangers import NOBODY, needs_root, open_to_all, said_as

NAME = f"hwprune-leases-{os.getuid()}"
NO_CORE = 10**6
"""A core that no machine has, so that no real lease is waited for."""


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Two places in which the folder may lie, open to all as /tmp is."""
    with open_to_all() as first, open_to_all() as second:
        monkeypatch.setattr(lock_file, "places", lambda: iter([first, second]))
        yield [first, second]


def lies_in(place: Path) -> bool:
    with ExitStack() as held:
        file = opened(held, "core-0")
        return Path(os.readlink(f"/proc/self/fd/{file}")) == place / NAME / "core-0.lock"


def test_the_first_place_is_taken_and_nobody_else_may_enter(places: list[Path]) -> None:
    assert lies_in(places[0])
    assert (places[0] / NAME).stat().st_mode & 0o777 == 0o700
    assert (places[0] / NAME / "core-0.lock").stat().st_mode & 0o777 == 0o600
    assert not (places[1] / NAME).exists()


@needs_root
def test_a_folder_that_a_stranger_made_is_not_used(places: list[Path]) -> None:
    said_as(NOBODY, f"os.mkdir({str(places[0] / NAME)!r}, 0o700)")
    assert lies_in(places[1])


def test_a_folder_that_others_may_enter_is_not_used(places: list[Path]) -> None:
    (places[0] / NAME).mkdir()
    (places[0] / NAME).chmod(0o750)
    assert lies_in(places[1])


def test_a_link_in_the_folders_place_is_not_followed(places: list[Path]) -> None:
    elsewhere = places[1] / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (places[0] / NAME).symlink_to(elsewhere)
    assert lies_in(places[1])
    assert list(elsewhere.iterdir()) == []


def test_a_file_or_a_pipe_in_the_folders_place_is_passed_over(places: list[Path]) -> None:
    (places[0] / NAME).touch()
    assert lies_in(places[1])
    (places[0] / NAME).unlink()
    os.mkfifo(places[0] / NAME)
    assert lies_in(places[1])


def test_no_file_is_emptied_and_no_link_followed(places: list[Path]) -> None:
    folder = places[0] / NAME
    folder.mkdir(mode=0o700)
    (folder / "core-0.lock").write_text("a note")
    precious = places[1] / "precious"
    precious.write_text("dear")
    (folder / "core-1.lock").symlink_to(precious)
    assert lies_in(places[0])
    with ExitStack() as held, pytest.raises(NoLockFolderError, match=r"core-1\.lock"):
        opened(held, "core-1")
    assert (folder / "core-0.lock").read_text() == "a note"
    assert precious.read_text() == "dear"


def test_without_any_folder_the_error_says_where_and_why_not(places: list[Path]) -> None:
    (places[0] / NAME).mkdir()
    (places[0] / NAME).chmod(0o755)
    (places[1] / NAME).touch()
    with ExitStack() as held, pytest.raises(NoLockFolderError) as caught:
        opened(held, "core-0")
    words = str(caught.value)
    assert f"{places[0] / NAME}: is open to others (mode bits 055)" in words
    assert f"{places[1] / NAME}: Not a directory" in words


def test_a_core_that_is_named_twice_does_not_wait_for_itself(places: list[Path]) -> None:
    with lease([7, 3, 7], lambda waited_s: pytest.fail("it waits")) as waited_s:
        assert waited_s < 1


def test_a_held_core_is_waited_for_and_freed_when_its_holder_ends(places: list[Path]) -> None:
    with lease([5], lambda waited_s: None), ExitStack() as held:
        assert not try_alone(opened(held, "core-5"))
        assert try_alone(opened(held, "core-6"))
    with ExitStack() as held:
        assert try_alone(opened(held, "core-5"))


def test_work_goes_on_where_no_lock_can_be_kept(places: list[Path]) -> None:
    for place in places:
        (place / NAME).touch()
    with quiet.working():
        pass
    with pytest.raises(NoLockFolderError), quiet.timing():
        pass


def test_one_account_with_two_temporary_folders_takes_turns(tmp_path: Path) -> None:
    code = (
        "from hwprune_device.lease import lease\n"
        f"with lease([{NO_CORE}], print): print('held', flush=True); input()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "devices"), "TMPDIR": str(tmp_path)}
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert other.stdout and other.stdout.readline() == "held\n"
    name = f"core-{NO_CORE}"
    with ExitStack() as held:
        assert not try_alone(opened(held, name))
        other.communicate("\n")
        assert try_alone(opened(held, name))
    with ExitStack() as held:
        file = os.readlink(f"/proc/self/fd/{opened(held, name)}")
    os.unlink(file)


@needs_root
def test_two_accounts_do_not_wait_for_each_other(places: list[Path]) -> None:
    imports = "from hwprune_device.lease import lease\nfrom hwprune_device import lock_file"
    code = (
        "from pathlib import Path\n"
        f"lock_file.places = lambda: iter([Path({str(places[0])!r})])\n"
        "with lease([3], print) as waited_s: print(waited_s < 1)"
    )
    with lease([3], lambda waited_s: None):
        assert said_as(NOBODY, code, imports) == "True"
    assert {path.name for path in places[0].iterdir()} == {NAME, f"hwprune-leases-{NOBODY}"}


def test_a_supervisor_without_a_folder_for_locks_says_so_and_lives_on(tmp_path: Path) -> None:
    start = (
        "import sys; from pathlib import Path; from hwprune_device import lock_file, __main__\n"
        f"lock_file.places = lambda: iter([Path({str(tmp_path)!r}) / 'nowhere'])\n"
        "__main__.main(sys.argv[1:])"
    )
    with running(("-c", start)) as board:
        board.place(chain(), plan())
        for _ in range(2):
            board.send({"kind": "measure", "job": job([WIDTHS]).to_json()})
            answer = board.answer()
            assert answer.kind == "error"
            assert f"nowhere/{NAME}: No such file or directory" in answer.header["message"]

"""Files are replaced whole, and nothing that somebody laid beside them is written through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwprune.whole_file import replacing, write_json, write_whole


def test_old_content_stays_where_writing_fails(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_whole(file, "old")
    with pytest.raises(ValueError), replacing(file) as part:
        part.write_text("half")
        raise ValueError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_json_leaves_the_old_content(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "ü": 1\n}'


def test_links_under_any_name_a_partial_file_had_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "run"
    folder.mkdir()
    names = ("a.part", ".a.part", "a.half", ".a.new", f".a.{os.getpid()}", "a")
    for name in names:
        (folder / name).symlink_to(victim)
    write_whole(folder / "a", b"mine")
    assert victim.read_text() == "precious"
    assert (folder / "a").read_bytes() == b"mine" and not (folder / "a").is_symlink()


def test_a_taken_name_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwprune.whole_file.secrets.token_hex", lambda _: "taken")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".taken.part").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", "mine")
    assert victim.read_text() == "precious"


def test_others_may_read_what_the_user_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640

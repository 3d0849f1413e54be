"""Small files and small programs: whatever is wrong with them is "unavailable"."""

from __future__ import annotations

from hwprune_device.conditions.sysfs import UNAVAILABLE, megahertz, number, numbered, read, said
from tests.hwprune_device.recorded import program, write


def test_what_is_absent_empty_or_no_number_is_not_there(tmp_path):
    write(tmp_path, {"empty": "\n", "words": "not a number\n", "tree": "a\0b\0"})
    assert read(tmp_path / "absent") == read(tmp_path / "empty") == UNAVAILABLE
    assert read(tmp_path) == UNAVAILABLE  # a folder
    assert read(tmp_path / "tree") == "a b"
    assert number(tmp_path / "words") is None
    assert megahertz(tmp_path / "words") is None


def test_numbered_entries_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("cpu10", "cpu2", "cpu0", "cpufreq", "cpu1x"):
        (tmp_path / name).mkdir()
    assert [path.name for path in numbered(tmp_path, "cpu")] == ["cpu0", "cpu2", "cpu10"]


def test_a_program_is_heard_only_when_it_ends_well(tmp_path):
    program(tmp_path, "good", "NV Power Mode: 15W")
    program(tmp_path, "bad", "out of order", code=1)
    assert said(tmp_path, ["good"]) == "NV Power Mode: 15W"
    assert said(tmp_path, ["bad"]) == said(tmp_path, ["absent"]) == UNAVAILABLE

"""Profiles that are written from a survey: what comes back is what was seen."""

from __future__ import annotations

from datetime import date

import pytest
import tomllib

from hwprune.board import Board, load_board
from hwprune.board_profile import likely_kind, profile_text, write_profile
from hwprune.toml_file import to_toml

TODAY = date(2026, 11, 25)
SURVEY = {
    "model": 'Raspberry Pi 4 "B" Rev 1.4\nhost = "evil"',
    "soc": "raspberrypi,4-model-b brcm,bcm2711",
    "processor": {"name": "Arm implementer 0x41, part 0xd08", "cores": 4},
    "clusters": [{"cores": [0, 1, 2, 3], "capacity": "unavailable", "max_mhz": 1500}],
    "clocks": {"governors": ["ondemand"], "highest_mhz": 1500},
    "memory_mb": {"ram": 3977, "swap": 0},
    "power_mode": "unavailable",
    "thermal_zones": [{"zone": "cpu-thermal"}],
    "python": {"version": "3.11.2"},
    "packages": {
        "onnxruntime": {"imports": True, "version": "1.32.0"},
        "tensorrt": {"imports": False, "error": "not installed"},
    },
    "emulated": False,
}
BOARD = Board(
    name="lab-pi",
    kind="pi 4",
    connection="ssh",
    host="pi@10.0.0.7",
    ssh_options=("Port=2222", 'ProxyCommand=ssh "a b" -W %h:%p'),
    python="/opt/py\\thon",
)


def written(tmp_path, board: Board, survey: dict | None) -> Board:
    path = tmp_path / "boards" / f"{board.name}.toml"
    write_profile(path, profile_text(board, survey, TODAY))
    return load_board(path)


def test_how_a_board_is_reached_comes_back_character_by_character(tmp_path):
    back = written(tmp_path, BOARD, SURVEY)
    for key in ("name", "kind", "connection", "host", "ssh_options", "python", "gateway"):
        assert getattr(back, key) == getattr(BOARD, key), key


def test_facts_are_what_was_seen_with_the_day_and_nothing_that_was_not_told(tmp_path):
    facts = written(tmp_path, BOARD, SURVEY).facts
    assert facts["looked_at"] == "2026-11-25"
    assert facts["model"] == SURVEY["model"]
    assert facts["clusters"] == ["cores 0, 1, 2, 3, 1500 MHz"]
    assert facts["runtimes"] == ["onnxruntime 1.32.0"]
    assert facts["swap_mb"] == 0
    assert "power_mode" not in facts and "emulated" not in facts and "gpu" not in facts


def test_a_board_that_nobody_looked_at_has_no_facts(tmp_path):
    assert written(tmp_path, BOARD, None).facts == {}


def test_a_survey_that_tells_nothing_still_makes_a_profile(tmp_path):
    silent = dict.fromkeys(SURVEY, "unavailable")
    assert written(tmp_path, BOARD, silent).facts == {"looked_at": "2026-11-25"}
    assert written(tmp_path, BOARD, {}).host == BOARD.host


def test_networks_run_on_a_fast_core_where_the_last_one_is_slow(tmp_path):
    big_first = [{"cores": [0, 1], "capacity": 1024}, {"cores": [2, 3], "capacity": 400}]
    big_last = [{"cores": [2, 3], "capacity": 1024}, {"cores": [0, 1], "capacity": 400}]
    assert written(tmp_path, BOARD, {**SURVEY, "clusters": big_first}).cores == (1,)
    assert written(tmp_path, BOARD, {**SURVEY, "clusters": big_last}).core_list == "last"


def test_boards_with_one_device_tree_are_of_one_kind_whatever_their_revision():
    model = {"soc": "brcm,bcm2711", "model": "Raspberry Pi 4 Model B Rev 1.4"}
    assert likely_kind(model) == "raspberry-pi-4-model-b"
    assert likely_kind({**model, "model": "Raspberry Pi 4 Model B Rev 1.5"}) == likely_kind(model)


def test_machines_that_only_share_a_name_of_their_maker_are_not_of_one_kind():
    assert likely_kind({"model": "Standard PC", "soc": "unavailable"}) == ""
    assert likely_kind(None) == ""


@pytest.mark.parametrize(
    "value",
    [
        "",
        "plain",
        'a "quoted" \\ path',
        "tab\t, line\n, bell\x07, delete\x7f",
        "Ünïcödé 😀",
        3,
        2.5,
        -1e-9,
        True,
        False,
        [1, 2],
        ["a", "b"],
        [],
    ],
)
def test_values_come_back_from_toml(value):
    assert tomllib.loads(f"key = {to_toml(value)}") == {"key": value}


def test_a_table_is_not_written_on_one_line():
    with pytest.raises(TypeError):
        to_toml({"a": 1})

"""Board profiles: what a user may write, and what is said when it is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwprune.board import load_board, parse_board, this_machine
from hwprune.errors import DeploymentError

PROFILES = Path(__file__).parents[1] / "profiles" / "boards"


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda p: p.stem)
def test_every_profile_that_is_shipped_loads(path):
    assert load_board(path).name == path.stem


def test_this_machine_is_its_last_core_with_one_thread():
    board = load_board(PROFILES / "this-machine.toml")
    assert board == this_machine()
    assert board.cores == (max(os.sched_getaffinity(0)),)
    assert (board.target.runtime, board.target.threads) == ("onnxrt", 1)


def test_last_means_as_many_cores_as_threads():
    allowed = sorted(os.sched_getaffinity(0))
    board = parse_board({"target": {"threads": 2}}, name="b")
    assert board.cores == tuple(allowed[-2:])
    assert parse_board({"cores": "all"}, name="b").cores == tuple(allowed)
    assert parse_board({"cores": [0]}, name="b").cores == (0,)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"corse": "last"}, ["unknown key 'corse'", "cores"]),
        ({"target": {"thread": 1}}, ["unknown key 'thread'", "threads"]),
        ({"target": {"runtime": "ncnn", "batch": 2}}, ["takes no such batch", "batch = 2"]),
        ({"target": {"runtime": "tflite"}}, ["unknown runtime", "tflite", "onnxrt"]),
        ({"target": {"threads": "many"}}, ["threads", "many"]),
        ({"target": {"threads": 0}}, ["[target]: threads: must be a number from 1"]),
        ({"protocol": {"rounds": 50}}, ["max_rounds is less than rounds"]),
        ({"protocol": {"energy_s": -1.0}}, ["[protocol]: energy_s: must be a number from 0"]),
        ({"target": {"options": {"arean": True}}}, ["unknown option 'arean'", "arena"]),
        ({"target": {"options": {"optimization": "most"}}}, ["most", "extended"]),
        ({"target": {"options": {"spinning": "no"}}}, ["spinning", "true, false"]),
        ({"target": {"options": {"provider": "Open VINO"}}}, ["Open VINO", "OpenVINO"]),
        ({"target": {"options": {"execution": "parallel"}}}, ["threads = 1", "2 or more"]),
        ({"target": {"options": {"fallback": "refuse"}}}, ["fallback", "other than the CPU"]),
        ({"protocol": {"gate_s": -1}}, ["[protocol]: gate_s: must be a number from 0"]),
        ({"connection": "telepathy"}, ["telepathy", "local"]),
        ({"cores": [4096]}, ["4096", "last"]),
        ({"cores": []}, ["cores cannot be used"]),
        ({"cores": [0, 0]}, ["cores cannot be used", "[0, 0]", "each core once"]),
        ({"connection": "ssh", "host": "h", "cores": [2, 3, 2]}, ["each core once"]),
        ({"cores": "first"}, ["first", "last", "all"]),
    ],
)
def test_what_is_wrong_is_named_with_what_is_possible(data, said):
    with pytest.raises(DeploymentError) as error:
        parse_board(data, name="b")
    assert all(word in str(error.value) for word in said), str(error.value)


def test_options_that_say_the_default_are_the_same_target():
    spelled = {"provider": "CPU", "arena": True, "denormals": "zero", "spinning": False}
    board = parse_board({"target": {"options": spelled}}, name="b")
    assert (
        board.target == parse_board({"target": {"options": {"spinning": False}}}, name="b").target
    )


def test_a_missing_profile_names_its_neighbours():
    with pytest.raises(DeploymentError, match=r"this-machine\.toml"):
        load_board(PROFILES / "nobody.toml")


def test_a_profile_that_only_tells_of_a_kind_of_board_says_so():
    placeholders = [load_board(path).is_placeholder for path in PROFILES.glob("*.toml")]
    assert placeholders.count(False) == 1  # this machine
    assert not parse_board({"connection": "ssh", "host": "pi@pi.local"}, name="b").is_placeholder

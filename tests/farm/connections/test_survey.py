from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

import hwprune_device.frame
from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections import pipe, survey
from tests.farm.connections.test_boot import package

STAND_IN = """
import os, sys
from hwprune_device.frame import write_frame

def main(*packages):
    write_frame(1, {"kind": "survey", "numpy": "numpy" in sys.modules, "pid": os.getpid()})
"""


@pytest.fixture(params=["local", "ssh"])
def board(request):
    if request.param == "local":
        return Board(name="here")
    return request.getfixturevalue("rig").board()


@pytest.fixture
def stand_in(monkeypatch):
    """A device package whose survey is known, sent in the place of ours."""
    data = package(survey=STAND_IN, frame=Path(hwprune_device.frame.__file__).read_text())
    monkeypatch.setattr(pipe, "device_zip", lambda: data)


def test_a_survey_is_one_frame_from_a_bare_python(board, stand_in):
    found = survey(board)
    assert found["kind"] == "survey" and found["numpy"] is False


def test_our_own_survey(board):
    if importlib.util.find_spec("hwprune_device.survey") is None:
        pytest.skip("the device package has no survey yet")
    assert survey(board)


def test_a_board_that_cannot_be_surveyed_is_an_error_with_its_words(board):
    with pytest.raises(BoardError, match=r"No such file|cannot be started|was not found"):
        survey(replace(board, python="/nowhere/python3"))

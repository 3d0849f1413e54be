"""An ONNX Runtime that is older than the network: it is given what it reads, or it is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from hwprune_device.job import Target
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes.onnxrt.versions import (
    least_version,
    lowered,
    newest_format,
    newest_opset,
    refused_opset,
)
from tests.hwprune_device.board import Board, outputs, running
from tests.hwprune_device.chain import WIDTHS, chain, job, name, plan
from tests.venvs import make_venv

OLD = "1.17.3"
REFUSED = (
    "ONNX Runtime only *guarantees* support for models stamped with official released onnx opset "
    "versions. Opset 21 is under development and support for this is limited. Current official "
    "support for domain ai.onnx is till opset 20."
)


def network(opset: int, ir_version: int) -> bytes:
    """The chain as a later exporter writes it."""
    model = onnx.load_model_from_string(chain())
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    model.ir_version = ir_version
    return model.SerializeToString()


def test_a_format_that_is_too_new_is_lowered_and_nothing_else_changed():
    newer = network(18, 10)
    older = onnx.load_model_from_string(lowered(newer, 9))
    assert older.ir_version == 9
    older.ir_version = 10
    assert older == onnx.load_model_from_string(newer)


def test_a_format_that_can_be_read_is_left_alone():
    newer = network(18, 10)
    assert lowered(newer, 10) is newer and lowered(newer, None) is newer


def test_the_format_is_found_wherever_it_lies():
    newer = network(18, 10)
    last = newer[2:] + newer[:2]
    assert onnx.load_model_from_string(lowered(last, 9)).ir_version == 9
    assert lowered(last, 10) is last


def test_the_library_itself_says_which_format_and_opset_it_reads():
    said = "Unsupported model IR version: 127, max supported IR version: 9\n"
    assert newest_format(said) == 9
    assert newest_format("Failed to load model") is None
    words = refused_opset(REFUSED)
    assert "of opset 21" in words and "opsets up to 20" in words
    assert "install ONNX Runtime 1.18 or newer" in words
    assert refused_opset("no node is called Conv") == ""


@pytest.mark.parametrize(
    ("version", "opset"),
    [("1.17.3", 20), ("1.18.0", 21), ("1.19.2", 21), ("1.15.1", 19), ("1.31.1", 26)],
)
def test_what_a_version_reads_is_known(version, opset):
    assert newest_opset(version) == opset


def test_of_versions_to_come_and_long_gone_nothing_is_said():
    assert newest_opset("1.999.0") is newest_opset("1.2.0") is newest_opset("2.0") is None
    assert least_version(999).startswith("newer than 1.")
    assert (least_version(20), least_version(24)) == ("1.17 or newer", "1.24 or newer")


def test_the_installed_version_reads_what_is_said_of_it():
    newest = newest_opset(onnxruntime.__version__)
    if newest is None:
        pytest.skip(f"nothing is known of ONNX Runtime {onnxruntime.__version__}")
    with pytest.raises(Exception, match=f"is till opset {newest}\\."):
        onnxruntime.InferenceSession(network(newest + 1, 8), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def old_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board with an ONNX Runtime of its own, older than the head's."""
    folder = tmp_path_factory.mktemp("old") / "venv"
    python: Path = make_venv(folder, f"onnxruntime=={OLD}", "numpy<2", "onnx")
    with running(python=str(python)) as board:
        assert board.hello.header["runtimes"]["onnxrt"]["version"] == OLD
        yield board


@pytest.mark.heavy
@pytest.mark.parametrize("opset", [18, 20])
def test_an_old_board_measures_and_runs_a_network_of_a_newer_format(old_board, opset):
    model = network(opset, 10)
    old_board.place(model, plan(), f"chain{opset}")
    work = {**job([WIDTHS]).to_json(), "base_id": f"chain{opset}"}
    old_board.send({"kind": "measure", "job": work})
    answer = old_board.answer()
    assert answer.kind == "outcome" and isinstance(
        Reading.from_json(answer.header["reading"]), Reading
    )
    while old_board.answer().kind != "done":
        pass
    inputs = np.ones((1, 3, 16, 16), np.float32)
    (output,) = outputs(old_board.run(model, [inputs], Target()))
    expected = onnxruntime.InferenceSession(model).run(None, {"x": inputs})[0]
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.heavy
def test_an_old_board_says_which_version_a_later_opset_needs(old_board):
    old_board.place(network(21, 10), plan(), "chain")
    outcome = old_board.measure(job([WIDTHS]))[name(WIDTHS)]
    assert isinstance(outcome, Failure)
    assert "the network is of opset 21" in outcome.message
    assert "install ONNX Runtime 1.18 or newer on the board" in outcome.message

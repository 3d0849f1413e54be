"""A farm with a TensorRT board: readings on its clock, and the engine it built."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hwprune.board import load_board
from hwprune.candidate import Candidate
from hwprune.errors import BoardError
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from tests.doubles.scripted_tensorrt.plan import Plan
from tests.farm.base import base_network
from tests.hwprune_device.runtimes.trt import troubled_jetson as troubled
from tests.jetsons import QUICK, TROUBLED, jetson_profile

INPUTS = np.random.default_rng(0).standard_normal((3, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("orin")
    options = 'latency = "device"\nbuild_timeout_s = 1'
    profile = jetson_profile(folder, options=options, protocol=QUICK, program=TROUBLED)
    store = ReadingStore(folder / "readings.sqlite")
    farm = Farm([load_board(profile)], store)
    farm.start()
    farm.place(base_network())
    yield farm
    farm.close()
    store.close()


def test_who_gets_into_trouble_does_so_alone(farm: Farm):
    firsts = (8, troubled.BREAKS, troubled.STARVES, 4)
    futures = farm.measure([Candidate(widths=(first, 8, 8)) for first in firsts])
    outcomes = [future.result(timeout=120) for future in futures]
    stages = [o.stage if isinstance(o, Failure) else "" for o in outcomes]
    assert stages == ["", "crash", "memory", ""]
    for reading in (outcomes[0], outcomes[3]):
        assert isinstance(reading, Reading) and reading.clock == "device"
        assert reading.interval_source.startswith("spread between batches of 1")


def test_the_engine_is_the_one_that_gave_the_outputs(farm: Farm):
    model = base_network().onnx
    (output,) = farm.run_network(model, [INPUTS])
    found = farm.engine(model, [INPUTS])
    assert found is not None
    board, engine = found
    assert board == "orin"
    assert engine.facts["sha256"] == engine.sha256
    assert engine.facts["build"]["cached"] is True
    (again,) = OnnxRuntime().run_network(Plan.from_bytes(engine.files["engine"]).model, [INPUTS])
    np.testing.assert_allclose(again, output, rtol=1e-3, atol=1e-5)


def test_a_network_without_an_engine_is_a_board_error(farm: Farm):
    with pytest.raises(BoardError, match="cannot give the network's engine"):
        farm.engine(b"no network", [INPUTS])


def test_a_board_that_was_lost_gives_the_engine_when_it_is_back(farm: Farm, tmp_path: Path):
    model = base_network().onnx
    before = farm.engine(model, [INPUTS])
    os.kill(_supervisor(tmp_path), signal.SIGKILL)
    after = farm.engine(model, [INPUTS])
    assert before is not None and after is not None
    assert before[1].files == after[1].files


def _supervisor(folder: Path) -> int:
    """The process that is the scripted board."""
    import psutil

    (found,) = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if TROUBLED in (words := process.info["cmdline"] or [])
        and "--owner" in words
        and os.getpgid(process.pid) == process.pid
        and str(folder.parent) in " ".join(words)
    ]
    return int(found)

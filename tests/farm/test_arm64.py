"""The board side in an ARM64 user land: what it does there, and that its times count for nothing.

Needs HWPRUNE_ARM64_PYTHON, a Python of such a user land that runs here; `tests/arm64_root.sh`
builds one. With an emulator every start takes ten seconds or more.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from hwprune.board import Board, this_machine
from hwprune.cli.app import app
from hwprune.errors import BoardError
from hwprune.farm.farm import Farm
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.session import BoardSession
from hwprune.farm.store import ReadingStore
from hwprune_device.job import Job, Target
from hwprune_device.lease import lease
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes import make_runtime
from tests.farm.base import base_network
from tests.farm.connections.contract import ConnectionContract, await_end, hello
from tests.farm.connections.ssh_rig import SshRig, why_no_rig
from tests.hwprune_device.chain import QUICK, job

PYTHON = os.environ.get("HWPRUNE_ARM64_PYTHON", "")
BOARD = Board(name="arm64", kind="arm64", python=PYTHON, protocol=QUICK)
DOUBT = "this board is emulated: its times say nothing about hardware"
PLAIN = Target(options={"optimization": "basic"})
"""Without layouts of the processor's own, which pad channels."""
CRASHES, HANGS = 11, 10
TROUBLE = f"""
import ctypes, sys, time
import onnx, onnxruntime
build = onnxruntime.InferenceSession

def session(model, *rest, **more):
    weights = onnx.load_model_from_string(model).graph.initializer
    width = next((w.dims[0] for w in weights if w.name == "w0"), 0)
    if width == {CRASHES}:
        ctypes.string_at(0)
    if width == {HANGS}:
        time.sleep(600)
    return build(model, *rest, **more)

onnxruntime.InferenceSession = session
text, sys.argv = sys.argv[3], ["-c", *sys.argv[4:]]
exec(text, {{"__name__": "__main__"}})
"""
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        not PYTHON,
        reason="HWPRUNE_ARM64_PYTHON names no Python of an ARM64 user land; "
        "tests/arm64_root.sh builds one",
    ),
]


def job_of(*widths: tuple[int, ...], target: Target = BOARD.target, **protocol) -> Job:
    base = base_network()
    work = job(widths, target=target, protocol=replace(QUICK, **protocol))
    return replace(work, base_id=base.base_id, base_architecture=base.architecture)


def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((5, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def session():
    with BoardSession(BOARD) as session:
        yield session


@pytest.fixture(scope="module")
def here():
    with BoardSession(replace(this_machine(), protocol=QUICK)) as session:
        yield session


class TestConnection(ConnectionContract):
    @pytest.fixture
    def board(self):
        return BOARD


def test_it_says_that_it_is_an_emulated_arm_on_the_last_core(session):
    said = session.open()
    assert said.fingerprint["machine"] == "aarch64"
    assert said.fingerprint["emulated"] is True
    assert said.cores == tuple(sorted(os.sched_getaffinity(0))[-1:])
    assert "CPUExecutionProvider" in said.runtimes["onnxrt"]["providers"]


def test_every_reading_is_doubted_and_a_store_serves_none(session, tmp_path):
    batch = session.measure(job_of((8, 8, 8), (4, 8, 8), (99, 1, 1)), base_network())
    *readings, wrong = batch.outcomes
    assert isinstance(wrong, Failure) and wrong.stage == "cut"
    store = ReadingStore(tmp_path / "readings.sqlite")
    for reading in readings:
        assert isinstance(reading, Reading), reading
        assert DOUBT in reading.doubts
        key = ReadingKey(
            architecture=reading.architecture,
            target_key="{}",
            conditions_key=session.conditions_key,
        )
        store.add(key, reading)
        assert store.get(key) is None and store.readings(key) == [reading]
    store.close()


@pytest.mark.parametrize(
    ("target", "widths"),
    [(PLAIN, (16, 32, 32)), (PLAIN, (8, 8, 8)), (PLAIN, (5, 7, 9)), (Target(), (16, 32, 32))],
)
def test_memory_is_what_it_is_on_this_machine(session, here, target, widths):
    work = job_of(widths, target=target)
    (far,) = session.measure(work, base_network()).outcomes
    (near,) = here.measure(work, base_network()).outcomes
    assert isinstance(far, Reading) and isinstance(near, Reading), (far, near)
    assert far.memory.weights_mb == near.memory.weights_mb
    assert far.memory.activations_mb == near.memory.activations_mb


def test_outputs_are_those_of_this_machine(session, here):
    (far,) = session.run_network(base_network().onnx, [images()])
    (near,) = here.run_network(base_network().onnx, [images()])
    assert np.abs(far - near).max() < 1e-4


def test_networks_that_crash_or_hang_cost_nobody_else_a_reading(tmp_path):
    python = tmp_path / "python3"
    python.write_text(
        "#!/bin/sh\nexport OPENBLAS_NUM_THREADS=1\n"
        f'exec {shlex.quote(PYTHON)} -B -c {shlex.quote(TROUBLE)} "$@"\n'
    )
    python.chmod(0o755)
    with BoardSession(replace(BOARD, python=str(python))) as session:
        work = job_of((8, 8, 8), (CRASHES, 8, 8), (HANGS, 8, 8), (4, 8, 8), timeout_s=10.0)
        outcomes = session.measure(work, base_network()).outcomes
        assert session.run_network(base_network().onnx, [images()])[0].shape == (5, 10)
    assert [getattr(o, "stage", "read") for o in outcomes] == ["read", "crash", "timeout", "read"]
    assert "SIGSEGV" in outcomes[1].message


def test_a_supervisor_that_was_left_behind_is_ended_by_its_owners_next_one():
    first, second = BoardSession(BOARD, owner="arm64"), BoardSession(BOARD, owner="arm64")
    pid = hello(first._connection).header["pid"]
    assert second.open().previous == "running"
    await_end(pid)
    second.close()
    first.close()


def test_it_takes_turns_with_supervisors_of_this_machine(session):
    session.measure(job_of((8, 8, 8)), base_network())
    held, released = threading.Event(), 0.0

    def hold() -> None:
        nonlocal released
        with lease(session.open().cores, lambda _: None):
            held.set()
            time.sleep(8.0)
            released = time.monotonic()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    batch = session.measure(job_of((8, 8, 8)), base_network())
    assert isinstance(batch.outcomes[0], Reading)
    assert released and time.monotonic() > released
    holder.join()


def test_by_ssh_it_is_the_same_board(session, tmp_path):
    if why_no_rig():
        pytest.skip(f"no ssh server can be started here: {why_no_rig()}")
    rig = SshRig(tmp_path)
    try:
        with BoardSession(rig.board("arm64", python=PYTHON)) as far:
            assert far.open().fingerprint["emulated"] is True
            assert far.conditions_key == session.conditions_key
            outcomes = far.measure(job_of((8, 8, 8), (4, 8, 8)), base_network()).outcomes
            assert all(isinstance(outcome, Reading) for outcome in outcomes)
            (output,) = far.run_network(base_network().onnx, [images()])
        (again,) = session.run_network(base_network().onnx, [images()])
        assert np.array_equal(output, again)
    finally:
        rig.close()


def test_measure_refuses_it_in_words(tmp_path):
    network = tmp_path / "chain.onnx"
    network.write_bytes(base_network().onnx)
    profile = tmp_path / "arm64.toml"
    profile.write_text(f'connection = "local"\npython = "{PYTHON}"\n')
    done = CliRunner().invoke(app, ["measure", str(network), "--board", str(profile)])
    assert done.exit_code == 4, done.output
    assert "board 'arm64' is emulated: its times say nothing about hardware" in done.stderr
    assert "ms" not in done.stdout


def test_a_farm_refuses_it(tmp_path):
    store = ReadingStore(tmp_path / "readings.sqlite")
    farm = Farm([BOARD], store)
    with pytest.raises(BoardError, match="is emulated"):
        farm.start()
    farm.close()
    store.close()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_ncnn_converts_runs_and_weighs_networks_there(precision):
    board = replace(BOARD, target=Target(runtime="ncnn", precision=precision))
    with BoardSession(board) as session:
        work = job_of((16, 32, 32), (8, 8, 8), target=board.target)
        whole, cut = session.measure(work, base_network()).outcomes
        (found,) = session.run_network(base_network().onnx, [images()])
    assert isinstance(whole, Reading) and isinstance(cut, Reading), (whole, cut)
    assert whole.memory.peak_mb > cut.memory.peak_mb > 0
    (wanted,) = make_runtime("onnxrt").run_network(base_network().onnx, [images()])
    off = 1e-5 if precision == "fp32" else 1e-2
    assert np.abs(found - wanted).max() <= off * np.abs(wanted).max()

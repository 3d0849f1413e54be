"""A session with a real supervisor, without Ray: readings, faults, and the way back."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from hwprune.board import Board, this_machine
from hwprune.channels.base import make_base
from hwprune.errors import BoardError
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.connections.local import LocalConnection
from hwprune.farm.session import BoardSession
from hwprune_device.frame import encode
from hwprune_device.job import Job, Protocol, Target
from hwprune_device.reading import Failure, Reading
from tests.farm.base import base_network
from tests.hwprune_device.chain import QUICK, chain, job, name
from tests.hwprune_device.networks import (
    LENGTH,
    WIDTH,
    heard_and_read,
    heard_and_read_inputs,
    numbers,
    rows,
    signals,
    with_mean,
)

BOARD = replace(this_machine(), protocol=QUICK)
SLOW = Protocol(rounds=10**6, max_rounds=10**6, cap_s=2.0)


def job_of(*widths, protocol: Protocol = QUICK) -> Job:
    base = base_network()
    return replace(
        job(widths, protocol=protocol), base_id=base.base_id, base_architecture=base.architecture
    )


class Counting(LocalConnection):
    """A connection that counts the bytes which go to the board."""

    sent = 0

    def send(self, header, body=b"") -> None:
        self.sent += len(encode(header, body))
        super().send(header, body)


@pytest.fixture(scope="module")
def session():
    with BoardSession(BOARD) as session:
        yield session


def test_the_board_runs_from_a_zip_on_its_own_cores(session):
    hello = session.open()
    assert hello.cores == BOARD.cores
    assert len(session.conditions_key) == 64
    with BoardSession(BOARD) as other:
        assert other.conditions_key == session.conditions_key


def test_outcomes_come_in_the_order_of_the_job(session):
    batch = session.measure(job_of((8, 8, 8), (99, 1, 1), (4, 8, 8)), base_network())
    kinds = [type(outcome) for outcome in batch.outcomes]
    assert kinds == [Reading, Failure, Reading]
    assert [o.architecture for o in batch.outcomes] == ["8x8x8", "99x1x1", "4x8x8"]
    assert batch.timings["wall_s"] > batch.timings["time_s"] > 0


def test_a_job_without_candidates_is_a_reading_of_the_base(session):
    (reading,) = session.measure(job_of(), base_network()).outcomes
    assert reading.architecture == base_network().architecture


def test_a_network_runs_with_its_own_weights(session):
    inputs = np.random.default_rng(0).standard_normal((3, 3, 16, 16)).astype(np.float32)
    (output,) = session.run_network(base_network().onnx, [inputs])
    assert output.shape == (3, 10)
    with pytest.raises(BoardError, match="cannot run the network"):
        session.run_network(b"no network", [inputs])
    (again,) = session.run_network(base_network().onnx, [inputs])
    assert np.array_equal(again, output)


@pytest.mark.parametrize("runtime", ["onnxrt", pytest.param("torch", marks=pytest.mark.heavy)])
def test_networks_of_several_inputs_are_measured_and_run(runtime: str):
    """A signal N x C x L and words N x L; a signal alone; rows N x L."""
    target = Target(runtime=runtime, options={"device": "cpu"} if runtime == "torch" else {})
    taken = heard_and_read_inputs(3)
    models = {
        heard_and_read(names=("scores", "likeliest")): taken,
        signals(): taken[:1],
        rows(): [numbers(3, LENGTH)],
    }
    with BoardSession(replace(BOARD, target=target)) as session:
        for model, inputs in models.items():
            base = make_base(model)
            assert base.widths == (WIDTH,)
            work = job([(WIDTH // 2,), (WIDTH,)], widths=base.widths, target=target)
            half, whole = session.measure(replace(work, base_id=base.base_id), base).outcomes
            assert isinstance(half, Reading) and isinstance(whole, Reading), (half, whole)
            assert half.memory.weights_mb < whole.memory.weights_mb
            found = session.run_network(model, inputs)
            direct = onnxruntime.InferenceSession(model)
            names = [entry.name for entry in direct.get_inputs()]
            wanted = direct.run(None, dict(zip(names, inputs, strict=True)))
            for one, other in zip(found, wanted, strict=True):
                assert one.dtype == other.dtype
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", ["onnxrt", pytest.param("torch", marks=pytest.mark.heavy)])
def test_a_board_profiles_a_network_that_it_is_sent_for_it(runtime: str):
    target = Target(runtime=runtime, options={"device": "cpu"} if runtime == "torch" else {})
    with BoardSession(replace(BOARD, target=target)) as session:
        parts = session.profile(base_network())
        assert not isinstance(parts, str) and {"w0", "w1", "w2"} <= {p.layer for p in parts}
        assert session.profile(base_network())


def test_a_network_that_cannot_be_profiled_is_a_board_error(session):
    model = heard_and_read(batch=2)
    with pytest.raises(BoardError, match=r"(?s)cannot profile.*fixed batch of 2"):
        session.profile(make_base(model))


def bytes_to_run(session: BoardSession, connection: Counting, inputs: list[np.ndarray]) -> int:
    """What goes to the board for one run of the base network."""
    before = connection.sent
    (output,) = session.run_network(base_network().onnx, inputs)
    assert output.shape == (len(inputs[0]), 10)
    return connection.sent - before


def test_a_network_is_sent_once_for_many_runs_and_again_to_a_new_supervisor():
    connection, inputs = Counting(BOARD), [np.ones((2, 3, 16, 16), np.float32)]
    model, around = len(base_network().onnx), inputs[0].nbytes + 1000
    with BoardSession(BOARD, connection) as session:
        assert bytes_to_run(session, connection, inputs) > model
        assert bytes_to_run(session, connection, inputs) < around < model
        session.run_network(chain((8, 8, 8)), inputs)
        assert bytes_to_run(session, connection, inputs) > model
        os.kill(connection.pid, signal.SIGKILL)
        with pytest.raises(BoardError, match="was lost while it ran a network"):
            session.run_network(base_network().onnx, inputs)
        assert bytes_to_run(session, connection, inputs) > model
        # A supervisor that came without the session's knowledge says that it has no such network.
        connection.close()
        connection.open()
        assert connection.receive(30).kind == "hello"
        assert bytes_to_run(session, connection, inputs) > model + inputs[0].nbytes
        assert bytes_to_run(session, connection, inputs) < around


def test_what_cannot_be_put_together_names_the_output(session):
    with pytest.raises(BoardError, match="output 'mean' of shape"):
        session.run_network(with_mean(batch=2), [numbers(3, LENGTH)])
    with pytest.raises(ValueError, match="array 0 holds"):
        session.run_network(rows(), [np.array(["words"])])


def kill_at_work(session: BoardSession, supervisor: int) -> None:
    """Kill a supervisor once it has said that it times both candidates."""
    while len(session._at_work) < 2:
        time.sleep(0.01)
    os.kill(supervisor, signal.SIGKILL)


def test_a_supervisor_that_is_killed_is_a_loss_that_names_who_was_at_work():
    connection = LocalConnection(BOARD)
    with BoardSession(BOARD, connection) as session:
        first = connection.pid
        killer = threading.Thread(target=kill_at_work, args=(session, first))
        killer.start()
        batch = session.measure(job_of((8, 8, 8), (4, 8, 8), protocol=SLOW), base_network())
        killer.join()
        assert [outcome.stage for outcome in batch.outcomes] == ["lost", "lost"]
        assert batch.loss is not None and set(batch.loss.at_work) == {"8x8x8", "4x8x8"}
        again = session.measure(job_of((8, 8, 8)), base_network())
        assert isinstance(again.outcomes[0], Reading) and again.loss is None
        assert connection.pid != first


def test_a_board_that_dies_every_time_gives_failures_and_not_errors(tmp_path):
    path = tmp_path / "dying.py"
    path.write_text(
        "import os, sys, threading\n"
        "from hwprune_device.__main__ import main\n"
        "import hwprune_device.supervisor as s\n"
        "s.BatchRun = lambda *a, **k: os._exit(7)\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    devices = os.path.dirname(os.path.dirname(sys.modules["hwprune_device"].__file__))
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {devices!r}); "]
    command[-1] += f"exec(open({str(path)!r}).read())"
    with BoardSession(BOARD, LocalConnection(BOARD, command)) as session:
        batch = session.measure(job_of((8, 8, 8)), base_network())
    (failure,) = batch.outcomes
    assert isinstance(failure, Failure)
    assert (failure.stage, failure.architecture) == ("lost", name((8, 8, 8)))


def test_a_python_that_cannot_run_the_supervisor_is_told_with_its_last_words():
    command = [sys.executable, "-c", "raise SystemExit('no numpy on this board')"]
    with pytest.raises(BoardError, match="no numpy on this board"):
        BoardSession(BOARD, LocalConnection(BOARD, command)).open()
    nobody = Board(name="b", python="/nowhere/python3")
    with pytest.raises(BoardError, match="cannot be started"):
        BoardSession(nobody).open()


def bytes_to_measure(board: Board) -> int:
    """What a session that is new sends to the board for one reading."""
    connection = Counting(board)
    with BoardSession(board, connection) as session:
        (reading,) = session.measure(job_of((8, 8, 8)), base_network()).outcomes
        assert isinstance(reading, Reading)
    return connection.sent


def test_a_network_is_sent_once_for_all_supervisors_and_again_when_it_was_damaged(tmp_path):
    board, weights = replace(BOARD, cache=str(tmp_path)), len(base_network().onnx) / 2
    first, second = bytes_to_measure(board), bytes_to_measure(board)
    assert first > weights and second < weights / 5
    (kept,) = (tmp_path / "bases").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert bytes_to_measure(board) > weights
    assert bytes_to_measure(board) == second
    assert bytes_to_measure(replace(board, cache_mb=0.0)) == first
    assert list((tmp_path / "bases").iterdir()) == []


def test_another_protocol_is_refused():
    code = (
        "import os, json, struct\n"
        "t = json.dumps({'kind': 'hello', 'protocol': 99}).encode()\n"
        "os.write(1, struct.pack('>I', len(t)) + t + struct.pack('>Q', 0)); input()"
    )
    connection = LocalConnection(BOARD, [sys.executable, "-c", code])
    with pytest.raises(BoardError, match="another protocol"):
        BoardSession(BOARD, connection).open()
    connection.close()


def test_a_silent_supervisor_is_lost_after_the_time_it_was_given():
    connection = LocalConnection(BOARD)
    connection.open()
    connection.receive(30)
    os.kill(connection.pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(ConnectionLostError, match="silent"):
        connection.receive(0.3)
    assert time.monotonic() - start < 2
    os.kill(connection.pid, signal.SIGCONT)
    connection.close()


def test_nothing_of_the_shell_reaches_the_board(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    connection = LocalConnection(BOARD)
    connection.open()
    connection.receive(30)
    with open(f"/proc/{connection.pid}/environ") as file:
        environment = file.read()
    connection.close()
    assert "/nowhere" not in environment and "OMP_NUM_THREADS=7" not in environment


@pytest.mark.heavy
def test_a_board_that_runs_networks_as_torch():
    """From the zip in memory, as on any board."""
    target = Target(runtime="torch", options={"device": "cpu"})
    with BoardSession(replace(BOARD, target=target)) as session:
        assert session.open().runtimes["torch"]["name"] == "torch"
        work = replace(job_of((8, 16, 16), base_network().widths), target=target)
        half, whole = session.measure(work, base_network()).outcomes
        assert isinstance(half, Reading) and isinstance(whole, Reading), (half, whole)
        assert half.memory.weights_mb < whole.memory.weights_mb
        images = np.random.default_rng(1).standard_normal((3, 3, 16, 16)).astype(np.float32)
        (output,) = session.run_network(base_network().onnx, [images])
    expected = onnxruntime.InferenceSession(base_network().onnx).run(None, {"x": images})[0]
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)

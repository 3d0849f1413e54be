"""A supervisor over real frames: what a head gets when all goes well."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from hwprune_device import PROTOCOL
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Failure, Reading
from tests.hwprune_device.board import ROOT, Board, outputs, run_frame, running
from tests.hwprune_device.chain import QUICK, WIDTHS, chain, job, name, plan


@pytest.fixture(scope="module")
def board():
    with running() as board:
        board.place(chain(), plan())
        yield board


def test_hello_says_what_the_board_is(board: Board):
    hello = board.hello.header
    assert hello["protocol"] == PROTOCOL
    assert hello["runtimes"]["onnxrt"]["version"] == onnxruntime.__version__
    assert hello["cores"] == [sorted(os.sched_getaffinity(0))[-1]]
    assert hello["fingerprint"]["governor"]


def test_candidates_get_readings_that_rank_as_their_work_does(board: Board):
    small, large = (4, 8, 8), (16, 32, 32)
    outcomes = board.measure(job([small, large], protocol=Protocol(rounds=20)))
    first, second = outcomes[name(small)], outcomes[name(large)]
    assert isinstance(first, Reading) and isinstance(second, Reading)
    assert first.ratio < 0.7
    assert second.ratio == pytest.approx(1.0, abs=0.1)
    assert first.low_ms < first.latency_ms < first.high_ms
    assert first.memory.weights_mb < second.memory.weights_mb
    assert len(first.runs_ms) == len(first.base_ms) >= 20
    assert first.conditions["order_seed"] == second.conditions["order_seed"]


def test_a_calibrated_base_sets_the_scale(board: Board):
    wanted_job = replace(job([WIDTHS], base_nominal_ms=100.0), base_calm_ms=100.0)
    reading = board.measure(wanted_job)[name(WIDTHS)]
    assert isinstance(reading, Reading)
    assert reading.latency_ms == pytest.approx(100.0 * reading.ratio)
    assert any("off its calm time" in doubt for doubt in reading.doubts)


def test_a_job_without_candidates_measures_the_base_beside_itself(board: Board):
    (reading,) = board.measure(job([], protocol=Protocol())).values()
    assert isinstance(reading, Reading)
    assert reading.architecture == name(WIDTHS)
    assert reading.ratio == pytest.approx(1.0, abs=0.15)


def test_a_wrong_width_is_a_failure_of_that_candidate_alone(board: Board):
    outcomes = board.measure(job([(99, 8, 8), (8, 8, 8)]))
    wrong = outcomes[name((99, 8, 8))]
    assert isinstance(wrong, Failure)
    assert wrong.stage == "cut"
    assert isinstance(outcomes[name((8, 8, 8))], Reading)


def test_the_batch_of_a_target_is_what_the_network_runs_at(board: Board):
    one = board.measure(job([WIDTHS]))[name(WIDTHS)]
    many = board.measure(job([WIDTHS], target=Target(batch=8)))[name(WIDTHS)]
    assert isinstance(one, Reading) and isinstance(many, Reading)
    assert many.memory.activations_mb == pytest.approx(8 * one.memory.activations_mb, rel=0.05)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(precision="int8"), "fp32"),
        (Target(options={"optimisation": "all"}), "optimization"),
    ],
)
def test_a_target_the_runtime_cannot_do_is_named(board: Board, target: Target, said: str):
    (outcome,) = board.measure(job([WIDTHS], target=target)).values()
    assert isinstance(outcome, Failure)
    assert said in outcome.message


def test_a_real_network_runs_with_its_own_weights(board: Board):
    inputs = np.random.default_rng(1).standard_normal((5, 3, 16, 16)).astype(np.float32)
    (output,) = outputs(board.run(chain(), [inputs], Target()))
    expected = onnxruntime.InferenceSession(chain()).run(None, {"x": inputs})[0]
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_the_last_network_need_not_be_sent_again(board: Board):
    inputs = np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32)
    (first,) = outputs(board.run(chain(), [inputs], Target()))
    head, body = run_frame(chain(), [inputs], Target())
    alone = {**head, "model_bytes": 0}, body[len(chain()) :]
    board.send(*alone)
    (again,) = outputs(board.answer())
    assert np.array_equal(first, again)
    # Only the last is kept, and one that is not here has to be sent.
    board.run(chain((8, 8, 8)), [inputs], Target())
    board.send(*alone)
    answer = board.answer()
    assert (answer.kind, answer.header["model_id"]) == ("unknown_model", head["model_id"])


def test_a_network_that_is_not_the_one_that_was_announced_is_refused(board: Board):
    head, body = run_frame(chain(), [np.zeros((1, 3, 16, 16), np.float32)], Target())
    board.send(head, body[:1000] + b"?" + body[1001:])
    assert "was announced as" in board.answer().header["message"]


def test_requests_without_sense_are_answered_and_survived(board: Board):
    board.send({"kind": "dance"})
    assert board.answer().kind == "error"
    board.send({"kind": "place", "base_id": "broken", "plan": plan().to_json()}, b"no zlib")
    assert board.answer().kind == "error"
    head, body = run_frame(b"none", [np.zeros(1, np.float32)], Target())
    board.send(head, body)
    assert "run" in board.answer().header["message"]
    board.send({**head, "kind": "engine"}, body)
    assert "runtime 'onnxrt' makes no engines" in board.answer().header["message"]
    for wrong in ({"arrays": []}, {"model_bytes": 3}, {"target": {"runtime": "abacus"}}):
        board.send({**head, **wrong}, body)
        assert board.answer().kind == "error"
    assert "onnxrt" not in board.hello.header["engines"]
    unplaced = {**job([WIDTHS]).to_json(), "base_id": "elsewhere"}
    board.send({"kind": "measure", "job": unplaced})
    assert board.answer().kind == "unknown_base"
    assert isinstance(board.measure(job([WIDTHS]))[name(WIDTHS)], Reading)


def test_two_boards_on_the_same_core_take_turns(board: Board):
    with running() as other:
        other.place(chain(), plan())
        long = job([(8, 8, 8)], protocol=Protocol(rounds=400, max_rounds=400))
        board.send({"kind": "measure", "job": long.to_json()})
        time.sleep(0.1)
        other.measure(job([(8, 8, 8)], protocol=QUICK))
        ended = time.monotonic()
        frames = [board.answer(), board.answer()]
        assert [frame.kind for frame in frames] == ["outcome", "done"]
        # The other waited for the core, so the long job's frames were there when it had ended.
        assert time.monotonic() - ended < 0.5


def test_a_child_dies_with_its_head():
    with running() as board:
        board.place(chain(), plan())
        endless = job([(8, 8, 8)], protocol=Protocol(rounds=10**6, max_rounds=10**6))
        board.send({"kind": "measure", "job": endless.to_json()})
        time.sleep(0.5)
        children = _children(board.process.pid)
        assert len(children) == 1
        board.process.kill()
        board.process.wait()
        due = time.monotonic() + 5
        while _alive(children[0]) and time.monotonic() < due:
            time.sleep(0.02)
        assert not _alive(children[0])


def test_the_package_needs_numpy_and_onnx_alone():
    code = (
        "import sys, pkgutil, importlib, hwprune_device\n"
        "class Only:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.split('.')[0]\n"
        "        if top in ('torch', 'ray', 'onnxruntime', 'ncnn', 'psutil', 'pydantic',"
        "                   'hwprune'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Only())\n"
        "for m in pkgutil.walk_packages(hwprune_device.__path__, 'hwprune_device.'):\n"
        "    room, _, file = m.name.removeprefix('hwprune_device.runtimes.').partition('.')\n"
        "    needs = {'onnxrt': ('runtime', 'session'), 'ncnn': ('net', 'network'),\n"
        "             'torchrt': ('allocations', 'modes', 'module', 'network', 'parts',"
        "                         'process')}\n"
        "    heavy = file in needs.get(room, ()) or '.torch_graph' in m.name\n"
        "    heavy = heavy or m.name.endswith('.__main__')\n"
        "    if not heavy: importlib.import_module(m.name)\n"
        "from hwprune_device.runtimes import available; print(sorted(available()[0]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "devices")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False

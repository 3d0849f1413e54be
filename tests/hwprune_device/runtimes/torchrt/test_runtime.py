"""Torch on the CPU: ONNX Runtime's outputs, and nothing of it where it is not asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from hwprune_device.job import Protocol, Target
from hwprune_device.measurement.fork import Watch, run_in_child
from hwprune_device.output_structure import record_structure
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes import make_runtime
from hwprune_device.runtimes.registry import patience_s
from hwprune_device.runtimes.torchrt.options import TORCH
from hwprune_device.runtimes.torchrt.runtime import TorchRuntime
from tests.hwprune_device.board import ROOT, Board, outputs, running
from tests.hwprune_device.chain import WIDTHS, chain, job, name, plan
from tests.hwprune_device.measurement.test_batch import endless_below

IMAGES = np.random.default_rng(1).standard_normal((5, 3, 16, 16)).astype(np.float32)
HALF = (8, 16, 16)


def target(threads: int = 1, precision: str = "fp32", batch: int = 1, **options) -> Target:
    options = {"device": "cpu", **options}
    return Target(
        runtime="torch", threads=threads, precision=precision, batch=batch, options=options
    )


def by_onnxruntime(model: bytes, images: np.ndarray = IMAGES) -> np.ndarray:
    return onnxruntime.InferenceSession(model).run(None, {"x": images})[0]


@pytest.fixture(scope="module")
def board():
    with running() as board:
        board.place(chain(), plan())
        yield board


def test_candidates_get_readings_that_rank_as_their_work_does(board: Board):
    outcomes = board.measure(job([HALF, WIDTHS], target=target(), protocol=Protocol(rounds=15)))
    half, whole = outcomes[name(HALF)], outcomes[name(WIDTHS)]
    assert isinstance(half, Reading) and isinstance(whole, Reading), outcomes
    assert half.ratio < 0.9 * whole.ratio
    assert half.clock in ("wall", "thread_cpu")
    assert half.target["runtime"] == "torch" and half.target["name"] == "torch"
    assert half.conditions["torch_device"] == "cpu" and half.conditions["outputs_finite"] is True


def test_weights_are_the_file_s_bytes_and_activations_what_one_run_holds(board: Board):
    outcomes = board.measure(job([WIDTHS], target=target(batch=4)))
    memory = outcomes[name(WIDTHS)].memory
    weights = (16 * 27 + 32 * 144 + 32 * 288 + 320) * 4
    assert memory.weights_mb == pytest.approx(weights / 1e6)
    # A convolution's output and that of its ReLU live side by side, in two maps of 32 channels.
    two_maps = 2 * 4 * 32 * 256 * 4
    assert two_maps / 1e6 <= memory.activations_mb <= 1.7 * two_maps / 1e6


@pytest.mark.parametrize("precision", ["fp16", pytest.param("bf16", marks=pytest.mark.heavy)])
def test_half_precision_halves_the_weights(board: Board, precision: str):
    full = board.measure(job([WIDTHS], target=target()))[name(WIDTHS)]
    half = board.measure(job([WIDTHS], target=target(precision=precision)))[name(WIDTHS)]
    assert isinstance(half, Reading), half
    assert half.memory.weights_mb == pytest.approx(full.memory.weights_mb / 2)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (target(precision="int8"), "possible: fp32, tf32, fp16, bf16"),
        (target(precision="tf32"), "number type of GPUs"),
        (target(mode="graph"), "eager"),
        (target(mode="cuda_graph"), "needs a GPU"),
        (target(optimization="all"), "unknown option 'optimization'"),
    ],
)
def test_a_target_that_torch_cannot_do_is_named(board: Board, wanted: Target, said: str):
    (outcome,) = board.measure(job([WIDTHS], target=wanted)).values()
    assert isinstance(outcome, Failure)
    assert said in outcome.message


def test_an_operator_that_torch_s_side_lacks_is_named(board: Board):
    board.place(*endless_below(4), base_id="endless")
    work = replace(job([WIDTHS], target=target()), base_id="endless")
    (outcome,) = board.measure(work).values()
    assert isinstance(outcome, Failure)
    assert "cannot be rebuilt in torch: op Loop" in outcome.message


def test_a_gpu_that_is_not_there_is_a_failure_and_no_reading_of_the_cpu(board: Board):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that torch can use")
    (outcome,) = board.measure(job([WIDTHS], target=target(device="cuda"))).values()
    assert isinstance(outcome, Failure)
    assert "CUDA does not start here" in outcome.message


@pytest.mark.parametrize(
    "options",
    [{}, {"channels_last": True}, {"fold_batchnorm": False}],
    ids=["plain", "channels_last", "unfolded"],
)
def test_outputs_are_onnx_runtime_s(options: dict):
    model = with_batchnorm(chain())
    (output,) = TorchRuntime().run_network(model, [IMAGES], target(**options))
    np.testing.assert_allclose(output, by_onnxruntime(model), rtol=1e-4, atol=1e-4)


def arranged(model: bytes) -> bytes:
    """A network whose module gives a dict, in which its only output is nested."""
    proto = onnx.load_model_from_string(model)
    record_structure(proto, {"dict": [["none", None], ["found", {"list": [{}]}]]})
    return proto.SerializeToString()


def test_a_network_that_gives_a_dict_is_measured_and_gives_its_outputs(board: Board):
    model = arranged(chain())
    board.place(model, plan(), base_id="arranged")
    work = replace(job([WIDTHS], target=target()), base_id="arranged")
    (outcome,) = board.measure(work).values()
    assert isinstance(outcome, Reading) and outcome.conditions["outputs_finite"] is True, outcome
    output, *_ = TorchRuntime().run_network(model, [IMAGES], target())
    np.testing.assert_allclose(output, by_onnxruntime(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("precision", "error"), [("fp16", 0.01), ("bf16", 0.05)])
def test_outputs_in_half_precision_are_as_near_as_it_can_be(precision: str, error: float):
    (output,) = TorchRuntime().run_network(chain(), [IMAGES], target(precision=precision))
    expected = by_onnxruntime(chain())
    assert output.dtype == np.float32
    assert np.abs(output - expected).max() < error * np.abs(expected).max()


def test_a_network_of_fixed_batch_runs_as_often_as_needed():
    proto = onnx.load_model_from_string(chain())
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    (output,) = TorchRuntime().run_network(proto.SerializeToString(), [IMAGES], target())
    np.testing.assert_allclose(output, by_onnxruntime(chain()), rtol=1e-4, atol=1e-4)


def test_a_board_runs_a_network_with_its_own_weights(board: Board):
    (output,) = outputs(board.run(chain(), [IMAGES], target()))
    np.testing.assert_allclose(output, by_onnxruntime(chain()), rtol=1e-4, atol=1e-4)


def threads_in_a_child() -> int:
    """How many threads torch uses in a forked child whose target asks for two."""

    def count(report, marker) -> None:
        import torch

        network = TorchRuntime().load(chain(size=64), target(threads=2), {"N": 1})
        network.weigh()
        report({"kind": "told", "threads": torch.get_num_threads()})

    told = []
    watch = Watch(timeout_s=60, memory_limit_mb=None, on_frame=told.append, beat=lambda: None)
    assert run_in_child(count, watch).kind == "done", told
    return told[0].header["threads"]


@pytest.mark.heavy
def test_as_many_threads_work_as_the_target_says():
    # In a process of its own: one in which torch had worked before could not fork, as a supervisor
    # whose warm-up leaves no threads can.
    module = "tests.hwprune_device.runtimes.torchrt.test_runtime"
    code = f"from {module} import threads_in_a_child; print(threads_in_a_child())"
    path = os.pathsep.join([str(ROOT), str(ROOT / "devices")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "2", done.stderr
    assert TorchRuntime().workers(target(threads=2)) == 2


def test_a_board_that_is_not_asked_for_torch_does_not_import_it():
    with running() as board:
        board.place(chain(), plan())
        board.measure(job([HALF]))
        assert board.hello.header["runtimes"]["torch"]["version"]
        assert not loaded(board.process.pid, "libtorch")
        board.measure(job([HALF], target=target()))
        assert loaded(board.process.pid, "libtorch")


def test_a_board_is_ready_for_what_its_head_names():
    with running(("-m", "hwprune_device", "--runtime", "torch")) as board:
        assert loaded(board.process.pid, "libtorch")
        assert threads_of(board.process.pid) == 1


@pytest.mark.heavy
def test_torch_is_told_of_without_importing_it():
    code = (
        "import sys; from hwprune_device.runtimes import make_runtime\n"
        "told = make_runtime('torch').describe(); assert 'torch' not in sys.modules\n"
        "import torch; assert told['version'] == torch.__version__, told\n"
        "assert told['build'] == torch.version.git_version\n"
        "assert told['cuda'] == (torch.version.cuda or 'unavailable')\n"
    )
    path = {**os.environ, "PYTHONPATH": str(ROOT / "devices")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path)
    assert done.returncode == 0, done.stderr


def test_a_request_that_cannot_be_met_is_want_of_memory():
    import torch

    from hwprune_device.runtimes.torchrt.process import torch_errors

    with pytest.raises(MemoryError, match="10000000000000000"), torch_errors("cpu"):
        torch.empty(10**16, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="must match"), torch_errors("cpu"):
        torch.ones(2) + torch.ones(3)


def test_every_precision_is_known_to_what_casts():
    from hwprune_device.runtimes.torchrt.module import DTYPES

    assert tuple(DTYPES) == TORCH.precisions


def test_inductor_is_waited_for_while_it_compiles():
    runtime = make_runtime("torch")
    assert patience_s(target(mode="inductor")) >= 300
    assert patience_s(target()) == 0
    assert runtime.limits_address_space(target(device="cpu"))
    assert not runtime.limits_address_space(target(device="cuda"))


@pytest.mark.heavy
def test_compiled_networks_run_and_agree(board: Board):
    """Ten of them in one child: each is code of its own for the compiler."""
    widths = [(w, w, w) for w in range(6, 16)]
    outcomes = board.measure(job(widths, target=target(mode="inductor")))
    assert all(isinstance(o, Reading) for o in outcomes.values()), outcomes
    assert len(outcomes) == len(widths)
    (output,) = TorchRuntime().run_network(chain(), [IMAGES], target(mode="inductor"))
    np.testing.assert_allclose(output, by_onnxruntime(chain()), rtol=1e-4, atol=1e-4)


def with_batchnorm(model: bytes) -> bytes:
    """The chain with a BatchNorm behind its first convolution."""
    proto = onnx.load_model_from_string(model)
    random = np.random.default_rng(3)
    width = proto.graph.initializer[0].dims[0]
    roles = ("weight", "bias", "running_mean", "running_var")
    for role in roles:
        values = random.uniform(0.5, 2.0, width).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, f"bn.{role}"))
    nodes = list(proto.graph.node)
    nodes[1].input[0] = "normed"
    norm = helper.make_node(
        "BatchNormalization", [nodes[0].output[0], *(f"bn.{r}" for r in roles)], ["normed"], "bn"
    )
    del proto.graph.node[:]
    proto.graph.node.extend([nodes[0], norm, *nodes[1:]])
    return proto.SerializeToString()


def loaded(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()


def threads_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))

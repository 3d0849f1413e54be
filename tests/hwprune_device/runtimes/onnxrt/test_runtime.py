"""ONNX Runtime with options and providers: what is asked for is what runs, or it is said."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper

from hwprune_device.job import Target
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes import make_runtime
from hwprune_device.runtimes.onnxrt.options import DENORMALS
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from tests.hwprune_device.board import ROOT, Board, running
from tests.hwprune_device.chain import WIDTHS, chain, job, plan

KEEP = {"denormals": "keep"}
"""For sessions in the tests' own process: flushing would last, and hypothesis refuses to draw."""
AZURE = "AzureExecutionProvider"
OPENVINO = os.environ.get("HWPRUNE_OPENVINO_PYTHON") or (
    sys.executable if "OpenVINOExecutionProvider" in ort.get_available_providers() else ""
)
needs_openvino = pytest.mark.skipif(
    not OPENVINO,
    reason="onnxruntime-openvino is not installed here, and HWPRUNE_OPENVINO_PYTHON names no "
    "Python that has it",
)
needs_azure = pytest.mark.skipif(
    AZURE not in ort.get_available_providers(), reason=f"this ONNX Runtime has no {AZURE}"
)

KEEP = {"denormals": "keep"}
"""Of the tests' own process: flushing them would change arithmetic for all tests after."""


@pytest.fixture(scope="module")
def board():
    with running() as board:
        board.place(chain(), plan())
        yield board


def outcome_of(board: Board, **options: object) -> Reading | Failure:
    (outcome,) = board.measure(job([WIDTHS], target=Target(options=options))).values()
    return outcome


@needs_azure
def test_a_provider_that_runs_nothing_is_a_failure_and_no_reading_of_the_cpu(board: Board):
    outcome = outcome_of(board, provider="Azure")
    assert isinstance(outcome, Failure)
    for part in ("asks for AzureExecutionProvider", "all 7 kernels on CPUExecutionProvider: Conv"):
        assert part in outcome.message


@needs_azure
def test_a_fallback_that_is_refused_fails_at_the_build(board: Board):
    outcome = outcome_of(board, provider="Azure", fallback="refuse")
    assert isinstance(outcome, Failure)
    assert "fallback to CPU EP has been explicitly disabled" in outcome.message


def test_a_provider_that_this_build_lacks_is_named_with_those_it_has(board: Board):
    outcome = outcome_of(board, provider="Nobody")
    assert isinstance(outcome, Failure)
    assert "provider nobody" in outcome.message and "CPUExecutionProvider" in outcome.message


def test_a_reading_says_which_kernels_ran_where(board: Board):
    reading = outcome_of(board, optimization="basic")
    assert isinstance(reading, Reading)
    assert set(reading.conditions["kernels_on"]) == {"CPUExecutionProvider"}


def test_denormals_are_decided_when_the_board_starts(board: Board):
    assert board.hello.header["runtimes"]["onnxrt"]["denormal_as_zero"] is True
    refused = outcome_of(board, denormals="keep")
    assert isinstance(refused, Failure) and "denormals = zero" in refused.message
    with running(settings={DENORMALS: "keep"}) as other:
        other.place(chain(), plan())
        assert other.hello.header["runtimes"]["onnxrt"]["denormal_as_zero"] is False
        assert isinstance(outcome_of(other, denormals="keep"), Reading)
        assert isinstance(outcome_of(other), Failure)


def squared_bits(denormals: str) -> float:
    """The bits of 1e-20 squared, a denormal, in a process of its own."""
    node = helper.make_node("Mul", ["x", "x"], ["y"])
    values = [helper.make_tensor_value_info(n, 1, [1]) for n in "xy"]
    graph = helper.make_graph([node], "square", values[:1], values[1:])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    code = (
        "import sys, numpy as np; from hwprune_device.runtimes import make_runtime\n"
        "model = sys.stdin.buffer.read(); runtime = make_runtime('onnxrt'); runtime.warm()\n"
        "(squared,) = runtime.run_network(model, [np.full(1, 1e-20, np.float32)])\n"
        "print(float(squared.view(np.uint32)[0]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "devices"), DENORMALS: denormals}
    done = subprocess.run(
        [sys.executable, "-c", code], input=model, capture_output=True, env=environment, check=True
    )
    return float(done.stdout)


def test_denormals_are_kept_or_flushed_as_asked():
    assert squared_bits("keep") > 0
    assert squared_bits("zero") == 0


def test_an_unknown_choice_of_denormals_is_said(monkeypatch):
    monkeypatch.setenv(DENORMALS, "flush")
    with pytest.raises(ValueError, match="possible: zero, keep"):
        make_runtime("onnxrt")


def test_parallel_execution_has_threads_for_it():
    """As many threads between operators as within one; in sequence there are none of the first."""
    counts = {}
    for execution in ("sequential", "parallel"):
        before = len(os.listdir("/proc/self/task"))
        target = Target(threads=2, options={**KEEP, "execution": execution})
        network = OnnxRuntime("keep").load(chain(), target, {"N": 1}, lambda: None)
        network.weigh()
        counts[execution] = len(os.listdir("/proc/self/task")) - before
        del network
    assert counts["parallel"] > counts["sequential"]


def test_the_callers_own_time_counts_only_where_nobody_else_computes():
    runtime = OnnxRuntime("keep")
    assert runtime.workers(Target(threads=1)) == 1
    assert runtime.workers(Target(threads=3)) == 3
    assert runtime.workers(Target(threads=1, options={"provider": "CUDA"})) == 2


@needs_openvino
def test_openvino_runs_what_it_is_asked_to_and_tells_no_memory():
    with running(python=OPENVINO) as board:
        board.place(chain(), plan())
        reading = outcome_of(board, provider="OpenVINO", fallback="refuse")
        assert isinstance(reading, Reading), reading
        assert reading.conditions["kernels_on"] == {"OpenVINOExecutionProvider": 1}
        assert reading.clock == "wall" and reading.cpu_ms is None
        assert reading.memory.activations_mb is None and reading.memory.peak_mb is None
        assert reading.memory.weights_mb == pytest.approx(len(chain()) / 1e6, rel=0.1)
        assert not any("memory" in doubt or "activations" in doubt for doubt in reading.doubts)
        absent = outcome_of(board, provider="OpenVINO", provider_options={"device_type": "GPU"})
        if isinstance(absent, Failure):
            assert "could not start it here" in absent.message
        wrong = outcome_of(board, provider="OpenVINO", provider_options={"nonsense": 1})
        assert isinstance(wrong, Failure) and "nonsense" in wrong.message


@needs_openvino
def test_what_openvino_leaves_to_the_cpu_is_counted():
    tail = [
        helper.make_node("Hardmax", ["logits"], ["hard"]),
        helper.make_node("Relu", ["hard"], ["y"]),
    ]
    with running(python=OPENVINO) as board:
        board.place(chain(tail=tail), plan())
        reading = outcome_of(board, provider="openvino")
        assert isinstance(reading, Reading), reading
        kernels = reading.conditions["kernels_on"]
        assert kernels["CPUExecutionProvider"] == 1 and kernels["OpenVINOExecutionProvider"] > 0
        refused = outcome_of(board, provider="openvino", fallback="refuse")
        assert isinstance(refused, Failure)


def test_a_target_can_be_given_for_an_output_too():
    inputs = np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32)
    runtime = OnnxRuntime("keep")
    (plain,) = runtime.run_network(chain(), [inputs], Target(options=KEEP))
    target = Target(options={**KEEP, "optimization": "none", "spinning": False})
    (found,) = runtime.run_network(chain(), [inputs], target)
    np.testing.assert_allclose(found, plain, rtol=1e-3)
    with pytest.raises(ValueError, match="provider nobody"):
        runtime.run_network(chain(), [inputs], Target(options={**KEEP, "provider": "nobody"}))

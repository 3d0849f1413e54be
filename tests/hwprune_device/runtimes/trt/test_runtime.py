"""The TensorRT runtime on a scripted TensorRT and GPU: what it builds, refuses and frees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwprune_device.job import Target
from hwprune_device.runtimes import BrokenProcessError
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from hwprune_device.runtimes.trt.callbacks import TrtError
from hwprune_device.runtimes.trt.network import TrtNetwork
from hwprune_device.runtimes.trt.runtime import TrtRuntime
from tests.doubles.scripted_cuda import (
    GpuFacts,
    ScriptedGpu,
    scripted_driver_library,
    scripted_pycuda,
)
from tests.doubles.scripted_tensorrt import Complaint, Script, scripted_tensorrt
from tests.hwprune_device.chain import chain
from tests.hwprune_device.networks import heard_and_read, heard_and_read_inputs

VERSIONS = ("10.3", "11.4")
"""One of each generation: what is scripted of a release is its generation."""
MODEL = chain((8, 8, 8))
FREE = {"N": 1}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A runtime on a scripted board."""

    gpu: ScriptedGpu
    runtime: TrtRuntime

    def load(self, precision: str = "fp32", model: bytes = MODEL, **options: Any) -> TrtNetwork:
        target = Target(runtime="trt", precision=precision, options=options)
        return self.runtime.load(model, target, FREE, lambda: None)

    @property
    def alive(self) -> Mapping[str, int]:
        """What has to be freed, without the context that all share."""
        return {kind: n for kind, n in self.gpu.ledger.alive.items() if "context" not in kind}


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path):
    made: list[Bench] = []

    def bench(version: str = "10.3", facts: GpuFacts | None = None, **script: Any) -> Bench:
        gpu = ScriptedGpu(facts)
        runtime = TrtRuntime(
            tensorrt=scripted_tensorrt(version, Script(**script), gpu),
            driver=scripted_pycuda(gpu),
            library=scripted_driver_library(gpu),
            folder=tmp_path,
        )
        made.append(Bench(gpu=gpu, runtime=runtime))
        return made[-1]

    yield bench
    for bench in made:
        bench.runtime.close()


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-5), ("tf32", 1e-5), ("fp16", 2e-2)])
def test_outputs_are_those_of_onnx_runtime(make: Make, version: str, precision: str, error: float):
    target = Target(runtime="trt", precision=precision)
    (found,) = make(version).runtime.run_network(MODEL, [images(5)], target)
    (wanted,) = OnnxRuntime().run_network(MODEL, [images(5)])
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= error * np.abs(wanted).max()


@pytest.mark.parametrize("version", VERSIONS)
def test_time_is_read_on_every_clock(make: Make, version: str):
    network = make(version, execution_ms=4.0).load()
    network.weigh()
    times = network.facts["times_ms"]
    assert times["device"] == pytest.approx(4.0, rel=0.02)
    assert times["device"] <= times["host"]
    network.run()
    assert network.device_ms() == pytest.approx(4.0, rel=0.02)


def test_a_graph_launch_runs_the_same_work(make: Make):
    network = make(execution_ms=2.0).load(cuda_graph=True)
    network.run()
    assert network.device_ms() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "int8"])
def test_every_precision_builds_on_every_version(make: Make, version: str, precision: str):
    network = make(version).load(precision)
    network.weigh()
    assert network.memory.weights_mb > 0
    assert network.facts["build"]["cached"] is False


def test_int8_ranges_by_the_builder_are_of_tensorrt_10(make: Make):
    make("10.13").load("int8", calibration="entropy").close()
    make("10.13").load("int8", calibration="minmax").close()
    with pytest.raises(ValueError, match="calibration = qdq"):
        make("11.4").load("int8", calibration="entropy")


def test_an_engine_with_ranges_of_real_inputs_is_not_one_with_made_up_ranges(make: Make):
    target = Target(runtime="trt", precision="int8", options={"calibration": "entropy"})
    make("10.13").load("int8", calibration="entropy").close()
    bench = make("10.13")
    bench.runtime.run_network(MODEL, [images(2)], target)
    same = bench.runtime.engine(MODEL, [images(2)], target)
    other = bench.runtime.engine(MODEL, [images(3)], target)
    assert (same.facts["build"]["cached"], other.facts["build"]["cached"]) == (True, False)


@pytest.mark.parametrize(
    ("version", "calibration"), [("10.13", "entropy"), ("10.13", "qdq"), ("11.4", "qdq")]
)
def test_int8_takes_its_ranges_from_all_inputs(make: Make, version: str, calibration: str):
    options = {"calibration": calibration}
    target = Target(runtime="trt", precision="int8", batch=2, options=options)
    model, inputs = heard_and_read(names=("scores",)), heard_and_read_inputs(5)
    (found,) = make(version).runtime.run_network(model, inputs, target)
    (wanted,) = OnnxRuntime().run_network(model, inputs)
    assert np.abs(found - wanted).max() <= 0.05 * np.abs(wanted).max()


def test_an_engine_is_built_once(make: Make):
    make().load().close()
    again = make().load()
    again.weigh()
    assert again.facts["build"]["cached"] is True
    assert again.facts["build"]["seconds"] > 0


@pytest.mark.parametrize(
    "other",
    [
        {"facts": GpuFacts(name="Orin NX")},
        {"facts": GpuFacts(driver_version=12090)},
        {"version": "10.7"},
    ],
)
def test_an_engine_is_good_for_its_own_device_and_version_alone(make: Make, other: dict):
    make().load().close()
    elsewhere = make(**other).load()
    elsewhere.weigh()
    assert elsewhere.facts["build"]["cached"] is False


def test_an_engine_that_was_damaged_is_built_again(make: Make, tmp_path: Path):
    make().load().close()
    for engine in tmp_path.glob("engine-*"):
        engine.write_bytes(engine.read_bytes()[:-1])
    network = make().load()
    network.weigh()
    assert network.facts["build"]["cached"] is False


def test_a_second_build_takes_kernel_times_from_the_first(make: Make):
    steps: list[int] = []
    for _ in range(2):
        bench, calls = make(), []
        target = Target(runtime="trt", options={"builder_level": len(steps) + 1})
        bench.runtime.load(MODEL, target, FREE, lambda calls=calls: calls.append(1)).close()
        steps.append(len(calls))
    assert steps[1] < steps[0]


def test_what_the_parser_says_is_told(make: Make):
    complaint = Complaint(node=2, desc="no importer for this one")
    with pytest.raises(TrtError, match="no importer for this one") as raised:
        make(complaints=(complaint,)).load()
    assert "Conv 'conv1'" in str(raised.value)


def test_what_the_builder_says_is_told(make: Make):
    with pytest.raises(TrtError, match="the builder's own words"):
        make(build_errors=("the builder's own words",)).load()


def test_a_build_without_memory_is_tried_with_less_scratch_memory(make: Make):
    network = make(most_workspace_bytes=1 << 30).load(workspace_mb=4000)
    network.weigh()
    assert network.facts["build"]["workspace_mb"] == pytest.approx(1000)


def test_a_build_that_never_fits_says_so(make: Make):
    bench = make(most_workspace_bytes=1000)
    with pytest.raises(MemoryError, match="too little memory to build the engine") as raised:
        bench.load(workspace_mb=4000)
    assert "1000 MB" in str(raised.value)


def test_a_network_that_does_not_fit_is_a_matter_of_memory(make: Make):
    with pytest.raises(MemoryError):
        make(activation_bytes=1 << 40).load()


def test_a_build_that_takes_too_long_is_ended(make: Make):
    with pytest.raises(TimeoutError, match="no engine after 1 s"):
        make(hangs="reporting", step_s=0.01).load(build_timeout_s=1)


def test_of_several_builds_the_typical_one_is_taken_and_their_spread_told(make: Make):
    network = make(build_factors=(1.0, 1.3, 1.1, 2.0, 1.2), execution_ms=1.0).load(builds=5)
    network.weigh()
    told = network.facts["builds"]
    assert sorted(told["device_ms"]) == pytest.approx([1.0, 1.1, 1.2, 1.3, 2.0], rel=0.05)
    assert told["variation_pct"] == pytest.approx(29, abs=3)
    assert network.typical_ms() == pytest.approx(1.2, rel=0.05)


def test_layers_that_leave_a_dla_are_named(make: Make):
    network = make(dla_cores=2, not_on_dla=frozenset({"Gemm"})).load("fp16", dla=1)
    network.weigh()
    assert any("gemm" in name for name in network.facts["build"]["fell_back"])


def test_a_dla_that_must_run_all_refuses_what_it_cannot(make: Make):
    bench = make(dla_cores=1, not_on_dla=frozenset({"Gemm"}))
    with pytest.raises(TrtError, match="gemm"):
        bench.load("fp16", dla=0, fallback="refuse")
    with pytest.raises(TrtError, match="this board has 1"):
        bench.load("fp16", dla=1)


def test_tensorrt_11_has_no_dla_and_says_which_release_was_the_last(make: Make):
    with pytest.raises(TrtError, match=r"TensorRT 11\.4.* has no DLA; 10\.7 was the last"):
        make("11.4").load("fp16", dla=0)


def test_a_board_without_a_gpu_says_so(make: Make):
    with pytest.raises(RuntimeError, match="CUDA does not start"):
        make(facts=GpuFacts(devices=0)).load()


def test_a_run_that_is_refused_has_its_reason(make: Make):
    network = make(refuses_run=0).load()
    with pytest.raises(TrtError, match="cannot be started"):
        network.run()


def test_an_error_that_sticks_ends_the_process(make: Make):
    network = make(breaks_at_run=1).load()
    with pytest.raises(BrokenProcessError):
        for _ in range(3):
            network.run()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("options", [{}, {"cuda_graph": True}, {"latency": "transfers"}])
def test_everything_is_given_back(make: Make, version: str, options: dict):
    bench = make(version)
    network = bench.load(**options)
    network.weigh()
    assert bench.alive
    network.close()
    del network
    assert bench.alive == {}
    bench.runtime.close()
    assert bench.gpu.ledger.alive == {}


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ({"complaints": (Complaint(),)}, {}),
        ({"build_errors": ("no",)}, {}),
        ({"most_workspace_bytes": 1000}, {}),
        ({"activation_bytes": 1 << 40}, {}),
        ({"refuses_run": 0}, {"cuda_graph": True}),
        ({"hangs": "reporting", "step_s": 0.01}, {"build_timeout_s": 1}),
    ],
)
def test_everything_is_given_back_after_an_error(make: Make, script: dict, options: dict):
    bench = make(**script)
    with pytest.raises(Exception):  # noqa: B017 what it is other tests say
        bench.load(**options)
    assert bench.alive == {}


@pytest.mark.parametrize("latency", ["host", "device", "transfers"])
def test_the_clock_is_the_target_s(make: Make, latency: str):
    target = Target(runtime="trt", options={"latency": latency})
    wanted = "device" if latency == "device" else "wall"
    assert make().runtime.clock(target) == wanted


def test_a_library_that_is_too_old_is_not_used(make: Make):
    class Old:
        __version__ = "8.6.1"

    with pytest.raises(ImportError, match=r"10\.3 or newer"):
        TrtRuntime(tensorrt=Old())

"""Builds: what the parser and the builder say, ask for and give up on."""

from __future__ import annotations

from typing import Any

import pytest

from hwprune.testing.scripted_cuda import GpuFacts
from hwprune.testing.scripted_tensorrt import Complaint
from tests.testing.scripted_tensorrt.rig import GENERATIONS, MODEL, Rig


def test_parser_errors_have_methods_and_names(rig: Any):
    bench = rig(complaints=(Complaint(node=0, desc="no importer"),))
    network = bench.trt.Builder(bench.logger).create_network()
    parser = bench.trt.OnnxParser(network, bench.logger)
    assert not parser.parse(MODEL)
    error = parser.get_error(0)
    assert (error.desc(), error.node_operator(), parser.num_errors) == ("no importer", "Conv", 1)
    assert not parser.parse(b"no model at all")
    assert parser.get_error(0).code() == bench.trt.ErrorCode.MODEL_DESERIALIZE_FAILED


@pytest.mark.parametrize("version", GENERATIONS)
def test_a_build_runs_out_of_memory_until_it_may_take_less(rig: Any, version: str):
    bench = rig(version, most_workspace_bytes=1 << 20)
    pool = bench.trt.MemoryPoolType.WORKSPACE
    assert bench.build(MODEL) is None
    assert "out of memory" in bench.errors()
    assert bench.build(MODEL, lambda config: config.set_memory_pool_limit(pool, 1 << 20))


def monitor(bench: Rig, answers: Any) -> Any:
    class Monitor(bench.trt.IProgressMonitor):
        def __init__(self) -> None:
            bench.trt.IProgressMonitor.__init__(self)
            self.phases: list[str] = []

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.phases.append("+" + phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return answers()

        def phase_finish(self, phase_name: str) -> None:
            self.phases.append("-" + phase_name)

    return Monitor()


@pytest.mark.parametrize("version", GENERATIONS)
def test_a_build_that_hangs_ends_when_the_monitor_says_no(rig: Any, version: str):
    bench = rig(version, hangs="reporting")
    left = iter([True, True, False])
    watching = monitor(bench, lambda: next(left))

    def watched(config: Any) -> None:
        config.progress_monitor = watching

    assert bench.build(MODEL, watched) is None
    phases = watching.phases
    assert [name[1:] for name in phases[2:]] == [name[1:] for name in reversed(phases[:2])]


def test_a_monitor_that_raises_ends_the_build(rig: Any, capsys: pytest.CaptureFixture[str]):
    bench = rig()
    watching = monitor(bench, lambda: 1 // 0)

    def watched(config: Any) -> None:
        config.progress_monitor = watching

    assert bench.build(MODEL, watched) is None
    assert "Exception caught in step_complete()" in capsys.readouterr().err


def test_a_timing_cache_of_another_device_is_refused(rig: Any):
    def cache_of(bench: Rig, given: bytes) -> tuple[bytes, bool]:
        config = bench.trt.Builder(bench.logger).create_builder_config()
        cache = config.create_timing_cache(given)
        taken = config.set_timing_cache(cache, ignore_mismatch=False)
        return bytes(cache.serialize()), taken

    data, taken = cache_of(rig(), b"")
    assert taken
    assert not cache_of(rig(facts=GpuFacts(name="another")), data)[1]
    bench = rig()
    config = bench.trt.Builder(bench.logger).create_builder_config()
    assert config.create_timing_cache(b"garbage") is None


def test_a_dla_leaves_layers_to_the_gpu_if_it_may(rig: Any):
    bench = rig(dla_cores=1, not_on_dla=frozenset({"Gemm"}))
    flags, devices = bench.trt.BuilderFlag, bench.trt.DeviceType

    def on_dla(*wanted: Any) -> Any:
        def set_up(config: Any) -> None:
            config.default_device_type, config.DLA_core = devices.DLA, 0
            for flag in wanted:
                config.set_flag(flag)

        return set_up

    assert bench.build(MODEL, on_dla(flags.FP16)) is None
    assert "falling back to GPU is not enabled" in bench.errors()
    assert bench.build(MODEL, on_dla(flags.FP16, flags.GPU_FALLBACK))
    assert any("Switching this layer's device type" in text for _, text in bench.said)


def test_calibration_asks_for_batch_after_batch(rig: Any):
    bench = rig("10.3")
    place = bench.cuda.mem_alloc(3 * 16 * 16 * 4)
    given = iter([[int(place)], [int(place)], None])

    class Calibrator(bench.trt.IInt8EntropyCalibrator2):
        def __init__(self) -> None:
            bench.trt.IInt8EntropyCalibrator2.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> list[int] | None:
            return next(given)

        def read_calibration_cache(self) -> bytes | None:
            return None

        def write_calibration_cache(self, cache: bytes) -> None: ...

    calibrator = Calibrator()

    def set_up(config: Any) -> None:
        config.set_flag(bench.trt.BuilderFlag.INT8)
        config.int8_calibrator = calibrator

    assert bench.build(MODEL, set_up)
    assert next(given, "asked to the end") == "asked to the end"

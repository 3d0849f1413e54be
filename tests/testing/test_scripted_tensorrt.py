"""The scripted TensorRT: names of each release, the usual flow, what goes wrong on demand."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest

from hwprune.testing.scripted_cuda import GpuFacts, ScriptedGpu, VirtualClock, scripted_pycuda
from hwprune.testing.scripted_cuda.clock import Clock
from hwprune.testing.scripted_tensorrt import Complaint, Script, scripted_tensorrt
from hwprune.testing.tensorrt_surface import releases
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from tests.hwprune_device.chain import chain

GENERATIONS = ("10.3", "11.4")


def fixed(model: bytes) -> bytes:
    """With a batch of 1."""
    read = onnx.load_model_from_string(model)
    for entry in (*read.graph.input, *read.graph.output):
        entry.type.tensor_type.shape.dim[0].dim_value = 1
    return read.SerializeToString()


class Rig:
    """One scripted library on one scripted GPU, and what it said."""

    def __init__(
        self,
        version: str = "10.3",
        facts: GpuFacts | None = None,
        clock: Clock | None = None,
        **script: Any,
    ) -> None:
        self.gpu = ScriptedGpu(facts, clock)
        self.trt = scripted_tensorrt(version, Script(**script), self.gpu)
        self.cuda = scripted_pycuda(self.gpu)
        self.cuda.init()
        self.context = self.cuda.Device(0).make_context()
        self.said: list[tuple[str, str]] = []
        self.logger = self._logger(self.trt)

    def _logger(self, trt: types.ModuleType) -> Any:
        said = self.said

        class Log(trt.ILogger):
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, msg: str) -> None:
                said.append((severity.name, msg))

        return Log()

    def errors(self) -> str:
        return " ".join(text for severity, text in self.said if severity == "ERROR")

    def build(self, model: bytes, set_up: Any = lambda config: None) -> bytes | None:
        builder = self.trt.Builder(self.logger)
        network, config = builder.create_network(), builder.create_builder_config()
        parser = self.trt.OnnxParser(network, self.logger)
        assert parser.parse(model), [parser.get_error(i).desc() for i in range(parser.num_errors)]
        set_up(config)
        plan = builder.build_serialized_network(network, config)
        return None if plan is None else bytes(plan)

    def engine(self, plan: bytes | None) -> Any:
        return self.trt.Runtime(self.logger).deserialize_cuda_engine(plan)


@pytest.fixture
def rig() -> Iterator[Any]:
    made: list[Rig] = []

    def make(*given: Any, **named: Any) -> Rig:
        made.append(Rig(*given, **named))
        return made[-1]

    yield make
    for one in made:
        one.context.pop()


MODEL = fixed(chain((8, 8, 8)))


def run(rig: Rig, engine: Any, inputs: np.ndarray) -> tuple[np.ndarray, float]:
    """First output and milliseconds."""
    context, stream, cuda = engine.create_execution_context(), rig.cuda.Stream(), rig.cuda
    host, device = {}, {}
    for name in (engine.get_tensor_name(at) for at in range(engine.num_io_tensors)):
        dtype = rig.trt.nptype(engine.get_tensor_dtype(name))
        host[name] = cuda.pagelocked_empty(tuple(engine.get_tensor_shape(name)), dtype)
        device[name] = cuda.mem_alloc(host[name].nbytes)
        assert context.set_tensor_address(name, int(device[name]))
    first, *_, last = host
    host[first][...] = inputs
    cuda.memcpy_htod_async(device[first], host[first], stream)
    before, after = cuda.Event().record(stream), cuda.Event()
    assert context.execute_async_v3(stream_handle=stream.handle)
    after.record(stream)
    cuda.memcpy_dtoh_async(host[last], device[last], stream)
    stream.synchronize()
    return host[last].copy(), before.time_till(after)


@pytest.mark.parametrize("version", releases())
def test_an_engine_computes_what_the_network_does(rig: Any, version: str):
    bench = rig(version, execution_ms=3.0)
    inputs = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    found, took_ms = run(bench, bench.engine(bench.build(MODEL)), inputs)
    wanted = OnnxRuntime().execute(MODEL, inputs)
    assert np.allclose(found, wanted, atol=1e-5)
    assert took_ms == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("version", releases())
def test_everything_is_in_the_books_until_it_is_let_go(rig: Any, version: str):
    bench = rig(version)
    engine = bench.engine(bench.build(MODEL))
    context = engine.create_execution_context()
    del engine
    assert {"ICudaEngine", "IExecutionContext", "Runtime"} <= set(bench.gpu.ledger.alive)
    del context
    assert bench.gpu.ledger.alive == {"context": 1}


def test_precision_flags_are_of_the_tenth_generation(rig: Any):
    assert rig("10.3").trt.BuilderFlag.FP16
    with pytest.raises(AttributeError, match="FP16"):
        _ = rig("11.4").trt.BuilderFlag.FP16
    assert not hasattr(rig("11.4").trt, "IInt8EntropyCalibrator2")


def test_constants_are_the_members_they_stand_for(rig: Any):
    trt = rig().trt
    assert trt.float16 is trt.DataType.HALF and trt.float16.itemsize == 2
    assert trt.Logger.Severity is trt.ILogger.Severity
    assert trt.Logger.ERROR is trt.ILogger.ERROR is trt.ILogger.Severity.ERROR
    assert 1 << int(rig("11.4").trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) == 1


@pytest.mark.parametrize("version", GENERATIONS)
def test_what_is_not_recorded_is_refused(rig: Any, version: str):
    bench = rig(version)
    builder = bench.trt.Builder(bench.logger)
    config = builder.create_builder_config()
    with pytest.raises(TypeError, match="incompatible function arguments"):
        builder.create_network(flag=1)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        config.set_flag("FP16")
    with pytest.raises(AttributeError):
        config.max_workspace_size = 1 << 30
    with pytest.raises(AttributeError):
        builder.build_cuda_engine()
    with pytest.raises(AttributeError):
        builder.num_DLA_cores = 2
    with pytest.raises(TypeError, match="No constructor"):
        bench.trt.IBuilderConfig()


def test_what_is_recorded_and_not_scripted_says_so(rig: Any):
    bench = rig()
    with pytest.raises(NotImplementedError, match="get_plugin_registry"):
        bench.trt.Builder(bench.logger).get_plugin_registry()


def test_a_callback_class_must_call_its_base(rig: Any):
    trt = rig().trt

    class Forgetful(trt.ILogger):
        def __init__(self) -> None:
            self.lines = []

    with pytest.raises(TypeError, match="must be called"):
        Forgetful()


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


def test_a_plan_of_another_device_or_release_is_refused(rig: Any):
    plan = rig().build(MODEL)
    elsewhere = rig(facts=GpuFacts(capability=(8, 6)))
    assert elsewhere.engine(plan) is None
    assert "generated on an incompatible device" in elsewhere.errors()
    later = rig("10.7")
    assert later.engine(plan) is None
    assert "Version tag does not match" in later.errors()
    assert later.engine(b"nothing") is None


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


def test_a_dynamic_batch_needs_a_profile_and_keeps_to_it(rig: Any):
    bench, dynamic = rig(), chain((8, 8, 8))
    assert bench.build(dynamic) is None
    assert "no optimization profile" in bench.errors()

    def profiled(config: Any) -> None:
        profile = bench.trt.Builder(bench.logger).create_optimization_profile()
        name = "x"
        profile.set_shape(name, (1, 3, 16, 16), (2, 3, 16, 16), (4, 3, 16, 16))
        assert config.add_optimization_profile(profile) == 0

    context = bench.engine(bench.build(dynamic, profiled)).create_execution_context()
    assert not context.all_binding_shapes_specified
    assert context.set_input_shape("x", (3, 3, 16, 16))
    assert context.get_tensor_shape("y")[0] == 3
    assert not context.set_input_shape("x", (5, 3, 16, 16))


def test_a_run_without_addresses_is_refused(rig: Any):
    bench = rig()
    context = bench.engine(bench.build(MODEL)).create_execution_context()
    assert not context.execute_async_v3(bench.cuda.Stream().handle)
    assert "Address is not set for input tensor" in bench.errors()


def test_builds_differ_as_scripted(rig: Any):
    bench = rig(build_factors=(1.0, 1.5), execution_ms=2.0)
    inputs = np.zeros((1, 3, 16, 16), np.float32)
    times = [run(bench, bench.engine(bench.build(MODEL)), inputs)[1] for _ in range(3)]
    assert times == pytest.approx([2.0, 3.0, 2.0], abs=0.01)


def test_a_run_can_break_the_device(rig: Any):
    bench = rig(breaks_at_run=0)
    engine = bench.engine(bench.build(MODEL))
    with pytest.raises(bench.cuda.LogicError, match="illegal memory access"):
        run(bench, engine, np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(bench.cuda.LogicError, match="illegal memory access"):
        bench.cuda.mem_get_info()


def test_a_run_can_hang(rig: Any):
    bench = rig(hangs_at_run=0, clock=VirtualClock())
    with pytest.raises(TimeoutError, match="never ends"):
        run(bench, bench.engine(bench.build(MODEL)), np.zeros((1, 3, 16, 16), np.float32))


def test_memory_of_engines_is_memory_of_the_device(rig: Any):
    bench = rig(engine_bytes=1 << 30, activation_bytes=1 << 29)
    free, _ = bench.cuda.mem_get_info()
    engine = bench.engine(bench.build(MODEL))
    context = engine.create_execution_context()
    assert bench.cuda.mem_get_info()[0] == free - (1 << 30) - (1 << 29)
    del engine, context
    assert bench.cuda.mem_get_info()[0] == free
    tight = rig(activation_bytes=1 << 40)
    assert tight.engine(tight.build(MODEL)).create_execution_context() is None
    assert "OutOfMemory" in tight.errors()


def test_the_inspector_lists_layers(rig: Any):
    bench = rig()
    detailed = bench.trt.ProfilingVerbosity.DETAILED

    def set_up(config: Any) -> None:
        config.profiling_verbosity = detailed

    inspector = bench.engine(bench.build(MODEL, set_up)).create_engine_inspector()
    told = json.loads(inspector.get_engine_information(bench.trt.LayerInformationFormat.JSON))
    assert told["Layers"][0]["LayerType"] == "CONVOLUTION"

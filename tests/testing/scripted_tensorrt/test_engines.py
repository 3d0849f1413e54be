"""Engines: which are loaded, what they hold, what they tell of themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hwprune.testing.scripted_cuda import GpuFacts
from hwprune.testing.tensorrt_surface import releases
from tests.hwprune_device.chain import chain
from tests.testing.scripted_tensorrt.rig import MODEL


@pytest.mark.parametrize("version", releases())
def test_everything_is_in_the_books_until_it_is_let_go(rig: Any, version: str):
    bench = rig(version)
    engine = bench.engine(bench.build(MODEL))
    context = engine.create_execution_context()
    del engine
    assert {"ICudaEngine", "IExecutionContext", "Runtime"} <= set(bench.gpu.ledger.alive)
    del context
    assert bench.gpu.ledger.alive == {"context": 1}


def test_a_plan_of_another_device_or_release_is_refused(rig: Any):
    plan = rig().build(MODEL)
    elsewhere = rig(facts=GpuFacts(capability=(8, 6)))
    assert elsewhere.engine(plan) is None
    assert "generated on an incompatible device" in elsewhere.errors()
    later = rig("10.7")
    assert later.engine(plan) is None
    assert "Version tag does not match" in later.errors()
    assert later.engine(b"nothing") is None


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

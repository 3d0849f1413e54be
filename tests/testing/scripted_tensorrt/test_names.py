"""Names and types are those of each recorded release, and callbacks keep their rules."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.scripted_tensorrt.rig import GENERATIONS


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

"""One scripted TensorRT on one scripted GPU, as the tests of this room use it."""

from __future__ import annotations

import types
from typing import Any

import onnx

from hwprune.testing.scripted_cuda import GpuFacts, ScriptedGpu, scripted_pycuda
from hwprune.testing.scripted_cuda.clock import Clock
from hwprune.testing.scripted_tensorrt import Script, scripted_tensorrt
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


MODEL = fixed(chain((8, 8, 8)))

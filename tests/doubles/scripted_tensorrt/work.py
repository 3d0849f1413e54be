"""What an engine computes and what that takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import onnx

from hwprune_device.memory import weight_bytes
from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_tensorrt.plan import Plan, ports
from tests.doubles.scripted_tensorrt.scene import Scene

_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear"})
_LEAST_OPSET = 19
"""The evaluator has these operators only from here on."""


class Work:
    """The network of a plan. It belongs to an engine and its contexts, and outlives them where a
    stream or a graph still holds a run of it.
    """

    def __init__(self, scene: Scene, plan: Plan) -> None:
        self.scene, self.plan = scene, plan
        self._model = onnx.load_model_from_string(plan.model)
        self.ports = {port.name: port for port in ports(self._model)}
        self.weights_bytes = weight_bytes(self._model.graph)
        self._last: tuple[list[bytes], dict[str, np.ndarray]] = ([], {})

    def run(self, number: int, places: Mapping[str, int]) -> None:
        """What one run does to memory.

        Raises:
            CudaFault: by the script, or because memory at these places is not allocated.
        """
        if number == self.scene.script.breaks_at_run:
            raise CudaFault("kernel", fault.ILLEGAL_ADDRESS)
        view, inputs = self.scene.gpu.memory.view, {}
        for port in self.ports.values():
            if port.is_input:
                inputs[port.name] = bytes(view(places[port.name], port.size))
        for name, values in self._outputs(inputs).items():
            data = np.ascontiguousarray(values, self.ports[name].dtype).tobytes()
            view(places[name], len(data))[:] = data

    def lasts_ms(self, number: int) -> float:
        """What one run takes, by the script, this build's own factor and noise."""
        noise = 1.0 + self.scene.script.run_noise * self.scene.random.gauss(0.0, 1.0)
        return self._nominal_ms * self.plan.factor * max(0.0, noise)

    @cached_property
    def layers_ms(self) -> dict[str, float]:
        """What each layer takes: a share by the weights it reads. What is element-wise is fused
        into the layer before it.
        """
        sizes = {tensor.name: math.prod(tensor.dims) for tensor in self._model.graph.initializer}
        shares: list[tuple[str, float]] = []
        for at, node in enumerate(self._model.graph.node):
            work = 1.0 + sum(sizes.get(name, 0) for name in node.input)
            name = node.name or f"({node.op_type})_{at}"
            if node.op_type in ("Relu", "Clip") and shares:
                before, done = shares.pop()
                name, work = f"{before} + {name}", done + work
            shares.append((name, work))
        whole = sum(work for _, work in shares)
        return {name: self._nominal_ms * work / whole for name, work in shares}

    @cached_property
    def _nominal_ms(self) -> float:
        said = self.scene.script.execution_ms
        return float(said(self._model) if callable(said) else said)

    def _outputs(self, inputs: Mapping[str, bytes]) -> dict[str, np.ndarray]:
        """Outputs by name; the same inputs as last time are not computed again."""
        key = list(inputs.values())
        if not self._last[1] or self._last[0] != key:
            known = self.ports
            feeds = {
                name: np.frombuffer(data, known[name].dtype).reshape(known[name].shape)
                for name, data in inputs.items()
            }
            values = self._evaluator.run(None, feeds)
            self._last = key, dict(zip(self._evaluator.output_names, values, strict=True))
        return self._last[1]

    @cached_property
    def _evaluator(self) -> Any:
        """ONNX's own, of a version of ONNX in which it has all operators of the network."""
        from onnx.reference import ReferenceEvaluator

        model = self._model
        opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        quantised = any(node.op_type in _QUANTISED for node in model.graph.node)
        if quantised and opset < _LEAST_OPSET:
            model = onnx.version_converter.convert_version(model, _LEAST_OPSET)
        return ReferenceEvaluator(model)

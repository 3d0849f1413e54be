"""A plan that was read on a device: what an engine and its contexts both work with."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import onnx

from tests.doubles.scripted_tensorrt import words
from tests.doubles.scripted_tensorrt.evaluation import Evaluation
from tests.doubles.scripted_tensorrt.plan import Plan, Port, engine_bytes, ports
from tests.doubles.scripted_tensorrt.scene import Scene


class LoadedPlan:
    """A plan's network, its inputs and outputs, what it computes and what that takes."""

    def __init__(self, scene: Scene, plan: Plan, logger: Any) -> None:
        self.scene, self.plan, self.logger = scene, plan, logger
        model = onnx.load_model_from_string(plan.model)
        self.ports = {port.name: port for port in ports(model)}
        self.evaluation = Evaluation(model)
        self.weights_bytes = engine_bytes(model)
        self._model = model

    @cached_property
    def nominal_ms(self) -> float:
        """What one inference takes by the script, before this build's own factor and noise."""
        said = self.scene.script.execution_ms
        return float(said(self._model) if callable(said) else said)

    @cached_property
    def layers(self) -> list[tuple[str, float]]:
        """Layers by name and share of the time, by the weights they read; what element-wise
        follows a node is fused into it.
        """
        sizes = {tensor.name: math.prod(tensor.dims) for tensor in self._model.graph.initializer}
        found: list[tuple[str, float]] = []
        for node in self._model.graph.node:
            work = 1.0 + sum(sizes.get(name, 0) for name in node.input)
            name = node.name or f"({node.op_type})_{len(found)}"
            if node.op_type in ("Relu", "Clip") and found:
                found[-1] = (f"{found[-1][0]} + {name}", found[-1][1] + work)
            else:
                found.append((name, work))
        whole = sum(work for _, work in found)
        return [(name, work / whole) for name, work in found]

    def port(self, where: str, name: str) -> Port | None:
        """An input or output; None, and said so, where there is none of this name."""
        if name not in self.ports:
            said = words.NO_SUCH_TENSOR.format(where=where, tensor=name)
            self.scene.say(self.logger, "ERROR", said)
        return self.ports.get(name)

"""A plan that was read on a device: what an engine and its contexts both work with."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import onnx

from hwprune.testing.scripted_tensorrt import words
from hwprune.testing.scripted_tensorrt.evaluation import Evaluation
from hwprune.testing.scripted_tensorrt.plan import Plan, Port, engine_bytes, ports
from hwprune.testing.scripted_tensorrt.scene import Scene


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

    def port(self, where: str, name: str) -> Port | None:
        """An input or output; None, and said so, where there is none of this name."""
        if name not in self.ports:
            said = words.NO_SUCH_TENSOR.format(where=where, tensor=name)
            self.scene.say(self.logger, "ERROR", said)
        return self.ports.get(name)

"""Networks, and the parser that reads them from ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx

from tests.doubles.scripted_tensorrt.plan import Port, ports
from tests.doubles.scripted_tensorrt.scene import Scene


@dataclass(frozen=True, kw_only=True)
class ILayer:
    """One node of the graph. TensorRT itself makes more layers, for weights and for casts."""

    name: str
    op: str
    """The ONNX operator."""


class INetworkDefinition:
    """Empty until a parser fills it."""

    def __init__(self, scene: Scene, builder: Any) -> None:
        """`builder` is kept alive, as the bindings keep it."""
        self.scene, self._builder = scene, builder
        self.model = onnx.ModelProto()
        scene.watch(self)

    @property
    def num_layers(self) -> int:
        """How many there are."""
        return len(self.model.graph.node)

    def get_layer(self, index: int) -> ILayer:
        """A layer, in the graph's order."""
        node = self.model.graph.node[index]
        name = node.name or f"(Unnamed Layer* {index}) [{node.op_type}]"
        return ILayer(name=name, op=node.op_type)

    @property
    def num_inputs(self) -> int:
        """How many there are."""
        return sum(port.is_input for port in ports(self.model))

    def get_input(self, index: int) -> Port:
        """An input, in the graph's order."""
        return ports(self.model)[index]

    @property
    def layers(self) -> list[ILayer]:
        """All of them."""
        return [self.get_layer(index) for index in range(self.num_layers)]


class OnnxParser:
    """Reads ONNX."""

    def __init__(self, network: INetworkDefinition, logger: Any) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserError] = []
        network.scene.watch(self)

    def parse(self, model: bytes) -> bool:
        """Fill the network; False, with errors to be asked for, where the script complains.

        Raises:
            onnx.checker.ValidationError: it is no valid network; the library would return False.
        """
        onnx.checker.check_model(model)
        read, scene = onnx.load_model_from_string(model), self._network.scene
        for complaint in scene.script.complaints:
            scene.error(self._logger, complaint.desc)
            self._errors.append(ParserError(complaint.desc, read.graph.node[complaint.node]))
        if not self._errors:
            self._network.model = read
        return not self._errors

    @property
    def num_errors(self) -> int:
        """How many there are."""
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        """An error."""
        return self._errors[index]


class ParserError:
    """An error of the parser; its parts are methods, not attributes."""

    def __init__(self, desc: str, node: onnx.NodeProto) -> None:
        self._desc, self._node = desc, node

    def desc(self) -> str:
        """What is wrong."""
        return self._desc

    def node_name(self) -> str:
        """The node's name."""
        return str(self._node.name)

    def node_operator(self) -> str:
        """The node's operator."""
        return str(self._node.op_type)

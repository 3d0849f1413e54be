"""The ONNX parser of a scripted TensorRT."""

from __future__ import annotations

from typing import Any

import onnx

from tests.doubles.scripted_tensorrt import words
from tests.doubles.scripted_tensorrt.network import Network
from tests.doubles.scripted_tensorrt.scene import Scene
from tests.doubles.scripted_tensorrt.script import Complaint


class Parser:
    """Reads ONNX."""

    def __init__(self, scene: Scene, network: Any, does: Network, logger: Any) -> None:
        self._scene, self._network, self._does = scene, network, does
        self._logger = logger
        self._errors: list[ParserError] = []

    def parse(self, model: Any, path: Any = None) -> bool:
        """Fill the network; False, with errors to be asked for, where it cannot be read."""
        try:
            onnx.checker.check_model(bytes(model))
        except (ValueError, onnx.checker.ValidationError) as error:
            return self._fails(onnx.ModelProto(), [_unreadable(error)])
        read = onnx.load_model_from_string(bytes(model))
        unknown = [
            Complaint(node=at)
            for at, node in enumerate(read.graph.node)
            if node.op_type in self._scene.script.unsupported
        ]
        complaints = [*self._scene.script.complaints, *unknown]
        if complaints:
            return self._fails(read, complaints)
        self._does.fill(read)
        return True

    @property
    def num_errors(self) -> int:
        """How many there are."""
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        """An error."""
        return self._scene.plain("ParserError", self._errors[index])

    def clear_errors(self) -> None:
        """Forget them."""
        self._errors = []

    def _fails(self, model: onnx.ModelProto, complaints: list[Complaint]) -> bool:
        self._errors = [ParserError(self._scene, model, complaint) for complaint in complaints]
        for error in self._errors:
            self._scene.say(self._logger, "ERROR", error.words())
        return False


class ParserError:
    """An error of the parser; its parts are methods, not attributes."""

    def __init__(self, scene: Scene, model: onnx.ModelProto, complaint: Complaint) -> None:
        self._scene, self._complaint = scene, complaint
        nodes = model.graph.node
        self._node = nodes[complaint.node] if complaint.node < len(nodes) else onnx.NodeProto()

    def code(self) -> Any:
        """Of `ErrorCode`."""
        return self._scene.member("ErrorCode", self._complaint.code)

    def desc(self) -> str:
        """What is wrong."""
        return self._complaint.desc

    def node(self) -> int:
        """Index of the node."""
        return self._complaint.node

    def node_name(self) -> str:
        """The node's name."""
        return str(self._node.name)

    def node_operator(self) -> str:
        """The node's operator."""
        return str(self._node.op_type)

    def file(self) -> str:
        """Where in the parser."""
        return "onnxOpImporters.cpp"

    def func(self) -> str:
        """Where in the parser."""
        return "parseNode"

    def line(self) -> int:
        """Where in the parser."""
        return 1

    def local_function_stack(self) -> list[str]:
        """Functions of the model around the node."""
        return []

    def words(self) -> str:
        """As it is logged."""
        return words.NOT_PARSED.format(
            node=self.node(),
            name=self.node_name(),
            operator=self.node_operator(),
            code=self._complaint.code,
            desc=self.desc(),
        )


def _unreadable(error: Exception) -> Complaint:
    said = str(error).splitlines()[0] if str(error) else "not a model"
    return Complaint(
        code="MODEL_DESERIALIZE_FAILED", desc=f"Failed to parse the ONNX model: {said}"
    )

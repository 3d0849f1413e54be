"""Network, layers and parser of a scripted TensorRT: what was read from ONNX."""

from __future__ import annotations

from typing import Any

import onnx

from hwprune.testing.scripted_tensorrt import words
from hwprune.testing.scripted_tensorrt.plan import Port, ports
from hwprune.testing.scripted_tensorrt.scene import Scene
from hwprune.testing.scripted_tensorrt.script import Complaint

KINDS = {
    "Conv": "CONVOLUTION",
    "ConvTranspose": "DECONVOLUTION",
    "Relu": "ACTIVATION",
    "Clip": "ACTIVATION",
    "Sigmoid": "ACTIVATION",
    "Tanh": "ACTIVATION",
    "LeakyRelu": "ACTIVATION",
    "Add": "ELEMENTWISE",
    "Mul": "ELEMENTWISE",
    "Sub": "ELEMENTWISE",
    "Div": "ELEMENTWISE",
    "MaxPool": "POOLING",
    "AveragePool": "POOLING",
    "GlobalAveragePool": "REDUCE",
    "ReduceMean": "REDUCE",
    "BatchNormalization": "SCALE",
    "Gemm": "MATRIX_MULTIPLY",
    "MatMul": "MATRIX_MULTIPLY",
    "Concat": "CONCATENATION",
    "Softmax": "SOFTMAX",
    "Resize": "RESIZE",
    "Slice": "SLICE",
    "QuantizeLinear": "QUANTIZE",
    "DequantizeLinear": "DEQUANTIZE",
    "Cast": "CAST",
    "Identity": "IDENTITY",
}
"""Layer types by ONNX operator; anything else counts as a shuffle."""


class Layer:
    """One node of the graph. TensorRT itself makes more layers, for weights and for casts."""

    def __init__(self, scene: Scene, index: int, node: onnx.NodeProto) -> None:
        self.node = node
        self.kind = KINDS.get(node.op_type, "SHUFFLE")
        self.name = node.name or f"(Unnamed Layer* {index}) [{node.op_type}]"
        self.type = scene.member("LayerType", self.kind)
        self.num_inputs = sum(bool(name) for name in node.input)
        self.num_outputs = len(node.output)


class Network:
    """Empty until a parser fills it."""

    def __init__(self, scene: Scene, builder: Any, flags: int) -> None:
        self.builder = builder
        """Kept, as the bindings keep it."""
        self.scene, self.flags = scene, flags
        self.model = onnx.ModelProto()
        self.layers: list[Layer] = []
        self.ports: list[Port] = []
        self.name = ""

    def fill(self, model: onnx.ModelProto) -> None:
        """Take what a parser read."""
        self.model, self.ports = model, ports(model)
        self.layers = [Layer(self.scene, at, node) for at, node in enumerate(model.graph.node)]

    @property
    def num_layers(self) -> int:
        """How many there are."""
        return len(self.layers)

    @property
    def num_inputs(self) -> int:
        """How many there are."""
        return len(self._inputs())

    @property
    def num_outputs(self) -> int:
        """How many there are."""
        return len(self._outputs())

    def get_layer(self, index: int) -> Any:
        """A layer, in the graph's order."""
        return self.scene.plain("ILayer", self.layers[index])

    def get_input(self, index: int) -> Any:
        """An input."""
        return self.scene.plain("ITensor", NetworkTensor(self.scene, self._inputs()[index]))

    def get_output(self, index: int) -> Any:
        """An output."""
        return self.scene.plain("ITensor", NetworkTensor(self.scene, self._outputs()[index]))

    def get_flag(self, flag: Any) -> bool:
        """Whether the network was made with a flag."""
        return bool(self.flags >> int(flag) & 1)

    def _inputs(self) -> list[Port]:
        return [port for port in self.ports if port.is_input]

    def _outputs(self) -> list[Port]:
        return [port for port in self.ports if not port.is_input]


class NetworkTensor:
    """An input or output of a network."""

    def __init__(self, scene: Scene, port: Port) -> None:
        self.name = port.name
        self.shape = shape_face(scene, port.shape)
        self.dtype = data_type(scene, port)
        self.is_network_input, self.is_network_output = port.is_input, not port.is_input


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


class Shape:
    """Sizes by axis; what `Dims` does."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, at: Any) -> Any:
        return self.sizes[at]


def shape_face(scene: Scene, sizes: tuple[int, ...]) -> Any:
    """Sizes as the bindings give them."""
    return scene.plain("Dims", Shape(sizes))


_TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "FLOAT",
    onnx.TensorProto.FLOAT16: "HALF",
    onnx.TensorProto.BFLOAT16: "BF16",
    onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.BOOL: "BOOL",
}


def data_type(scene: Scene, port: Port) -> Any:
    """TensorRT's type of a port."""
    return scene.member("DataType", _TYPES[port.kind])


def _unreadable(error: Exception) -> Complaint:
    said = str(error).splitlines()[0] if str(error) else "not a model"
    return Complaint(
        code="MODEL_DESERIALIZE_FAILED", desc=f"Failed to parse the ONNX model: {said}"
    )

"""Network and layers of a scripted TensorRT: what was read from ONNX."""

from __future__ import annotations

from typing import Any

import onnx

from tests.doubles.scripted_tensorrt.plan import Port, ports
from tests.doubles.scripted_tensorrt.scene import Scene

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

"""The weights of a graph, and how often each of their elements is multiplied."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx

from hwprune.channels.operations import operations
from hwprune.channels.rules.recurrent import GATES
from hwprune.channels.walk import attribute
from hwprune.operation import Operation
from hwprune_device.values import (
    QUANTIZES,
    Shape,
    is_weight,
    quantized,
    value_shapes,
    weight_origins,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One weight: its shape, and how often each element is multiplied for one input of batch 1."""

    name: str
    dims: tuple[int, ...]
    uses: int
    positions: int
    outputs: int
    """Axis of what the layer writes."""
    inputs: int
    """Axis of what it reads."""
    is_parameter: bool
    is_grouped: bool
    node: int
    """Number of the first node that reads it."""
    is_uncounted: bool
    operation: Operation | None

    @property
    def kernel(self) -> int:
        """Elements along all other axes."""
        others = (n for k, n in enumerate(self.dims) if k not in (self.outputs, self.inputs))
        return math.prod(others)


def weights_of(model: onnx.ModelProto) -> list[Weight]:
    """Weights in order of first use; one used twice counts its multiplications twice."""
    shapes = value_shapes(model, batch=1)
    statistics = {
        name
        for node in model.graph.node
        if node.op_type == "BatchNormalization"
        for name in node.input[3:5]
    }
    integers = quantized(model.graph)
    statistics.update(
        name for node in model.graph.node if node.op_type in QUANTIZES for name in node.input[1:]
    )
    applied = operations(model, shapes, weight_origins(model.graph))
    used = _Uses(model, shapes)
    return [
        Weight(
            name=tensor.name,
            dims=tuple(tensor.dims),
            uses=used.uses.get(tensor.name, 0),
            positions=used.positions.get(tensor.name, 1),
            outputs=used.outputs(tensor),
            inputs=used.outputs(tensor) + 1,
            is_parameter=tensor.name not in statistics and len(tensor.dims) > 0,
            is_grouped=tensor.name in used.grouped,
            node=used.first.get(tensor.name, 0),
            is_uncounted=tensor.name in used.uncounted,
            operation=applied.get(tensor.name),
        )
        for tensor in sorted(model.graph.initializer, key=lambda t: used.first.get(t.name, 0))
        if is_weight(tensor) or tensor.name in integers - statistics
    ]


@dataclass(slots=True)
class _Uses:
    """What nodes make of each weight, by its name."""

    model: onnx.ModelProto
    shapes: Mapping[str, Shape]
    uses: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)
    uncounted: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    """Weights of recurrent layers."""

    def __post_init__(self) -> None:
        origin = weight_origins(self.model.graph)
        makers = {name: node for node in self.model.graph.node for name in node.output}
        for number, node in enumerate(self.model.graph.node):
            for name in node.input:
                self.first.setdefault(name, number)
            if node.op_type in GATES:
                # T N C: at batch 1 every element is multiplied once a step.
                steps = _places(self.shapes.get(node.input[0], ("?",))[:1])
                found = set(_behind(node.input[1], makers)) | set(_behind(node.input[2], makers))
                self.repeated |= found
                for name in found:
                    self._note(name, steps)
            elif node.op_type in _USES and len(node.input) > 1:
                name = origin.get(node.input[1], node.input[1])
                self._note(name, _USES[node.op_type](node, self.shapes))
                if int(attribute(node, "group", 1)) > 1:
                    self.grouped.add(name)

    def outputs(self, tensor: onnx.TensorProto) -> int:
        """The axis of what the layer writes: 0, or 1 where directions come first."""
        return int(tensor.name in self.repeated and len(tensor.dims) == 3)

    def _note(self, name: str, known: int | None) -> None:
        times = known or 0
        if known is None:
            self.uncounted.add(name)
        self.uses[name] = self.uses.get(name, 0) + times
        self.positions[name] = max(times, self.positions.get(name, 0))


def _behind(value: str, makers: Mapping[str, onnx.NodeProto]) -> Iterator[str]:
    """The constants that a value is put together from."""
    maker = makers.get(value)
    if maker is None:
        yield value
        return
    # Concat joins directions or gates; of all else the first input is the data.
    whole = maker.input if maker.op_type == "Concat" else maker.input[:1]
    for name in whole:
        yield from _behind(name, makers)


def _conv_uses(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int | None:
    return _places(shapes.get(node.output[0], ("?",) * 3)[2:])


def _conv_transpose_uses(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int | None:
    # Each place that is read meets the whole kernel; in a convolution each place written does.
    return _places(shapes.get(node.input[0], ("?",) * 3)[2:])


def _product_uses(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int | None:
    return _places(shapes.get(node.output[0], ("?",) * 2)[:-1])


def _places(sizes: Shape) -> int | None:
    if not all(isinstance(size, int) for size in sizes):
        return None
    return math.prod(int(size) for size in sizes)


_USES = {
    "Conv": _conv_uses,
    "ConvTranspose": _conv_transpose_uses,
    "Gemm": _product_uses,
    "MatMul": _product_uses,
}

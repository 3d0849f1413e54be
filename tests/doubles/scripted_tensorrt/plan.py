"""What a scripted engine is made of: facts in front, the ONNX graph behind."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A serialised engine."""

    home: str
    """The release and the device it was built with."""
    factor: float
    """Of its time, relative to that of the script."""
    activation_bytes: int
    model: bytes

    def to_bytes(self) -> bytes:
        """As it is written to a file."""
        head = [self.home, self.factor, self.activation_bytes]
        return json.dumps(head).encode() + b"\n" + self.model

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        """As it was written.

        Raises:
            ValueError: something else.
        """
        head, _, model = data.partition(b"\n")
        home, factor, activation_bytes = json.loads(head)
        return cls(home=home, factor=factor, activation_bytes=activation_bytes, model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of a network."""

    name: str
    shape: tuple[int, ...]
    """-1 where it is not fixed."""
    kind: int
    """ONNX's number of the element type."""
    is_input: bool

    @property
    def dtype(self) -> np.dtype:
        """numpy's type."""
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.kind))

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return math.prod(max(1, length) for length in self.shape) * self.dtype.itemsize


def ports(model: onnx.ModelProto) -> list[Port]:
    """Inputs that are no weights, then outputs."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    return [
        *(_port(entry, is_input=True) for entry in inputs),
        *(_port(entry, is_input=False) for entry in model.graph.output),
    ]


def guessed_activations(model: onnx.ModelProto) -> int:
    """Bytes of the largest two tensors beside each other, as far as shapes are known."""
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    sizes = sorted(_port(entry, is_input=False).size for entry in known)
    return sum(sizes[-2:]) or 4096


def _port(entry: onnx.ValueInfoProto, *, is_input: bool) -> Port:
    kind = entry.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)
    return Port(name=entry.name, shape=shape, kind=kind.elem_type, is_input=is_input)

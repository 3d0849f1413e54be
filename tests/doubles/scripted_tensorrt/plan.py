"""What a scripted engine is made of: facts in front, the ONNX graph behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import onnx

from hwprune_device.memory import weight_bytes

_MAGIC = b"scripted-tensorrt-plan\n"
_CACHE_MAGIC = b"scripted-tensorrt-timing-cache\n"


class NoPlanError(ValueError):
    """Bytes that no scripted builder wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A serialised engine."""

    version: str
    device: str
    capability: str
    factor: float
    """Of its time, relative to that of the script."""
    activation_bytes: int
    detailed: bool
    flags: list[str]
    layers: list[dict[str, str]]
    profiles: list[dict[str, list[list[int]]]] = field(default_factory=list)
    """Least, best and largest shape by input."""
    model: bytes = b""

    def to_bytes(self) -> bytes:
        """As it is written to a file."""
        head = {name: value for name, value in asdict(self).items() if name != "model"}
        return _MAGIC + json.dumps(head, sort_keys=True).encode() + b"\n" + self.model

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        """As it was written.

        Raises:
            NoPlanError: something else.
        """
        if not data.startswith(_MAGIC):
            raise NoPlanError
        head, _, model = data.removeprefix(_MAGIC).partition(b"\n")
        return cls(**json.loads(head), model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """A timing cache: which layers were timed on which device by which release."""

    version: str
    device: str
    layers: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """As it is written to a file."""
        return _CACHE_MAGIC + json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Timings:
        """As it was written.

        Raises:
            NoPlanError: something else.
        """
        if not data.startswith(_CACHE_MAGIC):
            raise NoPlanError
        said: Mapping[str, Any] = json.loads(data.removeprefix(_CACHE_MAGIC))
        return cls(**{**said, "layers": tuple(said["layers"])})


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
    sizes = sorted(_size(_port(entry, is_input=False)) for entry in known)
    return sum(sizes[-2:]) or 4096


def engine_bytes(model: onnx.ModelProto) -> int:
    """Bytes of the weights."""
    return weight_bytes(model.graph)


def _port(entry: onnx.ValueInfoProto, *, is_input: bool) -> Port:
    kind = entry.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)
    return Port(name=entry.name, shape=shape, kind=kind.elem_type, is_input=is_input)


def _size(port: Port) -> int:
    dims = [max(1, size) for size in port.shape]
    return int(np.prod(dims)) * port.dtype.itemsize

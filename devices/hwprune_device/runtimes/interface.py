"""The interface of a network: what it takes and what it gives, as its file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """An input."""

    name: str
    type: str
    """As numpy writes it."""
    shape: tuple[int | str, ...]
    """Sizes; a name, or an empty one, where any size will do."""

    @property
    def text(self) -> str:
        """Name, type and shape, for messages."""
        return f"'{self.name}' {self.type} [{', '.join(str(s) or '?' for s in self.shape)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Inputs and outputs of a network, in the order of its file; weights are no inputs."""

    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    """Names."""

    @property
    def fixed_batch(self) -> int | None:
        """The batch that the network was written for; None where it takes any.

        Raises:
            ValueError: its inputs differ in it.
        """
        # Scalars have no first axis, and say nothing of the batch.
        firsts = {size for entry in self.inputs for size in entry.shape[:1]}
        fixed = [size for size in firsts if isinstance(size, int)]
        if len(fixed) > 1:
            raise ValueError(f"the network's inputs have no batch in common: {self.inputs_text}")
        return fixed[0] if fixed else None

    @property
    def inputs_text(self) -> str:
        """All inputs, for messages."""
        return ", ".join(entry.text for entry in self.inputs)


def interface_of(model: onnx.ModelProto, free: Mapping[str, int] | None = None) -> Interface:
    """The interface of a network; `free` gives sizes to symbolic dimensions by name."""
    # Until IR version 4 every initializer was listed among the inputs too.
    weights = {tensor.name for tensor in model.graph.initializer}
    entries = (_entry(v, free or {}) for v in model.graph.input if v.name not in weights)
    return Interface(
        inputs=tuple(entries), outputs=tuple(value.name for value in model.graph.output)
    )


def batch_symbols(model: bytes) -> tuple[str, ...]:
    """Names of the symbolic dimensions in the first place of the inputs, each once: the batch."""
    inputs = onnx.load_model_from_string(model).graph.input
    firsts = (entry.type.tensor_type.shape.dim[:1] for entry in inputs)
    return tuple(sorted({dim[0].dim_param for dim in firsts if dim and dim[0].dim_param}))


def _entry(value: onnx.ValueInfoProto, free: Mapping[str, int]) -> InputSpec:
    tensor = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") else free.get(dim.dim_param, dim.dim_param)
        for dim in tensor.shape.dim
    )
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return InputSpec(name=value.name, type=kind, shape=shape)

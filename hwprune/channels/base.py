"""The base network: the traced graph, its cut plan, and what follows from the two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx

from hwprune.channels.analysis import analyse
from hwprune.channels.architecture import Structure
from hwprune.channels.canonical import canonical
from hwprune.channels.cost import CostModel
from hwprune.errors import NetworkError
from hwprune_device.plan import CutPlan


# No slots: what follows from the two (hashes, costs) is worked out when first asked for and kept.
@dataclass(frozen=True, kw_only=True)
class BaseNetwork:
    """One unpruned network, ready to be placed on boards and cut anywhere."""

    onnx: bytes
    """The graph in canonical form, weights inside."""
    plan: CutPlan
    input_name: str
    input_shape: tuple[int, ...]
    """N C H W at batch 1."""
    output_name: str

    @cached_property
    def base_id(self) -> str:
        """Content hash of graph, weights and plan: what a board knows this network by."""
        plan = json.dumps(self.plan.to_json(), sort_keys=True).encode()
        return hashlib.sha256(hashlib.sha256(self.onnx).digest() + plan).hexdigest()

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the unpruned network."""
        return self.plan.widths

    @cached_property
    def architecture(self) -> str:
        """Architecture hash of the unpruned network."""
        return self.architecture_of(self.plan.widths)

    @cached_property
    def cost_model(self) -> CostModel:
        """Parameters and multiply-accumulates of any candidate."""
        return CostModel(self.onnx, self.plan)

    def architecture_of(self, widths: Sequence[int]) -> str:
        """Architecture hash of the candidate with these widths, without cutting it."""
        key = tuple(int(width) for width in widths)
        if key not in self._architectures:
            self._architectures[key] = self._structure.hash_of(self.plan, key)
        return self._architectures[key]

    @cached_property
    def _structure(self) -> Structure:
        return Structure(onnx.load_model_from_string(self.onnx))

    @cached_property
    def _architectures(self) -> dict[tuple[int, ...], str]:
        return {}


def make_base(model: bytes, *, ignore: Sequence[str] = ()) -> BaseNetwork:
    """Bring an ONNX model to canonical form and analyse it.

    Args:
        model: ONNX bytes, from `trace` or any exporter; weights inside.
        ignore: names of channel groups to leave whole.

    Raises:
        NetworkError: not ONNX, or not one input and one output of known size.
    """
    try:
        proto = canonical(onnx.load_model_from_string(model))
    except Exception as error:
        raise NetworkError(
            f"the network is no ONNX model: {error}", given=f"{len(model)} bytes"
        ) from error
    graph = proto.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise NetworkError(
            "the network must have one input and one output",
            given=f"{len(graph.input)} inputs, {len(graph.output)} outputs",
            next_step="wrap it in a module that takes one tensor and returns one",
        )
    data = graph.input[0]
    sizes = [dim.dim_value for dim in data.type.tensor_type.shape.dim]
    if len(sizes) < 2 or any(size < 1 for size in sizes[1:]):
        raise NetworkError(
            "the network's input has axes of unknown size",
            given=f"input '{data.name}' of shape {sizes} (0: unknown)",
            possible="only the batch (axis 0) may be symbolic",
            next_step="export the network with a fixed image size",
        )
    data_bytes = proto.SerializeToString(deterministic=True)
    return BaseNetwork(
        onnx=data_bytes,
        plan=analyse(data_bytes, ignore=ignore),
        input_name=data.name,
        input_shape=(1, *sizes[1:]),
        output_name=graph.output[0].name,
    )

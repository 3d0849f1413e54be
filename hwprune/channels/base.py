"""The base network: the traced graph, its cut plan, and what follows from the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import onnx

from hwprune.channels.analysis import analyse
from hwprune.channels.architecture import Structure
from hwprune.channels.canonical import canonical
from hwprune.channels.cost import CostModel
from hwprune.channels.peak import count_peak
from hwprune.errors import NetworkError
from hwprune.peak import Peak
from hwprune_device.branches import Branches, Recent, gone_at
from hwprune_device.plan import CutPlan, content_id
from hwprune_device.values import EXPORTER_KEY, metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInput:
    """One tensor that a network takes."""

    name: str
    shape: tuple[int, ...]
    """At batch 1; N C H W for images."""
    dtype: str
    """numpy's name: float32, int64, bool."""
    any_batch: bool = True
    """False where the graph was written for one batch size."""


# No slots: what follows from the two (hashes, costs) is worked out when first asked for and kept.
@dataclass(frozen=True, kw_only=True)
class BaseNetwork:
    """One unpruned network, ready to be placed on boards and cut anywhere."""

    onnx: bytes
    """The graph in canonical form, weights inside."""
    plan: CutPlan
    inputs: tuple[NetworkInput, ...]
    outputs: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the first input at batch 1: N C H W for images."""
        return self.inputs[0].shape

    @cached_property
    def exporter(self) -> str:
        """Which of torch's exporters the graph is from; empty for one that came as a file."""
        return metadata(onnx.load_model_from_string(self.onnx)).get(EXPORTER_KEY, "")

    @cached_property
    def base_id(self) -> str:
        """Content hash of graph, weights and plan: what a board knows this network by."""
        return content_id(self.onnx, self.plan.to_json())

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

    @cached_property
    def peak(self) -> Peak:
        """Peak activations of any candidate."""
        return count_peak(self.onnx, self.plan)

    @property
    def structure(self) -> dict[str, Any]:
        """What candidates are made of, as plain data: inputs, groups, layers.

        With a candidate's widths it gives every layer's kind, shapes and channels; see
        `hwprune.layer.Layer`.
        """
        return {
            "inputs": [{"name": e.name, "shape": e.shape, "dtype": e.dtype} for e in self.inputs],
            "groups": [{"name": g.name, "width": g.width} for g in self.plan.groups],
            "layers": [asdict(layer) for layer in self.cost_model.layers()],
        }

    def architecture_of(self, widths: Sequence[int]) -> str:
        """Architecture hash of the candidate with these widths, without cutting it."""
        key = tuple(int(width) for width in widths)
        if key not in self._architectures:
            # A branch that goes takes nodes along, so the hash is that of a smaller graph.
            left = self._left_at(key)
            self._architectures[key] = left._structure.hash_of(left.plan, key)
        return self._architectures[key]

    @cached_property
    def removable(self) -> tuple[int, ...]:
        """Groups that can go as a whole, as a branch of a sum or product can: width 0."""
        return self._branches.removable()

    def _left_at(self, widths: tuple[int, ...]) -> BaseNetwork:
        """The network without the groups of width 0."""
        gone = gone_at(widths)
        return self._others.get(gone, lambda: self._without(gone)) if gone else self

    def _without(self, gone: tuple[int, ...]) -> BaseNetwork:
        model, plan = self._branches.without(gone)
        return replace(self, onnx=model.SerializeToString(), plan=plan)

    @cached_property
    def _branches(self) -> Branches:
        return Branches(onnx.load_model_from_string(self.onnx), self.plan)

    @cached_property
    def _others(self) -> Recent[BaseNetwork]:
        return Recent()

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
        NetworkError: not ONNX, or an input of unknown size.
    """
    try:
        proto = canonical(onnx.load_model_from_string(model))
    except Exception as error:
        raise NetworkError(
            f"the network is no ONNX model: {error}", given=f"{len(model)} bytes"
        ) from error
    inputs = tuple(_input(value) for value in proto.graph.input)
    if not inputs or not proto.graph.output:
        raise NetworkError("the network has no input or no output", given=f"{len(model)} bytes")
    # Deterministic, because `base_id` is a hash of these bytes.
    data_bytes = proto.SerializeToString(deterministic=True)
    return BaseNetwork(
        onnx=data_bytes,
        plan=analyse(proto, ignore=ignore),
        inputs=inputs,
        outputs=tuple(value.name for value in proto.graph.output),
    )


def _input(value: onnx.ValueInfoProto) -> NetworkInput:
    tensor = value.type.tensor_type
    dims = tensor.shape.dim
    sizes = [dim.dim_value for dim in dims]
    if any(size < 1 for size in sizes[1:]):
        raise NetworkError(
            "the network's input has axes of unknown size",
            given=f"input '{value.name}' of shape {sizes} (0: unknown)",
            possible="only the batch (axis 0) may be symbolic",
            next_step=f"give its shape with --input '{value.name}=SIZES', an x between them, or "
            "export the network with fixed sizes",
        )
    # 0 is an open batch, shown as 1.
    first = [max(1, size) for size in sizes[:1]]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return NetworkInput(
        name=value.name,
        shape=(*first, *sizes[1:]),
        dtype=str(dtype),
        any_batch=sizes[:1] == [0],
    )

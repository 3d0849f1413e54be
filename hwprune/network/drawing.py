"""One drawing of weights and inputs, on which cuts of a network are tried."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import psutil
import torch
from onnx import numpy_helper

from hwprune.channels.base import BaseNetwork
from hwprune.errors import NetworkError
from hwprune.network.calls import random_inputs
from hwprune.network.double import in_double
from hwprune.network.graph_module import to_module
from hwprune.network.levels import Levelling
from hwprune.network.sharp_outputs import with_sharp_outputs
from hwprune_device.output_structure import leaves_of
from hwprune_device.plan import STAYS, AxisCut
from hwprune_device.torch_graph.reference import NoGradientError
from hwprune_device.values import QUANTIZES, is_weight, weightless

_WEIGHTS = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2, 3, 4),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
}
"""Inputs that are weights, also where nothing of them is cut."""
_POSITIVE = {
    "BatchNormalization": (1, 4),
    "LayerNormalization": (1,),
    "InstanceNormalization": (1,),
    "GroupNormalization": (1,),
}
"""Inputs that are scales and variances."""
_TURNING = ("Transpose", "Reshape", "Squeeze", "Unsqueeze")
"""Ops after which a weight has the same numbers."""
_LONG_MACS = 10**9
"""From here on one item has to do: it is computed several times, in float64."""
_LARGE = 2**20
"""Numbers that are kept for the slopes as they are: no more than 8 MB a tensor."""
_AT_ONCE = 4
"""Of the largest tensor, how many are there beside those that are kept."""
_SHARE = 0.7
"""Of the memory that is free."""
_SHIFT = 0.45
"""Size of what is added or multiplied channel by channel, beside layers of size one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A network with weights that hide nothing, and inputs for it."""

    model: bytes
    """ONNX; answers among its outputs come with the numbers that they are made of."""
    inputs: tuple[torch.Tensor, ...]
    """Floats in float64."""
    influence: Mapping[tuple[int, int], float]
    """By axis of the plan and group: how far the outputs move with what the group has there, as a
    share of them. What has no gradient is not in it."""


def draw(base: BaseNetwork, seed: int) -> Drawing:
    """Weights and inputs drawn with a seed.

    Raises:
        NetworkError: the graph has an op that torch's side does not know, or does not run on them.
    """
    rng = np.random.default_rng(seed)
    proto = onnx.load_model_from_string(with_sharp_outputs(base.onnx))
    drawn = _randomise(proto, base, rng)
    batch = 1 if base.cost_model.macs(base.widths) >= _LONG_MACS else 2
    inputs = random_inputs(base, seed=seed, batch=batch, dtype=torch.double)
    # Without slopes groups are silenced one by one, which takes longer and less memory.
    free = _SHARE * psutil.virtual_memory().available
    # Networks that take two items are small: their slopes are taken to fit.
    slopes = batch > 1 or _slopes_bytes(proto, batch) < free
    module = in_double(to_module(bytes(proto.SerializeToString())))
    levelling = Levelling(module, drawn)
    try:
        # What autograd keeps for the backward pass is most of a drawing's memory.
        hooks = torch.autograd.graph.saved_tensors_hooks(_packed, _unpacked)
        with torch.set_grad_enabled(slopes), hooks:
            outputs = leaves_of(levelling.run(*inputs))
    except Exception as error:  # a layer raises whatever it meets
        said = str(error).partition("\n")[0]
        raise NetworkError(f"the network does not run on random inputs: {said}") from error
    # Slopes are of the levelled network (see Levelling), whose weights follow below.
    influence = _influence(base, dict(module.named_parameters()), outputs, rng)
    for tensor in proto.graph.initializer:
        factor = levelling.factors.get(tensor.name, 1.0)
        if factor != 1.0:
            array = numpy_helper.to_array(tensor)
            scaled = (array.astype(np.float64) * factor).astype(array.dtype)
            tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
    return Drawing(model=bytes(proto.SerializeToString()), inputs=inputs, influence=influence)


def _slopes_bytes(model: onnx.ModelProto, batch: int) -> int:
    """About what a backward pass keeps and works with, as far as sizes are known."""
    graph = onnx.shape_inference.infer_shapes(weightless(model)).graph
    tensors = (value.type.tensor_type for value in graph.value_info)
    sizes = [math.prod(d.dim_value or batch for d in t.shape.dim) for t in tensors]
    kept = sum(size * (2 if size > _LARGE else 8) for size in sizes)
    return kept + _AT_ONCE * 8 * max(sizes, default=0)


def _packed(kept: torch.Tensor) -> torch.Tensor:
    """What slopes are computed from, large floats as bfloat16: only their size counts."""
    large = kept.numel() > _LARGE and kept.dtype == torch.double
    return kept.bfloat16() if large else kept


def _unpacked(kept: torch.Tensor) -> torch.Tensor:
    return kept.double() if kept.dtype == torch.bfloat16 else kept


def _randomise(proto: onnx.ModelProto, base: BaseNetwork, rng: np.random.Generator) -> set[str]:
    """Random numbers for every weight, cut or not: trained zeros could hide a fault."""
    drawn = {axis.initializer for axis in base.plan.axes} | _at(proto, _WEIGHTS)
    # A layer's own scale of each channel starts near zero in many networks.
    scales = {t.name for t in proto.graph.initializer if len(t.dims) and max(t.dims) > 1}
    drawn |= _at(proto, {"Mul": (0, 1)}) & scales
    # Integers that stand for floats, and their scales, belong together as they are.
    drawn -= {n for node in proto.graph.node if node.op_type in QUANTIZES for n in node.input}
    positive = _at(proto, _POSITIVE)
    for tensor in proto.graph.initializer:
        if tensor.name in drawn and is_weight(tensor):
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            array = _random(tuple(tensor.dims), rng, positive=tensor.name in positive)
            tensor.CopyFrom(numpy_helper.from_array(array.astype(kind), tensor.name))
    return drawn


def _at(proto: onnx.ModelProto, places: Mapping[str, tuple[int, ...]]) -> set[str]:
    """Names that nodes have at those inputs; of what turns a weight first, the weight's."""
    turned: dict[str, str] = {}
    found: set[str] = set()
    for node in proto.graph.node:
        if node.op_type in _TURNING:
            turned[node.output[0]] = turned.get(node.input[0], node.input[0])
        at = places.get(node.op_type, ())
        names = [node.input[position] for position in at if position < len(node.input)]
        found.update(turned.get(name, name) for name in names)
    return found


def _random(shape: tuple[int, ...], rng: np.random.Generator, *, positive: bool) -> np.ndarray:
    if positive:
        return rng.uniform(0.5, 1.5, shape)
    numbers = rng.standard_normal(shape)
    if len(shape) < 2 or shape[0] == 1:
        return numbers * _SHIFT
    # He et al. 2015; layers are levelled after, so this only has to be near.
    return numbers * np.sqrt(2 / max(1, int(np.prod(shape[1:]))))


def _influence(
    base: BaseNetwork,
    parameters: Mapping[str, torch.Tensor],
    outputs: list[torch.Tensor],
    rng: np.random.Generator,
) -> dict[tuple[int, int], float]:
    """The slope of a random sum of the outputs along what each group has on each axis."""
    total = torch.zeros((), dtype=torch.double)
    for output in outputs:
        if output.is_floating_point() and output.requires_grad and output.numel():
            # Each output counts alike: n numbers of random sign add up to about sqrt(n) of one.
            size = output.detach().abs().max().clamp_min(1e-30) * output.numel() ** 0.5
            # A plain sum is the same for all weights behind a softmax, and so has no slope.
            signs = torch.from_numpy(rng.choice([-1.0, 1.0], output.shape))
            total = total + (output * signs).sum() / size
    if not total.requires_grad:
        return {}
    try:
        total.backward()
    except NoGradientError:
        # An op on the way is computed without slopes: groups are silenced one by one instead.
        return {}
    found = {}
    for position, cut in enumerate(base.plan.axes):
        weight = parameters.get(cut.initializer)
        if weight is not None and weight.grad is not None:
            for group, moved in _by_group(cut, weight.detach() * weight.grad).items():
                found[position, group] = moved
    return found


def _by_group(cut: AxisCut, moved: torch.Tensor) -> dict[int, float]:
    """By group on an axis, the size of what one of its indices does."""
    others = [axis for axis in range(moved.dim()) if axis != cut.axis]
    rows = (moved.sum(others) if others else moved).square()
    start, sums = 0, dict[int, list[float]]()
    for span in cut.spans:
        if span.group != STAYS and span.size:
            size = float(rows[start : start + span.size].mean().sqrt())
            sums.setdefault(span.group, []).append(size)
        start += span.size
    return {group: max(sizes) for group, sizes in sums.items()}

"""The gate: before a network is searched, its cut plan is tried on random weights.

A cut network must compute what the unpruned one computes when whatever writes the removed channels
writes zeros. That holds for networks whose activations map 0 to 0 (ReLU and most others) and whose
normalisations work channel by channel; a group that fails is left whole by the caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.channels.walk import attribute
from hwprune.errors import NetworkError
from hwprune.network.graph_module import to_module
from hwprune_device.cut import Cutter, KeptIndices
from hwprune_device.plan import CutPlan

_TOLERANCE = 1e-8
"""Relative; both sides compute in float64."""
_TRACE_TOLERANCE = 1e-3


def check_cut(
    base: BaseNetwork, module: nn.Module | None = None, *, seeds: Sequence[int] = (0, 1, 2)
) -> tuple[str, ...]:
    """Names of the groups whose cut changes more than it should; empty for a right plan.

    Each seed draws weights, an input and one candidate with all groups cut. Only where such a
    candidate fails are the groups tried one by one. Give the names to `make_base(…, ignore=…)`.

    Args:
        base: the network to try.
        module: the module it was traced from; its outputs are compared with the graph's.
        seeds: one candidate each.

    Raises:
        NetworkError: the graph does not compute what the module computes.
    """
    if module is not None:
        _compare_with_module(base, module)
    failed: dict[str, None] = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        weights = with_random_weights(base.onnx, rng)
        keep = _random_keep(base.plan, rng)
        if _agrees(weights, base, keep, seed):
            continue
        alone = [
            group.name
            for number, group in enumerate(base.plan.groups)
            if not _agrees(weights, base, _only(base.plan, keep, number), seed)
        ]
        # Groups that are right alone and wrong together cannot be told apart: none is trusted.
        failed.update(dict.fromkeys(alone or [group.name for group in base.plan.groups]))
    return tuple(failed)


def trusted_base(model: bytes, ignore: Sequence[str]) -> tuple[BaseNetwork, tuple[str, ...]]:
    """The base network of a model with every group left whole that fails the check.

    Args:
        model: ONNX bytes, as `trace` gives them.
        ignore: patterns (`layer1.*`) of groups, or of layers in them, to leave whole.

    Returns:
        The base network, and the names of all groups left whole, for `make_base`.
    """
    whole = make_base(model)
    ignored = [
        group.name
        for group in whole.plan.groups
        for pattern in ignore
        if any(fnmatchcase(name, pattern) for name in (group.name, *group.members))
    ]
    while True:
        base = make_base(model, ignore=ignored) if ignored else whole
        failed = check_cut(base)
        if not failed:
            return base, tuple(dict.fromkeys(ignored))
        ignored += failed


def _compare_with_module(base: BaseNetwork, module: nn.Module) -> None:
    data = torch.randn(2, *base.input_shape[1:], generator=torch.Generator().manual_seed(0))
    training, parameter = module.training, next(module.parameters(), torch.empty(0))
    with torch.no_grad():
        expected = module.eval()(data.to(parameter.device)).cpu()
        given = to_module(base.onnx)(data)
    module.train(training)
    error = _relative(given, expected)
    if not error <= _TRACE_TOLERANCE:
        raise NetworkError(
            "the traced graph does not compute what the module computes",
            given=f"{type(module).__name__}; outputs differ by {error:.2g} of the largest one",
            next_step="look for randomness or branches on data in the module's forward()",
        )


def _agrees(weights: bytes, base: BaseNetwork, keep: list[np.ndarray], seed: int) -> bool:
    data = torch.randn(
        2, *base.input_shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.double
    )
    cut = Cutter(weights, base.plan).cut(keep)
    try:
        with torch.no_grad():
            given = to_module(cut).double()(data)
            expected = to_module(silenced(weights, base.plan, keep)).double()(data)
    except (RuntimeError, NetworkError):
        # Shapes that do not fit: the cut is wrong.
        return False
    return _relative(given, expected) <= _TOLERANCE


def _relative(given: torch.Tensor, expected: torch.Tensor) -> float:
    if given.shape != expected.shape:
        return float("inf")
    return float((given - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def _random_keep(plan: CutPlan, rng: np.random.Generator) -> list[np.ndarray]:
    """A random half or more of each group, never all of it."""
    keep = []
    for group in plan.groups:
        count = int(rng.integers((group.width + 1) // 2, max(group.width, 2)))
        keep.append(np.sort(rng.choice(group.width, count, replace=False)))
    return keep


def _only(plan: CutPlan, keep: list[np.ndarray], number: int) -> list[np.ndarray]:
    full = [np.arange(group.width) for group in plan.groups]
    full[number] = keep[number]
    return full


def silenced(model: bytes, plan: CutPlan, keep: Sequence[np.ndarray]) -> bytes:
    """The uncut model where all that writes the removed channels writes zeros."""
    proto = onnx.load_model_from_string(model)
    indices = KeptIndices(list(keep))
    spans = {(cut.initializer, cut.axis): cut.spans for cut in plan.axes}
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        for name, axis in _writing(node, tensors):
            if (name, axis) not in spans:
                continue
            array = np.array(numpy_helper.to_array(tensors[name]))
            kept = indices.of(spans[(name, axis)])
            gone = np.setdiff1d(np.arange(array.shape[axis]), kept)
            np.moveaxis(array, axis, 0)[gone] = 0
            tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    return bytes(proto.SerializeToString())


def with_random_weights(model: bytes, rng: np.random.Generator) -> bytes:
    """The model with random weights of usual size: zeros in a trained one could hide a fault."""
    proto = onnx.load_model_from_string(model)
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type not in _OUT_AXES:
            continue
        for position, name in enumerate(node.input[1:], start=1):
            if name in tensors:
                array = _random(node.op_type, position, tuple(tensors[name].dims), rng)
                tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    return bytes(proto.SerializeToString())


def _random(
    op_type: str, position: int, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    if op_type == "BatchNormalization" and position in (1, 4):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = max(1, int(np.prod(shape[1:]))) if len(shape) > 1 else 10
    return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


_OUT_AXES = {
    "Conv": (0, 0),
    "ConvTranspose": (1, 0),
    "Gemm": (1, 0),
    "MatMul": (1,),
    "BatchNormalization": (0, 0),
}
"""Axis of the output channels in inputs 1, 2, … of an op."""


def _writing(
    node: onnx.NodeProto, tensors: dict[str, onnx.TensorProto]
) -> Iterator[tuple[str, int]]:
    """(weight, axis) that decide what a node writes to its output channels."""
    axes = _OUT_AXES.get(node.op_type, ())
    if node.op_type == "Gemm" and attribute(node, "transB", 0):
        axes = (0, 0)
    for name, axis in zip(node.input[1:], axes, strict=False):
        if name in tensors:
            yield name, axis
    if node.op_type in ("Add", "Sub", "Mul"):
        for name in node.input:
            for axis in range(len(tensors[name].dims)) if name in tensors else ():
                yield name, axis

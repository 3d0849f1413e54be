"""The gate: before a network is searched, its cut plan is tried on random weights.

A cut network must compute what the unpruned one computes when all that writes or reads the removed
channels is zero, and layer norms leave them out. A group that fails is left whole by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import NetworkError
from hwprune.network.calls import random_inputs, tensors
from hwprune.network.graph_module import to_module
from hwprune.network.silencing import silenced_module
from hwprune_device.cut import Cutter
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
        weights = with_random_weights(base, rng)
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
    inputs = random_inputs(base, seed=0)
    training, parameter = module.training, next(module.parameters(), torch.empty(0))
    with torch.no_grad():
        expected = tensors(module.eval()(*(data.to(parameter.device) for data in inputs)))
        given = tensors(to_module(base.onnx)(*inputs))
    module.train(training)
    error = _relative(given, [tensor.cpu() for tensor in expected])
    if not error <= _TRACE_TOLERANCE:
        raise NetworkError(
            "the traced graph does not compute what the module computes",
            given=f"{type(module).__name__}; outputs differ by {error:.2g} of the largest one",
            next_step="look for randomness or branches on data in the module's forward()",
        )


def _agrees(weights: bytes, base: BaseNetwork, keep: list[np.ndarray], seed: int) -> bool:
    inputs = random_inputs(base, seed=seed, dtype=torch.double)
    cut = Cutter(weights, base.plan).cut(keep)
    try:
        with torch.no_grad():
            given = tensors(to_module(cut).double()(*inputs))
            expected = tensors(silenced_module(weights, base.plan, keep).double()(*inputs))
    except (RuntimeError, NetworkError):
        # Shapes that do not fit: the cut is wrong.
        return False
    return _relative(given, expected) <= _TOLERANCE


def _relative(given: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """The largest difference, as a share of the largest number of its output."""
    if [tensor.shape for tensor in given] != [tensor.shape for tensor in expected]:
        return float("inf")
    errors = [
        float((a - b).abs().max() / b.abs().max().clamp_min(1e-30))
        for a, b in zip(given, expected, strict=True)
        if b.numel()
    ]
    return max(errors, default=0.0)


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


def with_random_weights(base: BaseNetwork, rng: np.random.Generator) -> bytes:
    """The graph with random numbers wherever it is cut: trained zeros could hide a fault."""
    proto = onnx.load_model_from_string(base.onnx)
    positive = {
        node.input[position]
        for node in proto.graph.node
        for position in _POSITIVE.get(node.op_type, ())
    }
    cut = {axis.initializer for axis in base.plan.axes}
    for tensor in proto.graph.initializer:
        if tensor.name in cut:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            array = _random(tuple(tensor.dims), rng, positive=tensor.name in positive)
            tensor.CopyFrom(numpy_helper.from_array(array.astype(kind), tensor.name))
    return bytes(proto.SerializeToString())


_POSITIVE = {
    "BatchNormalization": (1, 4),
    "LayerNormalization": (1,),
    "InstanceNormalization": (1,),
}
"""Inputs that are scales and variances."""


def _random(shape: tuple[int, ...], rng: np.random.Generator, *, positive: bool) -> np.ndarray:
    if positive:
        return rng.uniform(0.5, 1.5, shape)
    fan_in = max(1, int(np.prod(shape[1:]))) if len(shape) > 1 else 10
    return rng.standard_normal(shape) * np.sqrt(2 / fan_in)

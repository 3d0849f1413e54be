"""The gate: before a network is searched, its cut plan is tried on random weights.

A cut network must compute what the unpruned one computes when all that writes or reads the removed
channels is zero, and layer norms leave them out. A group that fails is left whole by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from hwprune.channels.architecture import architecture_hash
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import NetworkError
from hwprune.network.calls import random_inputs
from hwprune.network.double import in_double
from hwprune.network.gate_record import GateRecord, GateRecords
from hwprune.network.graph_module import to_module
from hwprune.network.silencing import silenced_module
from hwprune.width_limit import matches
from hwprune_device.cut import Cutter
from hwprune_device.output_structure import leaves_of
from hwprune_device.plan import CutPlan
from hwprune_device.values import QUANTIZES

_TOLERANCE = 1e-5
"""Relative; both sides compute in float64. Deep networks with random weights amplify its rounding
up to 2e-6 (EfficientNetV2-S, tests/benchmarks/bench_coverage.py)."""
_TRACE_TOLERANCE = 1e-3
_CANDIDATES = 3
_LARGE_MACS = 10**9
"""From here on one candidate has to do: each is computed twice, in float64."""


def check_cut(
    base: BaseNetwork, module: nn.Module | None = None, *, seeds: Sequence[int] = (0, 1, 2)
) -> tuple[str, ...]:
    """Names of the groups whose cut changes more than it should; empty for a right plan.

    Each seed draws weights, an input and one candidate with all groups cut. Only where such a
    candidate fails is the fault looked for, in ever smaller sets of groups. Give the names to
    `make_base(…, ignore=…)`.

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
        failed.update(dict.fromkeys(Trial(base, seed).failing()))
    return tuple(failed)


class Trial:
    """One drawing of weights, input and candidate, on which any set of groups can be cut."""

    def __init__(self, base: BaseNetwork, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._base = base
        self._weights = with_random_weights(base, rng)
        self.keep = _random_keep(base.plan, rng)
        self._inputs = random_inputs(base, seed=seed, dtype=torch.double)
        self._errors: dict[tuple[int, ...], float] = {}

    def failing(self) -> list[str]:
        """Names of the groups at fault."""
        faults = self._faults(range(len(self.keep)))
        return [self._base.plan.groups[number].name for number in faults]

    def error(self, groups: Sequence[int]) -> float:
        """Relative error of a cut of these groups alone; infinite where it does not run."""
        key = tuple(groups)
        if key not in self._errors:
            self._errors[key] = self._error(key)
        return self._errors[key]

    def _error(self, groups: Sequence[int]) -> float:
        keep = [np.arange(group.width) for group in self._base.plan.groups]
        for number in groups:
            keep[number] = self.keep[number]
        plan = self._base.plan
        try:
            with torch.no_grad():
                cut = in_double(to_module(Cutter(self._weights, plan).cut(keep)))
                silent = in_double(silenced_module(self._weights, plan, keep))
                return _relative(leaves_of(cut(*self._inputs)), leaves_of(silent(*self._inputs)))
        except (RuntimeError, NetworkError):
            # Shapes that do not fit: the cut is wrong.
            return float("inf")

    def _faults(self, groups: Sequence[int]) -> list[int]:
        if not groups or self.error(groups) <= _TOLERANCE:
            return []
        if len(groups) == 1:
            return list(groups)
        middle = len(groups) // 2
        found = [*self._faults(groups[:middle]), *self._faults(groups[middle:])]
        # Groups that are right apart and wrong together cannot be told apart: none is trusted.
        return found or list(groups)


def trusted_base(
    model: bytes,
    ignore: Sequence[str] = (),
    *,
    module: nn.Module | None = None,
    records: GateRecords | None = None,
) -> tuple[BaseNetwork, tuple[str, ...], GateRecord]:
    """The base network of a model with every group left whole that fails the check.

    Args:
        model: ONNX bytes, as `trace` gives them.
        ignore: patterns (`layer1.*`) of groups, or of layers in them, to leave whole.
        module: what the model was traced from; a cut of it is exported once, to compare hashes.
        records: where outcomes are remembered; a structure passes the gate once.

    Returns:
        The base network, the names of all groups left whole (for `make_base`), and what was found.
    """
    whole = make_base(model)
    asked = tuple(_matching(whole.plan, ignore))
    record = records.get(whole, asked) if records else None
    if record is None:
        record = _examined(model, asked, module)
        if records:
            records.put(whole, asked, record)
    left = (*asked, *record.failed)
    return (make_base(model, ignore=left) if left else whole), left, record


def _matching(plan: CutPlan, patterns: Sequence[str]) -> list[str]:
    return [
        group.name for group in plan.groups if any(matches(group, pattern) for pattern in patterns)
    ]


def _examined(model: bytes, asked: Sequence[str], module: nn.Module | None) -> GateRecord:
    """Cut, compare, leave whole what fails, and again until nothing does."""
    failed: list[str] = []
    while True:
        base = make_base(model, ignore=(*asked, *failed))
        seeds = range(_CANDIDATES if base.cost_model.macs(base.widths) < _LARGE_MACS else 1)
        try:
            to_module(base.onnx)
        except NetworkError as error:
            why = error.happened
            return GateRecord(candidates=0, worst_error=0.0, failed=(), re_export=why, untried=why)
        found: dict[str, None] = {}
        errors = []
        for seed in seeds:
            trial = Trial(base, seed)
            found.update(dict.fromkeys(trial.failing()))
            errors.append(trial.error(range(len(trial.keep))))
        if not found:
            break
        failed += found
    return GateRecord(
        candidates=len(seeds),
        worst_error=max(errors),
        failed=tuple(failed),
        re_export=_re_export(base, module, trial.keep),
    )


def _re_export(base: BaseNetwork, module: nn.Module | None, keep: Sequence[np.ndarray]) -> str:
    """Whether the cut module's own export has the hash that the cut's is said to have."""
    from hwprune.network.cut_module import cut_module
    from hwprune.network.trace import trace

    if module is None:
        return "not tried: the network exists only as a graph"
    example = random_inputs(base, seed=0)
    try:
        cut = cut_module(module, base.plan, keep, example=example)
        hash_ = architecture_hash(make_base(trace(cut, example)).onnx)
    except NetworkError as error:
        return f"not tried: {error.happened}"
    return "equal" if hash_ == base.architecture_of([len(k) for k in keep]) else "different"


def _compare_with_module(base: BaseNetwork, module: nn.Module) -> None:
    inputs = random_inputs(base, seed=0)
    training, parameter = module.training, next(module.parameters(), torch.empty(0))
    with torch.no_grad():
        expected = leaves_of(module.eval()(*(data.to(parameter.device) for data in inputs)))
        given = leaves_of(to_module(base.onnx)(*inputs))
    module.train(training)
    error = _relative(given, [tensor.cpu() for tensor in expected])
    if not error <= _TRACE_TOLERANCE:
        raise NetworkError(
            "the traced graph does not compute what the module computes",
            given=f"{type(module).__name__}; outputs differ by {error:.2g} of the largest one",
            next_step="look for randomness or branches on data in the module's forward()",
        )


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


def with_random_weights(base: BaseNetwork, rng: np.random.Generator) -> bytes:
    """The graph with random numbers wherever it is cut: trained zeros could hide a fault."""
    proto = onnx.load_model_from_string(base.onnx)
    positive = {
        node.input[position]
        for node in proto.graph.node
        for position in _POSITIVE.get(node.op_type, ())
    }
    cut = {axis.initializer for axis in base.plan.axes}
    # Integers that stand for floats, and their scales, belong together as they are.
    cut -= {n for node in proto.graph.node if node.op_type in QUANTIZES for n in node.input}
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

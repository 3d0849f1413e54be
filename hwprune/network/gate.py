"""The gate: before a network is searched, its cut plan is tried on random weights.

A cut network must compute what the unpruned one computes when all that writes or reads the removed
channels is zero, and layer norms leave them out. A group that fails, or that no trial can judge,
is left whole by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from hwprune.channels.architecture import architecture_hash
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import NetworkError
from hwprune.network.calls import random_inputs
from hwprune.network.comparison import difference
from hwprune.network.examination import examine
from hwprune.network.gate_record import GateRecord, GateRecords
from hwprune.network.graph_module import to_module
from hwprune.network.modes import kept_modes
from hwprune.width_limit import matches
from hwprune_device.output_structure import leaves_of
from hwprune_device.plan import CutPlan

_TRACE_TOLERANCE = {
    torch.bfloat16: 1e-1,
    torch.float16: 2e-2,
    torch.float32: 1e-3,
    torch.float64: 1e-6,
}
"""By the coarsest type among a network's numbers, in which module and graph both compute."""


def check_cut(
    base: BaseNetwork, module: nn.Module | None = None, *, seeds: Sequence[int] = ()
) -> tuple[str, ...]:
    """Names of the groups that are not to be cut; empty for a right plan.

    All groups are cut together, in a few candidates. Only where one fails is the fault looked for,
    in ever smaller sets of groups. Give the names to `make_base(…, ignore=…)`.

    Args:
        base: the network to try.
        module: the module it was traced from; its outputs are compared with the graph's.
        seeds: of the drawings of weights and inputs; by default as many as are needed.

    Raises:
        NetworkError: the graph does not compute what the module computes.
    """
    if module is not None:
        _compare_with_module(base, module)
    findings = examine(base, seeds)
    return (*findings.failed, *findings.unjudged)


def trusted_base(
    model: bytes,
    ignore: Sequence[str] = (),
    *,
    module: nn.Module | None = None,
    records: GateRecords | None = None,
) -> tuple[BaseNetwork, tuple[str, ...], GateRecord]:
    """The base network of a model, with every group left whole that is not to be trusted.

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
    # By structure and plan: trained again, the same network has passed already.
    record = records.get(whole, asked) if records else None
    if record is not None:
        left = (*asked, *record.left_whole)
        return _leaving(model, whole, left), left, record
    base, record = _examined(model, _leaving(model, whole, asked), asked, module)
    if records:
        records.put(whole, asked, record)
    return base, (*asked, *record.left_whole), record


def _leaving(model: bytes, whole: BaseNetwork, names: Sequence[str]) -> BaseNetwork:
    return make_base(model, ignore=names) if names else whole


def _matching(plan: CutPlan, patterns: Sequence[str]) -> list[str]:
    return [
        group.name for group in plan.groups if any(matches(group, pattern) for pattern in patterns)
    ]


def _examined(
    model: bytes, base: BaseNetwork, asked: Sequence[str], module: nn.Module | None
) -> tuple[BaseNetwork, GateRecord]:
    """What was found of a base network, and the base network without the groups at fault."""
    try:
        found = examine(base)
    except NetworkError as error:
        why = error.happened
        return base, GateRecord(
            candidates=0, worst_error=0.0, failed=(), unjudged=(), re_export=why, untried=why
        )
    left = (*found.failed, *found.unjudged)
    if left:
        base = make_base(model, ignore=(*asked, *left))
    keep = [found.keep[group.name] for group in base.plan.groups]
    return base, GateRecord(
        candidates=found.candidates,
        worst_error=found.worst_error,
        failed=found.failed,
        unjudged=found.unjudged,
        re_export=_re_export(base, module, keep),
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
    parameter = next(module.parameters(), torch.empty(0))
    with kept_modes(module), torch.no_grad():
        expected = leaves_of(module.eval()(*(data.to(parameter.device) for data in inputs)))
        given = leaves_of(to_module(base.onnx)(*inputs))
    error = difference(given, [tensor.cpu() for tensor in expected])
    floats = {tensor.dtype for tensor in (*module.state_dict().values(), *inputs, *expected)}
    # Whole numbers have no entry: they neither loosen nor tighten what the floats allow.
    allowed = max((_TRACE_TOLERANCE.get(kind, 0.0) for kind in floats), default=1e-3)
    if not error <= (allowed or 1e-3):
        raise NetworkError(
            "the traced graph does not compute what the module computes",
            given=f"{type(module).__name__}; outputs differ by {error:.2g} of the largest one",
            next_step="look for randomness or branches on data in the module's forward()",
        )

"""A row of the table: what a method made of a network, in the papers' measure and in real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.farm.session import BoardSession
from hwprune.pipeline.measure import fit
from hwprune_device.cut import Cutter
from hwprune_device.job import CandidateJob, Job
from hwprune_device.reading import Failure, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Shares are of the unpruned network; accuracies are on the test images, 0..1."""

    network: str
    method: str
    mask_sparsity: float
    """Share of the convolutions' own weights that a filter or weight mask takes: the papers'
    count, which knows nothing of layers that read."""
    channels_removed: float
    params_removed: float
    macs: float
    """Left."""
    latency_ms: float | None
    """None where the board failed."""
    latency: float | None
    """Of the unpruned network's, read by turns with it."""
    doubts: int
    """That the readings have."""
    before: float
    """Right after pruning."""
    after: float
    """After fine-tuning, as the paper has it: of a masked network with its masks."""
    cut: float
    """Of what is left once masked channels were removed for good and BatchNorm re-calibrated."""
    episodes: int
    tuned_steps: int
    seconds: float
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def removed(base: BaseNetwork, widths: Sequence[int]) -> dict[str, Any]:
    """What goes for good at these widths, by names of a `Row`."""
    model, full = base.cost_model, base.widths
    return {
        "channels_removed": 1 - sum(widths) / sum(full),
        "params_removed": 1 - model.params(widths) / model.params(full),
        "macs": model.macs(widths) / model.macs(full),
    }


def filter_sparsity(base: BaseNetwork, widths: Sequence[int]) -> float:
    """Own weights of the filters that go, as a share: what a filter mask would be said to take."""
    left = whole = 0.0
    for layer in base.cost_model.layers():
        if layer.positions > 1:
            inputs = layer.inputs.fixed + sum(base.widths[g] * n for g, n in layer.inputs.per_unit)
            each = layer.kernel * inputs
            outputs = layer.outputs.per_unit
            left += each * (layer.outputs.fixed + sum(widths[g] * n for g, n in outputs))
            whole += each * (layer.outputs.fixed + sum(base.widths[g] * n for g, n in outputs))
    return 1 - left / whole


def timed(board: Board, base: BaseNetwork, widths: Sequence[int], readings: int) -> dict[str, Any]:
    """A network's latency by widths, by names of a `Row`: medians of so many readings."""
    fitted = fit(board, base, None, None)
    architecture = base.architecture_of(widths)
    found: list[Reading] = []
    with BoardSession(fitted) as session:
        session.open()
        for number in range(readings):
            job = Job(
                job_id=f"reading-{number}",
                base_id=base.base_id,
                base_architecture=base.architecture,
                base_widths=base.widths,
                target=fitted.target,
                protocol=fitted.protocol,
                candidates=(CandidateJob(architecture=architecture, widths=tuple(widths)),),
            )
            (outcome,) = session.measure(job, base).outcomes
            if isinstance(outcome, Failure):
                print(f"not measured: {outcome.message}", flush=True)
            else:
                found.append(outcome)
    if not found:
        return {"latency_ms": None, "latency": None, "doubts": 0}
    return {
        "latency_ms": median(reading.latency_ms for reading in found),
        "latency": median(reading.ratio for reading in found),
        "doubts": sum(len(reading.doubts) for reading in found),
    }


def cut_of(base: BaseNetwork, masked: bytes, keep: Sequence[np.ndarray]) -> bytes:
    """The masked network without the units that do not stay."""
    return Cutter(masked, base.plan).cut(list(keep))

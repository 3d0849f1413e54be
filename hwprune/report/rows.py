"""What a result lists: networks, channel groups, methods, and the steps of its curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNPRUNED, UNIFORM, HWPRUNE = "unpruned", "uniform", "hwprune"
"""Names of the rows of the closing table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """One network of the closing table: how well it does its task and what it costs."""

    name: str
    """`unpruned`, `uniform` (the widest of those that cut every group alike) or `hwprune`."""
    score_test: float | None
    """The task's metric on the test part, as delivered."""
    score_heldout_before_finetune: float | None = None
    """The same on held-out items right after the cut, before any fine-tuning."""
    others_test: Mapping[str, float] = field(default_factory=dict)
    """Further numbers that the task gives for the test part, by name."""
    latency_ms: float | None
    """Measured; None when the measurement failed."""
    low_ms: float | None
    high_ms: float | None
    """95 % interval of `latency_ms`."""
    memory_mb: float | None
    """Weights and peak activations, in 10**6 bytes; None where the runtime does not report it."""
    params: int
    macs: int
    """Multiply-accumulates for one input."""
    passed: bool | None = None
    """Whether the budget was shown to be kept; None for a row that is not held against it."""
    widths: tuple[int, ...] = ()
    """Width of each channel group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """A runtime's own form of the delivered network."""

    kind: str
    """Of board."""
    files: tuple[str, ...]
    """In the run folder; their facts lie beside the first, with `.json` after its name."""
    made_for: str
    """What loads it: "Orin and TensorRT 10.3.0 alone"."""
    precision: str
    batch: int
    size_mb: float
    sha256: str
    device_ms: float | None
    """What it took on the board by the device's own clock, where it has one."""
    build_s: float
    fell_back: tuple[str, ...] = ()
    """Layers that run on the GPU because the DLA cannot."""


def engine_as_now(row: Any) -> Any:
    """An EngineRow's plain data, also of before there were runtimes with several files."""
    if not isinstance(row, Mapping) or "file" not in row:
        return row
    alone = f"{row.get('gpu')} and TensorRT {row.get('tensorrt')} alone"
    return {**row, "files": [row["file"]], "made_for": alone}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """One channel group before and after the cut."""

    name: str
    width_before: int
    width_after: int
    saved_ms: float | None = None
    """Measured milliseconds this group's cut saves; None when it was not measured alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """What one search method reached."""

    name: str
    evaluations: int
    feasible: int
    failed: int
    best_score: float | None
    """Held-out score, before fine-tuning, of its best feasible candidate."""
    best_at: int | None
    """The evaluation, from 1, that found it."""
    best_by: str = ""
    """Who in the method proposed it."""
    seconds: float | None = None
    ended: str = ""
    """Why it ended before its evaluations were used, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStep:
    """One iteration of the policy's training."""

    iteration: int
    evaluations: int
    """Evaluations made so far."""
    reward: float
    cost: Mapping[str, float] = field(default_factory=dict)
    """Mean excess by constraint label."""
    multiplier: Mapping[str, float] = field(default_factory=dict)
    """Lagrange multiplier by constraint label."""
    best: float | None = None
    """Best feasible quality so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneEpoch:
    """One epoch of fine-tuning."""

    epoch: int
    loss: float
    score_heldout: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """What a latency table believed of the delivered network, beside what a board read of it."""

    kind: str
    """Of board."""
    table: str
    """What the table is of, and when it was built."""
    predicted_ms: float
    low_ms: float | None
    """95 % interval; None where the table was never held against candidates."""
    high_ms: float | None
    read_ms: float | None
    """Mean of fresh readings; None where no board was asked."""
    spared: int
    """Candidates that were not measured, because the table knew them to be over the budget."""
    median_off_pct: float | None
    """Median over the search's candidates: prediction less reading, in percent of it."""

    @property
    def text(self) -> str:
        """All of it in a sentence."""
        said = f"{self.kind}: {self.predicted_ms:.4g} ms predicted"
        if self.low_ms is not None and self.high_ms is not None:
            said += f" ({self.low_ms:.4g} to {self.high_ms:.4g})"
        if self.read_ms is not None:
            off = 100 * (self.predicted_ms / self.read_ms - 1)
            said += f", {self.read_ms:.4g} ms read ({off:+.1f} %)"
        if self.median_off_pct is not None:
            said += f"; candidates {self.median_off_pct:+.1f} % off in the median"
        if self.spared:
            said += f"; {self.spared} were not measured, as they were known to be over the budget"
        return f"{said}; table of {self.table}"

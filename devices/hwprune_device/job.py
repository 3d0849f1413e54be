"""What a board is asked to do: a target, a timing protocol, a batch of candidates as widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from hwprune_device.range import Range

Seconds = Annotated[float, Range(low=0, high=1e6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How a network runs: everything that selects its latency apart from its structure."""

    runtime: str = "onnxrt"
    """What runs networks: onnxrt, ncnn, trt, trt_rtx, torch."""
    threads: Annotated[int, Range(low=1, high=1024)] = 1
    """Of the runtime; with one a reading is steadiest."""
    precision: str = "fp32"
    """What the runtime computes in: fp32, fp16, int8 and others, by runtime."""
    batch: Annotated[int, Range(low=1, high=65536)] = 1
    """Items that go through at once."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the runtime, by its own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a batch is timed, in interleaved rounds; for the defaults see devices/measuring.md."""

    rounds: Annotated[int, Range(low=1, high=10**6)] = 20
    """Rounds that every batch has."""
    max_rounds: Annotated[int, Range(low=1, high=10**6)] = 40
    """Rounds while a ratio is not known to `precision_pct`."""
    disturbed_rounds: Annotated[int, Range(low=1, high=10**6)] = 200
    """Rounds while the base was at its calm time in fewer than `rounds` of them."""
    precision_pct: Annotated[float, Range(low=0, high=1e6)] = 2.0
    """Stop early at `rounds` once the interval of the ratio is this narrow, else go on."""
    warmup_runs: Annotated[int, Range(low=1, high=10**6)] = 3
    """Runs of each network before the first round, not timed."""
    short_ms: Annotated[float, Range(low=0, high=1e6)] = 5.0
    """Below this a visit is 1 discarded and 3 timed runs, above it 1 timed run."""
    base_every: Annotated[int, Range(low=1, high=1000)] = 3
    """The base network runs after every so many candidates."""
    timeout_s: Annotated[float, Range(low=1, high=1e6)] = 60.0
    """A child that takes longer than this plus three times its expectation is killed."""
    memory_limit_mb: Annotated[float, Range(low=1, high=1e9)] | None = None
    """What a child may take beyond what it starts with: addresses, beside CUDA what it holds; None
    for no limit."""
    cap_s: Seconds = 60.0
    """A batch starts no further round after this long."""
    energy_s: Seconds = 0.0
    """Run each network this long without a pause to read its energy, where a sensor exists; 0: do
    not."""
    gate_s: Seconds = 60.0
    """A batch waits for a hot or throttled board this long at most; 0 for not at all."""
    between_batch_cv: Annotated[float, Range(low=0, high=10)] | None = None
    """Spread of the ratio between batches on this board; None for a class default."""
    cv_source: str = "the board's profile"
    """Where `between_batch_cv` is from, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateJob:
    """One network to cut and time: its hash and a width for every channel group."""

    architecture: str
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A batch of candidates of one base network, timed together with it."""

    job_id: str
    base_id: str
    """Content hash of the base graph and its cut plan, placed on the board before."""
    base_architecture: str
    base_widths: tuple[int, ...]
    target: Target
    protocol: Protocol
    candidates: tuple[CandidateJob, ...]
    base_nominal_ms: float | None = None
    """The calibrated time of the base network, which ratios are multiplied with; None: this
    batch's own median."""
    base_calm_ms: float | None = None
    """This very board's time of the base network when nothing disturbs it; None: not known."""

    @property
    def architectures(self) -> tuple[str, ...]:
        """What its outcomes are of, in their order; without candidates: of the base itself."""
        return tuple(c.architecture for c in self.candidates) or (self.base_architecture,)

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """The inverse of `to_json`."""
        fields = dict(data)
        fields["target"] = Target(**fields["target"])
        fields["protocol"] = Protocol(**fields["protocol"])
        fields["base_widths"] = tuple(fields["base_widths"])
        fields["candidates"] = tuple(
            CandidateJob(architecture=c["architecture"], widths=tuple(c["widths"]))
            for c in fields["candidates"]
        )
        return cls(**fields)

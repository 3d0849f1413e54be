"""The budget: what a network may cost, as constraints that a reading keeps or breaks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hwprune.errors import BoardError, DeploymentError
from hwprune_device.reading import Reading
from hwprune_device.runtimes import facts_of, runtime_names

QUANTITIES = {
    "latency_ms": "Time of a run, measured.",
    "memory_mb": "Weights and the peak of live activations, where the runtime tells it.",
    "energy_mj": "Energy of a run, where the board has a sensor.",
    "params": "Numbers in the weights.",
    "macs": "Multiplications of a run.",
}
"""What a budget may limit, and what that is."""
_COUNTED = ("params", "macs")
LARGEST = 1e18
"""No limit is beyond: that many multiplications no network has."""
CLOCKS = ("host", "transfers", "device")
"""Latencies of a GPU: until the result is there; with copies from and to the host; of the GPU's
work alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a network costs: its reading on the board, and the counts of its structure."""

    reading: Reading
    """On the board, or on the first kind of board of a fleet."""
    params: int
    macs: int
    by_kind: Mapping[str, Reading] = field(default_factory=dict)
    """On every kind of board of a fleet."""

    def on(self, kind: str) -> Reading:
        """The reading on a kind of board; empty: on the only, or the first, kind."""
        return self.by_kind.get(kind, self.reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One upper limit on one quantity, absolute or as a share of the unpruned network's."""

    quantity: str
    at_most: float
    relative: bool = False
    """True: `at_most` is a fraction of the unpruned network's own value."""
    quantile: float = 0.5
    """For latency_ms: which quantile of the runs."""
    kind: str = ""
    """The kind of board it holds for, where there are several."""
    clock: str = ""
    """For latency_ms on a GPU: one of CLOCKS; empty: as the board's profile says."""

    @property
    def label(self) -> str:
        """A short name, unique within a budget: `latency_ms`, `latency_ms@p95 on pi-5`."""
        name = self.quantity
        if self.quantity == "latency_ms" and abs(self.quantile - 0.5) > 1e-9:
            name += f"@p{self.quantile * 100:g}"
        if self.clock:
            name += f" ({self.clock})"
        return f"{name} on {self.kind}" if self.kind else name

    def value(self, cost: Footprint) -> float:
        """The quantity as read: a point, without its interval.

        Raises:
            BoardError: a memory or an energy that the board did not report.
        """
        if self.quantity == "latency_ms":
            return cost.on(self.kind).quantile_ms(self.quantile)
        if self.quantity == "memory_mb":
            return _memory_mb(cost.on(self.kind))
        if self.quantity == "energy_mj":
            return _energy_mj(cost.on(self.kind))
        return float(cost.params if self.quantity == "params" else cost.macs)

    def bound(self, cost: Footprint) -> float:
        """The value held against the limit: what takes time counts with its interval's upper end.

        Raises:
            BoardError: as `value`.
        """
        if self.quantity == "latency_ms":
            return cost.on(self.kind).upper_ms(self.quantile)
        if self.quantity == "energy_mj":
            # Power times time: no surer than the time.
            reading = cost.on(self.kind)
            return self.value(cost) * reading.high_ms / reading.latency_ms
        # Memory is repeatable and counts are exact: they have no interval.
        return self.value(cost)

    def excess(self, cost: Footprint) -> float:
        """How far over the limit, as a fraction of it; 0 or less means kept."""
        return self.bound(cost) / self.at_most - 1.0

    def resolve(self, unpruned: Footprint) -> Constraint:
        """The same limit in absolute units, once the unpruned network was measured."""
        if not self.relative:
            return self
        return replace(self, at_most=self.at_most * self.value(unpruned), relative=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """All constraints of a deployment; a network keeps the budget when it keeps each of them."""

    constraints: tuple[Constraint, ...]
    name: str = ""
    """Unique among the budgets of a deployment; empty where there is one."""

    def of_kind(self, kind: str, kinds: Sequence[str]) -> tuple[Constraint, ...]:
        """The constraints that readings of a kind decide; of the first also those of no kind."""
        return tuple(c for c in self.constraints if (c.kind or kinds[0]) == kind)

    def for_kinds(self, kinds: Sequence[str]) -> Budget:
        """The budget of a fleet of these kinds of board.

        What is asked of no kind in particular holds for each, unless a kind has a limit of its
        own; params and MACs are the same everywhere.

        Raises:
            DeploymentError: a limit for a kind that is not there.
        """
        for constraint in self.constraints:
            if constraint.kind and constraint.kind not in kinds:
                raise DeploymentError(
                    f"the budget has a limit for boards of kind '{constraint.kind}'",
                    possible=", ".join(kinds),
                    next_step="name a kind of the deployment's boards, or add such a board",
                )
        if len(kinds) == 1:
            # One kind needs no naming, so labels stay short.
            alone = tuple(replace(c, kind="") for c in self.constraints)
            return replace(self, constraints=alone)
        own = {(c.quantity, c.quantile, c.kind) for c in self.constraints}
        found = []
        for constraint in self.constraints:
            if constraint.kind or constraint.quantity in _COUNTED:
                found.append(constraint)
                continue
            found += [
                replace(constraint, kind=kind)
                for kind in kinds
                if (constraint.quantity, constraint.quantile, kind) not in own
            ]
        return replace(self, constraints=tuple(found))

    def clock_on(self, kind: str) -> str:
        """The clock that latencies of a kind of board are read from; empty: its profile's.

        Raises:
            DeploymentError: two of them; a board has one.
        """
        mine = (c for c in self.constraints if c.kind in ("", kind) and c.clock)
        clocks = list(dict.fromkeys(c.clock for c in mine))
        if len(clocks) > 1:
            raise DeploymentError(
                "the budget asks for two clocks on one kind of board",
                given=f"{' and '.join(clocks)} on {kind}",
                next_step="ask for one; every reading tells the others besides",
            )
        return clocks[0] if clocks else ""

    def resolve(self, unpruned: Footprint) -> Budget:
        """The budget in absolute units."""
        resolved = tuple(c.resolve(unpruned) for c in self.constraints)
        return replace(self, constraints=resolved)

    @property
    def text(self) -> tuple[str, ...]:
        """A phrase a constraint, as it was asked for."""
        return tuple(
            f"{c.label} ≤ {c.at_most * 100:g} % of the unpruned network's"
            if c.relative
            else f"{c.label} ≤ {c.at_most:g}"
            for c in self.constraints
        )

    def excess(self, cost: Footprint) -> dict[str, float]:
        """Excess by constraint label; 0 or less means kept."""
        return {c.label: c.excess(cost) for c in self.constraints}

    def keeps(self, cost: Footprint) -> bool:
        """Whether every constraint is kept."""
        return all(excess <= 0 for excess in self.excess(cost).values())


def _memory_mb(reading: Reading) -> float:
    peak_mb = reading.memory.peak_mb
    if peak_mb is not None:
        return peak_mb
    runtime = reading.target.get("runtime", "not known")
    provider = reading.target.get("options", {}).get("provider")
    able = [name for name in runtime_names() if facts_of(name).reports_memory]
    raise BoardError(
        "the board's runtime does not tell what memory a network takes",
        given=f"runtime {runtime}" + (f", execution provider {provider}" if provider else ""),
        possible=", ".join(f"{name} ({facts_of(name).title})" for name in able),
        next_step="take memory_mb out of the budget, or measure it on a board that tells it",
    )


def _energy_mj(reading: Reading) -> float:
    if reading.energy_mj is not None:
        return reading.energy_mj
    raise BoardError(
        "the board has no energy sensor that can be read",
        given=reading.energy_source or "energy was not asked for: its profile has energy_s = 0",
        possible="RAPL counters that this user may read, a Jetson's INA3221, one NVIDIA GPU",
        next_step="mend the sensor's permissions, or take energy_mj out of the budget",
    )


_LIMIT = re.compile(
    r"^\s*(?:<=|≤)?\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(%|ms|mb|mj)?\s*$", re.I
)
_EXAMPLES = {
    "latency_ms": ' such as "8 ms"',
    "memory_mb": ' such as "200 MB"',
    "energy_mj": ' such as "12 mJ"',
}


def parse_constraint(
    quantity: str,
    limit: str | float,
    *,
    quantile: float = 0.5,
    kind: str = "",
    clock: str = "",
) -> Constraint:
    """A constraint from `"50 %"` (of the unpruned network), `"8 ms"`, `"200 MB"` or a number.

    Raises:
        DeploymentError: an unknown quantity, a limit that is no number, or a limit of 0 or less.
    """
    if quantity not in QUANTITIES:
        raise DeploymentError(
            f"the budget names an unknown quantity '{quantity}'", possible=", ".join(QUANTITIES)
        )
    match = _LIMIT.match(str(limit))
    number = float(match.group(1)) if match else 0.0
    unit = (match.group(2) or "").lower() if match else ""
    if (
        not match
        or not 0 < number <= LARGEST
        # The unit that a quantity takes is the end of its name: latency_ms, memory_mb.
        or unit not in ("", "%", quantity.rpartition("_")[2])
    ):
        raise DeploymentError(
            f"the budget's {quantity} has a limit that cannot be read",
            given=repr(limit),
            possible='a share of the unpruned network such as "50 %", or a positive number'
            + _EXAMPLES.get(quantity, ""),
        )
    if not isinstance(quantile, float) or not 0 < quantile < 1:
        raise DeploymentError(
            f"the quantile of {quantity} must lie between 0 and 1", given=str(quantile)
        )
    if clock and (clock not in CLOCKS or quantity != "latency_ms"):
        raise DeploymentError(
            f"{quantity} cannot be read by this clock",
            given=repr(clock),
            possible=f"for latency_ms: {', '.join(CLOCKS)}",
        )
    relative = unit == "%"
    return Constraint(
        quantity=quantity,
        at_most=number / 100 if relative else number,
        relative=relative,
        quantile=quantile,
        kind=kind,
        clock=clock,
    )

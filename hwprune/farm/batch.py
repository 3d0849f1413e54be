"""The batch: what came of a job, all of it or what was known when the board was lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwprune.farm.answers import Outcome
from hwprune_device.job import Job
from hwprune_device.reading import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A board that went away while it measured."""

    message: str
    at_work: tuple[str, ...] = ()
    """Architectures that it last said it was working on; empty when that is not known."""
    nonsense: bool = False
    """Whether it said what cannot be, and so was left by us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Outcomes of a job in its order, and the seconds that went where."""

    outcomes: tuple[Outcome, ...]
    timings: Mapping[str, float]
    loss: Loss | None = None
    """Set when the board was lost on the way: what is open then failed with stage "lost"."""

    @classmethod
    def lost(cls, job: Job, loss: Loss, known: Mapping[int, Outcome]) -> Batch:
        """A batch whose board went away when these outcomes were known, by place in the job."""
        said = f"the board was lost while it measured: {loss.message}"
        outcomes = (
            known.get(index) or Failure(stage="lost", message=said, architecture=name)
            for index, name in enumerate(job.architectures)
        )
        return cls(outcomes=tuple(outcomes), timings={}, loss=loss)

"""What a criterion is, what it is given, and the register of those that were imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hwprune.errors import DataError, InputError
from hwprune.progress import Progress, Silent

if TYPE_CHECKING:
    from torch import nn

    from hwprune.task.task import Task
    from hwprune_device.plan import CutPlan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A network whose channels are to be scored."""

    module: nn.Module
    """The torch twin of the base network; a criterion leaves its weights as they are."""
    plan: CutPlan
    task: Task | None
    """None where the criterion looks at weights alone."""
    seed: int
    progress: Progress = field(default_factory=Silent)
    """Told of every batch that a criterion looks at."""
    stage: str = "rank channels"
    """What the progress is headed with."""


Score = Callable[[Subject], list[np.ndarray]]
"""A number for each unit of each group, 0 or more; higher means more important."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A way to score channels, called with a subject."""

    name: str
    score: Score
    needs_data: bool = True
    """Without it a cached ranking holds for any data."""

    def __call__(self, subject: Subject) -> list[np.ndarray]:
        """The scores of the subject's units, by group.

        Raises:
            DataError: the criterion needs data and the subject has none.
        """
        if self.needs_data and subject.task is None:
            raise DataError(
                f"the {self.name} criterion needs training data",
                next_step="give data, or take a criterion that looks at weights alone, such as l1",
            )
        return self.score(subject)


CRITERIA: dict[str, Criterion] = {}
"""Every criterion that was imported, by the name that deployments use."""


def criterion(name: str, *, needs_data: bool = True) -> Callable[[Score], Criterion]:
    """Register a function as the criterion of this name.

    Raises:
        InputError: another module has registered this name.
    """

    def register(function: Score) -> Criterion:
        """The function as the criterion of this name, put into the register."""
        known = CRITERIA.get(name)
        # The same module may be imported again, as a notebook's reload does.
        if known is not None and known.score.__module__ != function.__module__:
            raise InputError(
                f"there are two saliency criteria called '{name}'",
                given=f"{known.score.__module__} and {function.__module__}",
                next_step="give one of them another name",
            )
        CRITERIA[name] = Criterion(name=name, score=function, needs_data=needs_data)
        return CRITERIA[name]

    return register

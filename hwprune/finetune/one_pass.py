"""What a task trains on, as passes that all have as many steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hwprune.errors import DataError
from hwprune.task.task import Task

_ALL = 1 << 40
"""Items asked for where a task without batches gives inputs: more than any has."""


class OnePass:
    """What a task trains on, an epoch at a time, with as many steps each."""

    def __init__(self, task: Task, size: int) -> None:
        self._task = task
        self._size = size
        self._steps = 0

    @property
    def steps(self) -> int:
        """Batches of a pass; those of a stream without a length are counted once."""
        if not self._steps:
            batches = self._batches()
            try:
                self._steps = max(1, len(batches))  # type: ignore[arg-type]
            except TypeError:
                self._steps = max(1, sum(1 for _ in batches))
        return self._steps

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        left = self.steps
        for pair in self._batches():
            # A stream may be longer than it was when its batches were counted.
            if left == 0:
                return
            left -= 1
            yield pair
        if left == self.steps:
            raise DataError(
                f"the task '{self._task.name}' gives nothing to train on",
                given=f"no batch of {self._size} items in the part 'train'",
                next_step="lower batch_size where the task drops a last batch that is not full",
            )

    def _batches(self) -> Iterable[tuple[Any, Any]]:
        if self._task.batches is not None:
            return self._task.batches("train", self._size)
        return ((inputs, None) for inputs in self._task.inputs("train", _ALL))

"""Scores: a task's own function called, and whatever it returns brought to one form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hwprune.errors import InputError
from hwprune.task.score import Score
from hwprune.task.task import Part, Run, Task
from hwprune.user_code import call_with, places_of


def score_of(task: Task, run: Run, part: Part, share: float = 1.0) -> Score:
    """How well a network does a task on the first `share` of a part.

    Raises:
        InputError: the function fails, or gives no number.
    """
    if task.score is None:
        raise InputError(
            "the task has no score yet", next_step="use agreement.completed(task, base)"
        )
    try:
        found = call_with(task.score, run, part, share)
    except InputError:
        raise
    except Exception as error:  # whatever the user's own code raises
        raise InputError(
            f"the score function of '{task.name}' failed",
            given=f"on part '{part}': {type(error).__name__}: {error}",
        ) from error
    score = _as_score(found, task)
    if not math.isfinite(score.value):
        raise InputError(
            f"the score function of '{task.name}' gave no number",
            given=f"{score.value} on part '{part}'",
        )
    return score


def _as_score(found: Any, task: Task) -> Score:
    try:
        if isinstance(found, Score):
            return _plain(found)
        if isinstance(found, Mapping) and found:
            numbers = {str(name): float(value) for name, value in found.items()}
            # Of several numbers the metric is the one of its name, else the first.
            first = task.metric.name if task.metric.name in numbers else next(iter(numbers))
            return Score(value=numbers.pop(first), others=numbers)
        return Score(value=float(found))
    except (TypeError, ValueError, RuntimeError):  # torch raises the last
        raise InputError(
            f"the score function of '{task.name}' gave no number",
            given=f"{type(found).__name__}: {found!r}"[:200],
            possible="a number, numbers by name, or a hwprune.Score",
        ) from None


def _plain(score: Score) -> Score:
    """The same in Python's and NumPy's own numbers, whatever tensors the user put in."""
    items = None if score.items is None else np.asarray(score.items, np.float32).reshape(-1)
    others = {str(name): float(value) for name, value in score.others.items()}
    return Score(value=float(score.value), others=others, items=items)


def takes_share(score: Callable[..., Any] | None) -> bool:
    """Whether a score function can be asked for a share of a part."""
    return score is not None and (places_of(score) or 0) >= 3

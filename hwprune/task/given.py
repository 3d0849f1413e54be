"""A task from functions that a notebook gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from hwprune.metric import Metric
from hwprune.task.items import Inputs
from hwprune.task.load import of_function, remake_of
from hwprune.task.task import Part, Task
from hwprune.task_settings import TaskSettings
from hwprune.user_code import name_of


def task_of_functions(
    task: Task | None,
    inputs: Callable[..., Any] | Iterable[Any] | None,
    functions: Mapping[str, Callable[..., Any]],
    example: Inputs,
    metric: Metric | None = None,
) -> Task:
    """A task, or none, with functions of the user's in the place of its own.

    Functions that can be imported by name are called in worker processes; any other, such as one
    of a notebook's cell, stays in this process with all that needs it.

    Args:
        inputs: `inputs(part, count)`, `inputs()`, batches, or None: those of the task, of
            `batches`, or the example alone.
        functions: by their names in `Task`.
        example: inputs of one item.
        metric: of the score; None: the task's.
    """
    given = inputs
    if task is None and inputs is None:
        given = _inputs_of(functions.get("batches"), example)
    # Made again in another process it would lack these functions.
    made = replace(task, remake=None) if task is not None else None
    if given is not None:
        fresh = of_function(given, name="functions")
        made = fresh if made is None else replace(made, inputs=fresh.inputs)
    assert made is not None
    names: dict[str, Any] = {name: name_of(function) for name, function in functions.items()}
    if callable(inputs):
        names["inputs"] = name_of(inputs)
    identity = hashlib.sha256(repr(sorted(names.items())).encode())
    for values in example:
        identity.update(values.detach().cpu().contiguous().numpy().data)
    # Names say all of it only where every function has one, and no task is below them.
    by_name = task is None and callable(inputs) and all(names.values())
    own: dict[str, Any] = dict(functions)
    metric = metric or made.metric
    words: dict[str, Any] = {
        "metric": metric.name,
        "lower_is_better": not metric.higher_is_better,
        "any_number": not metric.is_share,
    }
    return replace(
        made,
        **own,
        metric=metric,
        identity=f"{made.identity} {identity.hexdigest()}".strip(),
        remake=remake_of(TaskSettings(**names, **words)) if by_name else None,
    )


def _inputs_of(
    batches: Callable[..., Any] | None, example: Inputs
) -> Callable[[Part, int], Iterable[Any]]:
    """Inputs from training pairs; else the example alone, which re-calibrates BatchNorm badly."""

    def inputs(part: Part, count: int) -> Iterable[Any]:
        if batches is None:
            return [example]
        kept: Part = "calibration" if part == "train" else part
        return (given for given, _ in batches(kept, 32))

    return inputs

"""A task from what a deployment says of it, and the same task once more in another process."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hwprune.data_settings import DataSettings
from hwprune.errors import DataError, DeploymentError
from hwprune.metric import Metric
from hwprune.task.data import Data, read_data
from hwprune.task.files import FileInputs
from hwprune.task.image_file import InputShape
from hwprune.task.items import first_items, inputs_of
from hwprune.task.kinds import OF_DATA, arrays_of
from hwprune.task.task import Part, Remake, Task
from hwprune.task.tensors import Tensors
from hwprune.task_settings import KINDS, TaskSettings
from hwprune.user_code import call_with, load_function

FUNCTIONS = ("score", "inputs", "train", "loss", "batches")
PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A task, and what had to be guessed to make it."""

    task: Task
    guessed: tuple[str, ...] = ()


def load_task(
    settings: TaskSettings,
    data: DataSettings | Data | None,
    *,
    entries: Sequence[InputShape] = (),
) -> Loaded:
    """The task that a deployment describes.

    Args:
        settings: its [task] section.
        data: its [data] section, or data at hand.
        entries: the network's inputs, where they are known; files need them.

    Raises:
        InputError: nothing says what the network takes, or something named is not there.
    """
    guessed: list[str] = []
    if settings.source:
        task = _of_source(settings.source)
    elif data is not None:
        task = _of_data(settings, data, guessed)
    else:
        task = _of_inputs(settings, entries, guessed)
    own = _own_functions(settings, alone=not settings.source and data is None)
    metric = _metric(task, settings)
    if own or metric != task.metric:
        # The kind alone would not make it again, and is not all that it is.
        task = replace(task, **own, metric=metric, remake=None)
        task = replace(task, identity=f"{task.identity} {_identity(task, settings)}".strip())
    if "score" in own or "loss" in own:
        # Outputs are what these functions make of them.
        task = replace(task, check=None, output_kinds=())
    task = replace(
        task,
        calibration=settings.calibration or task.calibration,
        identity=task.identity or _identity(task, settings),
    )
    return Loaded(
        task=replace(task, remake=task.remake or remake_of(settings, data, entries)),
        guessed=tuple(guessed),
    )


def _metric(task: Task, settings: TaskSettings) -> Metric:
    """The task's, as far as the settings do not say otherwise.

    A score function of the settings' own is not measured as the kind that it replaces.
    """
    known = Metric(name="score") if settings.score and not settings.source else task.metric
    return Metric(
        name=settings.metric or known.name,
        higher_is_better=known.higher_is_better and not settings.lower_is_better,
        is_share=known.is_share and not settings.any_number,
    )


def _of_source(source: str) -> Task:
    made = load_function(source, DeploymentError, what="task")()
    if isinstance(made, Task):
        return made
    raise DeploymentError(
        f"{source} must return a hwprune.Task", given=f"it returned {type(made).__name__}"
    )


def _of_data(settings: TaskSettings, data: DataSettings | Data, guessed: list[str]) -> Task:
    given = data if isinstance(data, Data) else read_data(data)
    calibration = settings.calibration or (
        data.calibration if isinstance(data, DataSettings) else 0
    )
    if settings.kind == "imitation" or (not settings.kind and (settings.score or settings.loss)):
        return Task(
            name=settings.kind or given.name,
            inputs=given.inputs,
            batches=given.pairs,
            calibration=calibration,
            classes=given.classes,
            identity=given.content_hash,
        )
    kind = settings.kind or _kind(given.targets)
    if not settings.kind and kind != "classification":
        guessed.append(f'kind = "{kind}", from the targets ([task] kind)')
    if kind not in OF_DATA:
        raise DeploymentError(
            "what the network is for cannot be seen from its targets",
            given=f"targets of type {type(given.targets).__name__}",
            possible=f"[task] kind = {', '.join(KINDS)}, or [task] source or score and loss",
        )
    # Arrays go to another process as they are; a Dataset is opened there once more.
    tensors = all(isinstance(items, Tensors) for items in given.parts.values())
    return OF_DATA[kind](
        given,
        calibration=calibration,
        remake=(lambda: arrays_of(kind, given, calibration)) if tensors else None,
    )


def _kind(targets: Any) -> str:
    if not isinstance(targets, torch.Tensor):
        return ""
    if targets.is_floating_point():
        return "regression"
    return {1: "classification", 2: "multilabel", 3: "segmentation"}.get(targets.ndim, "")


def _of_inputs(settings: TaskSettings, entries: Sequence[InputShape], guessed: list[str]) -> Task:
    if not settings.inputs:
        raise DeploymentError(
            "nothing says what the network takes",
            possible="[data], [task] source, or [task] inputs",
            next_step="name inputs: a function, or files such as 'frames/*.png'",
        )
    if _is_function(settings.inputs):
        function = load_function(settings.inputs, DeploymentError, what="inputs")
        return of_function(function, name=settings.inputs)
    if not entries:
        raise DeploymentError(
            "the shape of the network's input is not known",
            given=settings.inputs,
            next_step="say [network] input, such as [1, 3, 224, 224]",
        )
    files = FileInputs(
        settings.inputs,
        entries,
        size=settings.size,
        mean=settings.mean,
        std=settings.std,
        layout=settings.layout,
    )
    guessed += files.guessed
    told = hashlib.sha256(repr(settings).encode()).hexdigest()
    return Task(
        name="imitation",
        inputs=files.inputs,
        batches=files.pairs,
        identity=f"imitation {told} {files.content_hash}",
    )


def of_function(function: Callable[..., Any] | Iterable[Any], *, name: str = "inputs") -> Task:
    """The task of a function `inputs(part, count)`, or of a list of batches.

    A function that takes nothing, and a list, are set apart batch by batch: of four batches one
    scores, one is looked at last, and two teach.
    """
    if not callable(function):
        rows = list(function)
        return Task(name=name, inputs=_dealt(lambda: rows))
    parameters = inspect.signature(function).parameters
    needed = any(p.default is p.empty and p.kind in PLACES for p in parameters.values())
    # A parameter with a default alone, such as `size=32`, asks for no part.
    if needed or "part" in parameters:
        return Task(name=name, inputs=lambda part, count: call_with(function, part, count))
    return Task(name=name, inputs=_dealt(lambda: call_with(function)))


def _dealt(batches: Callable[[], Iterable[Any]]) -> Callable[[Part, int], Iterable[Any]]:
    places = {"heldout": (0,), "final": (0,), "test": (1,), "train": (2, 3), "calibration": (2, 3)}

    def inputs(part: Part, count: int) -> Iterable[Any]:
        """The batches of a part, until they are `count` items."""
        chosen = (b for number, b in enumerate(batches()) if number % 4 in places[part])
        given = 0
        for inputs in first_items(chosen, count):
            given += len(inputs[0])
            yield inputs
        if not given:
            raise DataError(
                f"too few batches of inputs: none is left for part '{part}'",
                possible="3 or more, of which one scores, one is looked at last, and the rest "
                "teach; or inputs(part, count), which sets them apart itself",
            )

    return inputs


def _own_functions(settings: TaskSettings, *, alone: bool) -> dict[str, Any]:
    """What takes the place of a task's own functions, by names in `Task`.

    Args:
        alone: whether the task is made of its inputs; then these replace nothing.

    Raises:
        DeploymentError: a function is not there, or files stand in the place of other inputs.
    """
    named = {name: getattr(settings, name) for name in FUNCTIONS}
    if alone:
        del named["inputs"]
    elif named["inputs"] and not _is_function(named["inputs"]):
        raise DeploymentError(
            "files of inputs do not go with a task or data that have inputs of their own",
            given=f"[task] inputs = {settings.inputs}",
            possible="a function, such as task.py:inputs, or neither [task] source nor [data]",
        )
    found: dict[str, Any] = {
        name: load_function(source, DeploymentError, what=f"{name} function")
        for name, source in named.items()
        if source
    }
    if "inputs" in found:
        found["inputs"] = of_function(found["inputs"]).inputs
    return found


def _is_function(source: str) -> bool:
    return source.rpartition(":")[2].isidentifier() and ":" in source


def _identity(task: Task, settings: TaskSettings) -> str:
    """Of what is said of the task, the text of the user's files, and the first input."""
    digest = hashlib.sha256(repr(settings).encode())
    for source in (settings.source, *(getattr(settings, name) for name in FUNCTIONS)):
        place = Path(source.rpartition(":")[0])
        if source and place.suffix == ".py" and place.is_file():
            digest.update(place.read_bytes())
    # The first ones stand for the rest: to read them all may take as long as training.
    for inputs in inputs_of(task, "calibration", 4):
        for values in inputs:
            digest.update(values.contiguous().numpy().data)
    return f"{task.name} {digest.hexdigest()}"


def remake_of(
    settings: TaskSettings,
    data: DataSettings | Data | None = None,
    entries: Sequence[InputShape] = (),
) -> Callable[[], Remake] | None:
    """How another process makes the task of some settings; None where it cannot."""
    if isinstance(data, Data):
        return None
    arguments = {
        "settings": asdict(settings),
        "data": None if data is None else asdict(data),
        "entries": [asdict(entry) for entry in entries],
    }
    return lambda: Remake(factory="hwprune.task.load:made_again", arguments=arguments)


def made_again(
    settings: Mapping[str, Any],
    data: Mapping[str, Any] | None,
    entries: Sequence[Mapping[str, Any]],
) -> Task:
    """The task of some settings, from plain data."""
    return load_task(
        TaskSettings(**settings),
        None if data is None else DataSettings(**data),
        entries=[InputShape(**entry) for entry in entries],
    ).task

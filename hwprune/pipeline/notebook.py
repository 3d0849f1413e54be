"""The same power from Python: `hwprune.prune(model, example_inputs, …, budget=…)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprune.board import Board
from hwprune.budget import Budget
from hwprune.budget_settings import parse_budgets
from hwprune.data_settings import DataSettings
from hwprune.deployment import Deployment, NetworkSettings
from hwprune.errors import DeploymentError
from hwprune.floor import parse_floor
from hwprune.pipeline.model_deployment import IMITATION
from hwprune.progress import Progress
from hwprune.recipe import Recipe
from hwprune.report.front import Front
from hwprune.report.result import Result
from hwprune.search_settings import SearchSettings
from hwprune.task_settings import TaskSettings
from hwprune.toml_file import validate

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hwprune.metric import Metric
    from hwprune.pipeline.supplies import Given
    from hwprune.task.data import Data
    from hwprune.task.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What `prune` gives: the network, the evidence, and the folder that holds both."""

    module: nn.Module
    """The pruned and fine-tuned network."""
    result: Result
    folder: Path
    """model.onnx, weights, certificate.json and report.html are here."""

    @property
    def passed(self) -> bool:
        """Whether fresh readings show that the budget is kept, and the floor is reached."""
        return self.result.passed and self.result.good_enough


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedFront:
    """What `prune` gives for several budgets."""

    networks: Mapping[str, Pruned]
    """By budget, those that a network was found for."""
    front: Front
    folder: Path
    """front.json and the report of all of them are here, each network in a folder of its own."""

    @property
    def passed(self) -> bool:
        """Whether fresh readings show that every budget is kept, and every floor reached."""
        return self.front.passed and self.front.good_enough


def prune(
    model: nn.Module,
    example_inputs: torch.Tensor | tuple[torch.Tensor, ...],
    *,
    budget: Budget | Mapping[str, Any] | None = None,
    budgets: Sequence[Mapping[str, Any]] = (),
    score: Callable[..., Any] | None = None,
    train: Callable[..., Any] | None = None,
    inputs: Callable[..., Any] | Iterable[Any] | None = None,
    loss: Callable[..., Any] | None = None,
    batches: Callable[..., Any] | None = None,
    metric: Metric | None = None,
    task: Task | None = None,
    data: Data | str | Mapping[str, Any] | None = None,
    at_least: str | float = "",
    board: Board | Path | str | None = None,
    search: SearchSettings | Mapping[str, Any] | None = None,
    finetune: Recipe | Mapping[str, Any] | None = None,
    out: Path | str = Path("runs/notebook"),
    resume: bool = False,
    progress: Progress | None = None,
) -> Pruned | PrunedFront:
    """Prune a trained network until it keeps the budget on the board.

    What it is for is said by a `task`, by `data` (as `[data]` in a file, its `source` alone, or a
    `Data`), or by functions, which also replace those of the task or the data.

    Args:
        model: a trained torch module or torchvision detector, which is left as it is.
        example_inputs: one batch, N first; a tuple for a module of several arguments.
        budget: a `Budget`, or for example `{"latency_ms": "50 %"}`.
        budgets: several, of which one search gives a network each; may have a `name` each.
        score: see `hwprune.Task`; left out: agreement with the unpruned network.
        train: the same; left out: by `loss` and `batches`, or by imitating the unpruned network.
        inputs: the same, or batches; left out: from `batches`, or the example alone.
        at_least: the floor of the delivered score, a number or "98 %" of the unpruned one's.
        board: a `Board`, a board profile's path, or None for this machine.
        progress: None: lines on stderr, or a bar on a terminal.

    Raises:
        HwpruneError: see hwprune/errors.py; what was finished stays in `out` for `resume=True`.
    """
    from hwprune.pipeline.supplies import Given
    from hwprune.task.items import as_inputs

    parse_floor(at_least)
    example = tuple(values[:1] for values in as_inputs(example_inputs))
    functions = {"score": score, "train": train, "loss": loss, "batches": batches}
    made = _task(task, data, inputs, functions, metric, example)
    deployment = Deployment(
        name=Path(out).name,
        network=NetworkSettings(source=_fingerprint(model), trained=True),
        task=TaskSettings(source=f"given: {made.identity}", at_least=at_least),
        boards=(Path(board),) if isinstance(board, str | Path) else (),
        budgets=_budgets(budget, budgets),
        search=_noun(SearchSettings, search, "search"),
        finetune=_noun(Recipe, finetune, "finetune", **_recipe(made)),
    )
    supplied = Given(module=model, example=example, task=made, board=_own(board))
    return _pruned(deployment, supplied, Path(out), resume=resume, progress=progress)


def _own(board: Board | Path | str | None) -> Board | None:
    """The board that no profile names."""
    from hwprune.board import this_machine

    return this_machine() if board is None else board if isinstance(board, Board) else None


def _budgets(
    budget: Budget | Mapping[str, Any] | None, budgets: Sequence[Mapping[str, Any]]
) -> tuple[Budget, ...]:
    if (budget is None) == (not budgets):
        raise DeploymentError(
            "give a budget, or budgets", possible='budget={"latency_ms": "50 %"}'
        )
    if isinstance(budget, Budget):
        # A lone budget has no folder of its own, whatever it is called.
        return (replace(budget, name=""),)
    return parse_budgets(budget or budgets)


def _pruned(
    deployment: Deployment, given: Given, out: Path, *, resume: bool, progress: Progress | None
) -> Pruned | PrunedFront:
    from hwprune.network.package import load_package
    from hwprune.pipeline.run import run
    from hwprune.report.progress import shown

    said = f"hwprune.prune(model, example_inputs, …, out={str(out)!r})"
    with nullcontext(progress) if progress else shown() as told:
        result = run(deployment, out, resume=resume, progress=told, command=said, given=given)
    if isinstance(result, Result):
        return Pruned(module=load_package(out), result=result, folder=out)
    found = {
        entry.budget: Pruned(
            module=load_package(out, budget=entry.budget),
            result=entry.result,
            folder=out / entry.folder,
        )
        for entry in result.entries
        if entry.result is not None
    }
    return PrunedFront(networks=found, front=result, folder=out)


def _recipe(task: Task) -> dict[str, Any]:
    return {"distillation": 0.5} if task.loss else dict(IMITATION)


def _task(
    task: Task | None,
    data: Data | str | Mapping[str, Any] | None,
    inputs: Callable[..., Any] | Iterable[Any] | None,
    functions: Mapping[str, Callable[..., Any] | None],
    metric: Metric | None,
    example: tuple[torch.Tensor, ...],
) -> Task:
    """The task of what was given, and how another process makes it again, where one can.

    Raises:
        DeploymentError: a task and data, which say the same twice.
    """
    from hwprune.task.given import task_of_functions
    from hwprune.task.load import load_task

    if task is not None and data is not None:
        raise DeploymentError("give a task or data, not both")
    if data is not None:
        source = {"source": data} if isinstance(data, str) else data
        settings = (
            validate(DataSettings, source, where="data") if isinstance(source, Mapping) else source
        )
        task = load_task(TaskSettings(), settings).task
    own = {name: function for name, function in functions.items() if function is not None}
    if task is None or own or inputs is not None:
        task = task_of_functions(task, inputs, own, example, metric)
    return task if metric is None else replace(task, metric=metric)


def _noun(noun: type[Any], given: Any, where: str, **usual: Any) -> Any:
    """A noun as it is given, or made of its keys and what is usual beside them."""
    told = asdict(given) if isinstance(given, noun) else usual | dict(given or {})
    return validate(noun, told, where=where)


def _fingerprint(model: nn.Module) -> str:
    """The module's class and a hash of its weights, so that a resumed run is of the same model."""
    import hashlib

    import torch

    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        # As bytes, because numpy knows no bfloat16.
        flat = tensor.detach().cpu().contiguous().view(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    if not model.state_dict():
        raise DeploymentError("the model has no weights", given=type(model).__name__)
    return f"{type(model).__name__} {digest.hexdigest()[:16]}"

"""The same power from Python: `hwprune.prune(model, example_input, data=…, budget=…)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprune.board import Board
from hwprune.budget import Budget
from hwprune.deployment import DataWish, Deployment, NetworkWish, SearchWish, parse_budget
from hwprune.errors import DeploymentError
from hwprune.progress import Progress, Silent
from hwprune.recipe import Recipe
from hwprune.report.result import Result

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hwprune.network.data import Data


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
        """Whether fresh readings show that the budget is kept."""
        return self.result.passed


def prune(
    model: nn.Module,
    example_input: torch.Tensor,
    *,
    data: Data | str | Mapping[str, Any],
    budget: Budget | Mapping[str, Any],
    board: Board | Path | str | None = None,
    search: SearchWish | Mapping[str, Any] | None = None,
    finetune: Recipe | Mapping[str, Any] | None = None,
    out: Path | str = Path("runs/notebook"),
    resume: bool = False,
    progress: Progress | None = None,
) -> Pruned:
    """Prune a trained network until it keeps the budget on the board.

    `model` is a trained torch module and `example_input` one batch for it, N C H W. `data` is
    what `[data]` holds in a deployment file, its `source` alone, or a `Data`. `budget` is a
    `Budget` or for example `{"latency_ms": "50 %"}`. `board` is a `Board`, a board profile's
    path, or None for this machine. The model itself is left as it is.

    Raises:
        HwpruneError: see hwprune/errors.py; what was finished stays in `out` for `resume=True`.
    """
    from hwprune.board import this_machine
    from hwprune.network.data import Data
    from hwprune.network.package import load_package
    from hwprune.pipeline.prepare import Given
    from hwprune.pipeline.run import run
    from hwprune.toml_file import validate

    source = {"source": data} if isinstance(data, str) else data
    deployment = Deployment(
        name=Path(out).name,
        network=NetworkWish(source=_fingerprint(model), trained=True),
        data=DataWish(source=f"given: {data.name}")
        if isinstance(data, Data)
        else validate(DataWish, source, where="data"),
        boards=(Path(board),) if isinstance(board, str | Path) else (),
        budget=budget if isinstance(budget, Budget) else parse_budget(budget),
        search=search if isinstance(search, SearchWish) else _noun(SearchWish, search, "search"),
        finetune=finetune
        if isinstance(finetune, Recipe)
        else _noun(Recipe, {"distillation": 0.5, **(finetune or {})}, "finetune"),
    )
    given = Given(
        module=model,
        example_input=example_input,
        data=data if isinstance(data, Data) else None,
        board=this_machine() if board is None else board if isinstance(board, Board) else None,
    )
    result = run(
        deployment,
        Path(out),
        resume=resume,
        progress=progress or Silent(),
        command=f"hwprune.prune(model, example_input, …, out={str(out)!r})",
        given=given,
    )
    return Pruned(module=load_package(Path(out)), result=result, folder=Path(out))


def _noun(noun: type[Any], keys: Mapping[str, Any] | None, where: str) -> Any:
    from hwprune.toml_file import validate

    return validate(noun, keys or {}, where=where)


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

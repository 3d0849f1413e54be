"""What can be known to be wrong before anything costs time."""

from __future__ import annotations

from pathlib import Path

from hwprune.board import find_board
from hwprune.deployment import Deployment
from hwprune.errors import DeploymentError, NetworkError
from hwprune.pipeline.asked_board import as_asked
from hwprune.recipe import Recipe


def check(deployment: Deployment) -> None:
    """Refuse a wish that cannot be carried out, before a run folder is made.

    Raises:
        InputError: an unknown name, a file that is not there, a number out of range.
    """
    from hwprune.saliency.criteria import find_criterion
    from hwprune.search.methods import METHODS
    from hwprune.search.problem import ALGORITHMS

    search = deployment.search
    _known("search method", search.methods, METHODS)
    if ":" not in search.algorithm and search.algorithm not in ALGORITHMS:
        raise DeploymentError(
            f"there is no algorithm '{search.algorithm}' for the policy",
            possible=f"{', '.join(ALGORITHMS)}, or package.module:function",
        )
    find_criterion(search.saliency)
    if not search.methods:
        raise DeploymentError("search.methods is empty", possible=", ".join(METHODS))
    _at_least(0, "search.evaluations", search.evaluations)
    _at_least(0, "search.runners", search.runners)
    _at_least(0, "search.learners", search.learners)
    _at_least(0, "search.minutes", search.minutes)
    _at_least(1, "search.finalists", search.finalists)
    _at_least(1, "search.multiple_of", search.multiple_of)
    _at_least(1, "delivery.certificate_readings", deployment.certificate_readings)
    if not 0 < search.min_keep <= 1:
        raise DeploymentError(
            "search.min_keep is a share, above 0 and up to 1", given=str(search.min_keep)
        )
    for key in ("sensitive_threshold", "low_rank"):
        if not 0 <= (share := getattr(search, key)) <= 1:
            raise DeploymentError(f"search.{key} is a share, 0 to 1", given=str(share))
    _check_recipe("training", deployment.training)
    _check_recipe("finetune", deployment.finetune)
    weights = deployment.network.weights
    if weights and not Path(weights).is_file():
        raise NetworkError(
            "the weights file is not there",
            given=weights,
            next_step="mend network.weights, or leave it out to train the network first",
        )
    boards = [find_board(str(board)) for board in deployment.boards]
    if boards:
        kinds = list(dict.fromkeys(b.kind for b in boards))
        for budget in deployment.budgets:
            budget.for_kinds(kinds)
    for board in boards:
        as_asked(deployment.limits, board)


def _check_recipe(section: str, recipe: Recipe) -> None:
    _at_least(0, f"{section}.epochs", recipe.epochs)
    _at_least(1, f"{section}.batch_size", recipe.batch_size)
    if recipe.lr <= 0:
        raise DeploymentError(f"{section}.lr must be above 0", given=str(recipe.lr))
    if not 0 <= recipe.distillation <= 1:
        raise DeploymentError(
            f"{section}.distillation is a share, 0 to 1", given=str(recipe.distillation)
        )


def _at_least(least: int, key: str, value: float) -> None:
    if value < least:
        raise DeploymentError(f"{key} must be at least {least}", given=str(value))


def _known(what: str, asked: tuple[str, ...], there: object) -> None:
    names = sorted(there)  # type: ignore[call-overload]
    for name in asked:
        if name not in names:
            raise DeploymentError(f"there is no {what} '{name}'", possible=", ".join(names))

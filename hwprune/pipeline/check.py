"""What can be known to be wrong before anything costs time."""

from __future__ import annotations

from pathlib import Path

from hwprune.board import find_board
from hwprune.deployment import Deployment
from hwprune.errors import DeploymentError, NetworkError
from hwprune.pipeline.asked_board import as_asked


def check(deployment: Deployment) -> None:
    """Refuse a wish that cannot be carried out, before a run folder is made.

    Raises:
        InputError: an unknown name, or a file that is not there.
    """
    from hwprune.saliency.criteria import find_criterion
    from hwprune.search.methods import METHODS
    from hwprune.search.problem import ALGORITHMS

    search = deployment.search
    _known("search method", search.methods, METHODS)
    if "sensitive+ddpg" in search.methods and search.sensitive == "off":
        raise DeploymentError(
            "the method 'sensitive+ddpg' searches what sensitive layers leave to it, and no layer "
            "is set apart as sensitive",
            given='search.sensitive = "off"',
            possible='search.sensitive = "rank" or "protect"',
        )
    if ":" not in search.algorithm and search.algorithm not in ALGORITHMS:
        raise DeploymentError(
            f"there is no algorithm '{search.algorithm}' for the policy",
            possible=f"{', '.join(ALGORITHMS)}, or package.module:function",
        )
    find_criterion(search.saliency)
    if not search.methods:
        raise DeploymentError("search.methods is empty", possible=", ".join(METHODS))
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


def _known(what: str, asked: tuple[str, ...], there: object) -> None:
    names = sorted(there)  # type: ignore[call-overload]
    for name in asked:
        if name not in names:
            raise DeploymentError(f"there is no {what} '{name}'", possible=", ".join(names))

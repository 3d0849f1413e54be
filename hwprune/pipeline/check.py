"""What can be known to be wrong before anything costs time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwprune.board import Board, find_board
from hwprune.budget import Budget
from hwprune.deployment import Deployment
from hwprune.errors import DeploymentError, NetworkError
from hwprune.run_book import FILE as RUN_BOOK
from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.registry import facts_of, normal_options, runtime_names

ENERGY_S = 1.0
"""How long a network runs for its energy where the budget limits it and the profile says
nothing."""


def check(deployment: Deployment) -> None:
    """Refuse a deployment that cannot be carried out, before a run folder is made.

    Raises:
        InputError: an unknown name, a file that is not there, or a policy without its RLlib.
    """
    from hwprune.saliency.criteria import find_criterion
    from hwprune.search.methods import LEARNED, METHODS
    from hwprune.search.policy.rllib import expect_rllib
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
    if LEARNED & set(search.methods):
        expect_rllib()
    find_criterion(search.saliency)
    if not search.methods:
        raise DeploymentError("search.methods is empty", possible=", ".join(METHODS))
    for folder in search.begin_from:
        if not (Path(folder).expanduser() / RUN_BOOK).is_file():
            raise DeploymentError(
                "search.begin_from names no run folder",
                given=folder,
                possible="folders that `hwprune prune --out` wrote",
            )
    weights = deployment.network.weights
    if weights and not Path(weights).is_file():
        raise NetworkError(
            "the weights file is not there",
            given=weights,
            next_step="mend network.weights, or leave it out to train the network first",
        )
    boards = [find_board(str(board)) for board in deployment.boards]
    # A notebook may hand over a board that no profile names.
    if boards:
        kinds = list(dict.fromkeys(b.kind for b in boards))
        for budget in deployment.budgets:
            budget.for_kinds(kinds)
    for board in boards:
        as_asked(deployment.limits, board)


def as_asked(budget: Budget, board: Board) -> Board:
    """The board, with a target and a protocol that read what the budget limits.

    Raises:
        DeploymentError: a clock that the board's runtime does not have, or two of them.
    """
    protocol, target = board.protocol, board.target
    limited = any(c.quantity == "energy_mj" for c in budget.constraints)
    if limited and protocol.energy_s <= 0:
        protocol = replace(protocol, energy_s=ENERGY_S)
    # A clock is part of the target, so readings by another one are not taken for its.
    clock = budget.clock_on(board.kind)
    if clock:
        if not facts_of(target.runtime).has_device_clock:
            able = [name for name in runtime_names() if facts_of(name).has_device_clock]
            raise DeploymentError(
                f"the budget asks for a clock that board {board.name} does not have",
                given=f"{clock}, on runtime {target.runtime}",
                possible=f"a board whose runtime is {' or '.join(able)}, or no clock",
            )
        options = {**target.options, "latency": clock}
        try:
            normal = normal_options(target.runtime, options, target.threads, target.precision)
        except OptionError as error:
            raise DeploymentError(
                f"the budget asks for a clock that board {board.name} does not have",
                given=error.given,
                possible=error.possible,
            ) from None
        target = replace(target, options=normal)
    return replace(board, protocol=protocol, target=target)


def _known(what: str, asked: tuple[str, ...], there: object) -> None:
    names = sorted(there)  # type: ignore[call-overload]
    for name in asked:
        if name not in names:
            raise DeploymentError(f"there is no {what} '{name}'", possible=", ".join(names))

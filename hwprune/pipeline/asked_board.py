"""A board as a budget wants it read: with its energy, by the clock that the limit is for."""

from __future__ import annotations

from dataclasses import replace

from hwprune.board import Board
from hwprune.budget import Budget
from hwprune.errors import DeploymentError
from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.registry import facts_of, normal_options, runtime_names

ENERGY_S = 1.0
"""How long a network runs for its energy where the budget limits it and the profile says
nothing."""


def as_asked(budget: Budget, board: Board) -> Board:
    """The board, told to read what the budget limits.

    Raises:
        DeploymentError: a clock that the board's runtime does not have, or two of them.
    """
    protocol, target = board.protocol, board.target
    limited = any(c.quantity == "energy_mj" for c in budget.constraints)
    if limited and protocol.energy_s <= 0:
        protocol = replace(protocol, energy_s=ENERGY_S)
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

"""The evaluation service: between environments, wherever they run, and the head that evaluates.

A named Ray actor. Environments ask it for the outcome of widths and wait; the head takes what was
asked, has it evaluated, and answers. It also owns the Lagrange multipliers: every episode that was
measured passes here once, however many runners sample and learners learn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprune.search.policy.multiplier import Gains, Multiplier
from hwprune.search.policy.view import Costs, View

NAMESPACE = "hwprune"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What an episode comes to."""

    budget: str
    """That it was played for."""
    reward: float
    costs: np.ndarray
    """Excess over the limits, [constraints]."""


class EvaluationService:
    """All of its methods run in one event loop, so nothing is locked."""

    def __init__(self, view: View, gains: Gains | None = None) -> None:
        self._view = view
        self._costs: Costs | None = None
        self._gains = gains
        self._multipliers: dict[str, Multiplier] = {}
        """By budget."""
        self._fresh: list[Outcome] = []
        """Episodes that the multipliers have not answered to yet."""
        self._waiting: dict[int, asyncio.Future[Outcome | None]] = {}
        self._asked: list[tuple[int, tuple[int, ...]]] = []
        self._rang = asyncio.Event()
        """Something was asked for. A queue would not do: until Python 3.12 `wait_for` loses what
        arrives as it gives up."""
        self._tickets = 0
        self._closed = False

    async def view(self) -> View:
        """What an environment is made from."""
        return self._view

    async def costs(self) -> Costs | None:
        """What is known of costs, at the start of an episode."""
        return self._costs

    async def report_costs(self, costs: Costs) -> None:
        """The head knows more of costs."""
        self._costs = costs

    async def evaluate(self, widths: tuple[int, ...]) -> Outcome | None:
        """The outcome of an episode; None where nothing may be asked for any more."""
        if self._closed:
            return None
        self._tickets += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._tickets] = answer
        self._asked.append((self._tickets, widths))
        self._rang.set()
        outcome: Outcome | None = await answer
        if outcome is not None:
            self._fresh.append(outcome)
        return outcome

    async def asked(self, wait_s: float) -> list[tuple[int, tuple[int, ...]]]:
        """For the head: tickets and widths that were asked for, as soon as there are some."""
        if not self._asked:
            self._rang.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rang.wait(), wait_s)
        found, self._asked = self._asked, []
        return found

    async def answer(self, outcomes: Mapping[int, Outcome | None]) -> None:
        """From the head: outcomes by ticket."""
        for ticket, outcome in outcomes.items():
            waiting = self._waiting.pop(ticket, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(outcome)

    async def close(self) -> None:
        """Nothing is evaluated any more; who waits gets None."""
        self._closed = True
        await self.answer(dict.fromkeys(list(self._waiting)))

    async def prices(self) -> dict[str, np.ndarray]:
        """By budget, the multipliers, [constraints], once they answered to what was measured."""
        for budget in dict.fromkeys(outcome.budget for outcome in self._fresh):
            mine = [outcome.costs for outcome in self._fresh if outcome.budget == budget]
            self._multiplier(budget).update(np.mean(mine, axis=0))
        self._fresh = []
        return {budget: multiplier.values for budget, multiplier in self._multipliers.items()}

    async def multiplier_states(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {budget: one.state_dict() for budget, one in self._multipliers.items()}

    async def load_multipliers(self, states: Mapping[str, Any]) -> None:
        """The inverse of `multiplier_states`."""
        for budget, state in states.items():
            self._multiplier(budget).load_state_dict(state)

    def _multiplier(self, budget: str) -> Multiplier:
        if budget not in self._multipliers:
            self._multipliers[budget] = Multiplier(self._view.constraints, self._gains)
        return self._multipliers[budget]


def find_service(name: str) -> Any:
    """The handle of a running service."""
    import ray

    return ray.get_actor(name, namespace=NAMESPACE)

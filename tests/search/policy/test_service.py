"""The service: every measured episode moves the multipliers once, whoever learns from it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from hwprune.search.policy.multiplier import Gains, Multiplier
from hwprune.search.policy.service import EvaluationService, Outcome
from hwprune.search.policy.view import View
from tests.doubles.synthetic_problem import SyntheticProblem

VIEW = View.of(SyntheticProblem(3).search_problem(10))


def outcome(cost: float) -> Outcome:
    return Outcome(budget="", reward=0.5, costs=np.array([cost]))


async def asked_and_answered(
    service: EvaluationService, costs: list[float]
) -> list[Outcome | None]:
    waiting = [asyncio.ensure_future(service.evaluate((8, 8, n))) for n, _ in enumerate(costs)]
    found = []
    while len(found) < len(costs):
        found += await service.asked(1.0)
    # Answers come in any order.
    for ticket, widths in reversed(found):
        await service.answer({ticket: outcome(costs[widths[-1]])})
    return list(await asyncio.gather(*waiting))


def test_each_answer_reaches_who_asked():
    async def check() -> None:
        found = await asked_and_answered(EvaluationService(VIEW), [0.1, 0.2, 0.3])
        assert [float(o.costs[0]) for o in found if o is not None] == [0.1, 0.2, 0.3]

    asyncio.run(check())


def test_learners_of_one_batch_get_one_price_and_the_mean_cost_moves_it():
    async def check() -> None:
        service = EvaluationService(VIEW, Gains())
        await asked_and_answered(service, [0.1, 0.3])
        prices = [(await service.prices())[""] for _ in range(3)]
        alone = Multiplier(1, Gains())
        assert [float(p[0]) for p in prices] == [pytest.approx(float(alone.update([0.2])[0]))] * 3

    asyncio.run(check())


def test_once_closed_it_answers_nothing_and_prices_stay():
    async def check() -> None:
        service = EvaluationService(VIEW)
        before = await service.prices()
        waiting = asyncio.ensure_future(service.evaluate((8, 8, 8)))
        await service.asked(1.0)
        await service.close()
        assert await waiting is None
        assert await service.evaluate((8, 8, 8)) is None
        assert await service.prices() == before == {}

    asyncio.run(check())


def test_a_head_that_asks_for_too_little_hears_soon_that_there_is_nothing():
    assert asyncio.run(EvaluationService(VIEW).asked(0.01)) == []


def test_nothing_that_is_asked_for_is_lost_however_impatient_the_head():
    async def check() -> None:
        service = EvaluationService(VIEW)
        waiting = []
        seen = 0
        for number in range(2000):
            waiting.append(asyncio.ensure_future(service.evaluate((8, 8, number))))
            # The head gives up at about the time that something arrives.
            head = asyncio.ensure_future(service.asked(1e-5 * (number % 7)))
            await asyncio.sleep(1e-5 * (number % 5))
            seen += len(await head)
        seen += len(await service.asked(0.01))
        assert seen == 2000
        await service.close()
        await asyncio.gather(*waiting)

    asyncio.run(check())


def test_each_budget_has_multipliers_of_its_own():
    async def check() -> None:
        service = EvaluationService(VIEW)
        for budget, cost in (("70 %", 0.4), ("30 %", -0.4)):
            waiting = asyncio.ensure_future(service.evaluate((8, 8, 8)))
            ((ticket, _),) = await service.asked(1.0)
            told = Outcome(budget=budget, reward=0.5, costs=np.array([cost]))
            await service.answer({ticket: told})
            await waiting
        prices = await service.prices()
        assert prices["70 %"][0] > Gains().start > prices["30 %"][0]

    asyncio.run(check())

"""A real evaluation service on a real Ray, answered from a synthetic problem."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import ray

from hwprune.search.policy.service import NAMESPACE, EvaluationService, Outcome
from hwprune.search.policy.view import View
from tests.doubles.synthetic_problem import SyntheticProblem


class Answered:
    """A service of its own for a problem of five groups, and a thread that answers it."""

    def __init__(self) -> None:
        self.synthetic = SyntheticProblem(5, seed=1, constraints=("latency_ms", "params"))
        self.problem = self.synthetic.search_problem(60)
        self.name = f"test-{uuid.uuid4().hex}"
        self.service: Any = (
            ray.remote(EvaluationService)
            .options(name=self.name, namespace=NAMESPACE, num_cpus=0, max_concurrency=100)
            .remote(View.of(self.problem))
        )
        self.least = 1
        """How many have to be asked for before any is answered."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def outcome(self, widths: tuple[int, ...]) -> Outcome:
        """The truth."""
        excess = [self.synthetic._excess(c, widths, 0.0) for c in self.problem.constraints]
        quality = self.synthetic.true_quality(widths)
        return Outcome(budget="", reward=quality, costs=np.array(excess))

    def _answer(self) -> None:
        asked: list[tuple[int, tuple[int, ...]]] = []
        while not self._over.is_set():
            asked += ray.get(self.service.asked.remote(0.05))
            if len(asked) >= self.least:
                answers = {ticket: self.outcome(widths) for ticket, widths in asked}
                ray.get(self.service.answer.remote(answers))
                asked = []

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        ray.kill(self.service)


@pytest.fixture(scope="module")
def answered(cluster: object) -> Iterator[Answered]:
    """For tests that leave it as it is."""
    made = Answered()
    yield made
    made.close()


@pytest.fixture
def own(cluster: object) -> Iterator[Answered]:
    """For a test that changes it."""
    made = Answered()
    yield made
    made.close()

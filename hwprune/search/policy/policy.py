"""The policy: an algorithm of RLlib that plays batches of candidates and learns from them."""

from __future__ import annotations

import logging
import random
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import ray
import torch
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hwprune.candidate import Candidate
from hwprune.cluster import Cluster
from hwprune.evaluation import Evaluation
from hwprune.form import Form
from hwprune.search.evaluator import Evaluator
from hwprune.search.model import Model
from hwprune.search.policy.algorithms import configured, is_off_policy
from hwprune.search.policy.environment import PruningEnvironment, info_of, played, register
from hwprune.search.policy.service import NAMESPACE, EvaluationService, Outcome
from hwprune.search.policy.view import Costs, View

FAILED_EXCESS = 0.2
"""A failed candidate counts as so much over the limit, or as the worst seen if that is more."""
POLL_S = 0.05
"""How long the service is asked for new candidates before finished ones are answered."""


class Policy:
    """One search's policy; use as a context manager, since actors of Ray belong to it."""

    def __init__(self, evaluator: Evaluator, episodes: int) -> None:
        """`episodes`: candidates of a batch."""
        self._evaluator = evaluator
        self.budget = evaluator.problem.budgets[0]
        """That candidates are played for now."""
        # Budgets of one policy have the same constraints, so any of them shows how many.
        problem = evaluator.problem.under(self.budget)
        self._name = f"evaluation-{uuid.uuid4().hex[:12]}"
        config = configured(
            problem.policy.algorithm,
            service=self._name,
            groups=len(problem.space.groups),
            episodes=episodes,
            runners=problem.policy.runners,
            learners=problem.policy.learners,
            seed=problem.seed,
        )
        self._replays = is_off_policy(config)
        self._constraints = len(problem.constraints)
        # A run on a cluster has joined it already, and then that one is used.
        self._cluster = Cluster()
        self._cluster.start()
        register()
        random.seed(problem.seed)
        np.random.seed(problem.seed % 2**32)
        torch.manual_seed(problem.seed)
        self._service: Any = _start_service(self._name, View.of(problem))
        self._algorithm = config.build_algo()
        self._thread = ThreadPoolExecutor(1, "policy")

    def __enter__(self) -> Policy:
        return self

    def __exit__(self, *_: object) -> None:
        # First: a training under way may wait for candidates that nobody evaluates any more.
        ray.get(self._service.close.remote())
        self._thread.shutdown()
        self._algorithm.stop()
        ray.kill(self._service)
        self._cluster.stop()

    def play(self) -> list[Evaluation]:
        """One batch of candidates for the budget at hand: chosen, evaluated, learned from.

        RLlib samples and learns in a thread of its own; this one has evaluated what is asked for.
        """
        training = self._thread.submit(self._algorithm.train)
        pending: dict[int, Future[Evaluation]] = {}
        found: list[Evaluation] = []
        while not training.done():
            asked = ray.get(self._service.asked.remote(POLL_S))
            candidates = [Candidate(widths=widths) for _, widths in asked]
            futures = self._evaluator.start(candidates, by="policy")
            for (ticket, _), future in zip(asked, futures, strict=False):
                pending[ticket] = future
            # Where the allowance ended, the rest is answered with None.
            answers: dict[int, Outcome | None] = {t: None for t, _ in asked[len(futures) :]}
            for ticket in [t for t, future in pending.items() if future.done()]:
                (evaluation,) = self._evaluator.resolve([pending.pop(ticket)])
                evaluation = evaluation.under(self.budget)
                found.append(evaluation)
                answers[ticket] = self._outcome(evaluation)
            if answers:
                ray.get(self._service.answer.remote(answers))
        training.result()
        return found

    def believe(self, budget: str, model: Model) -> None:
        """Play for a budget from now on; observations show what is known of its costs."""
        self.budget = budget
        problem, surrogate = model.surrogate.problem, model.surrogate
        if not surrogate.known:
            return
        _, believed = surrogate.around(model.plan)
        unpruned = surrogate.used(np.array([problem.space.unpruned.widths]))[0]
        forms: list[Any] = []
        for label in problem.constraints:
            form = problem.forms.get(label)
            exact = form if form is not None and form.exact else None
            forms.append(None if exact is None else (exact, self._limit(exact, label)))
        costs = Costs(
            budget=budget,
            budgets=1.0 / np.maximum(unpruned, 1e-6),
            believed=tuple(tuple(row) for row in believed),
            forms=tuple(forms),
        )
        ray.get(self._service.report_costs.remote(costs))

    def replay(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn also from what others had evaluated, where the algorithm can."""
        if not self._replays or not evaluations:
            return
        environment = PruningEnvironment({"service": self._name})
        episodes = []
        for evaluation in evaluations:
            outcome = self._outcome(evaluation.under(self.budget))
            observations, actions = played(environment, evaluation.candidate.widths)
            steps = len(actions)
            episodes.append(
                SingleAgentEpisode(
                    observation_space=environment.observation_space,
                    action_space=environment.action_space,
                    observations=list(observations),
                    actions=list(actions),
                    rewards=[0.0] * (steps - 1) + [outcome.reward],
                    # One more than steps: RLlib keeps the info of the reset as well.
                    infos=[{} for _ in range(steps)] + [info_of(outcome)],
                    terminated=True,
                    len_lookback_buffer=0,
                ).to_numpy()
            )
        self._algorithm.local_replay_buffer.add(episodes)

    @property
    def multipliers(self) -> np.ndarray:
        """The prices of the constraints of the budget at hand, [constraints]."""
        prices: dict[str, np.ndarray] = ray.get(self._service.prices.remote())
        return prices.get(self.budget, np.zeros(self._constraints))

    def state(self) -> dict[str, Any]:
        """The networks' weights and the multipliers."""
        learned = self._algorithm.learner_group.get_state(components="learner")["learner"]
        return {
            "weights": learned["rl_module"],
            "multipliers": ray.get(self._service.multiplier_states.remote()),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._algorithm.learner_group.set_state({"learner": {"rl_module": state["weights"]}})
        self._algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=self._algorithm.learner_group, inference_only=True
        )
        ray.get(self._service.load_multipliers.remote(state["multipliers"]))

    def _limit(self, form: Form, label: str) -> float:
        """A limit in the unit of its form, worked out from any good evaluation."""
        known = self._evaluator.under(self.budget)
        evaluation = next(e for e in known if e.failure is None)
        widths = np.array([evaluation.candidate.widths])
        return float(form.terms(widths)[0, 0]) / (1 + evaluation.excess[label])

    def _outcome(self, evaluation: Evaluation) -> Outcome:
        """A failure counts as the worst seen, so it repels without drowning the rest."""
        quality, excess = evaluation.quality or 0.0, list(evaluation.excess.values())
        if evaluation.failure is not None:
            good = [e for e in self._evaluator.under(self.budget) if e.failure is None]
            quality = min((e.quality or 0.0 for e in good), default=0.0)
            columns = zip(*(e.excess.values() for e in good), strict=True)
            excess = [max(FAILED_EXCESS, *column) for column in columns]
            excess = excess or [FAILED_EXCESS] * self._constraints
        reward = quality / self._evaluator.problem.base_quality - 1.0
        return Outcome(budget=self.budget, reward=reward, costs=np.array(excess))


def _start_service(name: str, view: View) -> Any:
    """Beside the head, which asks it all the time, and without which it is of no use."""
    here = NodeAffinitySchedulingStrategy(
        node_id=ray.get_runtime_context().get_node_id(), soft=False
    )
    return (
        ray.remote(EvaluationService)
        .options(
            name=name,
            namespace=NAMESPACE,
            # It waits more than it works, so it claims no core.
            num_cpus=0,
            # Each environment that waits for an outcome is a call under way.
            max_concurrency=1000,
            scheduling_strategy=here,
        )
        .remote(view)
    )


@contextmanager
def quiet() -> Iterator[None]:
    """One thread, as two made learning 25 times slower on two busy cores; RLlib's remarks about
    itself are not for the user's terminal."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    names = ("ray", "ray.rllib", "ray.tune", "ray._common.deprecation")
    before = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)

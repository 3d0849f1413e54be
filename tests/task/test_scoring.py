"""Scores: whatever a user's function takes and gives is brought to one form, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprune.errors import DataError, InputError
from hwprune.metric import Metric
from hwprune.task.score import Score
from hwprune.task.scoring import score_of, takes_share
from hwprune.task.task import Task


def task(score, metric: str = "score") -> Task:
    return Task(inputs=lambda part, count: [], score=score, metric=Metric(name=metric))


def scored(score, metric: str = "score") -> Score:
    return score_of(task(score, metric), lambda x: 2 * x, "final", 0.25)


def test_functions_of_one_two_and_three_arguments_are_called_with_those():
    assert scored(lambda run: run(0.25)).value == 0.5
    assert scored(lambda run, part: len(part)).value == 5.0
    assert scored(lambda run, part, share: share).value == 0.25
    assert scored(lambda *given: len(given)).value == 3.0


@pytest.mark.parametrize(
    "given", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor([0.5])]
)
def test_one_number_of_any_kind_is_the_score(given):
    found = scored(lambda run: given)
    assert found.value == 0.5 and type(found.value) is float and found.items is None


def test_of_numbers_by_name_the_metric_counts_else_the_first():
    numbers = {"mAP50": torch.tensor(0.5), "recall": 0.7}
    first = scored(lambda run: numbers)
    assert (first.value, first.others) == (0.5, {"recall": 0.7})
    named = scored(lambda run: numbers, metric="recall")
    assert (named.value, named.others) == (0.7, {"mAP50": 0.5})


def test_a_score_of_tensors_becomes_plain_numbers():
    given = Score(
        value=torch.tensor(0.5),  # type: ignore[arg-type]
        others={"recall": torch.tensor(0.7)},  # type: ignore[dict-item]
        items=torch.tensor([[1.0], [0.0]]),  # type: ignore[arg-type]
    )
    found = scored(lambda run: given)
    assert type(found.value) is float and found.others["recall"] == pytest.approx(0.7)
    assert isinstance(found.items, np.ndarray) and found.items.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "given",
    [
        *(None, "good", {}, [0.5, 0.6], {"mAP": None}, {"mAP": torch.zeros(3)}),
        *(float("nan"), {"mAP": float("inf")}, Score(value=float("nan"))),
    ],
)
def test_what_is_no_number_is_refused_and_shown(given):
    with pytest.raises(InputError, match="gave no number") as raised:
        scored(lambda run: given)
    assert raised.value.given


def test_a_function_that_raises_is_said_to_have_failed_on_which_part():
    def score(run):
        raise KeyError("labels")

    with pytest.raises(InputError, match="score function of 'task' failed") as raised:
        scored(score)
    assert "part 'final': KeyError: 'labels'" in raised.value.given


def test_an_error_that_says_what_to_do_goes_through():
    def score(run):
        raise DataError("no such part")

    with pytest.raises(DataError, match="no such part"):
        scored(score)


def test_a_task_without_a_score_is_refused():
    with pytest.raises(InputError, match="has no score yet"):
        scored(None)


def test_only_a_function_of_three_places_can_be_asked_for_a_share():
    assert takes_share(lambda run, part, share: 0)
    assert takes_share(lambda run, part, share=1.0: 0)
    assert takes_share(lambda *given: 0)
    assert not takes_share(None)
    assert not takes_share(lambda run, part: 0)
    assert not takes_share(lambda run, part, *, verbose=False: 0)

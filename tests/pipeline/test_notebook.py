"""`hwprune.prune` on a user's own module: all that the command line does, from Python."""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest
import torch
from torch import nn

import hwprune
from hwprune.finetune.trainer import train
from hwprune.recipe import Recipe
from tests.digits import digit_example, digits
from tests.pipeline import own_training
from tests.pipeline.own_training import NOTE


class MyNetwork(nn.Module):
    """A class that hwprune has never seen."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(24, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.head = nn.Linear(32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(images)).mean((2, 3)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    module = MyNetwork()
    recipe = Recipe(epochs=4, batch_size=64, lr=0.05, bf16=False)
    train(module, digits(), recipe, folder=tmp_path_factory.mktemp("training"))
    return module.eval()


@pytest.fixture(scope="module")
def called() -> list[int]:
    """Processes in which the user's functions were called."""
    return []


@pytest.fixture(scope="module")
def of_a_cell(called) -> dict[str, Any]:
    """Functions that no other process can import."""

    def score(run, part):
        called.append(os.getpid())
        return own_training.score(run, part)

    def train(module, teacher, recipe, folder, progress):
        called.append(os.getpid())
        own_training.train(module, teacher, recipe, folder, progress)

    return {"score": score, "train": train, "inputs": own_training.inputs}


@pytest.fixture(scope="module")
def pruned(model, of_a_cell, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "readings.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWPRUNE_STORE", str(store))
        settings = {
            **of_a_cell,
            # So small a network spends its time beside its layers: hardly less when it is cut.
            "budget": {"latency_ms": "95 %", "params": "60 %"},
            "search": {"evaluations": 6, "methods": ["uniform"], "finalists": 1},
            "out": tmp_path_factory.mktemp("runs") / "run",
        }
        before = copy.deepcopy(model.state_dict())
        first = hwprune.prune(model, digit_example(), **settings)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name]), name
        yield first, hwprune.prune(model, digit_example(), resume=True, **settings)


def test_the_network_keeps_every_limit_and_is_the_one_that_load_gives(pruned, model):
    first, _ = pruned
    whole = sum(p.numel() for p in model.parameters())
    assert sum(p.numel() for p in first.module.parameters()) <= 0.6 * whole
    labels = {finding.label for finding in first.result.certificate.findings}
    assert labels == {"latency_ms", "params"}
    images = digit_example().repeat(3, 1, 1, 1)
    with torch.inference_mode():
        again = hwprune.load(first.folder).eval()(images)
        assert torch.equal(first.module.eval()(images), again)


def test_the_users_own_functions_were_called_in_this_process(pruned, called):
    first, _ = pruned
    assert list(first.folder.rglob(NOTE))
    assert set(called) == {os.getpid()}


def test_the_result_tells_where_a_candidates_time_went(pruned):
    first, _ = pruned
    timings = first.result.timings
    stages = ("propose", "send", "cut", "build", "warm", "time", "score")
    assert tuple(timings.candidate_s) == stages
    assert all(seconds > 0 for seconds in timings.candidate_s.values())
    assert 0 < (timings.board_busy_share or 0) <= 1


def test_a_finished_run_that_is_resumed_gives_the_same_evidence(pruned):
    first, again = pruned
    assert again.result.certificate.findings == first.result.certificate.findings
    assert again.result.rows == first.result.rows
    assert again.result.timings.candidate_s == first.result.timings.candidate_s


@pytest.mark.heavy
def test_functions_that_can_be_imported_work_in_processes_of_their_own(
    model, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("HWPRUNE_STORE", str(tmp_path / "readings.sqlite"))
    pruned = hwprune.prune(
        model,
        digit_example(),
        score=own_training.score,
        train=own_training.train,
        inputs=own_training.inputs,
        metric=hwprune.Metric(name="right"),
        at_least="1 %",
        budget={"params": "70 %"},
        search={"evaluations": 3, "methods": ["uniform"], "finalists": 1},
        out=tmp_path / "run",
    )
    told = capfd.readouterr()  # where the work stands is said unless somebody else listens
    assert "search: uniform: done in" in told.err and "search" not in told.out
    assert list(pruned.folder.rglob(NOTE))
    assert pruned.result.metric.name == "right" and pruned.passed
    assert pruned.result.floor is not None and pruned.result.floor.reached


def test_a_task_and_data_are_not_given_together(model, tmp_path):
    with pytest.raises(hwprune.HwpruneError, match="not both"):
        hwprune.prune(
            model,
            digit_example(),
            task=digits(),
            data="sklearn:digits",
            budget={"params": "50 %"},
            out=tmp_path / "run",
        )

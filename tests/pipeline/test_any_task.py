"""What was refused once because it is no image classification goes through the whole pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from hwprune.budget_settings import parse_budgets
from hwprune.data_settings import DataSettings
from hwprune.deployment import Deployment, NetworkSettings
from hwprune.errors import DeploymentError, NetworkError
from hwprune.recipe import Recipe
from hwprune.search_settings import SearchSettings
from hwprune.task_settings import TaskSettings
from tests.photographs import write_photographs
from tests.pipeline.benches import simulated_run

HERE = "tests.pipeline.strange_tasks"


def settings(network: str, data: str = "", **task: Any) -> Deployment:
    recipe = Recipe(epochs=1, batch_size=32, lr=0.01, bf16=False)
    return Deployment(
        name="strange",
        network=NetworkSettings(source=f"{HERE}:{network}", trained=True),
        task=TaskSettings(**task),
        data=DataSettings(source=f"{HERE}:{data}", heldout=30, calibration=20) if data else None,
        boards=(),
        budgets=parse_budgets({"latency_ms": "75 %"}),
        search=SearchSettings(evaluations=4, methods=("random",), finalists=1),
        training=recipe,
        finetune=recipe,
        certificate_readings=2,
    )


def functions(kind: str) -> dict[str, str]:
    return {"score": f"{HERE}:{kind}_score", "loss": f"{HERE}:{kind}_loss"}


CASES = {
    "masks N H W": (settings("segmenter", "masks"), "IoU"),
    "key points": (settings("keypoints_net", "keypoints"), "mean error"),
    "a number": (settings("scalar_net", "scalars"), "mean error"),
    "many labels": (settings("labels_net", "labels"), "F1"),
    "sound N 1 1600": (settings("audio_net", "audio"), "accuracy"),
    "boxes": (
        settings(
            *("boxes_net", "boxes"),
            **functions("boxes"),
            metric="box error",
            lower_is_better=True,
            any_number=True,
        ),
        "box error",
    ),
    "a dict of outputs": (
        settings("dict_net", "three_classes", metric="accuracy", **functions("dict")),
        "accuracy",
    ),
    "a tuple of outputs": (
        settings("tuple_net", "three_classes", metric="accuracy", **functions("tuple")),
        "accuracy",
    ),
    "a dict, trained by hand": (
        settings(
            *("dict_net", "three_classes"),
            metric="accuracy",
            train=f"{HERE}:train_by_hand",
            **functions("dict"),
        ),
        "accuracy",
    ),
    "masks, trained by hand": (
        settings("segmenter", "masks", train=f"{HERE}:train_by_hand"),
        "IoU",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_searched_trained_delivered_and_scored_in_its_own_metric(name, tmp_path):
    import hwprune

    torch.set_num_threads(1)
    deployment, metric = CASES[name]
    result = simulated_run(deployment, tmp_path / "run")
    rows = {row.name: row for row in result.rows}
    assert result.metric.name == metric
    assert rows["hwprune"].params < rows["unpruned"].params
    assert all(row.score_test is not None for row in result.rows)
    assert result.agreement is not None and result.agreement.holds
    assert result.passed
    loaded = hwprune.load(tmp_path / "run")
    shape = (2, 1, 1600) if "sound" in name else (2, 3, 16, 16)
    outputs = loaded(torch.zeros(shape))
    assert isinstance(outputs, dict) == ("dict" in name)
    assert isinstance(outputs, tuple) == ("tuple" in name)


def test_a_folder_of_images_is_streamed_through_the_whole_pipeline(tmp_path, monkeypatch):
    """Prepared as torchvision's weights want it, never held in memory as a whole."""
    from hwprune.task import data_source

    monkeypatch.setattr(data_source, "IN_MEMORY_BYTES", 0)
    write_photographs(tmp_path / "photographs", {"train": 20, "val": 6})
    strange = settings("three_classes_net", "three_classes")
    data = DataSettings(
        source=f"imagefolder:{tmp_path / 'photographs'}",
        transforms="torchvision:resnet18:IMAGENET1K_V1",
        size=(16, 16),
        heldout=12,
        calibration=8,
        workers=0,
    )
    result = simulated_run(replace(strange, data=data), tmp_path / "run")
    rows = {row.name: row for row in result.rows}
    assert result.metric.name == "accuracy" and result.passed
    assert rows["hwprune"].params < rows["unpruned"].params


def test_a_floor_that_is_missed_is_said(tmp_path):
    deployment, _ = CASES["key points"]
    strict = replace(deployment, task=replace(deployment.task, at_least=1e-9))
    result = simulated_run(strict, tmp_path / "run")
    assert result.floor is not None and not result.floor.reached
    assert "is not at most 1e-09" in result.floor.text(result.metric)


def test_targets_that_tell_nothing_are_refused_with_what_is_possible(tmp_path):
    with pytest.raises(DeploymentError, match="cannot be seen from its targets") as raised:
        simulated_run(settings("boxes_net", "boxes"), tmp_path / "run")
    assert "segmentation" in raised.value.possible


def test_outputs_that_do_not_fit_are_refused_before_any_work(tmp_path):
    with pytest.raises(NetworkError, match="does not fit"):
        simulated_run(settings("scalar_net", "keypoints"), tmp_path / "run")
    assert not (tmp_path / "run").exists()

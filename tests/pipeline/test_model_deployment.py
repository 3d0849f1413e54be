"""A content without a file, and the [task] section of one with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomllib

from hwprune.deployment import Deployment, parse_deployment
from hwprune.errors import DeploymentError
from hwprune.pipeline.model_deployment import IMITATION, deployment_of_model


def of_model(model: str = "net.onnx", **changed: Any) -> dict[str, Any]:
    images = {"mean": "", "std": "", "layout": "", **changed.pop("images", {})}
    keys: dict[str, Any] = {
        **{"inputs": "frames/*.png", "data": "", "board": "this-machine", "shape": ""},
        **{"limits": {"latency_ms": "50 %", "memory_mb": ""}, "at_least": "", "images": images},
    }
    return deployment_of_model(model, **keys | changed)


def parsed(content: dict[str, Any], folder: Path) -> Deployment:
    return parse_deployment(content, name="net", folder=folder)


def test_a_network_and_inputs_are_a_whole_deployment(tmp_path):
    found = parsed(of_model(), tmp_path)
    assert found.network.source == str(tmp_path / "net.onnx") and found.network.trained
    assert found.task.inputs == str(tmp_path / "frames" / "*.png") and found.data is None
    assert found.budgets[0].text == ("latency_ms ≤ 50 % of the unpruned network's",)
    assert found.finetune.epochs == IMITATION["epochs"] and found.finetune.lr == IMITATION["lr"]


def test_all_that_can_be_said_of_images_and_the_floor(tmp_path):
    content = of_model(
        shape="1x3x224x192",
        images={"mean": "0.1,0.2, 0.3", "std": "0.5", "layout": "NHWC"},
        at_least="98 %",
    )
    found = parsed(content, tmp_path)
    assert found.network.input == (1, 3, 224, 192)
    assert found.task.mean == (0.1, 0.2, 0.3) and found.task.std == (0.5,)
    assert found.task.layout == "NHWC" and found.task.at_least == "98 %"
    assert parsed(of_model(at_least="0.85"), tmp_path).task.at_least == 0.85


def test_data_takes_the_place_of_inputs_with_the_mean_and_spread(tmp_path):
    content = of_model(inputs="", data="sklearn:digits", images={"mean": "0.3", "std": "0.4"})
    found = parsed(content, tmp_path)
    assert found.data is not None and found.data.source == "sklearn:digits"
    assert found.data.mean == (0.3,) and found.data.std == (0.4,) and not found.task.inputs
    assert found.finetune.distillation == 0.5


@pytest.mark.parametrize(
    ("changed", "said", "possible"),
    [
        ({"inputs": ""}, "nothing says what the network is fed", "--inputs"),
        ({"data": "sklearn:digits"}, "say twice", "one of them"),
        ({"limits": {"latency_ms": ""}}, "no limit is given", "--latency"),
        ({"shape": "1x3xHxW"}, "--input is no shape", "1x3x224x224"),
        ({"shape": "1x3x22.5x3"}, "--input is no shape", "1x3x224x224"),
        ({"shape": "1x3x0x3"}, "--input is no shape", "1x3x224x224"),
        ({"images": {"mean": "grey"}}, "--mean is no list of numbers", "0.485"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused_with_what_can(changed, said, possible):
    with pytest.raises(DeploymentError, match=said) as raised:
        of_model(**changed)
    assert possible in raised.value.possible


GOOD = """
[network]
source = "net.onnx"
[task]
source = "task.py:task"
[board]
profile = "this-machine"
[budget]
latency_ms = "50 %"
"""


def read(text: str, folder: Path) -> Deployment:
    return parsed(tomllib.loads(text), folder)


def test_files_of_a_task_are_found_beside_the_deployment(tmp_path):
    (tmp_path / "task.py").touch()
    assert read(GOOD, tmp_path).task.source == f"{tmp_path}/task.py:task"
    names = "\n".join(f'{name} = "task.py:{name}"' for name in ("score", "train", "loss"))
    names += '\ninputs = "task.py:inputs"\nbatches = "package.module:batches"'
    found = read(GOOD.replace('source = "task.py:task"', names), tmp_path).task
    assert found.score == f"{tmp_path}/task.py:score" and found.loss == f"{tmp_path}/task.py:loss"
    assert found.inputs == f"{tmp_path}/task.py:inputs"
    assert found.batches == "package.module:batches"


def test_a_file_that_lies_in_the_working_folder_alone_is_found_there(tmp_path, monkeypatch):
    here, beside = tmp_path / "here", tmp_path / "beside"
    here.mkdir()
    beside.mkdir()
    monkeypatch.chdir(here)
    (here / "task.py").touch()
    assert read(GOOD, beside).task.source == f"{here}/task.py:task"
    (beside / "task.py").touch()
    assert read(GOOD, beside).task.source == f"{beside}/task.py:task"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('source = "task.py:task"', 'sauce = "task.py:task"'), "unknown key 'sauce'"),
        (('source = "task.py:task"', 'kind = "detection"'), "kind"),
        (('source = "task.py:task"', 'at_least = "good"'), "at_least cannot be read"),
        (('source = "task.py:task"', "at_least = nan"), "at_least cannot be read"),
        (('source = "task.py:task"', 'layout = "CHW"'), "layout"),
        (('[task]\nsource = "task.py:task"', ""), "no [data] and no [task]"),
    ],
)
def test_a_mistake_in_the_task_is_named(tmp_path, change, said):
    with pytest.raises(DeploymentError) as raised:
        read(GOOD.replace(*change), tmp_path)
    assert said in str(raised.value)


def test_limits_with_commas_are_a_budget_each(tmp_path):
    limits = {"latency_ms": "70 %, 50 %,30 %", "memory_mb": "200 MB"}
    found = parsed(of_model(limits=limits), tmp_path).budgets
    assert [b.name for b in found] == ["70 %, 200 MB", "50 %, 200 MB", "30 %, 200 MB"]
    assert [b.constraints[0].at_most for b in found] == [0.7, 0.5, 0.3]
    with pytest.raises(DeploymentError, match="as many of each"):
        of_model(limits={"latency_ms": "70 %,50 %", "memory_mb": "1 MB,2 MB,3 MB"})

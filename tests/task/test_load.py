"""A task from a deployment's words, and the same task made again for another process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.data_settings import DataSettings
from hwprune.errors import DataError, DeploymentError, InputError
from hwprune.metric import Metric
from hwprune.network.scorer import task_again
from hwprune.task.data import load_data
from hwprune.task.given import task_of_functions
from hwprune.task.image_file import InputShape
from hwprune.task.items import example_of, first_items
from hwprune.task.load import load_task, of_function
from hwprune.task.scoring import score_of
from hwprune.task.task import Task
from hwprune.task_settings import TaskSettings

torch.set_num_threads(1)
MINE = """
import torch
import hwprune

IMAGES = torch.rand(80, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def halves(targets):
    return (IMAGES[:60], targets[:60]), (IMAGES[60:], targets[60:])


def classification(): return halves(IMAGES.mean((2, 3)).argmax(1))
def multilabel(): return halves((IMAGES.mean((2, 3)) > 0.5).long())
def regression(): return halves(IMAGES.mean((1, 2, 3)))
def segmentation(): return halves(IMAGES.argmax(1))


class Boxes(torch.utils.data.Dataset):
    def __len__(self): return 60
    def __getitem__(self, index):
        if index >= 60: raise IndexError
        return IMAGES[index], {"boxes": torch.ones(index % 3, 4)}


def boxes(): return Boxes(), Boxes()
def inputs(part, count): return IMAGES[:count].split(16)
def few(part, count): return [IMAGES[:2]]
def score(run, part, share): return float(run(IMAGES[:10]).mean()) + len(part)
def loss(outputs, targets): return outputs.square().mean()
def batches(part, size): return [(IMAGES[:size], None)]
def train(module, teacher): ...
def task(): return hwprune.Task(inputs=inputs, score=score, metric=hwprune.Metric(name="mine"))
def no_task(): return "a task"
def by_name(run): return {"loss": 3.0, "WER": float(run(IMAGES[:10]).mean().abs())}
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("user") / "load_mine.py"
    file.write_text(MINE)
    return str(file)


def data_of(mine: str, name: str) -> DataSettings:
    return DataSettings(source=f"{mine}:{name}", heldout=20, calibration=10, workers=0)


NETWORKS = {
    "classification": nn.Sequential(nn.Flatten(), nn.Linear(192, 3)),
    "multilabel": nn.Sequential(nn.Flatten(), nn.Linear(192, 3)),
    "regression": nn.Sequential(nn.Flatten(), nn.Linear(192, 1)),
    "segmentation": nn.Conv2d(3, 3, 1),
}


def same_again(task: Task, network: nn.Module) -> None:
    """Made again from plain data, the task gives the same inputs and scores."""
    assert task.remake is not None
    other = task_again(task.remake())
    assert other.metric == task.metric and other.calibration == task.calibration
    assert torch.equal(example_of(other)[0], example_of(task)[0])
    run = torch.inference_mode()(network.forward)
    one, two = score_of(task, run, "heldout"), score_of(other, run, "heldout")
    assert (one.value, one.others) == (two.value, two.others)
    if one.items is not None:
        assert np.array_equal(one.items, two.items)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_kind_is_seen_from_the_targets_and_said(mine, kind):
    loaded = load_task(TaskSettings(calibration=7), data_of(mine, kind))
    assert loaded.task.name == kind and loaded.task.calibration == 7
    assert bool(loaded.guessed) == (kind != "classification")
    loaded.task.check(NETWORKS[kind](example_of(loaded.task)[0]))
    same_again(loaded.task, NETWORKS[kind])


def test_a_kind_that_is_said_is_not_guessed(mine):
    loaded = load_task(TaskSettings(kind="regression"), data_of(mine, "multilabel"))
    assert loaded.task.name == "regression" and not loaded.guessed


def test_arrays_that_go_to_another_process_leave_the_test_part_out(mine):
    task = load_task(TaskSettings(), data_of(mine, "classification")).task
    other = task_again(task.remake())
    with pytest.raises(InputError, match="no part 'test'"):
        score_of(other, NETWORKS["classification"], "test")


def test_data_at_hand_is_taken_as_it_is(mine):
    data = load_data(f"{mine}:classification", heldout=20, calibration=10)
    same_again(load_task(TaskSettings(), data).task, NETWORKS["classification"])


def test_data_may_feed_imitation_instead_of_being_a_kind(mine):
    task = load_task(TaskSettings(kind="imitation"), data_of(mine, "classification")).task
    assert task.score is None and task.loss is None and task.check is None
    assert example_of(task)[0].shape == (1, 3, 8, 8)
    assert torch.equal(example_of(task_again(task.remake()))[0], example_of(task)[0])


def test_targets_that_tell_nothing_need_a_score_or_a_loss(mine):
    with pytest.raises(DeploymentError, match="cannot be seen from its targets") as raised:
        load_task(TaskSettings(), data_of(mine, "boxes"))
    assert "classification" in raised.value.possible
    settings = TaskSettings(score=f"{mine}:score", loss=f"{mine}:loss")
    task = load_task(settings, data_of(mine, "boxes")).task
    assert isinstance(next(iter(task.batches("calibration", 4)))[1], list)
    same_again(task, nn.Flatten())


def test_a_function_that_returns_a_task(mine):
    task = load_task(TaskSettings(source=f"{mine}:task"), None).task
    assert task.metric == Metric(name="mine")
    same_again(task, nn.Flatten())


def test_functions_by_name(mine):
    names = ("inputs", "score", "loss", "batches", "train")
    settings = TaskSettings(
        **{name: f"{mine}:{name}" for name in names}, metric="m", any_number=True
    )
    task = load_task(settings, None).task
    assert task.metric == Metric(name="m", is_share=False)
    assert task.train is not None and float(task.loss(torch.ones(2), None)) == 1.0
    assert len(next(iter(task.batches("train", 5)))[0]) == 5
    same_again(task, nn.Flatten())


@pytest.mark.parametrize("origin", ["data", "source"])
def test_inputs_by_name_take_the_place_of_those_of_data_or_a_task(mine, origin):
    own = {"source": f"{mine}:task"} if origin == "source" else {}
    data = data_of(mine, "multilabel") if origin == "data" else None
    task = load_task(TaskSettings(**own, inputs=f"{mine}:few"), data).task
    assert [len(images) for images in task.inputs("heldout", 10)] == [2]
    same_again(task, NETWORKS["multilabel"])
    with pytest.raises(DeploymentError, match="files of inputs do not go with"):
        load_task(TaskSettings(**own, inputs="frames/*.png"), data)


def test_a_score_of_its_own_is_not_measured_as_the_kind_that_it_replaces(mine):
    settings = TaskSettings(kind="regression", score=f"{mine}:score")
    task = load_task(settings, data_of(mine, "regression")).task
    assert task.metric == Metric(name="score") and task.check is None and task.loss is not None
    down = TaskSettings(kind="regression", score=f"{mine}:score", lower_is_better=True)
    assert not load_task(down, data_of(mine, "regression")).task.metric.higher_is_better


def test_a_kinds_score_under_another_name_keeps_its_direction(mine):
    task = load_task(TaskSettings(metric="MAE"), data_of(mine, "regression")).task
    assert task.metric == Metric(name="MAE", higher_is_better=False, is_share=False)
    same_again(task, NETWORKS["regression"])


def test_another_score_function_is_another_task(mine):
    own = {"kind": "regression", "score": f"{mine}:score"}
    data = data_of(mine, "regression")
    plain = load_task(TaskSettings(kind="regression"), data).task.identity
    one = load_task(TaskSettings(**own), data).task.identity
    other = load_task(TaskSettings(**own | {"score": f"{mine}:by_name"}), data).task.identity
    assert len({plain, one, other}) == 3
    assert load_task(TaskSettings(**own), data).task.identity == one


ROW = [InputShape(name="row", shape=(1, 5))]


def test_files_of_inputs_are_imitated_and_made_again(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((40, 5), np.float32))
    settings = TaskSettings(inputs=str(tmp_path / "*.npy"))
    task = load_task(settings, None, entries=ROW).task
    assert task.score is None and task.loss is None and task.batches is not None
    other = task_again(task.remake())
    assert other.identity == task.identity
    assert torch.equal(example_of(other)[0], example_of(task)[0])
    # An item that the first few do not show.
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((41, 5), np.float32))
    assert load_task(settings, None, entries=ROW).task.identity != task.identity


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "nothing says what the network takes"),
        ({"inputs": "frames/*.png"}, "shape of the network's input is not known"),
        ({"source": "MINE:nothing"}, "has no function 'nothing'"),
        ({"source": "MINE:no_task"}, "must return a hwprune.Task"),
        ({"source": "nowhere_at_all:task"}, "cannot be imported"),
        ({"source": "task"}, "not named in a known way"),
        ({"inputs": "MINE:inputs", "score": "MINE:scroe"}, "has no function 'scroe'"),
    ],
)
def test_what_is_not_there_is_said(mine, settings, said):
    settings = {key: value.replace("MINE", mine) for key, value in settings.items()}
    with pytest.raises(InputError, match=said):
        load_task(TaskSettings(**settings), None)


def given(task: Task, part: str, count: int = 100) -> list[float]:
    batches = first_items(task.inputs(part, count), count)  # type: ignore[arg-type]
    return [float(row) for inputs in batches for row in inputs[0]]


def test_a_list_of_batches_is_dealt_to_parts_that_do_not_meet():
    task = of_function([torch.full((2, 1), float(number)) for number in range(8)])
    found = {part: set(given(task, part)) for part in ("train", "heldout", "final", "test")}
    assert found == {"train": {2, 3, 6, 7}, "heldout": {0, 4}, "final": {0, 4}, "test": {1, 5}}
    assert given(task, "calibration", 3) == [2.0, 2.0, 3.0]


def test_a_function_of_nothing_is_dealt_alike():
    task = of_function(lambda: (torch.full((2, 1), float(number)) for number in range(4)))
    assert given(task, "test") == [1.0, 1.0] and given(task, "test") == [1.0, 1.0]


def test_a_function_of_the_part_sets_apart_itself_whatever_its_arguments_are_called():
    def one(part):
        return [torch.full((2, 1), float(len(part)))]

    assert given(of_function(one), "final") == [5.0, 5.0]
    task = of_function(lambda p, n: [torch.full((n, 1), float(len(p)))])
    assert given(task, "final", 3) == [5.0, 5.0, 5.0]


def test_too_few_batches_for_the_parts_are_refused():
    task = of_function([torch.ones(2, 1)] * 2)
    assert given(task, "heldout") == [1.0, 1.0]
    with pytest.raises(DataError, match="none is left for part 'calibration'"):
        given(task, "calibration")


def test_functions_of_a_module_are_made_again_with_their_metric(mine, monkeypatch):
    folder = Path(mine).parent
    monkeypatch.syspath_prepend(str(folder))
    import load_mine  # type: ignore[import-not-found]

    metric = Metric(name="WER", higher_is_better=False)
    task = task_of_functions(
        None,
        load_mine.inputs,
        {"score": load_mine.by_name},
        (torch.zeros(1, 3, 8, 8),),
        metric,
    )
    same_again(task, nn.Flatten())
    assert score_of(task_again(task.remake()), nn.Flatten(), "heldout").value < 1.0


def test_functions_of_a_cell_stay_in_this_process():
    task = task_of_functions(None, None, {"score": lambda run: 0.5}, (torch.zeros(1, 3),))
    assert task.remake is None and score_of(task, nn.Flatten(), "test").value == 0.5
    assert example_of(task)[0].shape == (1, 3)

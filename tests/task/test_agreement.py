"""Agreement with the unpruned network, and learning by imitating it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from hwprune.errors import DataError
from hwprune.metric import Metric
from hwprune.task import agreement
from hwprune.task.agreement import completed, imitation_loss, output_kinds
from hwprune.task.task import Task

torch.set_num_threads(1)
ITEMS = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))


class Two(nn.Module):
    """Scores of classes and two values."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.scores, self.values = nn.Linear(8, 4), nn.Linear(8, 2)

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": self.scores(rows), "values": self.values(rows)}


def in_batches(part: str, count: int):
    return ITEMS[:count].split(16)


def compared(teacher, kinds, names, inputs=in_batches) -> Task:
    return completed(Task(inputs=inputs), torch.inference_mode()(teacher), kinds, names)


def two(seed: int = 0) -> tuple[Two, Task]:
    teacher = Two(seed)
    return teacher, compared(teacher, ("classes", "values"), ("scores", "values"))


def inferred(module):
    return torch.inference_mode()(module)


def test_a_network_agrees_fully_with_itself():
    teacher, task = two()
    found = task.score(inferred(teacher), "heldout", 1.0)
    assert found.value == 1.0 and found.items.tolist() == [1.0] * 60
    assert task.metric == Metric(name="agreement")
    assert set(found.others) == {"scores: same class", "values: 1 / (1 + relative error)"}


def test_a_score_of_the_tasks_own_is_left_alone():
    own = Task(inputs=in_batches, score=lambda run: 0.5, metric=Metric(name="mine"))
    task = completed(own, Two(0), ("classes", "values"), ("a", "b"))
    assert task.score is own.score and task.metric == own.metric
    assert task.output_kinds == ("classes", "values")


def test_classes_and_values_are_measured_as_stated_and_the_worst_output_decides():
    teacher, task = two()
    wanted = teacher(ITEMS)
    spread = float(wanted["values"].detach().double().std(correction=0))

    def run(rows: torch.Tensor) -> dict[str, torch.Tensor]:
        found = teacher(rows)
        # A quarter of a spread off everywhere, and another class for every item with x0 > 0.
        turned = torch.where(rows[:, :1] > 0, -found["scores"], found["scores"])
        return {"scores": turned, "values": found["values"] + 0.25 * spread}

    found = task.score(inferred(run), "heldout", 1.0)
    right = float((ITEMS[:, 0] <= 0).float().mean())
    assert found.others["values: 1 / (1 + relative error)"] == pytest.approx(0.8, abs=1e-5)
    assert found.others["scores: same class"] == pytest.approx(right)
    assert found.value == pytest.approx(min(right, 0.8))
    assert next(iter(found.others)).startswith("scores")
    assert np.array_equal(found.items, (ITEMS[:, 0] <= 0).numpy())
    assert found.value == pytest.approx(float(found.items.mean()))


def test_classes_of_positions_count_position_by_position():
    maps = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    task = compared(lambda x: x, ("classes",), ("map",), lambda part, count: [maps[:count]])

    def run(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images[..., :4], -images[..., 4:]], dim=3)

    found = task.score(run, "heldout", 1.0)
    assert found.items == pytest.approx([0.8] * 4)


def test_a_share_is_a_prefix():
    _, task = two()
    other = inferred(Two(1))
    whole = task.score(other, "heldout", 1.0)
    for share, count in ((0.5, 30), (0.3, 18), (1e-9, 1)):
        found = task.score(other, "heldout", share)
        column = next(iter(found.others))
        if column == next(iter(whole.others)):
            assert np.array_equal(found.items, whole.items[:count])
        assert len(found.items) == count


@pytest.mark.parametrize("kept", [0, 700, 10**9])
def test_outputs_that_are_not_kept_are_computed_again_and_give_the_same(kept, monkeypatch):
    _, task = two()
    expected = task.score(inferred(Two(1)), "heldout", 1.0)
    monkeypatch.setattr(agreement, "KEPT_BYTES", kept)
    calls = []
    teacher = Two(0)

    def counted(rows: torch.Tensor):
        calls.append(len(rows))
        return teacher(rows)

    task = compared(counted, ("classes", "values"), ("scores", "values"))
    assert task.score(inferred(Two(1)), "heldout", 1.0).value == expected.value
    known = len(calls)
    found = task.score(inferred(Two(1)), "heldout", 1.0)
    assert found.value == expected.value and np.array_equal(found.items, expected.items)
    # 16 items take 384 bytes: none, one, or all four batches are kept.
    assert len(calls) - known == {0: 4, 700: 3, 10**9: 0}[kept]


def test_batches_may_be_cut_otherwise_for_another_count():
    teacher = Two(0)

    def inputs(part: str, count: int):
        return ITEMS[:count].split(max(1, count // 7))

    task = compared(teacher, ("classes", "values"), ("scores", "values"), inputs)
    for share in (1.0, 0.5, 0.1):
        assert task.score(inferred(teacher), "heldout", share).value == pytest.approx(1.0)


def test_inputs_in_another_order_each_time_are_refused():
    teacher = Two(0)

    def inputs(part: str, count: int):
        return ITEMS[torch.randperm(60)][:count].split(16)

    task = compared(teacher, ("classes", "values"), ("scores", "values"), inputs)
    with pytest.raises(DataError, match="same order each time"):
        for _ in range(3):
            task.score(inferred(teacher), "heldout", 1.0)


def test_an_empty_part_is_refused():
    task = compared(Two(0), ("classes", "values"), ("a", "b"), lambda part, count: [])
    with pytest.raises(DataError, match="no inputs to compare"):
        task.score(Two(0), "test", 1.0)


def test_rounding_of_an_output_that_hardly_varies_is_no_disagreement():
    task = compared(lambda x: 0 * x + 100.0, ("values",), ("still",))
    assert task.score(lambda x: 0 * x + 100.0001, "heldout", 1.0).value > 0.98
    assert task.score(lambda x: 0 * x + 101.0, "heldout", 1.0).value < 0.02


@pytest.mark.parametrize("shape", [(8, 5), (4, 3, 6, 6)])
@pytest.mark.parametrize("heat", [1.0, 4.0])
def test_imitating_a_softmax_is_imitating_its_scores(shape, heat):
    random = torch.Generator().manual_seed(0)
    given, taught = (torch.randn(shape, generator=random) for _ in range(2))
    scores = imitation_loss(given, taught, ("classes",), heat)
    shares = imitation_loss(given.softmax(1), taught.softmax(1), ("classes",), heat)
    logs = imitation_loss(given.log_softmax(1), taught.log_softmax(1), ("classes",), heat)
    assert torch.allclose(scores, shares, rtol=1e-3) and torch.allclose(scores, logs, rtol=1e-4)
    assert float(imitation_loss(taught, taught, ("classes",), heat)) == pytest.approx(0, abs=1e-6)


def test_imitating_values_is_the_square_error_as_a_share_of_their_variance():
    taught = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 7
    loss = imitation_loss(taught + 0.7, taught, ("values",), 4.0)
    assert float(loss) == pytest.approx(0.49 / float(taught.var(correction=0)), rel=1e-4)


def test_the_loss_of_several_outputs_is_their_mean():
    taught = {"a": torch.randn(8, 3), "b": torch.randn(8, 2)}
    given = {"a": torch.randn(8, 3), "b": torch.randn(8, 2)}
    both = imitation_loss(given, taught, ("classes", "values"), 2.0)
    one = imitation_loss(given["a"], taught["a"], ("classes",), 2.0)
    other = imitation_loss(given["b"], taught["b"], ("values",), 2.0)
    assert torch.allclose(both, (one + other) / 2)


@pytest.mark.parametrize("taught", [torch.tensor([[3.0]]), torch.full((16, 1), 3.0)])
def test_a_batch_without_any_spread_has_a_finite_loss(taught):
    loss = float(imitation_loss(taught + 0.03, taught, ("values",), 4.0))
    assert loss == pytest.approx(1e-4 / 1e-3, rel=1e-3)


def graph(nodes, shape: list[int], output: str = "y", opset: int = 17) -> bytes:
    constants = [
        helper.make_tensor("w", TensorProto.FLOAT, [8, 4], [0.1] * 32),
        helper.make_tensor("b", TensorProto.FLOAT, [4], [0.1] * 4),
        helper.make_tensor("k", TensorProto.FLOAT, [4, 3, 1, 1], [0.1] * 12),
    ]
    rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8])
    images = helper.make_tensor_value_info("i", TensorProto.FLOAT, ["N", 3, 5, 5])
    given = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *shape])
    made = helper.make_graph(nodes, "g", [rows, images], [given], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(model)
    return model.SerializeToString()


node = helper.make_node
LINEAR = node("MatMul", ["x", "w"], ["m"])
CONVOLUTION = node("Conv", ["i", "k"], ["c"])
FOUR = helper.make_tensor("", TensorProto.FLOAT, [4], [0.1] * 4)
GRAPHS = {
    "Gemm": ([node("Gemm", ["x", "w", "b"], ["y"])], [4], "classes"),
    "MatMul, Add": ([LINEAR, node("Add", ["m", "b"], ["y"])], [4], "classes"),
    "a Constant added": (
        [
            node("Constant", [], ["four"], value=FOUR),
            LINEAR,
            node("Add", ["four", "m"], ["y"]),
        ],
        [4],
        "classes",
    ),
    "Gemm, Identity": (
        [node("Gemm", ["x", "w", "b"], ["m"]), node("Identity", ["m"], ["y"])],
        [4],
        "classes",
    ),
    "softmax axis 1": ([LINEAR, node("Softmax", ["m"], ["y"], axis=1)], [4], "classes"),
    "softmax axis -1": ([LINEAR, node("Softmax", ["m"], ["y"], axis=-1)], [4], "classes"),
    "softmax as it comes": ([LINEAR, node("Softmax", ["m"], ["y"])], [4], "classes"),
    "log-softmax": ([LINEAR, node("LogSoftmax", ["m"], ["y"], axis=1)], [4], "classes"),
    "sigmoid": ([LINEAR, node("Sigmoid", ["m"], ["y"])], [4], "values"),
    "convolution": ([node("Conv", ["i", "k"], ["y"])], [4, 5, 5], "values"),
    "softmax of a map": (
        [CONVOLUTION, node("Softmax", ["c"], ["y"], axis=1)],
        [4, 5, 5],
        "classes",
    ),
    "softmax of a map, Identity": (
        [CONVOLUTION, node("Softmax", ["c"], ["s"], axis=1), node("Identity", ["s"], ["y"])],
        [4, 5, 5],
        "classes",
    ),
    "softmax along a row": (
        [CONVOLUTION, node("Softmax", ["c"], ["y"], axis=-1)],
        [4, 5, 5],
        "values",
    ),
    "a sum of maps": (
        [CONVOLUTION, node("Softmax", ["c"], ["s"], axis=1), node("Add", ["s", "c"], ["y"])],
        [4, 5, 5],
        "values",
    ),
    "the input": ([node("Identity", ["x"], ["y"])], [8], "values"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_what_an_output_holds_is_read_off_the_graph(name):
    nodes, shape, kind = GRAPHS[name]
    assert output_kinds(graph(nodes, shape)) == (kind,)


def test_one_number_of_a_linear_layer_is_a_value():
    one = helper.make_tensor("w", TensorProto.FLOAT, [8, 1], [0.1] * 8)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])
    made = helper.make_graph([node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [one])
    assert output_kinds(helper.make_model(made).SerializeToString()) == ("values",)

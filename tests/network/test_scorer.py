from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import fx

from hwprune.data_settings import DataSettings
from hwprune.network.execution import EXACT, best_execution
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate
from hwprune.network.scorer import Scorer, make_scorer
from hwprune.saliency.ranking import rank
from hwprune.task.data import load_data
from hwprune.task.kinds import classification
from hwprune.task.load import load_task
from hwprune.task_settings import TaskSettings
from hwprune_device.cut import Cutter
from hwprune_device.torch_graph.folding import fold_batchnorm
from tests.digits import CIFAR, accuracy_of, digit_images, digits


def scorer_of(base, ranking, task, *, bf16=False):
    execution = best_execution(bf16)
    return Scorer(base.onnx, base.plan, ranking.order, task=task, execution=execution)


def accuracy(scorer, widths, **request):
    return scorer({"widths": widths, **request})["value"]


@pytest.fixture(scope="module")
def scorer(trained_digits):
    return scorer_of(trained_digits, rank(trained_digits, None, "l1"), digits())


def half(widths):
    return tuple(max(1, width // 2) for width in widths)


def test_the_uncut_network_scores_what_it_is_worth(scorer, trained_digits):
    score = scorer({"widths": trained_digits.plan.widths})
    own = accuracy_of(to_module(trained_digits.onnx), digits(), "heldout")
    assert abs(score["value"] - own) < 0.02 and own > 0.9
    assert score["seconds"] > 0 and len(score["items"]) == 300


def test_a_score_is_that_of_the_network_cut_and_recalibrated_by_hand(scorer, trained_digits):
    widths = half(trained_digits.plan.widths)
    keep = rank(trained_digits, None, "l1").keep(widths)
    module = to_module(Cutter(trained_digits.onnx, trained_digits.plan).cut(keep))
    recalibrate(module, batches_of([(digit_images("calibration", 250),)]))
    own = accuracy_of(module, digits(), "heldout")
    assert abs(accuracy(scorer, widths) - own) < 0.005


def test_the_same_widths_give_the_same_score(scorer, trained_digits):
    widths = half(trained_digits.plan.widths)
    first = accuracy(scorer, widths)
    accuracy(scorer, trained_digits.plan.widths)
    assert accuracy(scorer, list(widths)) == first


def test_wider_networks_score_better_on_the_whole(scorer, trained_digits):
    whole = trained_digits.plan.widths
    narrow = accuracy(scorer, [max(1, w // 8) for w in whole])
    assert narrow < accuracy(scorer, half(whole)) <= accuracy(scorer, whole) + 0.01


def test_bf16_scores_like_fp32(scorer, trained_digits):
    other = scorer_of(trained_digits, rank(trained_digits, None, "l1"), digits(), bf16=True)
    widths = half(trained_digits.plan.widths)
    assert abs(accuracy(other, widths) - accuracy(scorer, widths)) < 0.03


def test_a_larger_share_computes_what_is_new_alone(trained_digits, monkeypatch):
    scorer = scorer_of(trained_digits, rank(trained_digits, None, "l1"), digits())
    widths, seen = half(trained_digits.plan.widths), []
    run = scorer.execution.run
    monkeypatch.setattr(
        type(scorer.execution),
        "run",
        lambda self, module: lambda x: (seen.append(len(x)), run(module)(x))[1],
    )
    parts = [scorer({"widths": widths, "share": share}) for share in (0.5, 1.0)]
    assert [len(part["items"]) for part in parts] == [150, 300]
    assert sum(seen) == 300 + 25  # the batch that the first share ended in, once more
    assert np.array_equal(parts[0]["items"], parts[1]["items"][:150])
    assert parts[1]["value"] == accuracy(
        scorer_of(trained_digits, rank(trained_digits, None, "l1"), digits()), widths
    )


def test_another_process_makes_the_same_scorer_from_plain_data(trained_digits):
    remake = load_task(
        TaskSettings(), DataSettings(source="sklearn:digits", heldout=300)
    ).task.remake()
    assert "test" not in remake.arguments["parts"]
    for part in remake.arguments["parts"].values():
        for array in (*part["inputs"], part["targets"]):
            array.setflags(write=False)
    order = [np.arange(w) for w in trained_digits.plan.widths]
    task = {"factory": remake.factory, "arguments": remake.arguments}
    scorer = make_scorer(
        trained_digits.onnx,
        trained_digits.plan.to_json(),
        order,
        task,
        kinds=["classes"],
        names=["y"],
    )
    assert accuracy(scorer, trained_digits.plan.widths) > 0.9


def test_folding_changes_no_output(trained_digits):
    module = EXACT.place(to_module(trained_digits.onnx))
    assert isinstance(module, fx.GraphModule)
    images = digit_images("test", 64)
    with torch.no_grad():
        before = module(images)
        fold_batchnorm(module)
        after = module(images)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in module.modules())
    assert torch.allclose(before, after, atol=1e-3)


def test_a_convolution_that_is_read_twice_is_not_folded():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 4, 1)
            self.norm = torch.nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    module = fx.symbolic_trace(Twice()).eval()
    recalibrate(module, [(torch.rand(8, 1, 4, 4),)])
    images = torch.rand(2, 1, 4, 4)
    before = module(images)
    fold_batchnorm(module)
    assert torch.allclose(module(images), before)


@pytest.mark.heavy
def test_resnet56_keeps_most_of_its_accuracy_when_a_tenth_is_cut(cifar_root, resnet56_weights):
    from hwprune.channels.base import make_base
    from hwprune.network.source import load_network
    from hwprune.network.trace import trace

    data = load_data("torchvision:CIFAR10", root=str(cifar_root), heldout=300, **CIFAR)
    module = load_network("hwprune.network.zoo:cifar_resnet56", weights=resnet56_weights)
    base, task = make_base(trace(module, data.example)), classification(data)
    scorer = scorer_of(base, rank(base, task, "l1"), task, bf16=None)
    assert accuracy(scorer, [round(0.9 * width) for width in base.plan.widths]) > 0.85

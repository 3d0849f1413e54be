from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import fx

from hwprune.network.accuracy import accuracy_of
from hwprune.network.data import load_data
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import recalibrate
from hwprune.network.scorer import make_scorer
from hwprune.saliency.ranking import rank
from hwprune_device.cut import Cutter
from hwprune_device.torch_graph.folding import fold_batchnorm
from tests.digits import CIFAR, digits


def scorer_of(base, ranking, data, *, bf16=False):
    images, labels = data.split("heldout")
    return make_scorer(
        base.onnx,
        base.plan.to_json(),
        ranking.order,
        data.calibration,
        images,
        labels,
        bf16=bf16,
    )


@pytest.fixture(scope="module")
def scorer(trained_digits):
    return scorer_of(trained_digits, rank(trained_digits, None, "l1"), digits())


def half(widths):
    return tuple(max(1, width // 2) for width in widths)


def test_the_uncut_network_scores_what_it_is_worth(scorer, trained_digits):
    score = scorer(trained_digits.plan.widths)
    own = accuracy_of(to_module(trained_digits.onnx), digits(), "heldout")
    assert abs(score["accuracy"] - own) < 0.02 and own > 0.9
    assert score["seconds"] > 0


def test_a_score_is_that_of_the_network_cut_and_recalibrated_by_hand(scorer, trained_digits):
    widths = half(trained_digits.plan.widths)
    keep = rank(trained_digits, None, "l1").keep(widths)
    module = to_module(Cutter(trained_digits.onnx, trained_digits.plan).cut(keep))
    recalibrate(module, torch.from_numpy(digits().calibration))
    own = accuracy_of(module, digits(), "heldout")
    assert abs(scorer(widths)["accuracy"] - own) < 0.005


def test_the_same_widths_give_the_same_score(scorer, trained_digits):
    widths = half(trained_digits.plan.widths)
    first = scorer(widths)["accuracy"]
    scorer(trained_digits.plan.widths)
    assert scorer(list(widths))["accuracy"] == first


def test_wider_networks_score_better_on_the_whole(scorer, trained_digits):
    whole = trained_digits.plan.widths
    narrow = scorer([max(1, w // 8) for w in whole])["accuracy"]
    assert narrow < scorer(half(whole))["accuracy"] <= scorer(whole)["accuracy"] + 0.01


def test_bf16_scores_like_fp32(scorer, trained_digits):
    other = scorer_of(trained_digits, rank(trained_digits, None, "l1"), digits(), bf16=True)
    widths = half(trained_digits.plan.widths)
    assert abs(other(widths)["accuracy"] - scorer(widths)["accuracy"]) < 0.03


def test_read_only_arrays_will_do(trained_digits):
    images, labels = digits().split("heldout")
    calibration = digits().calibration
    for array in (images, labels, calibration):
        array.setflags(write=False)
    order = [np.arange(w) for w in trained_digits.plan.widths]
    scorer = make_scorer(
        trained_digits.onnx, trained_digits.plan.to_json(), order, calibration, images, labels
    )
    assert scorer(trained_digits.plan.widths)["accuracy"] > 0.9


def test_folding_changes_no_output(trained_digits):
    module = EXACT.place(to_module(trained_digits.onnx))
    assert isinstance(module, fx.GraphModule)
    images = digits().inputs("test", 64)
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
    recalibrate(module, torch.rand(8, 1, 4, 4))
    images = torch.rand(2, 1, 4, 4)
    before = module(images)
    fold_batchnorm(module)
    assert torch.allclose(module(images), before)


def test_resnet56_keeps_most_of_its_accuracy_when_a_tenth_is_cut(cifar_root, resnet56_weights):
    from hwprune.channels.base import make_base
    from hwprune.network.source import load_network
    from hwprune.network.trace import trace

    data = load_data("torchvision:CIFAR10", root=str(cifar_root), limit=1000, heldout=300, **CIFAR)
    module = load_network("hwprune.network.zoo:cifar_resnet56", weights=resnet56_weights)
    base = make_base(trace(module, data.example()))
    scorer = scorer_of(base, rank(base, data, "l1"), data, bf16=None)
    score = scorer([round(0.9 * width) for width in base.plan.widths])
    assert score["accuracy"] > 0.85

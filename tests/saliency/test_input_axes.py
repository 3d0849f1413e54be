from __future__ import annotations

from torch import nn

from hwprune.network.graph_module import to_module
from hwprune.saliency.input_axes import input_axes
from hwprune.saliency.output_axes import output_axes
from tests.saliency.subjects import tokens, traced


def read(base):
    return [(a.layer, a.axis) for a in input_axes(to_module(base.onnx), base.plan)]


def test_convolutions_and_linear_layers_read_along_their_second_axis():
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    )
    assert read(traced(net)) == [("2", 1), ("6", 1)]


def test_a_depthwise_convolution_passes_on_what_others_read():
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 6, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    )
    assert read(traced(net)) == [("2", 1), ("5", 1)]


def test_weights_that_are_turned_before_use_keep_the_axes_of_linear_layers():
    base = tokens()
    assert set(read(base)) == {("up", 1), ("head", 1), ("down", 1)}
    written = {a.layer: a.axis for a in output_axes(to_module(base.onnx), base.plan)}
    assert written["up"] == 0 and written["down"] == 0

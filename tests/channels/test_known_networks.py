"""Groups of networks that everybody knows."""

from __future__ import annotations

import onnx
import pytest

from hwprune.channels.analysis import analyse
from hwprune_device.plan import STAYS
from tests.channels.small_graphs import widths_by_group
from tests.traced import NETWORKS, traced


def test_residual_sum_couples_the_layers_it_joins() -> None:
    plan = traced("digits_cnn").base.plan
    assert [(g.name, g.width) for g in plan.groups] == [
        ("conv1", 24),
        ("conv2", 48),
        ("block1.conv1", 48),
        ("block2.conv1", 48),
        ("conv3", 64),
    ]
    coupled = plan.groups[1]
    assert coupled.members == (
        *("conv2", "bn2", "block1.conv2", "block1.bn2"),
        *("block2.conv2", "block2.bn2"),
    )
    assert coupled.readers == ("block1.conv1", "block2.conv1", "conv3")


def test_padded_shortcuts_split_a_stage_into_both_ends_and_the_middle() -> None:
    groups = widths_by_group(traced("cifar_resnet20").base)
    assert groups["conv1"] == 16
    assert groups["layer2.0.conv2[0:8]"] == groups["layer2.0.conv2[24:32]"] == 8
    assert groups["layer3.0.conv2[0:16]"] == groups["layer3.0.conv2[48:64]"] == 16
    assert len(groups) == 9 + 1 + 2 + 2


@pytest.mark.parametrize(
    "name, count",
    [
        pytest.param("cifar_resnet56", 32, marks=pytest.mark.heavy),
        pytest.param("cifar_vgg16_bn", 13, marks=pytest.mark.heavy),
        ("cifar_resnet20", 14),
        pytest.param("resnet18", 12, marks=pytest.mark.heavy),
        pytest.param("mobilenet_v2", 25, marks=pytest.mark.heavy),
    ],
)
def test_known_networks_have_their_known_number_ofwidths_by_group(name: str, count: int) -> None:
    assert len(traced(name).base.plan.groups) == count


@pytest.mark.parametrize("name", NETWORKS)
def test_network_output_is_all_that_stays_in_known_networks(name: str) -> None:
    frozen = traced(name).base.plan.frozen
    assert len(frozen) == 1 and frozen[0][1] == "network output"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_group_is_whole_and_in_order_wherever_it_is(name: str) -> None:
    plan = traced(name).base.plan
    for cut in (*plan.axes, *plan.literals):
        for span in cut.spans:
            if span.group != STAYS:
                assert (span.start, span.count) == (0, plan.groups[span.group].width)
    for axis in plan.axes:
        assert axis.size(plan.widths) == sum(span.size for span in axis.spans)


def test_flatten_gives_each_channel_as_many_columns_as_pixels() -> None:
    plan = traced("flatten_vgg").base.plan
    columns = next(a for a in plan.axes if a.initializer == "classifier.0.weight" and a.axis == 1)
    assert [(span.count, span.repeat) for span in columns.spans] == [(512, 49)]


def test_depthwise_group_count_follows_the_channels() -> None:
    plan = traced("short_mobilenet").base.plan
    assert {literal.attribute for literal in plan.literals} == {"group"}
    assert len(plan.literals) == 4


def test_ignored_groups_stay_and_say_why() -> None:
    base = traced("digits_cnn").base
    plan = analyse(onnx.load_model_from_string(base.onnx), ignore=["conv2"])
    assert [group.name for group in plan.groups] == [
        *("conv1", "block1.conv1", "block2.conv1", "conv3")
    ]
    assert any(layer == "conv2" and "kept whole" in reason for layer, reason in plan.frozen)

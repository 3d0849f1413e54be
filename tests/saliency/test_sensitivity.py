from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprune.candidate import GroupChoice
from hwprune.saliency.feature_rank import LayerRanks
from hwprune.saliency.sensitivity import Sensitivity, sense
from hwprune_device.plan import ChannelGroup, CutPlan, Span
from tests.digits import digits
from tests.saliency.subjects import plain_cnn, traced


def layer(name, group, ranks, size=(8, 8)):
    spans = (Span(group=group, start=0, count=len(ranks)),)
    return LayerRanks(layer=name, size=size, spans=spans, ranks=np.array(ranks, float))


def sensitivity(*layers, width=8, **thresholds):
    groups = {s.group for given in layers for s in given.spans}
    plan = CutPlan(
        groups=tuple(ChannelGroup(name=f"g{g}", width=width, members=()) for g in sorted(groups)),
        axes=(),
        literals=(),
    )
    return Sensitivity(plan=plan, layers=layers, **thresholds)


def test_a_layer_with_many_maps_of_low_rank_is_sensitive():
    net = plain_cnn()
    with torch.no_grad():
        net[1].weight[:3] = 0.0
        net[1].bias[:3] = 1.0
    found = sense(traced(net), digits())
    first, second = found.layers
    assert found.low_share(first) == 3 / 8 and found.is_sensitive(first)
    assert not found.is_sensitive(second)
    assert found.sensitive_groups() == {0: 5 / 8}


@pytest.mark.parametrize(("reading", "width"), [("rank", 6), ("protect", 8)])
def test_a_sensitive_group_has_one_width_and_the_others_keep_their_choices(reading, width):
    found = sensitivity(layer("a", 0, [1, 1, 1, 8, 8, 8, 8, 8]), layer("b", 1, [8] * 8))
    choices = tuple(GroupChoice(name=n, width=8, choices=(2, 6, 8)) for n in "ab")
    fixed = found.fixed(choices, reading)
    assert fixed[0].choices == (width,) and fixed[0].width == 8
    assert fixed[1] == choices[1]


def test_layers_of_one_stream_are_judged_together():
    poor, rich = layer("a", 0, [1] * 8), layer("b", 0, [16] * 8, size=(16, 16))
    found = sensitivity(poor, rich)
    assert found.is_sensitive(poor) and not found.is_sensitive(rich)
    assert found.group_shares()[0] == pytest.approx([(1 / 8 + 1) / 2] * 8)
    assert found.sensitive_groups() == {}


def test_thresholds_decide():
    given = layer("a", 0, [3, 3, 3, 3, 8, 8, 8, 8])
    assert sensitivity(given, threshold=0.4).sensitive_groups() == {0: 0.5}
    assert sensitivity(given, threshold=0.5).sensitive_groups() == {}
    assert sensitivity(given, threshold=0.4, low_rank=0.3).sensitive_groups() == {}


def test_ranks_are_worked_out_once_whatever_the_thresholds(trained_digits, tmp_path, monkeypatch):
    first = sense(trained_digits, digits(), cache=tmp_path)
    monkeypatch.setattr(
        "hwprune.saliency.sensitivity.feature_ranks", lambda subject: pytest.fail("again")
    )
    second = sense(trained_digits, digits(), cache=tmp_path, threshold=0.9)
    assert [a.layer for a in first.layers] == [b.layer for b in second.layers]
    assert np.array_equal(first.layers[0].ranks, second.layers[0].ranks)

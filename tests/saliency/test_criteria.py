from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.errors import DataError, InputError
from hwprune.network.graph_module import to_module
from hwprune.saliency import criteria
from hwprune.saliency.criteria import CRITERIA, criterion_names, find_criterion
from hwprune.saliency.output_axes import output_axes
from hwprune.saliency.ranking import rank
from tests.digits import digits
from tests.saliency.subjects import Depthwise, Rows, dead, planted, subject, tokens, traced

BY_DATA = sorted(name for name, criterion in CRITERIA.items() if criterion.needs_data)


@pytest.mark.parametrize("name", ["l1", "l2", "bn_gamma", "taylor", "kfac", "activation_mean"])
def test_channels_that_do_nothing_come_last(name):
    (scores,) = CRITERIA[name](subject(planted(), digits()))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


@pytest.mark.parametrize("name", ["l1", "bn_gamma", "taylor", "kfac", "nnrelief"])
def test_groups_without_batchnorm_are_ranked_by_their_weights(name):
    (scores,) = CRITERIA[name](subject(planted(norm=False), digits()))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


@pytest.mark.parametrize("name", ["l1", "activation_mean", "kfac"])
def test_transposed_convolutions_write_along_their_second_axis(name):
    (scores,) = CRITERIA[name](subject(planted(nn.ConvTranspose2d), digits()))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


@pytest.mark.parametrize("name", sorted(set(BY_DATA) - {"relative_change"}))
def test_a_dead_channel_is_worth_least_to_every_criterion_that_looks_at_data(name):
    scores, _ = CRITERIA[name](subject(dead(), digits()))
    assert scores[3] < np.delete(scores, 3).min()


@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_every_group_gets_a_finite_score_for_each_unit(name, trained_digits):
    scores = CRITERIA[name](subject(trained_digits, digits()))
    assert [len(s) for s in scores] == list(trained_digits.plan.widths)
    assert all(np.isfinite(s).all() and len(set(s.tolist())) > 1 for s in scores)
    assert all((s >= 0).all() for s in scores)


@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_linear_layers_over_tokens_are_scored_too(name):
    base = tokens()
    stream, inside = CRITERIA[name](subject(base, digits()))
    assert (len(stream), len(inside)) == base.plan.widths
    assert np.isfinite([*stream, *inside]).all() and len(set(inside.tolist())) > 1


@pytest.mark.parametrize("name", ["taylor", "kfac", "relative_change", "hrank"])
def test_the_same_subject_gets_the_same_scores(name, trained_digits):
    first, second = (CRITERIA[name](subject(trained_digits, digits())) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("net", [Rows, Depthwise])
@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_a_network_with_nothing_that_a_criterion_knows_is_ranked_all_the_same(name, net):
    torch.manual_seed(0)
    (scores,) = find_criterion(name)(subject(traced(net()), digits()))
    assert scores.shape == (8,)
    assert np.isfinite(scores).all()


def test_layers_that_only_read_a_group_do_not_score_it(trained_digits):
    layers = {a.layer for a in output_axes(to_module(trained_digits.onnx), trained_digits.plan)}
    assert {"conv1", "bn1", "conv3"} <= layers and "linear" not in layers


def test_a_criterion_leaves_the_network_as_it_is(trained_digits):
    given = subject(trained_digits, digits())
    before = {k: v.clone() for k, v in given.module.state_dict().items()}
    for criterion in CRITERIA.values():
        criterion(given)
    assert all(torch.equal(before[k], v) for k, v in given.module.state_dict().items())
    assert all(p.grad is None for p in given.module.parameters())


@pytest.mark.parametrize("name", BY_DATA)
def test_a_criterion_that_looks_at_data_asks_for_it(name, trained_digits):
    with pytest.raises(DataError, match=f"{name} criterion needs training data"):
        CRITERIA[name](subject(trained_digits))


def test_random_follows_its_seed(trained_digits):
    one, same, other = (CRITERIA["random"](subject(trained_digits, seed=s)) for s in (1, 1, 2))
    assert np.array_equal(one[0], same[0]) and not np.array_equal(one[0], other[0])


STRANGER = """
import numpy as np
from hwprune.saliency.registry import criterion

@criterion("backwards", needs_data=False)
def backwards(subject):
    return [np.arange(group.width, 0, -1.0) for group in subject.plan.groups]

not_one = 3
"""


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    """Criteria that other packages bring: a good one, one whose module is broken, and no one."""
    (tmp_path / "stranger_criteria.py").write_text(STRANGER)
    (tmp_path / "broken_criteria.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    places = {
        "backwards": "stranger_criteria:backwards",
        "broken": "broken_criteria:broken",
        "three": "stranger_criteria:not_one",
    }
    found = [EntryPoint(n, v, criteria.GROUP) for n, v in places.items()]
    monkeypatch.setattr(criteria, "entry_points", lambda group: found)
    yield
    CRITERIA.pop("backwards", None)


def test_a_stranger_s_criterion_ranks_by_its_name(strangers, trained_digits):
    assert {"backwards", "broken", "l1"} <= set(criterion_names())
    ranking = rank(trained_digits, None, "backwards")
    assert ranking.order[0][:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "said"), [("broken", "no_such_package"), ("three", "is no criterion")]
)
def test_a_stranger_that_cannot_be_loaded_is_named_and_breaks_no_other(strangers, name, said):
    with pytest.raises(InputError, match=said) as raised:
        find_criterion(name)
    assert f"'{name}'" in str(raised.value)
    assert find_criterion("l1").name == "l1"


def test_two_criteria_of_one_name_are_refused():
    from hwprune.saliency.registry import criterion

    with pytest.raises(InputError, match="two saliency criteria called 'l1'"):
        criterion("l1")(lambda subject: [])
    assert CRITERIA["l1"].needs_data is False

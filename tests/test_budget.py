"""What a budget accepts, refuses and calls kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.budget import Budget, Footprint, parse_constraint
from hwprune.budget_settings import parse_budgets
from hwprune.errors import BoardError, DeploymentError
from tests.readings import UNTOLD, reading


def footprint(latency_ms: float, params: int = 100, macs: int = 1000) -> Footprint:
    return Footprint(reading=reading(latency_ms), params=params, macs=macs)


def test_budgets_of_a_list_are_named_by_their_limits_where_they_have_no_name():
    tail = {"at_most": "8 ms", "quantile": 0.95}
    given = [{"latency_ms": "50 %"}, {"latency_ms": tail}, {"params": 1e5, "name": "small"}]
    assert [budget.name for budget in parse_budgets(given)] == ["50 %", "8 ms", "small"]


@pytest.mark.parametrize(
    ("quantity", "limit", "at_most", "relative"),
    [
        ("latency_ms", "8 ms", 8.0, False),
        ("latency_ms", "<= 8", 8.0, False),
        ("latency_ms", 8.5, 8.5, False),
        ("latency_ms", "50 %", 0.5, True),
        ("memory_mb", "200 MB", 200.0, False),
        ("energy_mj", "12 mJ", 12.0, False),
        ("energy_mj", "60 %", 0.6, True),
        ("params", "≤ 1e5", 1e5, False),
    ],
)
def test_a_limit_is_read_as_it_was_meant(quantity, limit, at_most, relative):
    constraint = parse_constraint(quantity, limit)
    assert (constraint.at_most, constraint.relative) == (at_most, relative)


@pytest.mark.parametrize(
    ("quantity", "limit"),
    [
        ("latency_ms", "fast"),
        ("latency_ms", "-3 ms"),
        ("latency_ms", "0 ms"),
        ("latency_ms", "8 MB"),
        ("memory_mb", "8 ms"),
        ("energy_mj", "12 ms"),
        ("params", "12 mJ"),
        ("watts", "3"),
        ("latency_ms", True),
    ],
)
def test_a_limit_that_cannot_be_is_refused_with_what_is_possible(quantity, limit):
    with pytest.raises(DeploymentError) as raised:
        parse_constraint(quantity, limit)
    assert raised.value.possible


def test_a_quantile_outside_0_to_1_is_refused():
    with pytest.raises(DeploymentError):
        parse_constraint("latency_ms", "8 ms", quantile=95)


def test_a_relative_limit_becomes_absolute_by_the_unpruned_reading():
    budget = Budget(constraints=(parse_constraint("latency_ms", "50 %"),))
    resolved = budget.resolve(footprint(20.0))
    assert resolved.constraints[0].at_most == pytest.approx(10.0)
    assert not resolved.constraints[0].relative


def test_the_upper_end_of_the_interval_counts():
    budget = Budget(constraints=(parse_constraint("latency_ms", 10.0),))
    assert not budget.keeps(footprint(10.0))
    assert budget.keeps(footprint(9.8))


@given(latency=st.floats(0.1, 1e3), limit=st.floats(0.1, 1e3))
def test_excess_is_positive_exactly_when_the_bound_is_over_the_limit(latency, limit):
    constraint = parse_constraint("latency_ms", limit)
    cost = footprint(latency)
    assert (constraint.excess(cost) > 0) == (constraint.bound(cost) > constraint.at_most)


def test_each_constraint_has_its_own_excess():
    budget = Budget(
        constraints=(
            parse_constraint("latency_ms", 10.0),
            parse_constraint("latency_ms", 5.0, quantile=0.95),
            parse_constraint("params", 50),
        )
    )
    excess = budget.excess(footprint(8.0, params=100))
    assert set(excess) == {"latency_ms", "latency_ms@p95", "params"}
    assert excess["latency_ms"] < 0 < excess["latency_ms@p95"] < excess["params"]


def test_an_energy_counts_with_the_interval_of_the_time_it_was_spent_in():
    cost = Footprint(reading=reading(10.0, energy_mj=50.0), params=1, macs=1)
    half = parse_constraint("energy_mj", "50 %").resolve(cost)
    assert (half.at_most, half.value(cost)) == (25.0, 50.0)
    assert half.excess(cost) == pytest.approx(1.04)


def test_an_energy_on_a_kind_counts_with_that_kinds_own_interval():
    slow = reading(40.0, energy_mj=50.0)
    cost = Footprint(reading=reading(4.0), by_kind={"b": slow}, params=1, macs=1)
    limit = parse_constraint("energy_mj", 50.0, kind="b")
    assert limit.bound(cost) == pytest.approx(51.0)


def test_an_energy_that_a_board_does_not_tell_is_no_number():
    silent = Footprint(reading=reading(energy_source="no RAPL package"), params=1, macs=1)
    budget = Budget(constraints=(parse_constraint("energy_mj", 12),))
    with pytest.raises(BoardError, match="no energy sensor") as raised:
        budget.excess(silent)
    assert "no RAPL package" in raised.value.given


def test_a_memory_that_a_runtime_does_not_tell_is_no_number():
    target = {"runtime": "onnxrt", "options": {"provider": "OpenVINO"}}
    silent = Footprint(reading=reading(memory=UNTOLD, target=target), params=1, macs=1)
    for limit in ("200 MB", "50 %"):
        budget = Budget(constraints=(parse_constraint("memory_mb", limit),))
        with pytest.raises(BoardError, match="does not tell what memory") as raised:
            budget.resolve(silent).excess(silent)
        assert "OpenVINO" in raised.value.given and "memory_mb" in raised.value.next_step
    latency = Budget(constraints=(parse_constraint("latency_ms", 20.0),))
    assert latency.keeps(silent)


def test_a_fleet_keeps_what_is_asked_of_all_and_of_each_kind():
    asked = Budget(
        constraints=(
            parse_constraint("latency_ms", 8.0),
            parse_constraint("latency_ms", 30.0, kind="pi"),
            parse_constraint("params", 1000),
        )
    )
    budget = asked.for_kinds(["orin", "pi"])
    assert [c.label for c in budget.constraints] == [
        "latency_ms on orin",
        "latency_ms on pi",
        "params",
    ]
    cost = Footprint(
        reading=reading(5.0), by_kind={"orin": reading(5.0), "pi": reading(40.0)}, params=1, macs=1
    )
    excess = budget.excess(cost)
    assert excess["latency_ms on orin"] < 0 < excess["latency_ms on pi"]
    assert not budget.keeps(cost)


def test_a_share_of_a_fleet_is_of_each_kinds_own_unpruned_network():
    budget = Budget(constraints=(parse_constraint("latency_ms", "50 %"),)).for_kinds(["a", "b"])
    whole = Footprint(
        reading=reading(4.0), by_kind={"a": reading(4.0), "b": reading(40.0)}, params=1, macs=1
    )
    assert [c.at_most for c in budget.resolve(whole).constraints] == [2.0, 20.0]


def test_one_kind_alone_has_plain_labels_and_an_unknown_kind_is_refused():
    own = Budget(constraints=(parse_constraint("latency_ms", 8.0, kind="pi"),))
    assert [c.label for c in own.for_kinds(["pi"]).constraints] == ["latency_ms"]
    with pytest.raises(DeploymentError, match="kind 'pi'"):
        own.for_kinds(["orin", "nano"])

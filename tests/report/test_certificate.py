"""When a certificate says PASS, FAIL or NOT SHOWN."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.budget import Budget, Constraint
from hwprune.report.certificate import Certificate, certify, decide
from hwprune.report.interval import Interval
from hwprune.report.result import NOT_SHOWN
from hwprune.stored import as_noun
from hwprune_device.reading import PREDICTED, Failure
from tests.report.sample import make_result
from tests.report.sample_certificate import make_certificate, make_reading

positive = st.floats(0.01, 1000)


def of(outcomes, *, limit_ms=3.0, params=100, macs=100, more=()):
    constraints = (Constraint(quantity="latency_ms", at_most=limit_ms), *more)
    return certify(
        Budget(constraints=constraints),
        outcomes,
        params=params,
        macs=macs,
        architecture="b" * 64,
        board="quiet",
        issued_at="2026-01-15T10:31:00Z",
    )


@given(limit=positive, value=positive, half=st.floats(0, 10))
def test_pass_needs_the_intervals_upper_end_and_fail_the_value_itself(limit, value, half):
    interval = Interval(value=value, low=value - half, high=value + half)
    expected = "FAIL" if value > limit else "PASS" if value + half <= limit else "NOT SHOWN"
    assert decide(limit, interval) == expected


@given(limit=positive, value=positive, half=st.floats(0, 10), more=st.floats(0, 10))
def test_a_wider_interval_never_turns_into_a_pass(limit, value, half, more):
    narrow = decide(limit, Interval(value=value, low=0, high=value + half))
    wide = decide(limit, Interval(value=value, low=0, high=value + half + more))
    assert not (wide == "PASS" and narrow != "PASS")


def test_without_readings_nothing_is_shown():
    certificate = of([])
    assert certificate.status == "NOT SHOWN" and not certificate.passed
    assert certificate.findings[0].words == "there is no fresh reading"


def test_a_certificate_without_constraints_does_not_pass():
    certificate = make_certificate()
    empty = as_noun(Certificate, certificate.to_json() | {"findings": []})
    assert not empty.passed


def test_a_network_that_sometimes_crashes_is_not_shown_to_keep_its_latency():
    good = [make_reading("b" * 64, 2.0, seed=n) for n in range(4)]
    certificate = of([*good, Failure(stage="crash", message="signal 11")])
    assert certificate.status == "NOT SHOWN"
    assert "1 of 5 fresh readings failed" in certificate.findings[0].words


def test_a_lost_board_is_not_held_against_the_network():
    good = [make_reading("b" * 64, 2.0, seed=n) for n in range(4)]
    assert of([*good, Failure(stage="lost", message="connection closed")]).passed


def test_an_energy_is_shown_by_the_readings_that_have_one_and_else_not_at_all():
    limit = Constraint(quantity="energy_mj", at_most=10.0)
    told = [replace(make_reading("b" * 64, 2.0), energy_mj=mj) for mj in (8.0, 8.1, 7.9)]
    silent = [make_reading("b" * 64, 2.0, seed=seed) for seed in range(3)]
    shown, unshown = (of(r, more=[limit]).findings[-1] for r in ([*told, *silent], silent))
    assert (shown.status, shown.readings, shown.unit) == ("PASS", 3, "mJ")
    assert (unshown.status, unshown.value, unshown.readings) == ("NOT SHOWN", None, 0)


@pytest.mark.parametrize("clock", ["", "device"])
@pytest.mark.parametrize("quantile", [0.5, 0.95])
@pytest.mark.parametrize("kind", ["", "orin on a stick"])
def test_a_finding_knows_its_unit_whatever_else_its_label_says(clock, quantile, kind):
    limit = Constraint(
        quantity="latency_ms", at_most=3.456, quantile=quantile, clock=clock, kind=kind
    )
    readings = [make_reading("b" * 64, 2.0, seed=seed) for seed in range(3)]
    found = of(readings, limit_ms=9.0, more=[limit]).findings[-1]
    assert (found.constraint.quantity, found.unit) == ("latency_ms", "ms")
    assert "3.456 ms" in found.words


def test_one_broken_constraint_breaks_the_whole_certificate():
    readings = [make_reading("b" * 64, 2.0, seed=n) for n in range(4)]
    certificate = of(readings, macs=200, more=(Constraint(quantity="macs", at_most=150),))
    assert [f.status for f in certificate.findings] == ["PASS", "FAIL"]
    assert certificate.status == "FAIL"
    assert "33.3 % over" in certificate.findings[1].words


def test_counted_constraints_need_no_reading():
    budget = Budget(constraints=(Constraint(quantity="params", at_most=150),))
    certificate = certify(budget, [], params=100, macs=1, architecture="b", board="", issued_at="")
    assert certificate.passed and certificate.findings[0].readings == 0


def test_doubts_of_the_readings_stay_on_the_certificate_once():
    doubt = "the hypervisor took 3.0% of the cores' time for others"
    readings = [make_reading("b" * 64, 2.0, seed=n, doubts=(doubt,)) for n in range(3)]
    assert of(readings).doubts == (doubt,)


def test_readings_of_another_network_are_refused():
    with pytest.raises(ValueError, match="another network"):
        of([make_reading("c" * 64, 2.0)])


def test_a_relative_budget_is_refused():
    budget = Budget(constraints=(Constraint(quantity="macs", at_most=0.5, relative=True),))
    with pytest.raises(ValueError, match="resolve"):
        certify(budget, [], params=1, macs=1, architecture="b", board="", issued_at="")


def test_json_gives_the_same_certificate_and_passed_is_not_believed():
    certificate = make_certificate(2.6)
    data = certificate.to_json() | {"passed": True}
    assert as_noun(Certificate, data) == certificate
    assert not as_noun(Certificate, data).passed


def predicted(latency_ms: float, half: float = 0.02):
    """What a latency table says, as its farm says it."""
    reading = make_reading("b" * 64, latency_ms)
    return replace(
        reading,
        low_ms=latency_ms * (1 - half),
        high_ms=latency_ms * (1 + half),
        conditions={PREDICTED: "predicted from the table net on quiet"},
    )


@given(value=positive, limit=positive, count=st.integers(1, 4), with_real=st.booleans())
def test_what_a_table_predicts_is_never_a_pass(value, limit, count, with_real):
    readings = [predicted(value)] * count + [make_reading("b" * 64, value)] * with_real
    certificate = of(readings, limit_ms=limit)
    assert certificate.status == "NOT MEASURED" and not certificate.passed
    assert make_result(certificate).exit_code == NOT_SHOWN != 0


def test_a_prediction_below_the_limit_is_believed_and_one_above_is_not():
    assert of([predicted(2.0)], limit_ms=3.0).believed
    assert not of([predicted(3.5)], limit_ms=3.0).believed
    # Its interval reaches over the limit.
    assert not of([predicted(2.9, half=0.2)], limit_ms=3.0).believed
    words = of([predicted(2.0)], limit_ms=3.0).findings[0].words
    assert "by a table" in words and "2.04 ms" in words


def test_what_is_counted_is_a_pass_beside_predictions_and_the_whole_is_none():
    more = (Constraint(quantity="params", at_most=200),)
    certificate = of([predicted(2.0)], params=100, more=more)
    assert [f.status for f in certificate.findings] == ["NOT MEASURED", "PASS"]
    assert certificate.status == "NOT MEASURED" and not certificate.passed
    over = of([predicted(2.0)], params=300, more=more)
    assert over.status == "FAIL" and not over.believed


def test_a_prediction_goes_through_json_as_one():
    certificate = of([predicted(2.0)])
    again = as_noun(Certificate, json.loads(json.dumps(certificate.to_json())))
    assert again.status == "NOT MEASURED" and not again.passed

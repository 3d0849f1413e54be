"""When delivered forms agree, and what a precision costs."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from hwprune.metric import Metric
from hwprune.report.agreement import Agreement, BoardAgreement, tolerance_of
from hwprune.stored import as_noun

HALF = BoardAgreement(kind="orin", precision="fp16", error=2e-3, tolerance=1e-2)
ACCURACY = Metric(name="accuracy")
WHOLE = BoardAgreement(kind="pi", precision="fp32", error=1e-6, tolerance=1e-3)


def of(*boards: BoardAgreement, onnx_error: float | None = 1e-6) -> Agreement:
    worst = max((board.error for board in boards), default=None)
    return Agreement(onnx_error=onnx_error, board_error=worst, tolerance=1e-3, boards=boards)


def test_each_board_is_held_against_what_its_precision_allows():
    assert of(HALF, WHOLE).holds
    assert not of(HALF, replace(WHOLE, error=2e-3)).holds
    assert not of(replace(HALF, error=2e-2), WHOLE).holds


def test_onnx_is_held_against_its_own_tolerance():
    assert not of(HALF, onnx_error=2e-3).holds


def test_a_result_that_names_no_boards_is_judged_by_one_tolerance():
    old = {"onnx_error": 1e-6, "board_error": 2e-6, "tolerance": 1e-3}
    assert as_noun(Agreement, old).holds
    assert not as_noun(Agreement, old | {"board_error": 2e-3}).holds
    assert not Agreement(onnx_error=None, board_error=None, tolerance=1e-3).holds


def test_plain_data_and_back():
    agreement = of(replace(HALF, score=0.9, score_fp32=0.91, share=0.3), WHOLE)
    assert as_noun(Agreement, asdict(agreement)) == agreement


def test_a_precision_that_costs_the_task_is_a_doubt():
    costly = replace(HALF, precision="int8", score=0.90, score_fp32=0.92)
    (doubt,) = of(costly, WHOLE).doubts(ACCURACY)
    assert doubt == "in int8 on orin the delivered network has accuracy 90.00 %, in fp32 92.00 %"
    assert of(replace(costly, score=0.919), WHOLE).doubts(ACCURACY) == ()
    error = Metric(name="error", higher_is_better=False, is_share=False)
    assert of(replace(costly, score=3.1, score_fp32=3.0), WHOLE).doubts(error)
    assert not of(replace(costly, score=2.9, score_fp32=3.0), WHOLE).doubts(error)


@pytest.mark.parametrize(
    ("finer", "coarser"), [("fp32", "fp16"), ("fp16", "bf16"), ("bf16", "int8")]
)
def test_a_coarser_precision_is_allowed_more(finer: str, coarser: str):
    assert tolerance_of(finer) < tolerance_of(coarser)

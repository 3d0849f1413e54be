"""When delivered forms agree, and what a precision costs."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from hwprune.report.agreement import Agreement, BoardAgreement, tolerance_of

HALF = BoardAgreement(kind="orin", precision="fp16", error=2e-3, tolerance=1e-2)
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
    assert Agreement.from_json(old).holds
    assert not Agreement.from_json(old | {"board_error": 2e-3}).holds
    assert not Agreement(onnx_error=None, board_error=None, tolerance=1e-3).holds


def test_plain_data_and_back():
    agreement = of(replace(HALF, accuracy=0.9, accuracy_fp32=0.91, images=360), WHOLE)
    assert Agreement.from_json(asdict(agreement)) == agreement


def test_a_precision_that_costs_accuracy_is_a_doubt():
    costly = replace(HALF, precision="int8", accuracy=0.90, accuracy_fp32=0.92, images=1000)
    (doubt,) = of(costly, WHOLE).doubts
    assert doubt.startswith("in int8 on orin the delivered network is right on 90.00 % of 1000")
    assert doubt.endswith("in fp32 on 92.00 %")
    assert of(replace(costly, accuracy=0.919), WHOLE).doubts == ()


@pytest.mark.parametrize(
    ("finer", "coarser"), [("fp32", "fp16"), ("fp16", "bf16"), ("bf16", "int8")]
)
def test_a_coarser_precision_is_allowed_more(finer: str, coarser: str):
    assert tolerance_of(finer) < tolerance_of(coarser)

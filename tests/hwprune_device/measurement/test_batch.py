"""Children that die: who is at fault gets a Failure, the others are measured, work goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwprune_device.job import Protocol
from hwprune_device.plan import LiteralCut, Span
from hwprune_device.reading import Failure, Reading
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import QUICK, WIDTHS, chain, job, name, plan
from tests.hwprune_device.measurement import troubled_board as trouble

MAIN = ("-m", "tests.hwprune_device.measurement.troubled_board")
GOOD = [(8, 8, 8), (8, 16, 16), (4, 8, 8), (16, 16, 16)]


@pytest.fixture(scope="module")
def board():
    with running(MAIN) as board:
        board.place(chain(), plan())
        yield board


def outcomes_of(board: Board, bad: int, **changes) -> tuple[Failure, list]:
    """The outcome of a candidate whose first width is `bad`, amid good ones, and theirs."""
    culprit = (bad, 8, 8)
    protocol = replace(QUICK, **changes)
    outcomes = board.measure(job([*GOOD[:2], culprit, *GOOD[2:]], protocol=protocol))
    failure = outcomes.pop(name(culprit))
    assert isinstance(failure, Failure)
    assert failure.architecture == name(culprit)
    return failure, list(outcomes.values())


def all_readings(outcomes: list) -> bool:
    return len(outcomes) == len(GOOD) and all(isinstance(o, Reading) for o in outcomes)


@pytest.mark.parametrize(
    "width", [trouble.CRASHES_IN_BUILD, trouble.CRASHES_IN_RUN, trouble.CRASHES_LATE]
)
def test_a_segfault_is_known_at_once(board: Board, width: int):
    failure, others = outcomes_of(board, width)
    assert failure.stage == "crash"
    assert "SIGSEGV" in failure.message
    assert all_readings(others)
    assert board.done["children"] == 2


def test_an_error_that_sticks_ends_the_child_and_is_the_network_s_at_work(board: Board):
    failure, others = outcomes_of(board, trouble.STICKS)
    assert failure.stage == "crash"
    assert "this error sticks" in failure.message and "during 'time'" in failure.message
    assert all_readings(others)
    assert board.done["children"] == 2


def test_a_killed_child_is_halved_until_the_culprit_is_alone(board: Board):
    failure, others = outcomes_of(board, trouble.KILLED)
    assert failure.stage == "memory"
    assert all_readings(others)
    assert board.done["children"] > 2


def test_a_hang_while_timing_ends_at_the_deadline(board: Board):
    failure, others = outcomes_of(board, trouble.HANGS_LATE, timeout_s=1.0)
    assert failure.stage == "timeout"
    assert all_readings(others)


def test_a_build_that_takes_too_long_is_ended(board: Board):
    failure, others = outcomes_of(board, trouble.BUILDS_LONG, timeout_s=1.0)
    assert failure.stage == "timeout"
    assert "no end after 1 s during 'build'" in failure.message
    assert all_readings(others)


@pytest.mark.heavy
def test_a_runtime_that_builds_for_long_is_waited_for_while_it_builds():
    with running(MAIN, settings={trouble.PATIENCE: "20"}) as board:
        board.place(chain(), plan())
        protocol = replace(QUICK, timeout_s=1.0)
        slow, hanging = (trouble.BUILDS_LONG, 8, 8), (trouble.HANGS_LATE, 8, 8)
        outcomes = board.measure(job([slow, hanging], protocol=protocol))
        reading, failure = outcomes[name(slow)], outcomes[name(hanging)]
        assert isinstance(reading, Reading) and reading.build_s > trouble.BUILD_S
        assert isinstance(failure, Failure) and failure.stage == "timeout"
        assert "no end after 1 s during 'time'" in failure.message


def test_printing_does_not_tear_frames(board: Board):
    outcomes = board.measure(job([(trouble.PRINTS, 8, 8)]))
    assert all(isinstance(o, Reading) for o in outcomes.values())


def test_two_culprits_in_one_batch_are_both_found(board: Board):
    bad = [(trouble.CRASHES_IN_RUN, 8, 8), (trouble.KILLED, 8, 8)]
    outcomes = board.measure(job([*GOOD, *bad]))
    assert {n for n, o in outcomes.items() if isinstance(o, Failure)} == {name(b) for b in bad}
    assert len(outcomes) == 6


def test_a_base_that_crashes_fails_everybody_without_retries():
    widths = (trouble.CRASHES_IN_BUILD, 8, 8)
    with running(MAIN) as board:
        board.place(chain(widths), plan(widths))
        outcomes = board.measure(job([(8, 8, 8), (4, 4, 4)], widths=widths))
        assert all(isinstance(o, Failure) for o in outcomes.values())
        assert all("unpruned network itself" in o.message for o in outcomes.values())
        assert board.done["children"] == 1


def test_the_next_job_is_served_normally(board: Board):
    assert all_readings(list(board.measure(job(GOOD)).values()))


@pytest.fixture
def plain_board():
    with running() as board:
        yield board


def test_a_real_endless_loop_is_killed(plain_board: Board):
    """An ONNX Loop that goes on for as long as the first layer has fewer than 8 channels."""
    plain_board.place(*endless_below(8))
    outcomes = plain_board.measure(job([(4, 8, 8), (8, 8, 8)], protocol=_quick(timeout_s=1.5)))
    endless = outcomes[name((4, 8, 8))]
    assert isinstance(endless, Failure)
    assert endless.stage == "timeout"
    assert isinstance(outcomes[name((8, 8, 8))], Reading)


def test_a_request_for_40_gb_is_a_failure_for_want_of_memory(plain_board: Board):
    plain_board.place(*hungry_below(8))
    protocol = _quick(memory_limit_mb=3000.0)
    outcomes = plain_board.measure(job([(4, 8, 8), (8, 8, 8)], protocol=protocol))
    hungry = outcomes[name((4, 8, 8))]
    assert isinstance(hungry, Failure)
    assert hungry.stage == "memory", hungry
    assert isinstance(outcomes[name((8, 8, 8))], Reading)


def _quick(**changes) -> Protocol:
    return replace(QUICK, **changes)


def _switch(limit: int) -> tuple:
    """A constant that follows the first layer's width, and the nodes comparing it to `limit`."""
    follows = LiteralCut(
        spans=(Span(group=0, start=0, count=WIDTHS[0]),), initializer="width", index=None
    )
    constants = [
        numpy_helper.from_array(np.array(WIDTHS[0], np.int64), "width"),
        numpy_helper.from_array(np.array(limit, np.int64), "limit"),
    ]
    return follows, constants, [helper.make_node("Less", ["width", "limit"], ["narrow"])]


def endless_below(limit: int) -> tuple:
    """A chain whose logits go through a Loop that ends only if the first layer is wide."""
    follows, constants, nodes = _switch(limit)
    boolean = TensorProto.BOOL
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["state"], ["state_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", boolean, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", boolean, []),
            helper.make_tensor_value_info("state_on", TensorProto.FLOAT, None),
        ],
    )
    nodes.append(helper.make_node("Loop", ["", "narrow", "logits"], ["y"], body=body))
    return chain(tail=nodes, constants=constants), plan(literals=[follows])


def hungry_below(limit: int) -> tuple:
    """A chain that sums 40 GB of zeros into its logits if the first layer is narrow."""
    follows, constants, nodes = _switch(limit)
    constants += [
        numpy_helper.from_array(np.array([10**10], np.int64), "much"),
        numpy_helper.from_array(np.array([1], np.int64), "little"),
    ]
    nodes += [
        helper.make_node("Where", ["narrow", "much", "little"], ["amount"]),
        helper.make_node("ConstantOfShape", ["amount"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["logits", "nothing"], ["y"]),
    ]
    return chain(tail=nodes, constants=constants), plan(literals=[follows])

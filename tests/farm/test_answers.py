"""Whatever a board says, what comes out is a reading that can be, a loss, or an error in words."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.board import this_machine
from hwprune.errors import BoardError
from hwprune.farm.batch import Batch
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.connections.local import LocalConnection
from hwprune.farm.farm import Farm
from hwprune.farm.session import BoardSession
from hwprune.farm.store import ReadingStore
from hwprune_device.frame import Frame
from hwprune_device.reading import PREDICTED, Failure, Reading
from tests.farm.base import base_network
from tests.farm.board_python import board_python
from tests.farm.test_faults import candidates, results, state_of, until
from tests.hwprune_device.chain import QUICK, job

BOARD = replace(this_machine(), protocol=QUICK)
JOB = replace(
    job([(8, 8, 8), (99, 1, 1), (4, 8, 8)]),
    base_id=base_network().base_id,
    base_architecture=base_network().architecture,
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["lost", "poison", "../../x", "\x1b[2J", 1e308, -1.0, 0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


class Recording(LocalConnection):
    """A connection that keeps what the board said."""

    def __init__(self, board) -> None:
        super().__init__(board)
        self.heard: list[Frame] = []

    def receive(self, timeout_s: float) -> Frame:
        frame = super().receive(timeout_s)
        if frame.kind != "alive":
            self.heard.append(frame)
        return frame


class Replayed:
    """A board that says, in order, what it was given to say."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames
        self._left: Iterator[Frame] = iter(())

    def open(self) -> None:
        self._left = iter(self._frames)

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        pass

    def receive(self, timeout_s: float) -> Frame:
        frame = next(self._left, None)
        if frame is None:
            raise ConnectionLostError("it said no more")
        return frame

    def close(self) -> None:
        self._left = iter(())

    def stderr_tail(self) -> str:
        return ""


@pytest.fixture(scope="module")
def heard() -> list[Frame]:
    """A real board's hello, and its answers while it measures one job and runs one network."""
    connection = Recording(BOARD)
    with BoardSession(BOARD, connection) as session:
        kinds = [type(o) for o in session.measure(JOB, base_network()).outcomes]
    assert kinds == [Reading, Failure, Reading]
    return connection.heard


def measured(frames: list[Frame]) -> Batch:
    return BoardSession(BOARD, Replayed(frames)).measure(JOB, base_network())


def changed(frames: list[Frame], kind: str, path: tuple[Any, ...], value: Any) -> list[Frame]:
    """The frames with another value at a place of the first one of a kind that has it."""
    told = [replace(frame, header=copy.deepcopy(dict(frame.header))) for frame in frames]
    for frame in told:
        place: Any = frame.header
        if frame.kind == kind and path[0] in place:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            return told
    raise AssertionError(f"no frame of kind {kind} has {path}")


def can_be(reading: Reading) -> bool:
    """Whether the rest of the house can count with a reading."""
    numbers = [reading.latency_ms, reading.high_ms, reading.ratio, reading.wall_ms]
    numbers += [
        reading.base_nominal_ms,
        *reading.base_ms,
        *(r for rs in reading.runs_ms for r in rs),
    ]
    scaled = reading.at_nominal(2.0)
    return (
        all(math.isfinite(n) and n > 0 for n in numbers)
        and math.isfinite(scaled.quantile_ms(0.95))
        and PREDICTED not in reading.conditions
        and (reading.memory.peak_mb or 0.0) >= 0.0
    )


def test_a_replayed_board_is_read_as_the_real_one(heard):
    batch = measured(heard)
    assert batch.loss is None
    assert [type(o) for o in batch.outcomes] == [Reading, Failure, Reading]
    assert len({o.reading_id for o in batch.outcomes if isinstance(o, Reading)}) == 2


WRONG = [
    *[
        ("outcome", ("reading", name), value)
        for name in ("latency_ms", "ratio", "base_nominal_ms", "wall_ms")
        for value in (math.nan, math.inf, 0.0, -1.0, "fast", None, 1e300)
    ],
    ("outcome", ("reading", "low_ms"), -1.0),
    ("outcome", ("reading", "low_ms"), 1e8),
    ("outcome", ("reading", "high_ms"), 1e-9),
    ("outcome", ("reading", "runs_ms"), []),
    ("outcome", ("reading", "runs_ms"), [[]]),
    ("outcome", ("reading", "base_ms"), [-1.0]),
    ("outcome", ("reading", "memory"), {"weights_mb": -1.0, "activations_mb": 1.0}),
    ("outcome", ("reading", "memory"), []),
    ("outcome", ("reading", "architecture"), "another"),
    ("outcome", ("reading", "batch_id"), "another/1"),
    ("outcome", ("reading", "clock"), "sundial"),
    ("outcome", ("reading", "conditions"), {PREDICTED: "a table"}),
    ("outcome", ("reading", "conditions"), {"base_off": -1.0}),
    ("outcome", ("reading", "conditions"), {"after": "hot"}),
    ("outcome", ("reading",), None),
    ("outcome", ("index",), 3),
    ("outcome", ("index",), -1),
    ("outcome", ("index",), True),
    ("outcome", ("index",), "0"),
    ("outcome", ("failure", "stage"), "poison"),
    ("outcome", ("failure", "stage"), "lost"),
    ("outcome", ("failure", "stage"), "tired"),
    ("at", ("indices",), [7]),
    ("at", ("indices",), 0),
    ("done", ("timings",), {"time_s": -5.0}),
    ("done", ("timings",), []),
]


@pytest.mark.parametrize(("kind", "path", "value"), WRONG)
def test_what_cannot_be_is_a_loss_that_names_the_field(heard, kind, path, value):
    batch = measured(changed(heard, kind, path, value))
    assert batch.loss is not None and batch.loss.nonsense
    assert path[-1] in batch.loss.message
    assert {o.stage for o in batch.outcomes if isinstance(o, Failure)} <= {"lost", "cut"}


def test_an_answer_that_came_before_is_kept_when_a_later_one_cannot_be(heard):
    outcomes = [at for at, frame in enumerate(heard) if frame.kind == "outcome"]
    twice = [*heard[: outcomes[-1]], heard[outcomes[0]], *heard[outcomes[-1] :]]
    batch = measured(twice)
    assert batch.loss is not None and "answered before" in batch.loss.message
    assert sum(isinstance(o, Reading) for o in batch.outcomes) >= 1


def test_done_without_all_answers_is_a_loss_of_those_alone(heard):
    last = max(at for at, frame in enumerate(heard) if frame.kind == "outcome")
    batch = measured([*heard[:last], *heard[last + 1 :]])
    assert batch.loss is not None and "without an answer to" in batch.loss.message
    assert sum(isinstance(o, Failure) and o.stage == "lost" for o in batch.outcomes) == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("cores",), "all of them"),
        (("clock_s",), math.nan),
        (("clock_s",), None),
        (("runtimes",), []),
        (("runtimes",), {"onnxrt": 3}),
        (("fingerprint",), None),
        (("previous",), "bored"),
        (("engines",), 5),
        (("missing",), "much"),
    ],
)
def test_a_hello_that_cannot_be_is_a_board_error(heard, path, value):
    with pytest.raises(BoardError, match=f"(?s)does not answer as a board.*{path[0]}"):
        measured(changed(heard, "hello", path, value))


def test_control_characters_go_no_further(heard):
    batch = measured(changed(heard, "outcome", ("failure", "message"), "\x1b[2Jred\u202e alert"))
    assert [o.message for o in batch.outcomes if isinstance(o, Failure)] == ["�[2Jred� alert"]


def places(header: Any) -> list[tuple[Any, ...]]:
    """Every place of plain data."""
    if isinstance(header, dict):
        inner = list(header.items())
    else:
        inner = list(enumerate(header)) if isinstance(header, list) else []
    return [place for k, v in inner for place in [(k,), *((k, *rest) for rest in places(v))]]


def check_any(heard: list[Frame], data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from([f for f in heard if f.kind != "placed"]))
    path = data.draw(st.sampled_from(places(frame.header)))
    at = heard.index(frame)
    header = copy.deepcopy(dict(frame.header))
    place: Any = header
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = data.draw(ANYTHING)
    try:
        batch = measured([*heard[:at], replace(frame, header=header), *heard[at + 1 :]])
    except BoardError:
        return
    assert len(batch.outcomes) == 3
    assert [o.architecture for o in batch.outcomes] == list(JOB.architectures)
    assert all(can_be(o) for o in batch.outcomes if isinstance(o, Reading))


@given(st.data())
@settings(max_examples=150)
def test_any_value_in_any_place(heard, data):
    check_any(heard, data)


@pytest.mark.heavy
@given(st.data())
@settings(max_examples=10_000)
def test_ten_thousand_values_in_any_place(heard, data):
    check_any(heard, data)


def test_a_board_that_makes_no_sense_leaves_its_work_to_another(tmp_path):
    store = ReadingStore(tmp_path / "s.sqlite")
    liar = replace(BOARD, name="liar", kind="k", python=board_python(tmp_path, "liar"))
    farm = Farm([liar, replace(BOARD, name="honest", kind="k")], store)
    try:
        farm.start()
        farm.place(base_network())
        outcomes = results(farm.measure(candidates(*range(1, 13))))
        assert all(isinstance(o, Reading) and o.board == "honest" for o in outcomes)
        until(lambda: state_of(farm, "liar") in ("not believed", "lost", "idle"))
    finally:
        farm.close()
        store.close()


def test_when_no_board_is_left_that_makes_sense_whoever_waits_is_told(tmp_path):
    store = ReadingStore(tmp_path / "s.sqlite")
    farm = Farm([replace(BOARD, name="liar", python=board_python(tmp_path, "liar"))], store)
    try:
        farm.start()
        farm.place(base_network())
        (outcome,) = results(farm.measure(candidates(4)))
        assert outcome.stage == "lost" and "latency_ms" in outcome.message
        until(lambda: state_of(farm, "liar") == "not believed")
        assert results(farm.measure(candidates(5)))[0].stage == "lost"
    finally:
        farm.close()
        store.close()

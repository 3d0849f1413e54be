"""What a board says, checked before anything believes it: types, ranges, and what it is about."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from hwprune.board import Board
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.hello import Hello, board_error
from hwprune.plain_text import plain_text
from hwprune.stored import as_noun
from hwprune_device import PROTOCOL
from hwprune_device.arrays import unpack
from hwprune_device.frame import Frame
from hwprune_device.job import Job
from hwprune_device.reading import PREDICTED, Failure, Reading, fault_of
from hwprune_device.runtimes import EngineFile, Part

Outcome = Reading | Failure
Noun = TypeVar("Noun")

# Deeper than any answer nests; `_plain` calls itself once a level.
_DEPTH = 20
_LARGEST = 2**63
_STAGES = frozenset(("cut", "build", "run", "timeout", "memory", "crash"))
"""Where a board may see a network fail; what else there is, only the head can know."""
# No path: an engine's files are written on this machine, under these names.
_FILE_NAME = re.compile(r"\w[\w-]*(\.\w[\w-]*)*")
_CONDITIONS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("before", "after", "board", "gate", "gpu_between", "build", "builds"), dict),
    **dict.fromkeys(("base_off", "other_cpu_share", "steal_share"), (int, float)),
    "candidates_in_batch": int,
}
"""Conditions that the head reads, by their types; the rest is only shown."""


class AnswerError(ConnectionLostError):
    """A board said what cannot be; the message names the field. The connection is of no use."""


def checked(frame: Frame) -> Frame:
    """A frame whose texts hold no control characters, and whose numbers are finite.

    Raises:
        AnswerError: a number that is none, or nesting without end.
    """
    return replace(frame, header=_plain(frame.header, "header", _DEPTH))


def hello_of(board: Board, frame: Frame) -> Hello:
    """What a board's first frame says.

    Raises:
        AnswerError: a field of it cannot be.
        BoardError: it speaks another protocol, or lacks the runtime.
    """
    header = frame.header
    if frame.kind != "hello" or header.get("protocol") != PROTOCOL:
        raise board_error(
            board, "speaks another protocol", f"{header.get('protocol')}; ours is {PROTOCOL}"
        )
    clock_s = _number(header, "clock_s")
    # Last, so that what the board may say under this name does not count.
    hello = _noun(Hello, {**header, "clock_off_s": clock_s - time.time()}, "hello")
    runtime = board.target.runtime
    if runtime not in hello.runtimes:
        why = hello.missing.get(runtime, f"there is no runtime '{runtime}'")
        raise board_error(board, f"cannot use its runtime '{runtime}'", why)
    return hello


def outcome_of(header: Mapping[str, Any], job: Job, known: Container[int]) -> tuple[int, Outcome]:
    """An outcome of a job, and its place there.

    Raises:
        AnswerError: it is of no open candidate of this job, or a field of it cannot be.
    """
    index = _place(header.get("index"), "index", job)
    if index in known:
        raise AnswerError(f"its answer has index: {index}, which it has answered before")
    outcome: Outcome
    if "reading" in header:
        # A name of our own: the board's may be another reading's.
        told = _mapping(header, "reading")
        outcome = _noun(Reading, {**told, "reading_id": uuid.uuid4().hex}, "reading")
        _check(outcome, job)
    else:
        outcome = _noun(Failure, _mapping(header, "failure"), "failure")
        if outcome.stage not in _STAGES:
            raise AnswerError(f"its answer has failure.stage: {outcome.stage}")
    name = job.architectures[index]
    # A failure may leave it out; the head's own name of the network is kept in any case.
    if outcome.architecture not in ("", name):
        raise AnswerError(f"its answer {index} is of architecture: {outcome.architecture}")
    return index, replace(outcome, architecture=name)


def at_work_of(header: Mapping[str, Any], job: Job) -> list[int]:
    """Candidates of a job that a board says it works on now, by place.

    Raises:
        AnswerError: there is none of such a place.
    """
    return [_place(index, "indices", job) for index in _list(header, "indices")]


def timings_of(header: Mapping[str, Any], job: Job, known: Container[int]) -> dict[str, float]:
    """Seconds of a job that is done, by stage.

    Raises:
        AnswerError: it is not, or a time is none.
    """
    # "done" alone is not enough: whoever waits for a candidate would wait for ever.
    open_ = [index for index in range(len(job.architectures)) if index not in known]
    if open_:
        raise AnswerError(f"it is done, it says, without an answer to {open_}")
    timings = _mapping(header, "timings")
    return {name: _number(timings, name, where="timings.") for name in timings}


def parts_of(frame: Frame) -> tuple[Part, ...]:
    """What each kernel of a network takes.

    Raises:
        AnswerError: a field of it cannot be.
    """
    parts = [_noun(Part, part, "parts") for part in _list(frame.header, "parts")]
    for part in parts:
        if not 0 <= part.ms <= _LARGEST:
            raise AnswerError(f"its answer has parts.ms: {part.ms!r}")
    return tuple(parts)


def arrays_of(frame: Frame) -> list[np.ndarray]:
    """A network's outputs.

    Raises:
        AnswerError: they cannot be read.
    """
    try:
        return unpack(_list(frame.header, "arrays"), frame.body)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise AnswerError(f"its outputs cannot be read: {error!r}") from error


def engine_of(frame: Frame) -> EngineFile:
    """An engine's files, which lie one after another in an answer.

    Raises:
        AnswerError: a name that is no file's, or other sizes than came.
    """
    facts = _mapping(frame.header, "facts")
    sizes, files, at = _mapping(facts, "bytes"), {}, 0
    for name in sizes:
        if not _FILE_NAME.fullmatch(name):
            raise AnswerError(f"its engine has a file: {name!r}")
        size = int(_number(sizes, name))
        files[name] = bytes(frame.body[at : at + size])
        at += size
    if not files or at != len(frame.body):
        raise AnswerError(f"its engine has bytes: {at}, and {len(frame.body)} came")
    return EngineFile(files=files, facts=facts)


def message_of(header: Mapping[str, Any]) -> str:
    """What a board says in words."""
    return str(header.get("message", header.get("kind", "")))


def _check(reading: Reading, job: Job) -> None:
    """See that a reading's numbers can be, and that it is of this job."""
    if fault := fault_of(reading):
        raise AnswerError(f"its reading has {fault}")
    if reading.batch_id.partition("/")[0] != job.job_id:
        raise AnswerError(f"its reading has batch_id: {reading.batch_id}")
    _check_conditions(reading.conditions)


def _check_conditions(conditions: Mapping[str, Any]) -> None:
    for name, wanted in _CONDITIONS.items():
        if name in conditions and not isinstance(conditions[name], wanted):
            raise AnswerError(f"its reading has conditions.{name}: {conditions[name]!r}")
    if PREDICTED in conditions:
        raise AnswerError(f"its reading has conditions.{PREDICTED}, which no board has")
    # The calm time is multiplied by 1 + base_off (`BoardPool.seen_calm`), and must stay a time.
    if not conditions.get("base_off", 0.0) > -1:
        raise AnswerError(f"its reading has conditions.base_off: {conditions['base_off']!r}")


def _noun(noun: type[Noun], data: Any, where: str) -> Noun:
    try:
        return as_noun(noun, data)
    except ValueError as error:
        raise AnswerError(f"its answer has {where}.{error}") from None


def _place(value: Any, field: str, job: Job) -> int:
    # Not isinstance, for which true is a place, too.
    if type(value) is not int or not 0 <= value < len(job.architectures):
        raise AnswerError(
            f"its answer has {field}: {value!r:.80}, of {len(job.architectures)} candidates"
        )
    return value


def _number(header: Mapping[str, Any], name: str, *, where: str = "") -> float:
    """A number of 0 or more."""
    value = header.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return float(value)
    raise AnswerError(f"its answer has {where}{name}: {value!r:.80}")


def _mapping(header: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = header.get(name)
    if not isinstance(value, dict):
        raise AnswerError(f"its answer has {name}: {value!r:.80}, where a table belongs")
    return value


def _list(header: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = header.get(name)
    if not isinstance(value, list):
        raise AnswerError(f"its answer has {name}: {value!r:.80}, where a list belongs")
    return value


def _plain(value: Any, field: str, depth: int) -> Any:
    if depth == 0:
        raise AnswerError(f"its answer has {field}: nested without end")
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, dict):
        return {plain_text(k): _plain(v, f"{field}.{k:.40}", depth - 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(item, field, depth - 1) for item in value]
    if isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
        raise AnswerError(f"its answer has {field}: {value!r:.80}")
    return value

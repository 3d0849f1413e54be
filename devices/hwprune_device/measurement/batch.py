"""A batch on the board: children one after another until every candidate has its outcome.

A child that dies takes its batch with it. The candidate it was working on is known from shared
memory and gets a Failure; when it cannot be blamed for sure (memory ran out) the batch is halved
until the culprit is alone. The innocent are measured again in a fresh child.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hwprune_device.frame import Frame
from hwprune_device.inbox import Inbox
from hwprune_device.job import CandidateJob, Job
from hwprune_device.measurement.account import Setup
from hwprune_device.measurement.child import BatchMeasurement
from hwprune_device.measurement.fork import Ending, Report, Watch, run_in_child, unattributed
from hwprune_device.measurement.marker import BASE, NOBODY, Marker
from hwprune_device.reading import Failure, Stage
from hwprune_device.runtimes.registry import patience_s

Send = Callable[[Mapping[str, Any]], None]
_STAGE_OF_ENDING: dict[str, Stage] = {
    "crash": "crash",
    "timeout": "timeout",
    "memory": "memory",
    # An exception outside the steps of a candidate; there is no stage of its own for it.
    "error": "crash",
    # It ended in order without this outcome, which says nothing about the network.
    "done": "lost",
}


class BatchRun:
    """Sees one job through; `send` gets an outcome frame for each candidate, then a done frame."""

    def __init__(
        self, job: Job, setup: Setup, send: Send, *, inbox: Inbox | None, beat: Callable[[], None]
    ) -> None:
        self._job = with_control(job)
        self._setup = setup
        self._send = send
        self._inbox = inbox
        self._beat = beat
        # Indices of candidates without an outcome; a group is what one child is given.
        self._open = set(range(len(self._job.candidates)))
        self._groups: list[list[int]] = [sorted(self._open)]
        self._spent: Counter[str] = Counter()
        self._rounds = 0
        self._errors: list[str] = []

    def run(self) -> None:
        """Measure; returns when every candidate has an outcome.

        Raises:
            HeadGoneError: the head went away meanwhile.
        """
        start = time.perf_counter()
        children = 0
        while self._groups:
            group = [index for index in self._groups.pop(0) if index in self._open]
            if group:
                children += 1
                self._run_group(group)
        # Summed over the children that came to their end.
        timings = {**self._spent, "wall_s": time.perf_counter() - start}
        self._send(
            {"kind": "done", "timings": timings, "children": children, "rounds": self._rounds}
        )

    def _run_group(self, group: list[int]) -> None:
        self._errors.clear()

        def work(report: Report, marker: Marker) -> None:
            BatchMeasurement(self._job, group, self._setup, report, marker).measure()

        ending = run_in_child(
            work,
            Watch(
                timeout_s=self._job.protocol.timeout_s,
                memory_limit_mb=self._job.protocol.memory_limit_mb,
                on_frame=lambda frame: self._take(frame, group),
                beat=self._beat,
                inbox=self._inbox,
                patience_s=patience_s(self._job.target),
                limits_address_space=self._setup.runtime.limits_address_space(self._job.target),
            ),
        )
        # `_take` put networks that may only have lacked memory into groups of their own.
        waiting = {index for other in self._groups for index in other}
        left = [index for index in group if index in self._open and index not in waiting]
        if left:
            self._blame(ending, left)

    def _take(self, frame: Frame, group: list[int]) -> None:
        """A frame from the child: what it works on, an outcome, its error, or the batch's end."""
        header, alone = dict(frame.header), len(group) == 1
        if frame.kind == "at":
            # The head must know whom to suspect should this whole board die now.
            index = int(header["index"])
            # A dying base is no candidate's fault; between two networks it may be any of them.
            at_work = {BASE: [], NOBODY: group}.get(index, [index])
            self._send({"kind": "at", "indices": at_work})
        elif frame.kind == "error":
            self._errors.append(str(header["message"]))
        elif frame.kind == "done":
            self._spent.update(header["timings"])
            self._rounds = int(header["rounds"])
        elif frame.kind == "outcome":
            failure = header.get("failure")
            of_base = header.pop("of_base", False)
            if failure and failure["stage"] == "memory" and not alone and not of_base:
                # Its neighbours held memory too: it gets a child to itself before it is judged.
                self._groups.append([header["index"]])
                return
            self._open.discard(header["index"])
            self._send(header)

    def _blame(self, ending: Ending, left: list[int]) -> None:
        """Decide who is at fault for a child that ended early, and who is measured again."""
        message = "\n".join([ending.message, *self._errors]).strip()
        culprit = ending.mark.index
        # While it times, the base has already run well alone: a neighbour is as likely the cause.
        base_at_fault = culprit == BASE and ending.mark.step in ("cut", "build", "run")
        if base_at_fault and ending.kind != "memory":
            for index in left:
                self._fail(index, ending, f"the unpruned network itself failed: {message}")
        elif culprit in left and not unattributed(ending):
            self._fail(culprit, ending, message)
            # First again, without the culprit: each new child has one network fewer to fail on.
            self._groups.insert(0, [index for index in left if index != culprit])
        elif len(left) == 1:
            self._fail(left[0], ending, message)
        else:
            # Halving finds one culprit of n in about log2 n children.
            middle = len(left) // 2
            self._groups[:0] = [left[:middle], left[middle:]]

    def _fail(self, index: int, ending: Ending, message: str) -> None:
        failure = Failure(
            stage=_STAGE_OF_ENDING[ending.kind],
            message=message or "the process ended without a word",
            architecture=self._job.candidates[index].architecture,
        )
        self._open.discard(index)
        self._send({"kind": "outcome", "index": index, "failure": failure.to_json()})


def with_control(job: Job) -> Job:
    """A job without candidates measures the base against itself."""
    if job.candidates:
        return job
    control = CandidateJob(architecture=job.base_architecture, widths=job.base_widths)
    return replace(job, candidates=(control,))

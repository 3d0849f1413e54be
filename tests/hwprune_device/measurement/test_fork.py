"""What a child tells before it goes on, the head knows before it goes on."""

from __future__ import annotations

import time

from hwprune_device.frame import Frame
from hwprune_device.measurement.fork import Report, Watch, run_in_child
from hwprune_device.measurement.marker import Marker

SLOW_S = 0.6


def passed_on_and_went_on(*, wait: bool) -> tuple[float, float]:
    """When a slow supervisor had passed a frame on, and when the child went on after it."""
    times = []

    def work(report: Report, marker: Marker) -> None:
        report({"kind": "before"})
        report({"kind": "at", "index": 0}, wait=wait)
        report({"kind": "after", "at_s": time.monotonic()})

    def pass_on(frame: Frame) -> None:
        if frame.kind == "at":
            time.sleep(SLOW_S)
        times.append(frame.header.get("at_s", time.monotonic()))

    watch = Watch(timeout_s=20.0, memory_limit_mb=None, on_frame=pass_on, beat=lambda: None)
    assert run_in_child(work, watch).kind == "done"
    _, passed_on, went_on = times
    return passed_on, went_on


def test_a_child_that_waits_goes_on_when_its_word_was_passed_on():
    passed_on, went_on = passed_on_and_went_on(wait=True)
    assert went_on >= passed_on


def test_a_child_that_does_not_wait_is_not_held_up():
    passed_on, went_on = passed_on_and_went_on(wait=False)
    assert went_on < passed_on

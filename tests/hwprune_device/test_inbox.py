"""The inbox: requests in order, pings heard, a head that is gone noticed."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from hwprune_device.frame import write_frame
from hwprune_device.inbox import HeadGoneError, Inbox


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_requests_come_in_order_and_pings_do_not_show(pipe):
    for kind in ("place", "ping", "measure"):
        write_frame(pipe[1], {"kind": kind})
    os.close(pipe[1])
    assert [frame.kind for frame in Inbox(pipe[0]).frames()] == ["place", "measure"]


def test_a_request_that_comes_during_work_waits(pipe):
    inbox = Inbox(pipe[0])
    write_frame(pipe[1], {"kind": "measure"})
    inbox.look()
    os.close(pipe[1])
    assert [frame.kind for frame in inbox.frames()] == ["measure"]


def test_a_head_that_closes_is_noticed_at_work(pipe):
    inbox = Inbox(pipe[0])
    inbox.look()
    os.close(pipe[1])
    with pytest.raises(HeadGoneError):
        inbox.look()


def test_a_silent_head_is_gone_and_one_that_pings_is_not(pipe):
    inbox = Inbox(pipe[0], silence_s=0.3)

    def ping() -> None:
        for _ in range(4):
            time.sleep(0.15)
            write_frame(pipe[1], {"kind": "ping"})

    pinging = threading.Thread(target=ping)
    pinging.start()
    start = time.monotonic()
    with pytest.raises(HeadGoneError, match="silent"):
        list(inbox.frames())
    pinging.join()
    assert time.monotonic() - start > 0.6

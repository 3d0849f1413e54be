"""One forked child: started, watched, and ended, whatever happens in it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hwprune_device.frame import Frame, FrameDecoder, FrameError, write_frame
from hwprune_device.inbox import Inbox
from hwprune_device.marker import NOBODY, Mark, Marker
from hwprune_device.resident import address_space_bytes
from hwprune_device.runtimes import SpoiltError

Report = Callable[..., None]
"""report(header, body=b""): a frame from the child to the supervisor."""
Work = Callable[[Report, Marker], None]
End = Literal["done", "crash", "timeout", "memory", "error"]

_POLL_S = 0.25
_SPOILT = 5
"""A child leaves with this when the network at work broke what its process shares."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a child ended, and what it was doing then."""

    kind: End
    message: str
    mark: Mark


@dataclass(slots=True, kw_only=True)
class Watch:
    """What the supervisor does while a child works."""

    timeout_s: float
    memory_limit_mb: float | None
    on_frame: Callable[[Frame], None]
    beat: Callable[[], None]
    """Called often; tells the head now and then that the board is alive."""
    inbox: Inbox | None = None
    """Looked at often: a head that is gone needs no readings."""
    patience_s: float = 0.0
    """What a step of building may take beyond `timeout_s`: some runtimes compile for minutes."""

    def step_s(self, step: str) -> float:
        """How long a child may stay at a step."""
        return self.timeout_s + (self.patience_s if step == "build" else 0.0)


def run_in_child(work: Work, watch: Watch) -> Ending:
    """Fork a child for `work` and see it to its end.

    A child is given `timeout_s` for every step it notes, for building `patience_s` besides, and
    once it has said how long the rest will take ("expect" frame) `timeout_s` plus three times that
    for all of it.

    Raises:
        HeadGoneError: the head is gone; the child was killed.
    """
    marker = Marker()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_child(work, writing, marker, watch.memory_limit_mb)
    os.close(writing)
    try:
        late = _attend(reading, marker, watch)
    finally:
        # The child's pipe is closed or its time is up: it has nothing left to say.
        status = _end(pid)
        os.close(reading)
    mark = marker.read()
    marker.close()
    return _judge(status, late, mark, watch.step_s(mark.step))


def _attend(reading: int, marker: Marker, watch: Watch) -> bool:
    """Pass frames on until the child closes its pipe; True when its time ran out."""
    decoder = FrameDecoder()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    if watch.inbox is not None:
        poll.register(watch.inbox.fd, select.POLLIN)
    deadline, step = time.monotonic() + watch.timeout_s, marker.read().count
    expected = False
    while time.monotonic() < deadline:
        events = dict(poll.poll(_POLL_S * 1e3))
        watch.beat()
        if watch.inbox is not None:
            watch.inbox.look()
        if reading in events:
            data = os.read(reading, 1 << 20)
            if not data:
                return False
            for frame in decoder.feed(data):
                if frame.kind == "expect":
                    expected = True
                    deadline = time.monotonic() + watch.timeout_s + 3 * frame.header["expected_s"]
                else:
                    watch.on_frame(frame)
        mark = marker.read()
        if not expected and mark.count != step:
            deadline, step = time.monotonic() + watch.step_s(mark.step), mark.count
    return True


def _end(pid: int) -> int:
    """Reap the child, killing it and what it started if it still lives; its wait status."""
    patience = time.monotonic() + 0.2
    while time.monotonic() < patience:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _judge(status: int, late: bool, mark: Mark, timeout_s: float) -> Ending:
    doing = f"during '{mark.step}'"
    if late:
        return Ending(kind="timeout", message=f"no end after {timeout_s:g} s {doing}", mark=mark)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        if name == "SIGKILL":
            message = f"killed by the system {doing}, most likely for want of memory"
            return Ending(kind="memory", message=message, mark=mark)
        return Ending(kind="crash", message=f"the process died of {name} {doing}", mark=mark)
    code = os.WEXITSTATUS(status)
    if code == _SPOILT:
        message = f"the network broke what the others of its process need {doing}"
        return Ending(kind="crash", message=message, mark=mark)
    if code:
        return Ending(
            kind="error", message=f"the process left with code {code} {doing}", mark=mark
        )
    return Ending(kind="done", message="", mark=mark)


def _be_child(work: Work, writing: int, marker: Marker, memory_limit_mb: float | None) -> None:
    """The child's whole life; never returns."""
    code = 1
    try:
        _isolate(memory_limit_mb)

        def report(header: Mapping[str, Any], body: bytes = b"") -> None:
            write_frame(writing, header, body)

        try:
            work(report, marker)
            code = 0
        except Exception as error:
            index = marker.read().index
            report({"kind": "error", "index": index, "message": traceback.format_exc(limit=-3)})
            code = _SPOILT if isinstance(error, SpoiltError) else 3
    except (FrameError, OSError):
        code = 4
    finally:
        # No interpreter shutdown: destructors of a runtime in a forked process are not worth a
        # risk.
        os._exit(code)


def _isolate(memory_limit_mb: float | None) -> None:
    """A process group of its own, an early death with the supervisor or for memory, no cores."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.disable()
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        # When memory runs out the kernel takes this process, not the user's others.
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = address_space_bytes()
    if memory_limit_mb is not None and used is not None:
        limit = used + int(memory_limit_mb * 1e6)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def unattributed(ending: Ending) -> bool:
    """Whether the network that was at work cannot be blamed for the end.

    Memory is shared: the network that asked last need not be the one that took most.
    """
    return ending.kind in ("memory", "error") or ending.mark.index == NOBODY

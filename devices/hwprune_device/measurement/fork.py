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

from hwprune_device.frame import CHUNK, Frame, FrameDecoder, FrameError, write_frame
from hwprune_device.inbox import Inbox
from hwprune_device.measurement.marker import NOBODY, Mark, Marker
from hwprune_device.measurement.memory_guard import MemoryGuard
from hwprune_device.resident import address_space_bytes
from hwprune_device.runtimes import BrokenProcessError

Report = Callable[..., None]
"""report(header, body=b"", wait=False): a frame from the child to the supervisor; `wait` until it
was passed on to the head."""
Work = Callable[[Report, Marker], None]
End = Literal["done", "crash", "timeout", "memory", "error"]

# A sleeping supervisor disturbs no timing; four looks a second suffice for its deadline.
_POLL_S = 0.25
# Finer while networks are built: a child may take GBs within a second.
_GUARD_POLL_S = 0.05
# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_ACKNOWLEDGE_S = 5.0
"""A supervisor that is stuck for longer has a link that takes nothing; the head hears it later."""
_BROKEN = 5
"""Exit code of a child whose runtime cannot go on."""


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
    limits_address_space: bool = True
    """False where a driver reserves far more addresses than it fills: then a guard looks at what
    the child holds."""

    def step_s(self, step: str) -> float:
        """How long a child may stay at a step."""
        return self.timeout_s + (self.patience_s if step == "build" else 0.0)


class _Deadline:
    """When a child's time is up: anew with every step, until it says how long all will take."""

    def __init__(self, watch: Watch, marker: Marker) -> None:
        self._watch = watch
        self._marker = marker
        self._count = marker.read().count
        self._fixed = False
        self._at = time.monotonic() + watch.timeout_s

    def expect(self, expected_s: float) -> None:
        """Take the child's word for how long the rest takes, three times over."""
        self._fixed = True
        self._at = time.monotonic() + self._watch.timeout_s + 3 * expected_s

    def passed(self) -> bool:
        """Whether its time is up."""
        mark = self._marker.read()
        if not self._fixed and mark.count != self._count:
            self._at, self._count = time.monotonic() + self._watch.step_s(mark.step), mark.count
        return time.monotonic() >= self._at


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
    # Forked, not spawned: the child has the warmed runtime and the base network in memory.
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        limit_mb = watch.memory_limit_mb if watch.limits_address_space else None
        _be_child(work, writing, marker, limit_mb)
    os.close(writing)
    # Made at once: what the child holds now it has inherited, and only growth is limited.
    guard = None if watch.limits_address_space else MemoryGuard(pid, watch.memory_limit_mb)
    try:
        stopped = _attend(reading, marker, watch, guard)
    finally:
        # The child's pipe is closed or its time is up: it has nothing left to say.
        status = _end(pid)
        os.close(reading)
    mark = marker.read()
    marker.close()
    if stopped is not None:
        kind, said = stopped
        return Ending(kind=kind, message=f"{said} during '{mark.step}'", mark=mark)
    return _judge(status, mark)


def _attend(
    reading: int, marker: Marker, watch: Watch, guard: MemoryGuard | None
) -> tuple[End, str] | None:
    """Pass frames on until the child closes its pipe; why it must be ended before that, if so."""
    decoder = FrameDecoder()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    if watch.inbox is not None:
        poll.register(watch.inbox.fd, select.POLLIN)
    deadline = _Deadline(watch, marker)
    while not deadline.passed():
        events = dict(poll.poll(_poll_s(marker, guard) * 1e3))
        watch.beat()
        if watch.inbox is not None:
            watch.inbox.look()
        if reading in events:
            data = os.read(reading, CHUNK)
            # The child left, or died and the kernel closed its side: `_judge` finds out which.
            if not data:
                return None
            for frame in decoder.feed(data):
                if frame.kind == "expect":
                    deadline.expect(frame.header["expected_s"])
                else:
                    watch.on_frame(frame)
                # After it was passed on, "expect" too: the child counts all of its frames.
                marker.acknowledge()
        if guard is not None and (words := guard.over()):
            return "memory", words + ","
    return "timeout", f"no end after {watch.step_s(marker.read().step):g} s"


def _poll_s(marker: Marker, guard: MemoryGuard | None) -> float:
    """Memory is taken while networks are built, and timing is not to be disturbed."""
    building = guard is not None and marker.read().step in ("cut", "build", "run")
    return _GUARD_POLL_S if building else _POLL_S


def _end(pid: int) -> int:
    """Reap the child, killing it and what it started if it still lives; its wait status."""
    # A child that closed its pipe is given 0.2 s to leave with its own exit code.
    patience = time.monotonic() + 0.2
    # WNOWAIT leaves it a zombie, whose number nobody else can be given.
    peek = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while time.monotonic() < patience and os.waitid(os.P_PID, pid, peek) is None:
        time.sleep(0.001)
    # Before it is reaped its number is its own, and a compiler that it started is in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _judge(status: int, mark: Mark) -> Ending:
    """How a child ended that ended by itself, or by the system's hand."""
    doing = f"during '{mark.step}'"
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        # The kernel sends it when memory runs out; our own kill comes for a child that has ended.
        if name == "SIGKILL":
            message = f"killed by the system {doing}, most likely for want of memory"
            return Ending(kind="memory", message=message, mark=mark)
        return Ending(kind="crash", message=f"the process died of {name} {doing}", mark=mark)
    code = os.WEXITSTATUS(status)
    # A crash and no error: the network at work is to blame, and the others get a new process.
    if code == _BROKEN:
        message = f"the process could run nothing any more {doing}"
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
        sent = 0

        def report(header: Mapping[str, Any], body: bytes = b"", *, wait: bool = False) -> None:
            nonlocal sent
            write_frame(writing, header, body)
            sent += 1
            if wait:
                marker.wait_acknowledged(sent, _ACKNOWLEDGE_S)

        try:
            work(report, marker)
            code = 0
        except BrokenProcessError as error:
            index = marker.read().index
            report({"kind": "error", "index": index, "message": str(error)})
            code = _BROKEN
        except Exception:
            index = marker.read().index
            report({"kind": "error", "index": index, "message": traceback.format_exc(limit=-3)})
            # Any other than 0 and _BROKEN will do: the report that was just sent has the reason.
            code = 3
    except (FrameError, OSError):
        code = 4
    finally:
        # No interpreter shutdown: destructors of a runtime in a forked process are not worth a
        # risk.
        os._exit(code)


def _isolate(memory_limit_mb: float | None) -> None:
    """A process group of its own, an early death with the supervisor or for memory, no cores."""
    # What it starts (a compiler) is in its group, and is ended with it.
    os.setpgid(0, 0)
    # Python's own handlers would wait for a runtime's call to return.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A collection within a timed run would be in its time.
    gc.disable()
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        # When memory runs out the kernel takes this process, not the user's others.
        Path("/proc/self/oom_score_adj").write_text("1000")
    # A crash is expected here: a dump of GBs would fill the disk and hold up the batch.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit is on top of what libraries have mapped already.
    used = address_space_bytes()
    if memory_limit_mb is not None and used is not None:
        limit = used + int(memory_limit_mb * 1e6)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def unattributed(ending: Ending) -> bool:
    """Whether the network that was at work cannot be blamed for the end.

    Memory is shared: the network that asked last need not be the one that took most.
    """
    return ending.kind in ("memory", "error") or ending.mark.index == NOBODY

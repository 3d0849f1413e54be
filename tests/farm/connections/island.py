"""A network of its own with an ssh server in it, at the other end of a link that can be spoilt.

Runs as a program, as root: `python island.py HEAD_ADDRESS BOARD_ADDRESS COMMAND ...`. It makes two
network devices, one here and one in a new network namespace, starts the command there, and carries
the packets between the two. Lines on stdin spoil the link: "cut", "mend", "delay MS LOSS_PCT".
When stdin ends everything ends, and the kernel takes namespace and devices away.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_MTU = 1500
_QUEUE_LIMIT = 1000
_libc = ctypes.CDLL(None, use_errno=True)


class Link:
    """Packets between two devices: late, lost or not carried at all."""

    def __init__(self, head: int, board: int) -> None:
        self._other = {head: board, board: head}
        self._waiting: deque[tuple[float, int, bytes]] = deque()
        self._random = random.Random(0)
        self.cut = False
        self.delay_s = 0.0
        self.loss = 0.0

    def take(self, fd: int) -> None:
        """Take the packets that a device has to send."""
        with contextlib.suppress(OSError):
            while packet := os.read(fd, _MTU + 100):
                lost = self.cut or self._random.random() < self.loss
                if not lost and len(self._waiting) < _QUEUE_LIMIT:
                    due = time.monotonic() + self.delay_s
                    self._waiting.append((due, self._other[fd], packet))

    def deliver(self) -> float | None:
        """Hand over what is due; seconds until more is, None when nothing waits."""
        while self._waiting:
            due, fd, packet = self._waiting[0]
            left_s = due - time.monotonic()
            if left_s > 0:
                return left_s
            self._waiting.popleft()
            with contextlib.suppress(OSError):
                os.write(fd, packet)
        return None


def make_device(address: str) -> int:
    """A network device with an address (a.b.c.d/n) in the present namespace; its packets' end."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    wanted = struct.pack("16sH22x", b"hwpr%d", _IFF_TUN_NO_PI)
    name = fcntl.ioctl(fd, _TUNSETIFF, wanted)[:16].rstrip(b"\0").decode()
    for words in (["addr", "add", address, "dev", name], ["link", "set", name, "up"]):
        subprocess.run(["ip", *words], check=True)
    return fd


def leave_network() -> None:
    """Move this process into a new network namespace with nothing but a loopback device."""
    if _libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "a network namespace cannot be made")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def end_inhabitants() -> None:
    """Kill every other process of this network namespace: a server's sessions outlive it."""
    here = os.readlink("/proc/self/ns/net")
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(entry / "ns/net") == here and int(entry.name) != os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)


def _obey(link: Link, line: str) -> None:
    verb, *values = line.split() or [""]
    if verb == "delay":
        link.delay_s, link.loss = float(values[0]) / 1e3, float(values[1]) / 100
    elif verb in ("cut", "mend"):
        link.cut = verb == "cut"


def main(head_address: str, board_address: str, *command: str) -> int:
    """Make the link, start the command at its far end, and carry packets until stdin ends."""
    head = make_device(head_address)
    leave_network()
    board = make_device(board_address)
    parent_dies = (_PR_SET_PDEATHSIG, signal.SIGKILL)
    subprocess.Popen(
        command, stdin=subprocess.DEVNULL, preexec_fn=lambda: _libc.prctl(*parent_dies)
    )
    print("ready", flush=True)
    link, left_s = Link(head, board), None
    poll = select.poll()
    for fd in (0, head, board):
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll(None if left_s is None else max(1, left_s * 1e3)):
            if fd != 0:
                link.take(fd)
            elif text := os.read(0, 4096).decode():
                for line in text.splitlines():
                    _obey(link, line)
                print("done", flush=True)
            else:
                end_inhabitants()
                return 0
        left_s = link.deliver()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

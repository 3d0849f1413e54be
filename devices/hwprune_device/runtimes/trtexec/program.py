"""The program trtexec: where it is, what it is told, and what it tells.

It differs between TensorRT 8, 10 and 11 in the flags it has, which its own help lists; so it is
asked for a flag rather than for a version.
"""

from __future__ import annotations

import ctypes
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hwprune_device.runtimes.trtexec.place import find

_BANNER = re.compile(r"\[TensorRT v(\d{4,6})\]")
_FLAG = re.compile(r"^\s+(--\w+)(?:, (--\w+))?", re.MULTILINE)
_HELP_TIMEOUT_S = 60.0
_POLL_S = 0.1
_TOLD_ERRORS = 5
_OUT_OF_MEMORY = ("out of memory", "OutOfMemory", "std::bad_alloc")
_PR_SET_PDEATHSIG = 1


class TrtexecError(RuntimeError):
    """The program ended with an error, or did not say what it should have."""


class Trtexec:
    """The program of this board.

    Raises:
        ImportError: it is not there.
    """

    def __init__(self) -> None:
        self._path = find()

    @property
    def version(self) -> str:
        """Such as "10.3.0"; empty where its banner tells none."""
        found = _BANNER.search(self._help)
        return _version(found[1]) if found else ""

    @property
    def strongly_typed(self) -> bool:
        """Whether precision is said by the graph alone, as from TensorRT 11 on."""
        return not self.has("--fp16")

    def has(self, flag: str) -> bool:
        """Whether the program knows a flag."""
        return flag in self._flags

    def need(self, flag: str, purpose: str) -> str:
        """A flag that is needed for something.

        Raises:
            ValueError: this release does not have it.
        """
        if not self.has(flag):
            raise ValueError(
                f"{purpose} needs trtexec's {flag}; that of TensorRT {self.version or 'unknown'} "
                "has no such flag"
            )
        return flag

    def one_of(self, flags: Sequence[str], purpose: str) -> str:
        """The first of several flags that the program has.

        Raises:
            ValueError: it has none of them.
        """
        return next((f for f in flags if self.has(f)), "") or self.need(flags[0], purpose)

    def run(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        timeout_s: float | None = None,
        alive: Callable[[], None] | None = None,
    ) -> None:
        """Run it to its end; what it prints goes to `log`.

        Raises:
            MemoryError: it says that it had too little, or the system ended it.
            TimeoutError: it took longer than `timeout_s`.
            TrtexecError: it ended with an error; its last error lines are told.
        """
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(self._path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
            )
        try:
            code = _attend(process, log, timeout_s, alive)
        finally:
            process.kill()
            process.wait()
        if code:
            _raise(code, log.read_text(errors="replace"))

    @cached_property
    def _help(self) -> str:
        try:
            done = subprocess.run(
                [str(self._path), "--help"], capture_output=True, timeout=_HELP_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return (done.stdout + done.stderr).decode(errors="replace")

    @cached_property
    def _flags(self) -> frozenset[str]:
        return frozenset(flag for pair in _FLAG.findall(self._help) for flag in pair if flag)


def times_ms(file: Path, *, latency: str, warmup_ms: float) -> list[float]:
    """Milliseconds of each inference from what `--exportTimes` wrote.

    Args:
        file: a list of objects, one an inference.
        latency: "device" for the time of the kernels, "transfers" with the copies on either side.
        warmup_ms: inferences that began before are not counted; old releases write them too.

    Raises:
        TrtexecError: there is no such list, or nothing in it after the warm-up.
    """
    try:
        entries = json.loads(file.read_text())
        kept = [entry for entry in entries if entry.get("startComputeMs", warmup_ms) >= warmup_ms]
        found = [_time_ms(entry, latency) for entry in kept]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrtexecError(f"trtexec wrote no times that can be read: {error!r}") from error
    if not found:
        raise TrtexecError(f"trtexec wrote no time after its warm-up of {warmup_ms:g} ms")
    return found


def outputs_of(file: Path) -> dict[str, np.ndarray]:
    """Each output by its name, from what `--exportOutput` wrote; numbers as they stand there.

    Raises:
        TrtexecError: there is no such file.
    """
    try:
        return {
            entry["name"]: np.array(entry["values"]).reshape(
                [int(size) for size in entry["dimensions"].split("x") if size]
            )
            for entry in json.loads(file.read_text())
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrtexecError(f"trtexec wrote no outputs that can be read: {error!r}") from error


def _time_ms(entry: Mapping[str, Any], latency: str) -> float:
    stages = ("Compute",) if latency == "device" else ("H2d", "Compute", "D2h")
    return sum(float(entry[f"end{stage}Ms"]) - float(entry[f"start{stage}Ms"]) for stage in stages)


def _version(digits: str) -> str:
    """100300 is 10.3.0, and 8601 was 8.6.1."""
    unit = 10_000 if len(digits) > 4 else 1_000
    number = int(digits)
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _attend(
    process: subprocess.Popen[bytes],
    log: Path,
    timeout_s: float | None,
    alive: Callable[[], None] | None,
) -> int:
    """Wait for the end, and hand on that it still writes."""
    start, written = time.monotonic(), 0
    while True:
        try:
            return process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            if timeout_s is not None and time.monotonic() - start > timeout_s:
                raise TimeoutError(f"trtexec did not end within {timeout_s:g} s") from None
        size = log.stat().st_size
        if alive is not None and size > written:
            alive()
        written = size


def _raise(code: int, said: str) -> None:
    errors = [line for line in said.splitlines() if "[E]" in line] or said.splitlines()
    told = "\n".join(errors[-_TOLD_ERRORS:]) or "it said nothing"
    if code == -signal.SIGKILL:
        raise MemoryError(
            f"trtexec was killed by the system, most likely for want of memory; {told}"
        )
    if any(words in line for line in errors for words in _OUT_OF_MEMORY):
        raise MemoryError(told)
    ended = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    raise TrtexecError(f"trtexec {ended}: {told}")


def _die_with_parent() -> None:
    # A child of the supervisor may be killed at any moment, and nobody else would end this one.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

"""`python -m hwprune_device [--cores last|all|0,1] [--threads N] [--owner ID] [--cache FOLDER]
[--cache-mb MB] [--runtime NAME] [--denormals zero|keep]`: serve a head by its pipes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable

# Before numpy: a thread pool in the supervisor would be inherited broken by every forked child.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
# From version 1.29 on ONNX Runtime else tells its makers what it runs.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# NVML numbers GPUs by their buses; CUDA does the same only when it is told to.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


NO_SUCH_CORES = 5
"""How a supervisor leaves whose board lacks the cores that it was told to time on."""


class CoresError(ValueError):
    """The cores of a board's command line cannot be used."""


def chosen_cores(wanted: str, threads: int, allowed: list[int]) -> tuple[int, ...]:
    """The cores that a board's words name: "last" (as many as threads), "all", or a list "0,1".

    A list may name cores outside `allowed`: a head that keeps off the board's cores hands that
    restriction down to this process, and only the kernel knows whether it can be lifted.

    Raises:
        CoresError: the words name no cores.
    """
    if wanted == "all":
        return tuple(sorted(allowed))
    if wanted == "last":
        # The last ones, because interrupts and the system's own work go to the first by habit.
        return tuple(sorted(allowed)[-max(1, threads) :])
    try:
        return tuple(dict.fromkeys(int(core) for core in wanted.split(",")))
    except ValueError:
        raise CoresError(
            f"cores cannot be '{wanted}'; possible: last, all, or a list such as {allowed[-1]}"
        ) from None


def pin(cores: tuple[int, ...]) -> None:
    """Run on these cores alone from here on.

    Raises:
        CoresError: the board lacks one of them, or keeps it from this process.
    """
    before = os.sched_getaffinity(0)
    with contextlib.suppress(OSError, ValueError, OverflowError):
        os.sched_setaffinity(0, cores)
    # The kernel leaves out, without a word, what it does not have.
    if os.sched_getaffinity(0) == set(cores):
        return
    from hwprune_device.conditions.sysfs import ROOT, read

    online = read(ROOT / "sys/devices/system/cpu/online")
    raise CoresError(
        f"this process cannot be kept to the cores {_listed(cores)}; the board has cores "
        f"{online}, of which this process may use {_listed(before)}"
    )


def _listed(cores: Iterable[int]) -> str:
    return ",".join(map(str, sorted(cores)))


def main(arguments: list[str]) -> int:
    """Pin to the cores, take the streams for frames alone, and serve."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    threads = int(options.get("--threads", "1"))
    allowed = sorted(os.sched_getaffinity(0))
    try:
        cores = chosen_cores(options.get("--cores", "last"), threads, allowed)
        pin(cores)
    except CoresError as error:
        print(f"{error}; set cores in the board's profile", file=sys.stderr)
        return NO_SUCH_CORES
    incoming, outgoing = os.dup(0), os.dup(1)
    # Whatever a library prints goes to stderr from here on, so that it cannot tear a frame.
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    # A library that asks a question on stdin gets an end of file, and no frame is eaten.
    os.dup2(null, 0)

    # What a runtime must know when it is made, it reads from its environment.
    for option, variable in (("--denormals", "HWPRUNE_DENORMALS"), ("--cache", "HWPRUNE_CACHE")):
        if option in options:
            os.environ[variable] = options[option]

    from hwprune_device.bounded_folder import BoundedFolder
    from hwprune_device.inbox import HeadGoneError, Inbox
    from hwprune_device.owner import Owner, cache_folder

    cache = cache_folder(options.get("--cache", ""))
    name = options.get("--owner")
    owner = Owner(name=name, folder=cache / "owners") if name else None
    previous = owner.take_over() if owner else "none"
    # Late, and after the takeover: the runtime takes a second to load.
    from hwprune_device.supervisor import BASES_MB, Supervisor

    wanted = (options["--runtime"],) if "--runtime" in options else ()
    kept = BoundedFolder(cache / "bases", float(options.get("--cache-mb", BASES_MB)))
    with contextlib.suppress(HeadGoneError, BrokenPipeError):
        Supervisor(Inbox(incoming), outgoing, cores, kept, previous, wanted).serve()
    if owner:
        owner.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

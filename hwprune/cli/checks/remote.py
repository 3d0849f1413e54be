"""The doctor's look at one board by name: each thing that is missing, and how to mend it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hwprune.board_profile import items, table
from hwprune.cli.checks.board_software import python, software
from hwprune.cli.checks.check import Check
from hwprune.cli.checks.mends import PERFORMANCE, SWAP, there
from hwprune.survey import UNAVAILABLE, Survey, checked
from hwprune_device.conditions.gpu_presence import on_gpu
from hwprune_device.conditions.quota import STOPPED

if TYPE_CHECKING:
    from hwprune.board import Board

CLOCK_S = 60.0
LEAST_DISK_MB = 500
LEAST_MEMORY_MB = 3500
"""Memory and swap together; below this a network that is built may be killed for want of it."""


def examine_board(board: Board) -> Iterator[Check]:
    """The findings on a board, one by one: can it be reached, what has it, does it measure."""
    from hwprune.cli.checks.board import board as measured
    from hwprune.errors import BoardError
    from hwprune.farm.connections import survey

    if board.is_placeholder:
        yield Check(
            name="reached",
            state="fail",
            found=f"nobody said where it is: host is still '{board.host}'",
            mend="set host in its profile to USER@ADDRESS, or to a Host of your ~/.ssh/config",
        )
        return
    try:
        seen = checked(survey(board))
    except BoardError as error:
        yield Check(
            name="reached",
            state="fail",
            found=": ".join(part for part in (error.happened, error.given) if part),
            mend=error.next_step or f"try it by hand: {there(board, 'python3 --version')}",
        )
        return
    found = findings(board, seen)
    yield from found
    # What failed would fail once more, with fewer words.
    if all(check.state != "fail" for check in found):
        yield measured(board)


def findings(board: Board, survey: Survey, head_clock: float | None = None) -> list[Check]:
    """What a survey says of a board that is to be measured on.

    Args:
        head_clock: seconds since the epoch on this machine when the survey came; now by default.
    """
    now = time.time() if head_clock is None else head_clock
    interpreter = python(survey)
    found = [_reached(board, survey), interpreter]
    # A survey by such a Python ends there, and has no other topics.
    if interpreter.state == "fail":
        return found
    found += [
        *software(board, survey),
        _emulated(survey),
        _governor(board, survey),
        *_power_mode(board, survey),
        _thermal(survey),
        _throttling(survey),
        _memory(board, survey),
        _disk(survey),
        *_gpu(board, survey),
        _clock(board, survey, now),
    ]
    return found


def _reached(board: Board, survey: Survey) -> Check:
    processor = table(survey, "processor").get("name", UNAVAILABLE)
    model = survey.get("model", UNAVAILABLE)
    parts = [model if model != UNAVAILABLE else processor, survey.get("os", UNAVAILABLE)]
    known = [str(part) for part in parts if part != UNAVAILABLE]
    return Check(name="reached", state="ok", found=", ".join(known) or f"{board.name} answers")


def _emulated(survey: Survey) -> Check:
    if survey.get("emulated") is not True:
        return Check(name="processor", state="ok", found=_processor(survey))
    return Check(
        name="processor",
        state="warn",
        found=f"{survey.get('machine')} is emulated here by another processor",
        mend="good for trying things out only: its times say nothing about a real board",
    )


def _processor(survey: Survey) -> str:
    processor = table(survey, "processor")
    return f"{processor.get('name', UNAVAILABLE)}, {processor.get('cores', '?')} cores"


def _governor(board: Board, survey: Survey) -> Check:
    clocks = table(survey, "clocks")
    governors = clocks.get("governors", UNAVAILABLE)
    if not isinstance(governors, list):
        return Check(name="governor", state="ok", found="not told (usual in virtual machines)")
    pinned = table(survey, "power_mode").get("clocks_locked") is True
    # A range of one clock is pinned, whatever governs it.
    pinned = pinned or clocks.get("lowest_mhz") == clocks.get("highest_mhz")
    if governors == ["performance"] or pinned:
        words = "clocks are locked" if pinned else "performance on every core"
        return Check(name="governor", state="ok", found=words)
    return Check(
        name="governor",
        state="warn",
        found=f"{', '.join(governors)}: the clock moves while networks are timed",
        mend=there(board, PERFORMANCE),
    )


def _gpu(board: Board, survey: Survey) -> Iterator[Check]:
    """The GPU, where networks run on one."""
    driver, name = table(survey, "gpu_driver"), survey.get("gpu", UNAVAILABLE)
    if not on_gpu(board.target, present=bool(driver)):
        return
    if not driver:
        yield Check(
            name="GPU",
            state="fail",
            found="none that a driver tells of",
            mend="install NVIDIA's driver there; nvidia-smi then shows the GPU",
        )
        return
    found = f"{driver.get('name', name)}, driver {driver.get('driver', '?')}"
    if driver.get("persistence") is not False:
        yield Check(name="GPU", state="ok", found=found)
        return
    yield Check(
        name="GPU",
        state="warn",
        found=f"{found}; the driver sleeps while nobody uses it, and its clocks with it",
        mend=there(board, "sudo nvidia-smi -pm 1"),
    )


def _power_mode(board: Board, survey: Survey) -> Iterator[Check]:
    mode = table(survey, "power_mode")
    if mode.get("nvpmodel", UNAVAILABLE) == UNAVAILABLE:
        return
    name, highest = mode["nvpmodel"], mode.get("nvpmodel_highest")
    if mode.get("is_highest") is False:
        yield Check(
            name="power mode",
            state="warn",
            found=f"{name} holds the clocks below what the board can do",
            mend=f"unless that is meant: {there(board, f'sudo nvpmodel -m {highest}')}",
        )
    else:
        yield Check(name="power mode", state="ok", found=str(name))
    if mode.get("clocks_locked") is False:
        yield Check(
            name="clocks",
            state="warn",
            found="free to move between lowest and highest",
            mend=there(board, "sudo jetson_clocks"),
        )


def _thermal(survey: Survey) -> Check:
    zones = items(survey, "thermal_zones")
    if zones:
        warmest = max(zones, key=lambda zone: zone.get("temperature_c", 0.0))
        words = f"{warmest.get('zone')} at {warmest.get('temperature_c'):.0f} °C"
        return Check(name="temperature", state="ok", found=f"{words}, {len(zones)} zones")
    return Check(
        name="temperature",
        state="warn",
        found="no thermal zone can be read (usual in virtual machines)",
        mend="keep the board cool yourself: readings cannot tell when it is too hot",
    )


def _throttling(survey: Survey) -> Check:
    topic = table(survey, "throttling")
    stopped = table(topic, "counts").get(STOPPED, 0)
    if stopped:
        return Check(
            name="throttling",
            state="warn",
            found=f"a CPU quota stopped its processes in {stopped} periods since it is in force",
            mend="give the container or service there more of the processor, or no quota "
            "(docker --cpus, CPUQuota of systemd)",
        )
    # Once each: what is there now was there since the start.
    seen = list(dict.fromkeys([*topic.get("now", ()), *topic.get("since_boot", ())]))
    if not seen:
        words = "none since it was started" if topic else "not told by the board"
        return Check(name="throttling", state="ok", found=words)
    low = any("under-voltage" in words for words in seen)
    return Check(
        name="throttling",
        state="warn",
        found=f"seen since it was started: {', '.join(seen)}",
        mend="give it its maker's power supply and a short cable, then restart it"
        if low
        else "cool it better, then restart it to clear the record",
    )


def _memory(board: Board, survey: Survey) -> Check:
    memory = table(survey, "memory_mb")
    ram, swap = memory.get("ram"), memory.get("swap")
    if not isinstance(ram, int):
        return Check(name="memory", state="ok", found="not told by the board")
    swap = swap if isinstance(swap, int) else 0
    found = f"{ram} MB and {swap} MB swap"
    if ram + swap >= LEAST_MEMORY_MB:
        return Check(name="memory", state="ok", found=found)
    return Check(name="memory", state="warn", found=found, mend=there(board, SWAP))


def _disk(survey: Survey) -> Check:
    told = table(survey, "disk_free_mb")
    free = {k: v for k, v in told.items() if isinstance(v, int)}
    found = ", ".join(f"{name} {left} MB free" for name, left in free.items())
    if told.get("tmp") == UNAVAILABLE:
        return Check(
            name="disk",
            state="warn",
            found="; ".join(filter(None, [found, "no temporary folder can be written"])),
            mend="make /tmp writable for its account, or set TMPDIR to a folder that is",
        )
    if all(left >= LEAST_DISK_MB for left in free.values()):
        return Check(name="disk", state="ok", found=found or "not told by the board")
    return Check(
        name="disk", state="warn", found=found, mend=f"free {LEAST_DISK_MB} MB on each of them"
    )


def _clock(board: Board, survey: Survey, now: float) -> Check:
    clock = survey.get("clock")
    if not isinstance(clock, int | float):
        return Check(name="clock", state="ok", found="not told by the board")
    off = clock - now
    if abs(off) <= CLOCK_S:
        return Check(name="clock", state="ok", found="as here")
    return Check(
        name="clock",
        state="warn",
        found=f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} this machine's",
        mend=there(board, "sudo timedatectl set-ntp true"),
    )

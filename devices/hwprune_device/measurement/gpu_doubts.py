"""What a GPU's states around a batch, and the glances within it, say against its readings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.conditions.gpu import POWER_CAP, SLOWING
from hwprune_device.conditions.sysfs import UNAVAILABLE

NEAR_SLOWDOWN_C = 3.0
CLOCK_SHARE = 0.95
"""A pinned GPU below this share of its clock was held down."""
ASLEEP_SHARE = 0.5
"""A GPU that runs below this share of its highest clock was never woken up."""
CAPPED_SPREAD = 0.05
"""Under a power cap a clock may stay where it is; when it moves by more, latency moves with it."""
_HELD_SHARE = 0.1
"""Of all glances: fewer than these may be a moment between two networks."""
_OWN_PROCESSES = 1

State = Mapping[str, Any]


def gpu_doubts(before: State, after: State, seen: State) -> list[str]:
    """Return the doubts from two states as `GpuState.to_json` has them, and `GpuWatch.seen`."""
    return [
        *_others(before, after),
        *_held(before, after, seen),
        *_hot(before, after),
        *_slow(after, seen),
    ]


def _others(before: State, after: State) -> list[str]:
    """Who else computes: before a batch nobody should, after it this process alone."""
    # Before the batch this process has no context yet, so any number is a stranger.
    strangers = before.get("process_ids", UNAVAILABLE)
    if isinstance(strangers, list | tuple) and strangers:
        numbers = ", ".join(map(str, strangers))
        return [f"another process computed on the GPU when the batch began (number {numbers})"]
    # Its own number may be another inside a container, so they are counted, not compared.
    now = after.get("process_ids", UNAVAILABLE)
    if isinstance(now, list | tuple) and len(now) > _OWN_PROCESSES:
        return [f"{len(now)} processes computed on the GPU when the batch ended"]
    return []


def _held(before: State, after: State, seen: State) -> list[str]:
    looks, reasons = seen.get("looks", 0), seen.get("reasons", {})
    found = [
        f"the GPU was held down in {count} of {looks} looks: {words}"
        for words, count in reasons.items()
        if words in SLOWING and count > _HELD_SHARE * looks
    ]
    clocks = seen.get("sm_mhz", {})
    if reasons.get(POWER_CAP, 0) > _HELD_SHARE * looks and clocks:
        moved = (clocks["highest"] - clocks["lowest"]) / clocks["median"]
        if moved > CAPPED_SPREAD:
            found.append(
                f"the GPU was at its power limit, and its clock moved between "
                f"{clocks['lowest']} and {clocks['highest']} MHz"
            )
    # Looks are a quarter of a second apart: short slowdowns show in the counter alone.
    return found or _counted(before, after)


def _counted(before: State, after: State) -> list[str]:
    """Heat that the driver counted between two looks that did not see it."""
    first, last = table_of(before, "held_down_ms"), table_of(after, "held_down_ms")
    added = last.get("heat", 0.0) - first.get("heat", last.get("heat", 0.0))
    return [f"the GPU was held down for heat for {added:.0f} ms"] if added >= 1.0 else []


def _hot(before: State, after: State) -> list[str]:
    for state in (after, before):
        now, limit = _number(state, "temperature_c"), _number(state, "slowdown_c")
        if now is not None and limit is not None and limit - now < NEAR_SLOWDOWN_C:
            return [
                f"the GPU was at {now:.0f} °C and slows itself down from {limit:.0f} °C: it may "
                "have slowed down"
            ]
    return []


def _slow(after: State, seen: State) -> list[str]:
    """A clock below what it should be while the batch ran."""
    clocks = seen.get("sm_mhz")
    if not clocks:
        return []
    clock, looks, low = clocks["median"], seen["looks"], seen["low_looks"]
    due, highest = _number(after, "due_mhz"), _number(after, "highest_mhz")
    # A pinned clock is a promise; without one only a share of the highest can be expected.
    if due is not None and clock < CLOCK_SHARE * due:
        return [f"the GPU ran at {clock} MHz and is pinned to {due:.0f} MHz ({clock / due:.0%})"]
    if low > _HELD_SHARE * looks:
        return [f"the GPU ran far below its {clocks['highest']} MHz in {low} of {looks} looks"]
    if highest is not None and due is None and clock < ASLEEP_SHARE * highest:
        return [
            f"the GPU ran at {clock} MHz and can run at {highest:.0f} MHz ({clock / highest:.0%})"
        ]
    return []


def _number(state: State, key: str) -> float | None:
    """A number of a state; None where the GPU does not report it."""
    value = state.get(key)
    return float(value) if isinstance(value, int | float) else None


def table_of(state: State, key: str) -> Mapping[str, Any]:
    """A table of a state; an empty one where the board leaves it out, or says "unavailable"."""
    value = state.get(key)
    return value if isinstance(value, Mapping) else {}

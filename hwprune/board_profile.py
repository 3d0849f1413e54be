"""A board's profile as a file: written from a survey of the board, read back by `load_board`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from hwprune.board import Board
from hwprune.plain_text import plain_text
from hwprune.survey import UNAVAILABLE, Survey
from hwprune.toml_file import to_toml
from hwprune.whole_file import write_whole
from hwprune_device.job import Target
from hwprune_device.runtimes import facts_of, runtime_names

# Device trees name the revision too ("... Model B Rev 1.4"); boards of two are of one kind.
_REVISION = re.compile(r"\s+rev(ision)?\.?\s*[\d.]+$", re.IGNORECASE)


def profile_text(board: Board, survey: Survey | None, looked_at: date) -> str:
    """The profile of a board as TOML; without a survey it has no facts.

    Args:
        board: its name, how it is reached, its kind; what is empty is left out.
        survey: what was seen there, as `hwprune.survey.checked` gives it.
        looked_at: the day of the survey.
    """
    lines = [
        f"# {_one_line(_title(board, survey))}",
        f"# Written by `hwprune boards add` on {looked_at.isoformat()}. Every key may be changed;",
        "# `hwprune boards check` shows whether the board still answers.",
        "",
        *_connection_lines(board),
        *_core_lines(survey),
        "",
        *_target_lines(board),
    ]
    if survey is not None:
        lines += ["", f"[facts]                  # as seen on {looked_at.isoformat()}"]
        lines += [f"{key} = {to_toml(value)}" for key, value in facts(survey, looked_at).items()]
    return "\n".join(lines) + "\n"


def write_profile(path: Path, text: str) -> None:
    """Write a profile, and its folder if need be.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def likely_kind(survey: Survey | None) -> str:
    """A kind for boards with the same device tree, such as "raspberry-pi-4-model-b"; else "".

    A device tree names the kind of a board; DMI gives unlike machines the same name.
    """
    if survey is None or survey.get("soc", UNAVAILABLE) == UNAVAILABLE:
        return ""
    model = _REVISION.sub("", str(survey.get("model", "")))
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")


def likely_target(survey: Survey | None) -> Target:
    """What a board is most likely bought for: a runtime that came with its system, or its CPU."""
    seen = table(survey or {}, "packages")
    for name in runtime_names():
        runtime = facts_of(name)
        if runtime.system_package and table(seen, runtime.system_package).get("imports"):
            return Target(runtime=name, precision=runtime.usual_precision)
    return Target()


def facts(survey: Survey, looked_at: date) -> dict[str, Any]:
    """The facts of a survey that a reader needs, flat; what the survey lacks is left out."""
    found = {key: _told(value) for key, value in _facts(survey)}
    told = {key: value for key, value in found.items() if value not in (None, [])}
    return {"looked_at": looked_at.isoformat(), **told}


def _told(value: Any) -> Any:
    """A value of a survey as a profile can hold it; None where there is none."""
    if isinstance(value, list | tuple):
        return [told for item in value if (told := _told(item)) is not None]
    if isinstance(value, bool | int | float):
        # TOML has nan and inf, but `read_toml` refuses them, so no profile may hold them.
        return None if value != value or value in (math.inf, -math.inf) else value
    return None if value in (None, UNAVAILABLE, "") else plain_text(str(value))


def _facts(survey: Survey) -> Iterator[tuple[str, Any]]:
    """Facts by name; a topic that the survey lacks gives nothing of use."""
    processor, memory = table(survey, "processor"), table(survey, "memory_mb")
    clocks, python = table(survey, "clocks"), table(survey, "python")
    for key in ("model", "soc", "machine", "os", "kernel"):
        yield key, survey.get(key)
    yield "processor", processor.get("name")
    yield "cores", processor.get("cores")
    yield "clusters", [_cluster(cluster) for cluster in items(survey, "clusters")]
    yield "caches", items(survey, "caches")
    yield "governors", clocks.get("governors")
    yield "highest_mhz", clocks.get("highest_mhz")
    yield "ram_mb", memory.get("ram")
    yield "swap_mb", memory.get("swap")
    yield "power_mode", table(survey, "power_mode").get("words")
    yield "gpu", survey.get("gpu")
    yield "gpu_driver", table(survey, "gpu_driver").get("driver")
    yield "thermal_zones", [zone.get("zone") for zone in items(survey, "thermal_zones")]
    yield "python", python.get("version")
    yield "runtimes", list(_packages(survey))
    if survey.get("emulated") is True:
        yield "emulated", True


def table(survey: Survey, topic: str) -> Mapping[str, Any]:
    """A topic that has parts; an empty one where the survey lacks it."""
    value = survey.get(topic)
    return value if isinstance(value, Mapping) else {}


def items(survey: Survey, topic: str) -> Sequence[Any]:
    """A topic that is a list; an empty one where the survey lacks it."""
    value = survey.get(topic)
    return value if isinstance(value, list | tuple) else []


def _packages(survey: Survey) -> Iterator[str]:
    for name, found in table(survey, "packages").items():
        if found.get("imports"):
            yield f"{name} {found.get('version', '')}".strip()


def _cluster(cluster: Mapping[str, Any]) -> str:
    """ "cores 4-7, 2400 MHz, capacity 1024"."""
    parts = [f"cores {', '.join(map(str, cluster.get('cores', [])))}"]
    if (most := cluster.get("max_mhz", UNAVAILABLE)) != UNAVAILABLE:
        parts.append(f"{most} MHz")
    if (capacity := cluster.get("capacity", UNAVAILABLE)) != UNAVAILABLE:
        parts.append(f"capacity {capacity}")
    return ", ".join(parts)


def _title(board: Board, survey: Survey | None) -> str:
    model = UNAVAILABLE if survey is None else str(survey.get("model", UNAVAILABLE))
    if model == UNAVAILABLE and survey is not None:
        model = str(table(survey, "processor").get("name", UNAVAILABLE))
    return board.name if model == UNAVAILABLE else f"{board.name}: {model}"


def _connection_lines(board: Board) -> Iterator[str]:
    """The keys that say what the board is and how it is reached."""
    yield f"kind = {to_toml(board.kind)}  # boards of one kind share their readings"
    yield f"connection = {to_toml(board.connection)}"
    for key in ("host", "ssh_options", "gateway", "python"):
        if value := getattr(board, key):
            yield f"{key} = {to_toml(value)}"


def _core_lines(survey: Survey | None) -> Iterator[str]:
    """The last core, unless that is a slow one of a board with fast and slow cores."""
    cores = [cluster.get("cores", []) for cluster in items(survey or {}, "clusters")]
    # A survey lists clusters fastest first.
    fastest = cores[0] if cores else []
    if len(cores) > 1 and fastest and max(fastest) < max(map(max, filter(None, cores))):
        yield f"cores = {to_toml([max(fastest)])}              # the last of the fastest cores"
    else:
        yield 'cores = "last"           # or "all", or a list such as [2, 3]'


def _target_lines(board: Board) -> Iterator[str]:
    """How networks run there, with what to know of it."""
    target, runtime = board.target, facts_of(board.target.runtime)
    yield "[target]"
    yield f"runtime = {to_toml(target.runtime)}".ljust(25) + f"# {runtime.title}"
    if not runtime.has_device_clock:
        yield "threads = 1              # with one thread a reading is steadier than with several"
    if runtime.has_device_clock or target.precision != runtime.usual_precision:
        possible = ", ".join(runtime.options.precisions)
        yield f"precision = {to_toml(target.precision)}".ljust(25) + f"# {possible}"
    yield "batch = 1"


def _one_line(text: str) -> str:
    """Text that cannot end the comment it stands in."""
    return "".join(c if c.isprintable() else " " for c in text)

"""A board whose /sys is a folder of the test: `HWPRUNE_TEST_SYS` names it.

Everything else is the real supervisor. `rapl` and `ina3221` make such folders, `burning` moves the
counters as a processor of a known power would.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwprune_device.__main__ import main
from hwprune_device.measurement import energy

SYS = "HWPRUNE_TEST_SYS"
_STEP_S = 0.002


def rapl(root: Path, name: str, zone: str, *, start_uj: int = 0, range_uj: int = 2**38) -> Path:
    """One counter of the powercap tree; gives its energy file."""
    folder = root / "sys" / "class" / "powercap" / f"intel-rapl:{zone}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{start_uj}\n")
    return folder / "energy_uj"


def ina3221(root: Path, *, millivolts: int, milliamperes: int, label: str = "VDD_IN") -> Path:
    """A Jetson's power monitor, with the rail as its second channel; gives the ampere file."""
    folder = root / "sys" / "class" / "hwmon" / "hwmon3"
    folder.mkdir(parents=True)
    (folder / "name").write_text("ina3221\n")
    (folder / "in1_label").write_text("VDD_CPU_GPU_CV\n")
    (folder / "in2_label").write_text(label + "\n")
    (folder / "in2_input").write_text(f"{millivolts}\n")
    (folder / "curr2_input").write_text(f"{milliamperes}\n")
    return folder / "curr2_input"


@contextmanager
def burning(counter: Path, watts: float, *, range_uj: int = 2**38) -> Iterator[None]:
    """Let a counter grow by `watts` in true time, wrapping at `range_uj`."""
    start_uj, begin = int(counter.read_text()), time.monotonic()
    ended = threading.Event()

    def grow() -> None:
        while not ended.wait(_STEP_S):
            value = start_uj + int(watts * (time.monotonic() - begin) * 1e6)
            # Renamed into place: a reader never sees half a number.
            new = counter.with_suffix(".new")
            new.write_text(f"{value % range_uj}\n")
            new.replace(counter)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    energy.ROOT = Path(os.environ[SYS])
    sys.exit(main(sys.argv[1:]))

"""What the kernel of a Jetson shows, laid over the files of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

GPU_MHZ = 1020
RELEASE = "36.4.3"
WATTS = 12.0
"""What the supply gives, whatever runs."""
_HWMON = "sys/class/hwmon/hwmon90"
_GPU = "sys/class/devfreq/17000000.gpu"
_ZONE = "sys/class/thermal/thermal_zone0"
FILES: Mapping[str, str] = {
    "sys/firmware/devicetree/base/model": "NVIDIA Jetson Orin Nano Developer Kit (scripted)",
    "sys/firmware/devicetree/base/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0",
    "etc/nv_tegra_release": f"# R36 (release), REVISION: {RELEASE.removeprefix('36.')}, GCID: 0\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    "var/lib/nvpmodel/status": "pmode:0002",
    f"{_GPU}/min_freq": f"{GPU_MHZ * 10**6}\n",
    f"{_GPU}/max_freq": f"{GPU_MHZ * 10**6}\n",
    f"{_GPU}/cur_freq": f"{GPU_MHZ * 10**6}\n",
    f"{_ZONE}/type": "tj-thermal\n",
    f"{_ZONE}/temp": "49000\n",
    f"{_ZONE}/trip_point_0_type": "passive\n",
    f"{_ZONE}/trip_point_0_temp": "99000\n",
    f"{_HWMON}/name": "ina3221\n",
    f"{_HWMON}/in1_label": "VDD_IN\n",
    f"{_HWMON}/in1_input": "5000\n",
    f"{_HWMON}/curr1_input": f"{WATTS / 5.0 * 1000:.0f}\n",
}
"""Clocks that stand still, a calm temperature, the highest power mode, a supply that is read."""


def jetson_tree(root: Path) -> Path:
    """A root folder in which these files are a Jetson's and all others are this machine's own."""
    nested: dict[str, object] = {}
    for name, text in FILES.items():
        *folders, last = name.split("/")
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})  # type: ignore[assignment]
        place[last] = text
    _lay(root, Path("/"), nested)
    return root


def _lay(place: Path, below: Path, files: Mapping[str, object]) -> None:
    """A folder with `files` of its own; the rest of it are links to what lies below."""
    place.mkdir(parents=True, exist_ok=True)
    for entry in below.iterdir() if below.is_dir() else ():
        if entry.name not in files:
            (place / entry.name).symlink_to(entry)
    for name, content in files.items():
        if isinstance(content, Mapping):
            _lay(place / name, below / name, content)
        else:
            (place / name).write_text(str(content))

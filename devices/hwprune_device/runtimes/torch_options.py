"""Options of the torch runtime: names, values, defaults, and what excludes what.

Standard library alone, as `options.py`, which reads these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULTS: Mapping[str, Any] = {
    "mode": "eager",
    "device": "auto",
    "latency": "host",
    "channels_last": False,
    "fold_batchnorm": True,
    "cudnn_benchmark": False,
}
"""For what they do see devices/runtimes.md."""
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "mode": ("eager", "cuda_graph", "inductor"),
    "device": ("auto", "cuda", "cpu"),
    "latency": ("host", "device"),
    "channels_last": (True, False),
    "fold_batchnorm": (True, False),
    "cudnn_benchmark": (True, False),
}
_CUDA_ONLY = (("mode", "cuda_graph"), ("latency", "device"), ("cudnn_benchmark", True))


def conflict(whole: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """What of all options cannot be together: what is wrong, what was given, what is possible."""
    if whole["device"] != "cpu":
        return None
    for name, value in _CUDA_ONLY:
        if whole[name] == value:
            written = str(value).lower()
            return (
                f"option {name} = {written} needs a GPU",
                f"{name} = {written}, device = cpu",
                f'device = "cuda", or another {name}',
            )
    return None

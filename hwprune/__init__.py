"""hwprune: the most accurate pruned network that keeps a budget measured on your own board."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwprune_device import __version__

if TYPE_CHECKING:
    from hwprune.budget import Budget, Constraint
    from hwprune.errors import HwpruneError
    from hwprune.metric import Metric
    from hwprune.network.package import load_package as load
    from hwprune.network.whole_detector import detector_with
    from hwprune.pipeline.measure import Measured, measure
    from hwprune.pipeline.notebook import Pruned, prune
    from hwprune.tables.model import load_table
    from hwprune.task.score import Score
    from hwprune.task.task import Task
    from hwprune_device.reading import Failure, Reading

__all__ = [
    "Budget",
    "Constraint",
    "Failure",
    "HwpruneError",
    "Measured",
    "Metric",
    "Pruned",
    "Reading",
    "Score",
    "Task",
    "__version__",
    "detector_with",
    "load",
    "load_table",
    "measure",
    "prune",
]

_HOMES = {
    "Budget": "hwprune.budget:Budget",
    "Constraint": "hwprune.budget:Constraint",
    "Failure": "hwprune_device.reading:Failure",
    "HwpruneError": "hwprune.errors:HwpruneError",
    "Measured": "hwprune.pipeline.measure:Measured",
    "Metric": "hwprune.metric:Metric",
    "Pruned": "hwprune.pipeline.notebook:Pruned",
    "Reading": "hwprune_device.reading:Reading",
    "Score": "hwprune.task.score:Score",
    "Task": "hwprune.task.task:Task",
    "detector_with": "hwprune.network.whole_detector:detector_with",
    "load": "hwprune.network.package:load_package",
    "load_table": "hwprune.tables.model:load_table",
    "measure": "hwprune.pipeline.measure:measure",
    "prune": "hwprune.pipeline.notebook:prune",
}


def __getattr__(name: str) -> Any:
    # Names load on first use, so that `import hwprune` costs milliseconds and needs no torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'hwprune' has no attribute {name!r}")
    home, _, noun = _HOMES[name].partition(":")
    return getattr(import_module(home), noun)

"""hwprune: the most accurate pruned network that keeps a budget measured on your own board."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwprune_device import __version__

# For type checkers and editors, which do not run `__getattr__` below.
if TYPE_CHECKING:
    from hwprune.board import Board, find_board
    from hwprune.budget import Budget, Constraint
    from hwprune.errors import (
        BoardError,
        BudgetError,
        DataError,
        DeliveryError,
        HwpruneError,
        InputError,
        NetworkError,
        RunFolderError,
    )
    from hwprune.metric import Metric
    from hwprune.network.detector import OneStage
    from hwprune.network.package import load_package as load
    from hwprune.network.whole_detector import detector_with
    from hwprune.pipeline.measure import Measured, measure
    from hwprune.pipeline.notebook import Pruned, PrunedFront, prune
    from hwprune.saliency.registry import Subject, criterion
    from hwprune.tables.model import load_table
    from hwprune.task.items import count_of
    from hwprune.task.score import Score
    from hwprune.task.task import Part, Run, Task
    from hwprune_device.reading import Reading

_HOMES = {
    "Board": "hwprune.board:Board",
    "BoardError": "hwprune.errors:BoardError",
    "Budget": "hwprune.budget:Budget",
    "BudgetError": "hwprune.errors:BudgetError",
    "Constraint": "hwprune.budget:Constraint",
    "DataError": "hwprune.errors:DataError",
    "DeliveryError": "hwprune.errors:DeliveryError",
    "HwpruneError": "hwprune.errors:HwpruneError",
    "InputError": "hwprune.errors:InputError",
    "Measured": "hwprune.pipeline.measure:Measured",
    "Metric": "hwprune.metric:Metric",
    "NetworkError": "hwprune.errors:NetworkError",
    "OneStage": "hwprune.network.detector:OneStage",
    "Part": "hwprune.task.task:Part",
    "Pruned": "hwprune.pipeline.notebook:Pruned",
    "PrunedFront": "hwprune.pipeline.notebook:PrunedFront",
    "Reading": "hwprune_device.reading:Reading",
    "Run": "hwprune.task.task:Run",
    "RunFolderError": "hwprune.errors:RunFolderError",
    "Score": "hwprune.task.score:Score",
    "Subject": "hwprune.saliency.registry:Subject",
    "Task": "hwprune.task.task:Task",
    "count_of": "hwprune.task.items:count_of",
    "criterion": "hwprune.saliency.registry:criterion",
    "detector_with": "hwprune.network.whole_detector:detector_with",
    "find_board": "hwprune.board:find_board",
    "load": "hwprune.network.package:load_package",
    "load_table": "hwprune.tables.model:load_table",
    "measure": "hwprune.pipeline.measure:measure",
    "prune": "hwprune.pipeline.notebook:prune",
}
# Spelled out, not read off _HOMES: type checkers take `__all__` from the source alone.
__all__ = [
    "Board",
    "BoardError",
    "Budget",
    "BudgetError",
    "Constraint",
    "DataError",
    "DeliveryError",
    "HwpruneError",
    "InputError",
    "Measured",
    "Metric",
    "NetworkError",
    "OneStage",
    "Part",
    "Pruned",
    "PrunedFront",
    "Reading",
    "Run",
    "RunFolderError",
    "Score",
    "Subject",
    "Task",
    "__version__",
    "count_of",
    "criterion",
    "detector_with",
    "find_board",
    "load",
    "load_table",
    "measure",
    "prune",
]


def __getattr__(name: str) -> Any:
    # Names load on first use, so that `import hwprune` costs milliseconds and needs no torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'hwprune' has no attribute {name!r}")
    home, _, noun = _HOMES[name].partition(":")
    return getattr(import_module(home), noun)


def __dir__() -> list[str]:
    return __all__

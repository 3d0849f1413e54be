"""What a scripted TensorRT shall do that the usual flow does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """An error of the parser."""

    desc: str = "no importer registered for this operator"
    node: int = 0
    """Index of the node in the ONNX graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Nothing but the usual flow, unless a field says otherwise."""

    complaints: tuple[Complaint, ...] = ()
    """Parsing fails with these."""
    step_s: float = 0.0
    """What each step of a build takes."""
    hangs: Literal["", "reporting", "silent"] = ""
    """The build never ends: it reports steps until the monitor says no, or reports nothing."""
    build_errors: tuple[str, ...] = ()
    """The build says these and fails."""
    most_workspace_bytes: int | None = None
    """The build runs out of memory while it may take more scratch memory than this."""
    build_bytes: int = 0
    """Memory of the GPU that the build holds while it works."""
    activation_bytes: int | None = None
    """Memory of an execution context; a guess from the graph when nothing is said."""
    dla_cores: int = 0
    not_on_dla: frozenset[str] = frozenset()
    """ONNX operators that a DLA cannot run."""
    execution_ms: float | Callable[[onnx.ModelProto], float] = 1.0
    """What one inference takes on the device."""
    build_factors: tuple[float, ...] = (1.0,)
    """Times of the engines of one build after another, relative to that; over again at the end."""
    run_noise: float = 0.0
    """Relative standard deviation of one run."""
    refuses_run: int | None = None
    """The run, counted from 0 over all engines, that is not started."""
    breaks_at_run: int | None = None
    """The run that breaks the device for the rest of the process."""

"""What TensorRT calls back: its logger, the monitor of a build, the calibrator of int8.

Their base classes are TensorRT's own, so they are made once it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

# A failed build or load is None whatever failed: why stands in the log, in several wordings.
_OUT_OF_MEMORY = ("out of memory", "outofmemory", "insufficient memory", "memory allocation")
_NO_KERNEL = "could not find any implementation"
"""Said also when every kernel of a layer wanted more memory than it may have."""
_KEPT_LINES = 40


class TrtError(RuntimeError):
    """TensorRT refused a network; the message has its own words."""


class CancelledError(TrtError):
    """Whoever watched the build wanted it no longer."""


@dataclass(slots=True, kw_only=True)
class Words:
    """What TensorRT said, errors first to be asked for."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def why(self) -> str:
        """The errors in one text, as far as a reader wants them."""
        return "; ".join(dict.fromkeys(self.errors[-_KEPT_LINES:])) or "TensorRT gave no reason"

    @property
    def out_of_memory(self) -> bool:
        """Whether memory is what was missing.

        A build that goes well warns of kernels that were left out for want of memory, so a
        warning counts only where no kernel was left.
        """
        said = " ".join(self.errors).lower()
        if _NO_KERNEL in said:
            said += " ".join(self.warnings).lower()
        return any(text in said for text in _OUT_OF_MEMORY)

    def refuse(self) -> NoReturn:
        """Raise what the errors come to.

        Raises:
            MemoryError: memory is what was missing.
            TrtError: anything else.
        """
        raise MemoryError(self.why()) if self.out_of_memory else TrtError(self.why())


@dataclass(slots=True, kw_only=True)
class Batches:
    """Addresses of calibration batches on the device, one after another."""

    size: int
    """Inferences in a batch."""
    following: Callable[[], Sequence[int] | None]
    """Fills the inputs and gives their addresses; None: there are no more."""


def make_logger(trt: Any, words: Words) -> Any:
    """A logger that keeps what TensorRT says; made here because its base class is there."""
    base = trt.ILogger

    class Log(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (base.ERROR, base.INTERNAL_ERROR):
                words.errors.append(message.strip())
            elif severity == base.WARNING:
                words.warnings.append(message.strip())

    return Log()


def make_monitor(trt: Any, proceed: Callable[[str], bool], cancelled: list[str]) -> Any:
    """Passes the builder's steps on; an answer of no ends the build."""
    base = trt.IProgressMonitor

    class Monitor(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.step_complete(phase, 0)

        # Its answer alone ends a build: a no that came with another call is kept for it.
        def step_complete(self, phase: str, step: int) -> bool:
            if not cancelled and not proceed(phase):
                cancelled.append(phase)
            return not cancelled

        def phase_finish(self, phase: str) -> None:
            self.step_complete(phase, 0)

    return Monitor()


def make_profiler(trt: Any, told: Callable[[str, float], None]) -> Any:
    """Passes on what each layer of an engine took, in milliseconds, inference after inference."""
    base = trt.IProfiler

    class Profiler(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            told(layer_name, ms)

    return Profiler()


def make_calibrator(trt: Any, kind: str, batches: Batches) -> Any:
    """Feeds the builder of 10.x, which finds the ranges of int8 itself."""
    bases = {
        "entropy": trt.IInt8EntropyCalibrator2,
        "minmax": trt.IInt8MinMaxCalibrator,
    }
    base = bases[kind]

    class Calibrator(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def get_batch_size(self) -> int:
            return batches.size

        def get_batch(self, names: Sequence[str]) -> Sequence[int] | None:
            return batches.following()

        def read_calibration_cache(self) -> bytes | None:
            return None

        def write_calibration_cache(self, cache: bytes) -> None:
            """Kept by nobody: ranges hang on weights, which the next network has not."""

    return Calibrator()

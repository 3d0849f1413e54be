"""TensorRT's own logger."""

from __future__ import annotations

from typing import Any

from tests.doubles.scripted_tensorrt.scene import Scene

_LETTERS = {"INTERNAL_ERROR": "F", "ERROR": "E", "WARNING": "W", "INFO": "I", "VERBOSE": "V"}


class PrintingLogger:
    """Prints what is as severe as asked for."""

    def __init__(self, scene: Scene, min_severity: Any = None) -> None:
        self.min_severity = min_severity or scene.member("ILogger.Severity", "WARNING")

    def log(self, severity: Any, msg: str) -> None:
        """Print a message."""
        if int(severity) <= int(self.min_severity):
            print(f"[TRT] [{_LETTERS[severity.name]}] {msg}")

"""A request to run one whole network: the network itself, inputs for it, and how it shall run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwprune_device.frame import Frame
from hwprune_device.job import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the frames `run` and `engine` ask for."""

    model: bytes
    """ONNX, weights inside."""
    inputs: np.ndarray
    """N C H W."""
    target: Target

    @classmethod
    def of(cls, frame: Frame) -> RunRequest:
        """As a frame tells it.

        Raises:
            KeyError, TypeError, ValueError: the frame makes no sense.
        """
        header, size = frame.header, int(frame.header["model_bytes"])
        values = np.frombuffer(frame.body[size:], dtype=header["dtype"])
        return cls(
            model=frame.body[:size],
            inputs=values.reshape(header["shape"]),
            target=Target(**header["target"]),
        )

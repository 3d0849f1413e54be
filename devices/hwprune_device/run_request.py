"""A request to run one whole network: the network itself, inputs for it, and how it shall run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hwprune_device.frame import Frame
from hwprune_device.job import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the frames `run` and `engine` ask for."""

    body: bytes = field(repr=False)
    model_bytes: int
    inputs: np.ndarray
    """N C H W."""
    target: Target

    @property
    def model(self) -> bytes:
        """ONNX, weights inside; a copy, so that only the child that runs it holds it twice."""
        return self.body[: self.model_bytes]

    @classmethod
    def of(cls, frame: Frame) -> RunRequest:
        """As a frame tells it.

        Raises:
            KeyError, TypeError, ValueError: the frame makes no sense.
        """
        header, size = frame.header, int(frame.header["model_bytes"])
        values = np.frombuffer(frame.body[size:], dtype=header["dtype"])
        return cls(
            body=frame.body,
            model_bytes=size,
            inputs=values.reshape(header["shape"]),
            target=Target(**header["target"]),
        )

"""A request to run one whole network: the network itself, inputs for it, and how it shall run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hwprune_device.arrays import unpack
from hwprune_device.frame import Frame
from hwprune_device.job import Target
from hwprune_device.last_model import LastModel


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the frames `run` and `engine` ask for."""

    model: bytes = field(repr=False)
    """ONNX, weights inside."""
    inputs: list[np.ndarray] = field(repr=False)
    """One an input of the graph, in its order; N first."""
    target: Target

    @classmethod
    def of(cls, frame: Frame, last: LastModel) -> RunRequest | None:
        """Read it from a frame; None where its network did not come along and is not the last.

        A network that came along is the last one from now on.

        Raises:
            KeyError, TypeError, ValueError: the frame makes no sense.
        """
        header, body = frame.header, memoryview(frame.body)
        size, wanted_id = int(header["model_bytes"]), str(header["model_id"])
        if size:
            last.put(wanted_id, bytes(body[:size]))
        model = last.get(wanted_id)
        if model is None:
            return None
        return cls(
            model=model,
            inputs=unpack(header["arrays"], body[size:]),
            target=Target(**header["target"]),
        )

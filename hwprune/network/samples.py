"""A few sample inputs in the place of a data set, for networks that come without one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from hwprune.channels.base import BaseNetwork
from hwprune.errors import DataError
from hwprune.network.data import Data
from hwprune.network.graph_module import to_module
from hwprune.network.split import Split


def read_samples(path: Path, base: BaseNetwork) -> Data:
    """Sample inputs as data whose labels are the network's own answers.

    Args:
        path: a .npy file, N C H W, as the network takes it: normalised already.
        base: the network.

    Raises:
        DataError: no such file, or arrays that the network does not take.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"no sample inputs can be read from {path}",
            given=str(error),
            possible="one array N C H W in a .npy file, normalised as the network takes it",
        ) from None
    entry = base.inputs[0]
    if array.shape[1:] != entry.shape[1:] or array.ndim != 4 or len(base.inputs) != 1:
        raise DataError(
            "the sample inputs do not fit the network",
            given=f"{path} holds an array of {array.shape}",
            possible=f"one input '{entry.name}' of {('N', *entry.shape[1:])}",
        )
    images = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    split = Split(images=images, labels=_answers(base, images))
    channels = images.shape[1]
    return Data(
        name=path.name,
        classes=int(split.labels.max()) + 1,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        augment="none",
        splits=dict.fromkeys(("train", "calibration", "heldout", "final", "test"), split),
        content_hash=hashlib.sha256(array.tobytes()).hexdigest(),
    )


def _answers(base: BaseNetwork, images: torch.Tensor) -> torch.Tensor:
    """The class that the network gives each image; 0 where it gives no classes."""
    module = to_module(base.onnx)
    with torch.inference_mode():
        outputs = [module(part) for part in images.split(16)]
    if isinstance(outputs[0], torch.Tensor) and outputs[0].ndim == 2:
        return torch.cat(outputs).argmax(1)
    return torch.zeros(len(images), dtype=torch.int64)

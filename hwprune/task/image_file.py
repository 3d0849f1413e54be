"""How an image in a file becomes an input of a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwprune.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShape:
    """One input of a network, as files have to give it."""

    name: str
    shape: tuple[int, ...]
    """Batch first."""
    dtype: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How an image becomes an input."""

    size: tuple[int, int]
    """Height and width."""
    channels: int
    layout: str
    """NCHW or NHWC."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    as_bytes: bool
    """The network takes bytes as they are."""

    def __call__(self, file: Path) -> np.ndarray:
        """The image in a file: C H W or H W C.

        Raises:
            DataError: it cannot be read.
        """
        from PIL import Image

        try:
            with Image.open(file) as image:
                # Pillow's convert would clip such values to 255.
                if image.mode[0] in "IF":
                    raise ValueError("more than 8 bits a channel; give it as an .npy array")
                height, width = self.size
                wanted = image.convert("L" if self.channels == 1 else "RGB")
                pixels = np.asarray(wanted.resize((width, height), Image.Resampling.BILINEAR))
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"the image {file} cannot be read", given=str(error)) from None
        pixels = pixels.reshape(height, width, self.channels)
        if not self.as_bytes:
            pixels = (
                pixels.astype(np.float32) / 255 - np.array(self.mean, np.float32)
            ) / np.array(self.std, np.float32)
        return pixels.transpose(2, 0, 1) if self.layout == "NCHW" else pixels

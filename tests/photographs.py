"""A folder of small photographs, a class in each folder of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def write_photographs(root: Path, counts: Mapping[str, int]) -> None:
    """Three classes, `counts` of each by part; a class has a colour that is full everywhere."""
    random = np.random.default_rng(0)
    for part, count in counts.items():
        for number, name in enumerate(("cat", "dog", "owl")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
                pixels[..., number] = 255
                Image.fromarray(pixels).save(folder / f"{index}.jpg", quality=95)

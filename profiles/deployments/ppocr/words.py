"""Draws pictures with text: `python words.py FOLDER COUNT`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 320


def picture(chance: np.random.Generator) -> Image.Image:
    """A few words in dark ink on light ground, with grain."""
    ground = chance.integers(150, 256, 3)
    grain = chance.normal(0, 6, (SIDE, SIDE, 1))
    image = Image.fromarray(np.clip(ground + grain, 0, 255).astype(np.uint8), "RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(chance.integers(2, 9)):
        where = tuple(chance.integers(0, (SIDE // 2, SIDE - 30)).tolist())
        font = ImageFont.load_default(int(chance.integers(12, 36)))
        ink = tuple(chance.integers(0, 100, 3).tolist())
        draw.text(where, f"board {chance.integers(10**6)}", fill=ink, font=font)
    return image


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(0)
    for count in range(int(sys.argv[2])):
        picture(numbers).save(folder / f"{count:04d}.png")

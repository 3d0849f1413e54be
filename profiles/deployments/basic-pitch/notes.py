"""Sounds for basic-pitch: two seconds each of notes with overtones that fade. Generated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

SAMPLES, RATE_HZ = 43844, 22050
COUNT = {"heldout": 48, "final": 48, "test": 96}
"""Windows of each part; what teaches and calibrates shares one endless supply."""


def inputs(part: str, count: int) -> Iterator[torch.Tensor]:
    """Batches N 43844 1, the same each time."""
    seed = {"heldout": 1, "final": 2, "test": 3}.get(part, 4)
    left = min(count, COUNT.get(part, 256))
    chance = np.random.default_rng(seed)
    while left > 0:
        yield torch.from_numpy(np.stack([_window(chance) for _ in range(min(8, left))]))
        left -= 8


def _window(chance: np.random.Generator) -> np.ndarray:
    """One to four notes of random pitch, start and loudness, on a little noise."""
    time_s = np.arange(SAMPLES) / RATE_HZ
    sound = chance.normal(0, 0.003, SAMPLES)
    for _ in range(chance.integers(1, 5)):
        pitch_hz, start_s = 440 * 2 ** (chance.integers(-24, 24) / 12), chance.uniform(-0.5, 1.7)
        fade = np.exp(-chance.uniform(1, 5) * np.maximum(time_s - start_s, 0)) * (
            time_s >= start_s
        )
        for overtone in range(1, 7):
            loud = chance.uniform(0.3, 1) / overtone
            sound += loud * fade * np.sin(2 * np.pi * pitch_hz * overtone * time_s)
    return (sound / max(1e-3, np.abs(sound).max() * 1.1))[:, None].astype(np.float32)

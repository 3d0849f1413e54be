"""Spoken digits: which of ten words a recording holds, from its log-mel spectrogram."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from hwprune import DataError, Metric, NetworkError, Part, Run, Score, Task, count_of

RATE, WINDOW, HOP, FFT = 8000, 200, 80, 256
"""Samples a second and, in samples, 25 ms seen every 10 ms."""
MELS, FRAMES, MARGIN = 40, 64, 8
"""Two thirds of a second around the middle; training shifts it by up to 8 frames either way."""
WORDS = 10
PARTS = {"test": range(5), "heldout": range(5, 10), "train": range(10, 50)}
"""By the recording's index among those of its speaker and digit."""
SAME = {"calibration": "train", "final": "heldout"}
MEAN, SPREAD = -9.0, 5.0
"""Of the training part's log-mels."""
MASKED_MELS, MASKED_FRAMES = 8, 12


def task() -> Task:
    """For a network of two dimensions, N 1 MELS FRAMES."""
    return _task("fsdd", (1, MELS, FRAMES))


def task_1d() -> Task:
    """For a network over time alone, N MELS FRAMES."""
    return _task("fsdd-1d", (MELS, FRAMES))


def _task(name: str, shape: tuple[int, ...]) -> Task:
    def inputs(part: Part, count: int) -> Iterable[torch.Tensor]:
        return _plain(SAME.get(part, part))[:count].reshape(-1, *shape).split(100)

    def score(run: Run, part: Part, share: float) -> Score:
        words = read(SAME.get(part, part)).words
        words = words[: count_of(share, len(words))]
        said = torch.cat([run(mels).argmax(1) for mels in inputs(part, len(words))])
        right = (said == words).numpy().astype(float)
        return Score(value=float(right.mean()), items=right)

    return Task(
        name=name,
        score=score,
        inputs=inputs,
        metric=Metric(name="accuracy"),
        loss=F.cross_entropy,
        batches=lambda part, size: _batches(part, size, shape),
        check=check,
        output_kinds=("classes",),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recordings:
    """One part, through the front end."""

    mels: torch.Tensor
    """N MELS FRAMES + 2 * MARGIN, the natural logarithm of the power in each band."""
    words: torch.Tensor
    """N int64."""


@lru_cache
def read(part: str) -> Recordings:
    """The part `train`, `heldout` or `test`, shuffled once; kept in memory.

    Raises:
        DataError: the data is not there.
    """
    with np.load(_file()) as known:
        samples, offsets, digits, index = (
            known[name] for name in ("samples", "offsets", "digit", "index")
        )
    chosen = np.flatnonzero(np.isin(index, list(PARTS[part])))
    # The file is sorted by digit, but a share of a part has to hold all of them.
    chosen = np.random.default_rng(0).permutation(chosen)
    mels = np.stack([log_mels(samples[offsets[i] : offsets[i + 1]]) for i in chosen])
    words = torch.from_numpy(digits[chosen].astype(np.int64))
    return Recordings(mels=torch.from_numpy(mels), words=words)


def _file() -> Path:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    for place in filter(None, (os.environ.get("HWPRUNE_DATA", ""), str(beside))):
        file = Path(place) / "fsdd" / "recordings.npz"
        if file.is_file():
            return file
    raise DataError(
        "the spoken digits are not there",
        given=f"HWPRUNE_DATA={os.environ.get('HWPRUNE_DATA', '')}",
        possible="a folder with fsdd/recordings.npz",
        next_step="get github.com/Jakobovski/free-spoken-digit-dataset, lay it out as README.md "
        "beside this task says, and set HWPRUNE_DATA to the folder above fsdd/",
    )


def log_mels(samples: np.ndarray) -> np.ndarray:
    """The front end: int16 samples to MELS x FRAMES + 2 * MARGIN, cut or padded at both ends."""
    length = (FRAMES + 2 * MARGIN - 1) * HOP + WINDOW
    spare = length - len(samples)
    padded = np.pad(samples / 32768.0, (max(0, spare // 2), max(0, spare - spare // 2)))
    start = max(0, -spare // 2)
    # FRAMES + 2 * MARGIN x WINDOW
    frames = np.lib.stride_tricks.sliding_window_view(padded[start : start + length], WINDOW)[
        ::HOP
    ]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), FFT)) ** 2
    # 1e-6 keeps the logarithm of silence finite.
    return np.log(_bands() @ power.T + 1e-6).astype(np.float32)


@lru_cache
def _bands() -> np.ndarray:
    """Triangles of equal width on the mel scale, from 20 Hz up: MELS x bins of the spectrum."""
    low, high = (2595 * np.log10(1 + pitch / 700) for pitch in (20, RATE / 2))
    mel = np.linspace(low, high, MELS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(FFT, 1 / RATE)
    up = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(up, down))


def _normalised(mels: torch.Tensor) -> torch.Tensor:
    return (mels - MEAN) / SPREAD


@lru_cache
def _plain(part: str) -> torch.Tensor:
    return _normalised(read(part).mels[..., MARGIN:-MARGIN])


def _batches(part: Part, size: int, shape: tuple[int, ...]) -> DataLoader[Any]:
    """Spectrograms and words: of `train` shuffled and augmented, of other parts as they are."""
    source, training = SAME.get(part, part), part == "train"
    data = read(source)

    def collate(indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.tensor(indices)
        mels = augmented(data.mels[chosen]) if training else _plain(source)[chosen]
        return mels.reshape(-1, *shape), data.words[chosen]

    numbers: Any = range(len(data.words))
    return DataLoader(
        numbers,
        batch_size=min(size, len(numbers)),
        shuffle=training,
        drop_last=training,
        collate_fn=collate,
    )


def augmented(mels: torch.Tensor) -> torch.Tensor:
    """Shifted in time, louder or softer, with a band and a while masked (Park et al. 2019)."""
    count = len(mels)
    start = torch.randint(0, 2 * MARGIN + 1, (count, 1, 1))
    places = (start + torch.arange(FRAMES)).expand(count, MELS, FRAMES)
    x = _normalised(mels.gather(2, places)) + torch.empty(count, 1, 1).uniform_(-0.5, 0.5)
    for axis, length, widest in ((1, MELS, MASKED_MELS), (2, FRAMES, MASKED_FRAMES)):
        width = torch.randint(0, widest + 1, (count, 1))
        first = (torch.rand(count, 1) * (length - width)).long()
        at = torch.arange(length)
        masked = (at >= first) & (at < first + width)
        # 0 is the mean of normalised mels.
        x = x.masked_fill(masked[:, :, None] if axis == 1 else masked[:, None], 0.0)
    return x


def check(outputs: Any) -> None:
    """Raise where outputs are not scores of ten words.

    Raises:
        NetworkError: not one tensor N WORDS.
    """
    shape = list(getattr(outputs, "shape", ()))
    if len(shape) != 2 or shape[1] != WORDS:
        raise NetworkError(
            "the network's output is not a score for each word",
            given=f"{shape or type(outputs).__name__}",
            possible=f"one tensor N {WORDS}",
        )

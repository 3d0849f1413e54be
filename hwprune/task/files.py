"""Inputs from files: images, .npy and .npz arrays, read as they are wanted."""

from __future__ import annotations

import glob
import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwprune.errors import DataError
from hwprune.task.image_file import InputShape, Preparation
from hwprune.task.items import Inputs
from hwprune.task.task import PARTS, Part

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
ARRAYS = (".npy", ".npz")
LEAST = 8
"""Inputs with fewer cannot be set apart into those that teach and those that score."""
MOST_ASIDE = 1000
BATCH = 16


class FileInputs:
    """Inputs of a network from files, set apart into parts; `inputs` is a task's.

    Args:
        pattern: such as `frames/*.png`.
        entries: what the network takes.
        apart: whether some inputs are set aside to score; else every part has all of them.
        size, mean, std, layout: as in `TaskSettings`.

    Raises:
        DataError: no files, too few, or files that do not fit the network.
    """

    def __init__(
        self,
        pattern: str,
        entries: Sequence[InputShape],
        *,
        apart: bool = True,
        size: Sequence[int] = (),
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        layout: str = "",
    ) -> None:
        files = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))
        self._entries = tuple(entries)
        self.guessed: list[str] = []
        """What was not said and had to be assumed, in words."""
        kinds = {Path(file).suffix.lower() for file in files}
        if not files or not (kinds <= set(IMAGES) or kinds <= set(ARRAYS)):
            raise DataError(
                "no inputs are there" if not files else "files of several kinds are no inputs",
                given=pattern + (f": {', '.join(sorted(kinds))}" if files else ""),
                possible=f"images ({', '.join(IMAGES)}), or arrays ({', '.join(ARRAYS)})",
            )
        self._prepare: Preparation | None = None
        if kinds <= set(IMAGES):
            self._prepare = self._preparation(files[0], size, mean, std, layout)
        self._items = [
            (Path(file), row) for file in files for row in range(self._rows(Path(file)))
        ]
        if apart and len(self._items) < LEAST:
            raise DataError(
                f"{len(self._items)} inputs are too few",
                given=pattern,
                possible=f"{LEAST} or more",
            )
        everything = np.arange(len(self._items))
        self._parts = _set_apart(everything) if apart else dict.fromkeys(PARTS, everything)

    @property
    def counts(self) -> Mapping[Part, int]:
        """How many inputs each part has."""
        return {name: len(order) for name, order in self._parts.items()}

    def inputs(self, part: Part, count: int | None = None) -> Iterator[Inputs]:
        """The first `count` inputs of a part, in batches."""
        order = self._parts[part][:count]
        for start in range(0, len(order), BATCH):
            yield self.batch(order[start : start + BATCH].tolist())

    def pairs(self, part: Part, size: int) -> FilePairs:
        """Batches to learn from, shuffled; there are no targets."""
        return FilePairs(self, part, size)

    @property
    def content_hash(self) -> str:
        """Of the files' names, sizes and times."""
        files = dict.fromkeys(file for file, _ in self._items)
        told = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def order(self, part: Part) -> np.ndarray:
        """Which items a part has."""
        return self._parts[part]

    def batch(self, chosen: Sequence[int]) -> Inputs:
        """Some items."""
        rows = [self._read(*self._items[index]) for index in chosen]
        return tuple(torch.from_numpy(np.stack(c)) for c in zip(*rows, strict=True))

    def _preparation(
        self,
        file: str,
        size: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        layout: str,
    ) -> Preparation:
        entry = self._entries[0]
        if len(self._entries) != 1 or len(entry.shape) != 4:
            raise DataError(
                "images are inputs of networks with one input of four axes",
                given=", ".join(f"{e.name} {list(e.shape)}" for e in self._entries),
                possible=".npy, or .npz with an array for each input, by its name",
            )
        _, first, second, third = entry.shape
        if not layout:
            # No image has a side of 1 or 3, so that axis is the channels'.
            layout = "NCHW" if first in (1, 3) else "NHWC" if third in (1, 3) else "NCHW"
            if first in (1, 3) and third in (1, 3):
                self.guessed.append(f"layout {layout}")
        channels = first if layout == "NCHW" else third
        own = (second, third) if layout == "NCHW" else (first, second)
        if channels not in (1, 3) or (size and tuple(size) != own):
            raise DataError(
                "images do not fit the network's input",
                given=f"{file}, size {list(size)}" if size else file,
                possible=f"{entry.name} {list(entry.shape)}, 1 or 3 channels",
            )
        as_bytes = entry.dtype == "uint8"
        if any(len(given) not in (0, 1, channels) or 0 in std for given in (mean, std)) or (
            as_bytes and (mean or std)
        ):
            raise DataError(
                "mean and std do not fit the network's input",
                given=f"mean {list(mean)}, std {list(std)}",
                possible="none, for the network takes bytes as they are"
                if as_bytes
                else f"one number, or {channels}, for pixels in 0..1; a std is not 0",
            )
        if not as_bytes and not (mean and std):
            open_ = "no mean and spread" if not mean and not std else "no mean" if std else None
            self.guessed.append(
                f"pixels as 0..1, {open_ or 'no spread'} taken out (--mean, --std)"
            )
        return Preparation(
            size=own,
            channels=channels,
            layout=layout,
            mean=tuple(mean) or (0.0,),
            std=tuple(std) or (1.0,),
            as_bytes=as_bytes,
        )

    def _rows(self, file: Path) -> int:
        """How many items a file holds; an array without a batch axis is one, or goes with all."""
        if self._prepare is not None:
            return 1
        arrays = _arrays(file)
        found = [(self._of_entry(arrays, entry, file), entry) for entry in self._entries]
        counts = {len(array) for array, entry in found if array.ndim == len(entry.shape)}
        if len(counts) > 1:
            raise DataError(
                "the arrays in a file have different numbers of items",
                given=f"{file}: {', '.join(f'{e.name} {len(array)}' for array, e in found)}",
            )
        return counts.pop() if counts else 1

    def _read(self, file: Path, row: int) -> tuple[np.ndarray, ...]:
        if self._prepare is not None:
            return (np.ascontiguousarray(self._prepare(file)),)
        arrays = _arrays(file)
        found = []
        for entry in self._entries:
            array = self._of_entry(arrays, entry, file)
            item = array[row] if array.ndim == len(entry.shape) else array
            found.append(np.array(item, dtype=entry.dtype))
        return tuple(found)

    def _of_entry(self, arrays: Mapping[str, Any], entry: InputShape, file: Path) -> np.ndarray:
        array = arrays.get(entry.name)
        if array is None and len(arrays) == len(self._entries) == 1:
            array = next(iter(arrays.values()))
        rank = len(entry.shape)
        fits = array is not None and tuple(array.shape[array.ndim - rank + 1 :]) == entry.shape[1:]
        if array is None or array.ndim not in (rank, rank - 1) or not fits:
            given = {name: list(values.shape) for name, values in arrays.items()}
            raise DataError(
                "the inputs in a file do not fit the network",
                given=f"{file}: {given}",
                possible=", ".join(f"{e.name} {['N', *e.shape[1:]]}" for e in self._entries),
            )
        return np.asarray(array)


class FilePairs:
    """One shuffled pass over the inputs of a part, for training without targets."""

    def __init__(self, files: FileInputs, part: Part, size: int) -> None:
        self._files = files
        self._order = files.order(part)
        self._size = min(size, len(self._order))

    def __len__(self) -> int:
        return max(1, len(self._order) // self._size)

    def __iter__(self) -> Iterator[tuple[Inputs, None]]:
        shuffled = self._order[torch.randperm(len(self._order)).numpy()]
        for start in range(0, len(self) * self._size, self._size):
            yield self._files.batch(shuffled[start : start + self._size].tolist()), None


def _set_apart(items: np.ndarray) -> dict[Part, np.ndarray]:
    """A quarter scores, a quarter is looked at last, the rest teaches."""
    # Always the same parts: a resumed run goes on with the scores of its candidates.
    order = np.random.default_rng(0).permutation(items)
    aside = min(MOST_ASIDE, len(order) // 4)
    heldout, test, rest = order[:aside], order[aside : 2 * aside], order[2 * aside :]
    return {"train": rest, "calibration": rest, "heldout": heldout, "final": heldout, "test": test}


# Items are read one by one, and an .npz file would be unpacked for each.
@lru_cache(maxsize=64)
def _arrays(file: Path) -> Mapping[str, Any]:
    """Arrays by name; of an .npy file the only one, which stays on disk until it is read."""
    try:
        if file.suffix.lower() == ".npy":
            return {"": np.lib.format.open_memmap(file, mode="r")}
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"no arrays can be read from {file}", given=str(error)) from None

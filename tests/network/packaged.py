"""Trained ONNX networks that lie in wheels of the package index, and inputs of their kind."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.digits import SHARED

_PATIENCE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """One network of a wheel."""

    wheel: str
    """As pip names it, with its version."""
    file: str
    """Name of the .onnx file in it."""
    shape: tuple[int, ...]
    """One item of its input."""
    inputs: Callable[[int, int], np.ndarray]
    """`inputs(count, seed)`: N …, of the kind that it was trained on."""
    groups: int
    kept: float
    """The share of its parameters that a cut of every group to half leaves, at most."""


def onnx_file(network: Packaged) -> Path:
    """The network's file: from `$HWPRUNE_DATA/onnx`, beside the other data, or from its wheel."""
    for place in filter(None, (os.environ.get("HWPRUNE_DATA", ""), SHARED)):
        if (file := Path(place) / "onnx" / network.file).is_file():
            return file
    found = _unpacked(network.wheel)
    if network.file not in found:
        pytest.skip(
            f"no {network.file}: put it into $HWPRUNE_DATA/onnx, or let pip reach an index"
        )
    return found[network.file]


@functools.cache
def _unpacked(wheel: str) -> dict[str, Path]:
    """The .onnx files of a wheel, by name; empty where pip cannot have it."""
    folder = Path(tempfile.mkdtemp(prefix="hwprune-wheel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", wheel]
    try:
        subprocess.run(
            [*command, "--dest", folder], check=True, capture_output=True, timeout=_PATIENCE_S
        )
    except (subprocess.SubprocessError, OSError):
        return {}
    found = {}
    for archive in folder.glob("*.whl"):
        with zipfile.ZipFile(archive) as packed:
            for name in packed.namelist():
                if name.endswith(".onnx"):
                    found[Path(name).name] = Path(packed.extract(name, folder))
    return found


def notes(count: int, seed: int) -> np.ndarray:
    """N 43844 1: two seconds of three notes with overtones that fade."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(43844) / 22050
    sound = np.zeros((count, len(time_s)))
    for row in sound:
        for _ in range(3):
            pitch_hz, start_s = 440 * 2 ** (rng.integers(-24, 24) / 12), rng.uniform(0, 1.5)
            for overtone in range(1, 6):
                wave = np.sin(2 * np.pi * pitch_hz * overtone * time_s) / overtone
                row += wave * np.exp(-3 * np.maximum(time_s - start_s, 0)) * (time_s >= start_s)
        row /= np.abs(row).max() * 1.1
    return sound[..., None].astype(np.float32)


def words(height: int, width: int) -> Callable[[int, int], np.ndarray]:
    """Makes images N 3 H W with text on plain ground, from -1 to 1."""

    def drawn(count: int, seed: int) -> np.ndarray:
        from PIL import Image, ImageDraw, ImageFont

        rng = np.random.default_rng(seed)
        images = []
        for _ in range(count):
            image = Image.new("RGB", (width, height), tuple(rng.integers(150, 256, 3).tolist()))
            draw = ImageDraw.Draw(image)
            for _ in range(1 + height // 50):
                x, y = int(rng.integers(0, width // 3)), int(rng.integers(0, max(1, height - 30)))
                font = ImageFont.load_default(int(rng.integers(14, 32)))
                ink = tuple(rng.integers(0, 100, 3).tolist())
                draw.text((x, y), f"board {rng.integers(10**6)}", fill=ink, font=font)
            images.append(np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1)
        return np.stack(images)

    return drawn


_NEW, _OLD = "rapidocr==3.10.0", "rapidocr-onnxruntime==1.4.4"
PACKAGED = {
    # Half of basic-pitch's numbers are fixed filters before the network.
    "notes of music": Packaged(
        wheel="basic-pitch==0.4.0",
        file="nmp.onnx",
        shape=(1, 43844, 1),
        inputs=notes,
        groups=3,
        kept=0.78,
    ),
    "where text is": Packaged(
        wheel=_NEW,
        file="PP-OCRv6_det_small.onnx",
        shape=(1, 3, 320, 320),
        inputs=words(320, 320),
        groups=41,
        kept=0.27,
    ),
    "where text is, one version before": Packaged(
        wheel=_OLD,
        file="ch_PP-OCRv4_det_infer.onnx",
        shape=(1, 3, 320, 320),
        inputs=words(320, 320),
        groups=36,
        kept=0.28,
    ),
    "what the text says": Packaged(
        wheel=_OLD,
        file="ch_PP-OCRv4_rec_infer.onnx",
        shape=(1, 3, 48, 320),
        inputs=words(48, 320),
        groups=26,
        kept=0.34,
    ),
    "which way up text is": Packaged(
        wheel=_OLD,
        file="ch_ppocr_mobile_v2.0_cls_infer.onnx",
        shape=(1, 3, 48, 192),
        inputs=words(48, 192),
        groups=26,
        kept=0.31,
    ),
}

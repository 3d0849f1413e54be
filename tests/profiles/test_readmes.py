"""The scripts in the READMEs: a source's own folder becomes what the task reads."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tests.profiles.folder import DEPLOYMENTS, loaded


def laid_out(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str = "task.py"
) -> ModuleType:
    """Run the README's script, and load what reads what it made."""
    text = (DEPLOYMENTS / name / "README.md").read_text()
    script = tmp_path / "script.py"
    script.write_text(text.split("```python\n")[1].split("```")[0])
    subprocess.run([sys.executable, script, source, tmp_path / "data" / name], check=True)
    monkeypatch.setenv("HWPRUNE_DATA", str(tmp_path / "data"))
    return loaded(f"{name}/{file}")


def test_blood_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "BCCD"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (source / folder).mkdir(parents=True)
    cell = (
        "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
        "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
    )
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        cells = cell.format("Platelets", 40, 80, 120, 160) + cell.format("RBC", 5, 5, 5, 9)
        (source / "Annotations" / f"{name}.xml").write_text(f"<annotation>{cells}</annotation>")
        Image.new("RGB", (640, 480), (200, 0, 0)).save(source / "JPEGImages" / f"{name}.jpg")
        (source / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{name}\n")
    bccd = laid_out("bccd", source, tmp_path, monkeypatch, "images.py")
    for split in ("train", "val", "test"):
        images = bccd.read(split)
        assert images.pixels.shape == (1, 3, 240, 320)
        assert images.boxes[0].tolist() == [[10.0, 20.0, 30.0, 40.0, 2.0]]


def test_nuclei(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of other sizes and with colour are left out, masks of single nuclei are joined."""
    source = tmp_path / "fixes"
    sizes = [(256, 256), (360, 360), (256, 256), (256, 256)]
    colours = [(20, 20, 20, 255), (9, 9, 9, 255), (90, 20, 90, 255), (7, 7, 7, 255)]
    for name, size, colour in zip("abcd", sizes, colours, strict=True):
        folder = source / "stage1_train" / name
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True)
        Image.new("RGBA", size, colour).save(folder / "images" / f"{name}.png")
        for number in range(2):
            mask = Image.new("L", size)
            mask.paste(255, (10 * number, 0, 10 * number + 5, 5))
            mask.save(folder / "masks" / f"{number}.png")
    nuclei = laid_out("nuclei", source, tmp_path, monkeypatch)
    monkeypatch.setattr(nuclei, "IMAGES", 2)
    assert [nuclei.read(part).pixels.unique().tolist() for part in ("test", "heldout")] == [
        [20],
        [7],
    ]
    assert nuclei.read("heldout").masks.sum() == 50 and nuclei.read("heldout").masks[0, 0, 0, 12]


def test_spoken_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "fsdd"
    (source / "recordings").mkdir(parents=True)
    for index in (0, 5, 10, 11):
        with wave.open(str(source / "recordings" / f"7_theo_{index}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes((1000 * np.ones(2000 + index)).astype(np.int16).tobytes())
    fsdd = laid_out("fsdd", source, tmp_path, monkeypatch)
    words = {part: fsdd.read(part).words.tolist() for part in ("train", "heldout", "test")}
    assert words == {"train": [7, 7], "heldout": [7], "test": [7]}

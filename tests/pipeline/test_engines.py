"""Engines in the run folder: what is written, and when one is not what was certified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwprune.errors import DeliveryError
from hwprune.pipeline.board_form import BoardForm
from hwprune.pipeline.engines import INT8_MODEL, deliver_engines, engine_doubts
from hwprune.report.rows import EngineRow, engine_as_now
from hwprune.stored import as_noun
from hwprune_device.runtimes import EngineFile
from tests.report.sample_certificate import make_reading

DATA = b"engine" * 1000


def engine(**changes: Any) -> EngineFile:
    facts = {
        "made_for": "Orin and TensorRT 10.3.0 alone",
        "gpu": "Orin",
        "tensorrt": "10.3.0",
        "precision": "fp16",
        "batch": 1,
        "device_ms": 2.0,
        "build": {"seconds": 12.0, "fell_back": ["resize"]},
    }
    return sent(EngineFile(files={"engine": DATA}, facts={**facts, **changes}))


def sent(engine: EngineFile) -> EngineFile:
    """As it comes from a board."""
    return replace(engine, facts=engine.to_json())


@dataclass(kw_only=True)
class OneEngine:
    """A farm whose boards built this, or make no engines."""

    found: EngineFile | None

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> tuple[str, EngineFile] | None:
        return None if self.found is None else ("orin-2", self.found)


@dataclass(kw_only=True)
class Bench:
    """As much of a workbench as a delivery of engines sees."""

    path: Path
    farms: dict[str, OneEngine] = field(default_factory=dict)

    @property
    def folder(self) -> Bench:
        return self

    @property
    def fleet(self) -> Bench:
        return self


def delivered(path: Path, **engines: EngineFile | None) -> tuple[Any, ...]:
    farms = {kind.replace("_", " "): OneEngine(found=found) for kind, found in engines.items()}
    form = BoardForm(model=b"onnx", inputs=np.zeros((1, 1)))
    return deliver_engines(Bench(path=path, farms=farms), dict.fromkeys(farms, form))  # type: ignore[arg-type]


def test_an_engine_lies_beside_what_it_is_good_for(tmp_path: Path):
    (row,) = delivered(tmp_path, orin=engine())
    assert (tmp_path / "model.engine").read_bytes() == DATA
    facts = json.loads((tmp_path / "model.engine.json").read_text())
    assert (facts["board"], facts["kind"], facts["gpu"]) == ("orin-2", "orin", "Orin")
    assert (row.files, row.fell_back) == (("model.engine",), ("resize",))
    assert row.sha256 == facts["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert row.made_for == "Orin and TensorRT 10.3.0 alone"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.engine",
        "model.engine.json",
    ]


def test_boards_without_engines_have_none(tmp_path: Path):
    assert delivered(tmp_path, cpu=None) == ()
    assert list(tmp_path.iterdir()) == []


def test_of_several_kinds_each_engine_is_called_after_its_own(tmp_path: Path):
    rows = delivered(tmp_path, orin_nano=engine(), cpu=None)
    assert [row.files for row in rows] == [("model-orin-nano.engine",)]
    assert (tmp_path / "model-orin-nano.engine.json").is_file()


def test_half_an_engine_is_refused(tmp_path: Path):
    with pytest.raises(DeliveryError, match="damaged on its way"):
        delivered(tmp_path, orin=replace(engine(), files={"engine": DATA[:-1]}))
    assert list(tmp_path.iterdir()) == []


def test_an_engine_of_two_files_has_one_page_of_facts(tmp_path: Path):
    files = {"ncnn.param": b"layers", "ncnn.bin": b"weights"}
    (row,) = delivered(tmp_path, pi=sent(EngineFile(files=files, facts=dict(engine().facts))))
    assert row.files == ("model.ncnn.param", "model.ncnn.bin")
    assert (tmp_path / "model.ncnn.bin").read_bytes() == b"weights"
    facts = json.loads((tmp_path / "model.ncnn.param.json").read_text())
    assert facts["bytes"] == {"ncnn.param": 6, "ncnn.bin": 7}
    assert as_noun(EngineRow, engine_as_now(json.loads(json.dumps(asdict(row))))) == row


def test_a_row_of_a_run_of_before_is_read(tmp_path: Path):
    (row,) = delivered(tmp_path, orin=engine())
    old = {**asdict(row), "file": "model.engine", "gpu": "Orin", "tensorrt": "10.3.0"}
    del old["files"], old["made_for"]
    assert as_noun(EngineRow, engine_as_now(old)) == row


def test_a_graph_in_int8_is_written_for_other_devices(tmp_path: Path):
    farms = {"orin": OneEngine(found=engine(precision="int8"))}
    form = BoardForm(model=b"int8 onnx", inputs=np.zeros((1, 1)), in_int8=True)
    deliver_engines(Bench(path=tmp_path, farms=farms), {"orin": form})  # type: ignore[arg-type]
    assert (tmp_path / INT8_MODEL).read_bytes() == b"int8 onnx"


def test_an_engine_of_another_time_than_was_certified_is_a_doubt(tmp_path: Path):
    rows = delivered(tmp_path, orin=engine(device_ms=2.2))
    read = [replace(make_reading("b" * 64, 2.0), device_ms=ms) for ms in (1.99, 2.0, 2.01)]
    (doubt,) = engine_doubts(rows, {"orin": read})
    assert "2.2 ms" in doubt and "certified 2 ms" in doubt and "two builds" in doubt
    near = [replace(reading, device_ms=2.15) for reading in read]
    assert engine_doubts(rows, {"orin": near}) == ()
    assert engine_doubts(rows, {"orin": [make_reading("b" * 64, 2.0)]}) == ()

"""A network of a stranger's run folder is loaded, or refused in words."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from hwprune.errors import HwpruneError
from hwprune.network.gate_record import GateRecord, GateRecords
from hwprune.network.package import load_package, save_package
from hwprune_device.cut import Cutter
from tests.damaged import EXAMPLES, check_on, damaged_bytes, damaged_json
from tests.traced import random_keep, traced


@EXAMPLES
def test_an_architecture_gives_a_network_or_words(examples: int, tmp_path: Path) -> None:
    base = traced("digits_cnn").base
    keep = random_keep(base, 4)
    model = Cutter(base.onnx, base.plan).cut(keep)
    save_package(tmp_path, model=model, widths=[len(k) for k in keep], keep=keep, base=base)
    file = tmp_path / "architecture.json"
    whole = json.loads(file.read_text())

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with suppress(HwpruneError):
            load_package(tmp_path)

    check_on(damaged_json(whole), check, examples=examples)
    file.write_text(json.dumps(whole))
    weights = tmp_path / "weights.safetensors"

    def check_weights(content: bytes) -> None:
        weights.write_bytes(content)
        with suppress(HwpruneError):
            load_package(tmp_path)

    check_on(damaged_bytes(weights.read_bytes()), check_weights, examples=examples // 5)


@EXAMPLES
def test_a_record_of_the_gate_is_read_or_passed_over(examples: int, tmp_path: Path) -> None:
    base, records = traced("digits_cnn").base, GateRecords(tmp_path)
    record = GateRecord(
        candidates=3, worst_error=1e-9, failed=("a",), unjudged=(), re_export="equal"
    )
    records.put(base, (), record)
    (file,) = tmp_path.iterdir()

    def check(content: bytes) -> None:
        file.write_bytes(content)
        found = records.get(base, ())
        assert found is None or found.summary

    check_on(damaged_json(record.to_json()), check, examples=examples)

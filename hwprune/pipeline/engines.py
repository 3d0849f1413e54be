"""The engines that boards built of the delivered network, as files in the run folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from hwprune.errors import DeliveryError
from hwprune.pipeline.board_form import BoardForm
from hwprune.pipeline.workbench import Workbench
from hwprune.report.rows import EngineRow
from hwprune.run_folder import write_json
from hwprune_device.reading import Reading
from hwprune_device.runtimes import EngineFile

UNLIKE = 0.05
"""Two builds of one network differ by some percent; by more than this a reader has to know."""
INT8_MODEL = "model.int8.onnx"


def deliver_engines(bench: Workbench, forms: Mapping[str, BoardForm]) -> tuple[EngineRow, ...]:
    """Fetch each kind's engine of the delivered network, and write it with what it is good for.

    Kinds of board whose runtime makes no engines have none.

    Raises:
        BoardError: a board that should have one does not give it.
        DeliveryError: an engine was damaged on its way.
    """
    rows = []
    for kind, form in forms.items():
        found = bench.fleet.farms[kind].engine(form.model, form.inputs)
        if found is not None:
            stem = f"model-{_plain(kind)}" if len(forms) > 1 else "model"
            rows.append(_write(bench.folder.path / stem, kind, *found))
    quantised = next((f.model for f in forms.values() if f.in_int8), None)
    if quantised is not None:
        (bench.folder.path / INT8_MODEL).write_bytes(quantised)
    return tuple(rows)


def engine_doubts(
    engines: Sequence[EngineRow], readings: Mapping[str, Sequence[Reading]]
) -> tuple[str, ...]:
    """Where a delivered engine takes another time than the network that was certified.

    The certificate's readings are of engines with the weights of the search: what a board builds
    of the same structure a second time may choose other kernels.
    """
    doubts = []
    for engine in engines:
        times = [r.device_ms for r in readings.get(engine.kind, ()) if r.device_ms is not None]
        if not times or engine.device_ms is None:
            continue
        off = engine.device_ms / median(times) - 1
        if abs(off) > UNLIKE:
            doubts.append(
                f"{engine.files[0]} takes {engine.device_ms:.4g} ms by the clock of its GPU, the "
                f"engines that were certified {median(times):.4g} ms: two builds of one network "
                "differ"
            )
    return tuple(doubts)


def _write(stem: Path, kind: str, board: str, engine: EngineFile) -> EngineRow:
    """All files of an engine; half an engine must not be taken for one."""
    facts = engine.facts
    size = sum(map(len, engine.files.values()))
    if engine.sha256 != facts["sha256"]:
        raise DeliveryError(
            "the engine that a board gave was damaged on its way",
            given=f"{size} of {sum(facts['bytes'].values())} bytes from board {board}",
            next_step="go on with --resume",
        )
    paths = [stem.with_name(f"{stem.name}.{name}") for name in engine.files]
    for path, data in zip(paths, engine.files.values(), strict=True):
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data)
        part.replace(path)
    told = {"kind": kind, "board": board, **facts}
    write_json(paths[0].with_name(paths[0].name + ".json"), told)
    return EngineRow(
        kind=kind,
        files=tuple(path.name for path in paths),
        made_for=str(facts["made_for"]),
        precision=str(facts["precision"]),
        batch=int(facts["batch"]),
        size_mb=size / 1e6,
        sha256=str(facts["sha256"]),
        device_ms=None if facts["device_ms"] is None else float(facts["device_ms"]),
        build_s=float(facts["build"]["seconds"]),
        fell_back=tuple(facts["build"]["fell_back"]),
    )


def _plain(kind: str) -> str:
    """A kind's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", kind)

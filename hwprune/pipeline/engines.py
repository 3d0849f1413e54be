"""The engines that boards built of the delivered network, as files in the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hwprune.errors import DeliveryError
from hwprune.file_name import file_name
from hwprune.pipeline.board_form import BoardForm
from hwprune.pipeline.workbench import Workbench
from hwprune.report.rows import EngineRow
from hwprune.stored import as_noun, said
from hwprune.whole_file import write_json, write_whole
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
            stem = f"model-{file_name(kind)}" if len(forms) > 1 else "model"
            rows.append(_write(bench.folder.path / stem, kind, *found))
    quantised = next((f.model for f in forms.values() if f.in_int8), None)
    if quantised is not None:
        write_whole(bench.folder.path / INT8_MODEL, quantised)
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
    size = sum(map(len, engine.files.values()))
    try:
        facts = as_noun(_Facts, engine.facts)
    except ValueError as error:
        raise DeliveryError(
            f"board {board} does not tell what its engine is",
            given=said(error),
            next_step="go on with --resume",
        ) from None
    # The one is of the bytes that arrived, the other of what the board built.
    if engine.sha256 != facts.sha256:
        raise DeliveryError(
            "the engine that a board gave was damaged on its way",
            given=f"{size} of {sum(facts.bytes.values())} bytes from board {board}",
            next_step="go on with --resume",
        )
    paths = [stem.with_name(f"{stem.name}.{name}") for name in engine.files]
    for path, data in zip(paths, engine.files.values(), strict=True):
        write_whole(path, data)
    told = {"kind": kind, "board": board, **engine.facts}
    write_json(paths[0].with_name(paths[0].name + ".json"), told)
    return EngineRow(
        kind=kind,
        files=tuple(path.name for path in paths),
        made_for=facts.made_for,
        precision=facts.precision,
        batch=facts.batch,
        size_mb=size / 1e6,
        sha256=facts.sha256,
        device_ms=facts.device_ms,
        build_s=facts.build.seconds,
        fell_back=facts.build.fell_back,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    """How a board built an engine."""

    seconds: float
    fell_back: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """The facts that a board must give of an engine."""

    made_for: str
    precision: str
    batch: int
    sha256: str
    bytes: Mapping[str, int]
    device_ms: float | None
    build: _Build

"""The result of a run: everything `result.json` holds, and all that the report is made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hwprune.errors import RunFolderError
from hwprune.evaluation import Evaluation
from hwprune.floor import FloorFinding
from hwprune.metric import Metric
from hwprune.report.agreement import Agreement
from hwprune.report.certificate import Certificate
from hwprune.report.rows import (
    EngineRow,
    FinetuneEpoch,
    GroupRow,
    MethodRow,
    NetworkRow,
    PolicyStep,
    PredictionRow,
    engine_as_now,
)
from hwprune.stored import as_noun, read_stored, said
from hwprune.whole_file import write_whole
from hwprune_device.reading import Reading

NOT_SHOWN = 7
"""Exit code of a run that finished, but whose budget was not shown to be kept."""
BELOW_FLOOR = 8
"""The budget is kept, but the delivered network's score is below the floor that was asked for."""
RESULT_FORMAT = 2
"""Version of result.json; 1 knew accuracies alone, and a reader refuses any other than its own."""
_LATER = frozenset(("engines", "predictions"))
"""What the first results of this version did not have yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSummary:
    """The deployment, in a few words each."""

    name: str
    network: str
    task: str
    board: str
    budget: tuple[str, ...]
    """One phrase a constraint, as the user wrote it: `latency_ms ≤ 50 %`."""
    methods: tuple[str, ...]
    evaluations: int
    """Evaluations each method was given."""
    seed: int
    file: str = ""
    """The deployment file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalReading:
    """A fresh reading of one of the networks of the closing table."""

    network: str
    """Name of its NetworkRow."""
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Where the time went, in seconds."""

    step_s: Mapping[str, float] = field(default_factory=dict)
    """By step of the pipeline, in order."""
    candidate_s: Mapping[str, float] = field(default_factory=dict)
    """Mean per candidate: propose, cut, send, build, time, score."""
    board_busy_share: float | None = None
    """Share of the search during which a board was timing, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished run: what was asked, what was found, and the evidence."""

    deployment: DeploymentSummary
    metric: Metric
    """What scores are."""
    certificate: Certificate
    rows: tuple[NetworkRow, ...]
    """Of the closing table: unpruned, uniform, hwprune."""
    methods: tuple[MethodRow, ...] = ()
    delivered_method: str = ""
    """The method whose candidate was delivered."""
    delivered_by: str = ""
    """Who in that method proposed it."""
    groups: tuple[GroupRow, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    policy: tuple[PolicyStep, ...] = ()
    finetune: tuple[FinetuneEpoch, ...] = ()
    final_readings: tuple[FinalReading, ...] = ()
    timings: Timings = field(default_factory=Timings)
    floor: FloorFinding | None = None
    """Whether the delivered network is as good as was asked; None where nothing was."""
    agreement: Agreement | None = None
    engines: tuple[EngineRow, ...] = ()
    """Compiled forms of the delivered network, where boards build such."""
    predictions: tuple[PredictionRow, ...] = ()
    """By kind of board that there was a latency table of."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """The board's state during the final readings."""
    doubts: tuple[str, ...] = ()
    """What speaks against this result, in words."""
    commands: tuple[str, ...] = ()
    """What was typed to make it, and what to type to make it again."""
    started_at: str = ""
    """UTC, ISO 8601."""
    finished_at: str = ""

    @property
    def passed(self) -> bool:
        """Whether the budget was shown to be kept."""
        return self.certificate.passed

    @property
    def good_enough(self) -> bool:
        """Whether the delivered network reaches its floor, where one was asked for."""
        return self.floor is None or self.floor.reached

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 0, NOT_SHOWN or BELOW_FLOOR."""
        if not self.passed:
            return NOT_SHOWN
        return 0 if self.good_enough else BELOW_FLOOR

    def row(self, name: str) -> NetworkRow | None:
        """The row of the closing table with this name."""
        return next((row for row in self.rows if row.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON, with the version of the format."""
        return (
            {"format": RESULT_FORMAT} | asdict(self) | {"certificate": self.certificate.to_json()}
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """The inverse of `to_json`.

        Raises:
            RunFolderError: made by another hwprune, or not a result at all.
        """
        version = data.get("format")
        if version != RESULT_FORMAT:
            raise RunFolderError(
                "the result was written in a format this hwprune does not read",
                given=f"format {version!r}",
                possible=f"format {RESULT_FORMAT}",
                next_step="read it with the hwprune that wrote it, or start the run anew",
            )
        told = {key: value for key, value in data.items() if key != "format"}
        names = {f.name for f in fields(cls)}
        missing, unknown = names - _LATER - told.keys(), told.keys() - names
        engines = told.get("engines")
        if isinstance(engines, list):
            told["engines"] = [engine_as_now(row) for row in engines]
        try:
            if missing or unknown:
                strange = "is missing" if missing else "is not known"
                raise ValueError(f"{min(missing or unknown)} {strange}")
            return as_noun(cls, told)
        except ValueError as error:
            raise RunFolderError(
                "the result is incomplete or was changed by hand",
                given=said(error),
                next_step="go on with the run: hwprune prune DEPLOYMENT.toml --resume",
            ) from None

    def save(self, path: Path) -> None:
        """Write result.json; an interrupted write leaves the old file."""
        # NaN is no JSON: it is better refused here than by every reader.
        write_whole(path, json.dumps(self.to_json(), indent=1, allow_nan=False))


def read_result(path: Path) -> Result:
    """The result in the file `path`.

    Raises:
        RunFolderError: no such file, no JSON, an unknown format, or missing parts.
    """
    next_step = "name the folder of a run that is finished, or start the run anew"
    data = read_stored(path, dict[str, Any], what="the result", next_step=next_step)
    return Result.from_json(data)

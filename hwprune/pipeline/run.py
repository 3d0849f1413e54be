"""One run, from a wish to its evidence; each step is kept, so a run can be killed and resumed."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from hwprune.deployment import Deployment, load_deployment, overridden, parse_deployment
from hwprune.pipeline.supplies import Given, Supplies
from hwprune.progress import Progress
from hwprune.report.result import Result
from hwprune.run_folder import RunFolder, latest, next_free, write_json

Outcome = TypeVar("Outcome")
RUNS = Path("runs")


def run_deployment(
    path: Path,
    wish: dict[str, Any] | None = None,
    *,
    resume: bool = False,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    progress: Progress,
) -> tuple[Result, Path]:
    """Carry out a deployment file, or a `wish` in its place; gives result and run folder.

    Args:
        wish: what a file would say, relative to the working folder; `path` names the run.

    Raises:
        HwpruneError: see errors.py; what was finished stays in the run folder.
    """
    if wish is None:
        deployment = load_deployment(path, overrides)
    else:
        name = re.sub(r"[^\w.-]+", "-", path.stem)
        deployment = parse_deployment(overridden(wish, overrides), name=name, folder=Path())
    where = out or (latest if resume else next_free)(RUNS, deployment.name)
    command = shlex.join(["hwprune", *sys.argv[1:]])
    return run(deployment, where, resume=resume, progress=progress, command=command), where


def run(
    deployment: Deployment,
    where: Path,
    *,
    resume: bool,
    progress: Progress,
    command: str,
    given: Given | None = None,
) -> Result:
    """Carry out a deployment in the folder `where`."""
    from hwprune.pipeline.check import check
    from hwprune.pipeline.supplies import look_up

    check(deployment)
    # An absent data set or network is said before a run folder is made.
    supplies = look_up(deployment, given or Given(), network=not resume)
    for words in supplies.guessed:
        progress.begin("guessed", None)
        progress.end(words)
    folder = RunFolder.open(where, wish_of(deployment), resume=resume)
    try:
        begun = folder.step("begun") or folder.finish(
            "begun", {"at": datetime.now(UTC).isoformat(timespec="seconds"), "command": command}
        )
        result = _carry_out(supplies, folder, progress, begun)
        _write_evidence(folder.path, result)
        return result
    finally:
        folder.close()


def _carry_out(
    supplies: Supplies,
    folder: RunFolder,
    progress: Progress,
    begun: dict[str, Any],
) -> Result:
    from hwprune.pipeline.contest import hold
    from hwprune.pipeline.delivery import deliver
    from hwprune.pipeline.evidence import gather, result_of
    from hwprune.pipeline.prepare import prepare
    from hwprune.pipeline.workbench import open_bench

    clock = StepClock(folder)
    prepared = clock.timed("prepare", lambda: prepare(supplies, folder, progress))
    with open_bench(prepared, folder) as bench:
        clock.timed("bound", lambda: bench.bound(progress))
        contest = clock.timed("search", lambda: hold(bench, progress))
        delivered = clock.timed("deliver", lambda: deliver(bench, contest, progress))
        commands = (begun["command"], f"hwprune report {folder.path}")
        evidence = clock.timed("certify", lambda: gather(bench, contest, delivered, progress))
        return result_of(
            bench,
            contest,
            delivered,
            evidence,
            commands=commands,
            started_at=begun["at"],
            step_s=clock.seconds,
        )


class StepClock:
    """Seconds by step, over all the sessions of a run."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.seconds: dict[str, float] = dict(folder.step("seconds") or {})

    def timed(self, name: str, work: Callable[[], Outcome]) -> Outcome:
        """Do `work` and add its time to the step's, also when it is interrupted."""
        began = time.monotonic()
        try:
            return work()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
            self._folder.finish("seconds", self.seconds)


def wish_of(deployment: Deployment) -> dict[str, Any]:
    """The wish as plain data: two runs mix only if it is the same."""
    return asdict(deployment) | {"boards": [str(board) for board in deployment.boards]}


def _write_evidence(folder: Path, result: Result) -> None:
    from hwprune.report.html import write_report

    result.save(folder / "result.json")
    write_json(folder / "certificate.json", result.certificate.to_json())
    write_report(result, folder / "report.html")

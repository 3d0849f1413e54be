"""One run, from a deployment to its evidence; each step is kept, so it can be resumed."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hwprune.deployment import Deployment, load_deployment, parse_deployment
from hwprune.errors import BudgetError, DeliveryError, HwpruneError, InputError
from hwprune.file_name import file_name
from hwprune.progress import Progress
from hwprune.report.front import Front, FrontEntry
from hwprune.report.result import Result
from hwprune.run_folder import RunFolder, expect_run, latest, next_free
from hwprune.toml_file import overridden
from hwprune.whole_file import write_json

if TYPE_CHECKING:
    from hwprune.pipeline.searched import Searched
    from hwprune.pipeline.supplies import Given, Supplies
    from hwprune.pipeline.workbench import Workbench

Outcome = TypeVar("Outcome")
RUNS = Path("runs")


def run_deployment(
    path: Path,
    content: dict[str, Any] | None = None,
    *,
    resume: bool = False,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    progress: Progress,
) -> tuple[Result | Front, Path]:
    """Carry out a deployment file, or the `content` of one; gives result and run folder.

    Of several budgets each has a result, in the order of the deployment.

    Args:
        content: what a file would say, relative to the working folder; `path` names the run.

    Raises:
        HwpruneError: see errors.py; what was finished stays in the run folder.
    """
    if content is None:
        deployment = load_deployment(path, overrides)
    else:
        told = overridden(content, overrides)
        deployment = parse_deployment(told, name=file_name(path.stem), folder=Path())
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
) -> Result | Front:
    """Carry out a deployment in the folder `where`."""
    expect_run(where, resume=resume)
    # First of all: what is imported takes seconds.
    progress.begin("load network and data", None)
    from hwprune.pipeline.check import check
    from hwprune.pipeline.supplies import Given, look_up
    from hwprune.report.html import write_front

    check(deployment)
    # An absent data set or network is said before a run folder is made.
    supplies = look_up(deployment, given or Given(), network=not resume)
    progress.end()
    for words in supplies.guessed:
        progress.begin("guessed", None)
        progress.end(words)
    folder = RunFolder.open(where, settings_of(deployment), resume=resume)
    try:
        # The first session's command: that of a resumed one would not start the run.
        begun = folder.step("begun", dict[str, str]) or folder.finish(
            "begun", {"at": datetime.now(UTC).isoformat(timespec="seconds"), "command": command}
        )
        front = _carry_out(supplies, folder, progress, begun)
        if len(front.entries) > 1:
            front.save(folder.path)
            write_front(front, folder.path / "report.html")
            return front
        return front.first
    finally:
        folder.close()


def _carry_out(
    supplies: Supplies,
    folder: RunFolder,
    progress: Progress,
    begun: dict[str, Any],
) -> Front:
    from hwprune.pipeline.board_watch import watched_boards
    from hwprune.pipeline.open_bench import open_bench
    from hwprune.pipeline.prepare import prepare
    from hwprune.pipeline.searched import search

    clock = StepClock(folder)
    prepared = clock.timed("prepare", lambda: prepare(supplies, folder, progress))
    with open_bench(prepared, folder) as bench, watched_boards(bench.fleet.away, progress):
        clock.timed("bound", lambda: bench.bound(progress))
        searched = clock.timed("search", lambda: search(bench, progress))
        entries = []
        for budget in supplies.deployment.budgets:
            unmet = bench.unmet.get(budget.name)
            entries.append(
                _entry(budget.name, unmet)
                if unmet is not None
                else _delivered(bench.under(budget.name), searched, clock, begun, progress)
            )
    if all(entry.result is None for entry in entries):
        raise BudgetError(
            "no network was found for any of the budgets",
            given="; ".join(f"{entry.budget}: {entry.failed}" for entry in entries),
            possible="higher limits, more search.evaluations, a smaller search.min_keep",
        )
    return Front(name=supplies.deployment.name, entries=tuple(entries))


def _delivered(
    bench: Workbench,
    searched: Searched,
    clock: StepClock,
    begun: dict[str, Any],
    progress: Progress,
) -> FrontEntry:
    """The network of one budget. Where there are more, what fails does not cost the others."""
    name = bench.budget.name
    if name:
        progress.begin(f"budget {name}", None)
        progress.end("; ".join(bench.asked.text))
    try:
        result = _result(bench, searched, clock, begun, progress)
    # Boards that are gone would be missing for the other budgets as well: that ends the run.
    except (BudgetError, DeliveryError, InputError) as error:
        if not name:
            raise
        progress.begin(f"budget {name}", None)
        progress.end(error.happened)
        return _entry(name, error)
    _write_evidence(bench.folder.path, result)
    return FrontEntry(
        budget=name,
        folder=bench.folder.path.name,
        result=result,
        exit_code=result.exit_code,
    )


def _entry(name: str, error: HwpruneError) -> FrontEntry:
    said = f"{error.happened}: {error.given}" if error.given else error.happened
    return FrontEntry(
        budget=name,
        folder=file_name(name),
        result=None,
        failed=said,
        exit_code=error.exit_code,
    )


def _result(
    bench: Workbench,
    searched: Searched,
    clock: StepClock,
    begun: dict[str, Any],
    progress: Progress,
) -> Result:
    from hwprune.pipeline.contest import hold
    from hwprune.pipeline.delivery import deliver
    from hwprune.pipeline.evidence import gather, result_of

    contest = clock.timed("finalists", lambda: hold(bench, searched, progress))
    delivered = clock.timed("deliver", lambda: deliver(bench, contest, progress))
    # Which is the uniform cut, where fine-tuning made more of that.
    contest = replace(contest, winner=delivered.winner)
    commands = (begun["command"], f"hwprune report {bench.folder.path}")
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
        self.seconds: dict[str, float] = folder.step("seconds", dict[str, float]) or {}

    def timed(self, name: str, work: Callable[[], Outcome]) -> Outcome:
        """Do `work` and add its time to the step's, also when it is interrupted."""
        began = time.monotonic()
        try:
            return work()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
            self._folder.finish("seconds", self.seconds)


def settings_of(deployment: Deployment) -> dict[str, Any]:
    """A deployment as plain data: two runs mix only if it is the same.

    How long a search may take is not part of it: a run that was stopped may be given more time.
    """
    content = asdict(deployment) | {"boards": [str(board) for board in deployment.boards]}
    del content["search"]["minutes"]
    return content


def _write_evidence(folder: Path, result: Result) -> None:
    from hwprune.report.html import write_report

    result.save(folder / "result.json")
    write_json(folder / "certificate.json", result.certificate.to_json())
    write_report(result, folder / "report.html")

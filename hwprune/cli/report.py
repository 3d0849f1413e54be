"""`hwprune report`: make the report of a run again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Json = Annotated[
    bool, typer.Option("--json", help="The closing table and the certificate as JSON on stdout.")
]


def report(run: Run, as_json: Json = False) -> None:
    """Make report.html of a finished run again, from its result.json.

    Example:  hwprune report runs/quickstart
    """
    from hwprune.cli.screen import output, print_json
    from hwprune.report.html import write_report
    from hwprune.report.result import read_result
    from hwprune.report.table import closing_table, findings_text, table_json

    folder = run.parent if run.name in ("result.json", "front.json") else run
    if (folder / "front.json").exists():
        _report_front(folder, as_json=as_json)
        return
    _require_result(folder)
    result = read_result(folder / "result.json")
    target = folder / "report.html"
    with _contradictions_in_words(folder):
        write_report(result, target)
        if as_json:
            print_json(table_json(result) | {"report": str(target)})
            return
        console = output()
        console.print(closing_table(result))
        console.print(findings_text(result.certificate))
        console.print(f"\nreport    {target}")


def _report_front(folder: Path, *, as_json: bool) -> None:
    from hwprune.cli.screen import output, print_json
    from hwprune.report.front import read_front
    from hwprune.report.html import write_front, write_report
    from hwprune.report.table import front_json, front_table

    front = read_front(folder)
    target = folder / "report.html"
    with _contradictions_in_words(folder):
        for entry in front.entries:
            if entry.result is not None:
                write_report(entry.result, folder / entry.folder / "report.html")
        write_front(front, target)
        if as_json:
            print_json(front_json(front) | {"report": str(target)})
            return
        console = output()
        console.print(front_table(front))
        console.print(f"\nreport    {target}")


@contextmanager
def _contradictions_in_words(folder: Path) -> Iterator[None]:
    """Say what no run can have written, such as an interval with one end.

    Raises:
        RunFolderError: something of the right type made no sense.
    """
    from hwprune.errors import HwpruneError, RunFolderError
    from hwprune.stored import said

    try:
        yield
    except (HwpruneError, OSError, typer.Exit):
        raise  # these say what they are
    except Exception as error:  # numbers that contradict each other fail wherever they are drawn
        raise RunFolderError(
            f"the result in {folder} contradicts itself, so no report can be made of it",
            given=f"{type(error).__name__}: {said(error)}",
            next_step="read it with the hwprune that wrote it, or start the run anew",
        ) from error


def _require_result(folder: Path) -> None:
    """Say what is missing where a run has no result yet.

    Raises:
        RunFolderError: no folder, no run in it, or a run that is not finished.
    """
    from hwprune.errors import RunFolderError

    if (folder / "result.json").exists():
        return
    if not (folder / "deployment.json").exists():
        runs = sorted(p.parent for p in folder.parent.glob("*/result.json"))
        raise RunFolderError(
            f"there is no run in {folder}",
            possible=", ".join(str(r) for r in runs[:8]),
            next_step="name the folder that `hwprune prune` printed",
        )
    raise RunFolderError(
        f"the run in {folder} is not finished: there is no result.json",
        given=f"finished steps: {', '.join(_steps(folder)) or 'none'}",
        next_step=f"resume it: hwprune prune DEPLOYMENT.toml --out {folder} --resume",
    )


def _steps(folder: Path) -> list[str]:
    from hwprune.run_book import FILE, RunBook

    if not (folder / FILE).exists():
        return []
    book = RunBook(folder)
    try:
        return book.steps()[-12:]
    finally:
        book.close()

"""`hwprune prune`: from a deployment file to a delivered network and its certificate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hwprune.report.result import Result

Deployment = Annotated[
    Path, typer.Argument(metavar="DEPLOYMENT.toml", help="The wish.", show_default=False)
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the newest run, or with the one in --out.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Run folder; runs/NAME by default.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Set a value of the file from here; may be repeated.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def prune(
    deployment: Deployment,
    resume: Resume = False,
    out: Out = None,
    set_: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prune a network until it keeps its budget, measured on its board.

    Exit code 0: the budget was shown to be kept; 7: it was not; others: see `hwprune/errors.py`.

    Example:  hwprune prune profiles/deployments/quickstart.toml
    """
    from hwprune.cli.progress import listener
    from hwprune.cli.verbs import INTERRUPTED, NOT_SHOWN
    from hwprune.pipeline import run_deployment

    overrides = list(set_ or [])
    progress = listener(quiet=quiet)
    try:
        result, folder = run_deployment(
            deployment, resume=resume, out=out, overrides=overrides, progress=progress
        )
    except KeyboardInterrupt:
        command = resume_command(deployment, out, overrides)
        typer.echo(f"interrupted; resume with: {command}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        getattr(progress, "close", lambda: None)()
    _show(result, folder, as_json=as_json)
    if not result.passed:
        raise typer.Exit(NOT_SHOWN)


def resume_command(deployment: Path, out: Path | None, overrides: list[str]) -> str:
    """What to type to go on with an interrupted run."""
    parts = ["hwprune", "prune", str(deployment)]
    parts += ["--out", str(out)] if out else []
    parts += [part for override in overrides for part in ("--set", override)]
    return shlex.join([*parts, "--resume"])


def _show(result: Result, folder: Path, *, as_json: bool) -> None:
    from hwprune.cli.screen import output, print_json
    from hwprune.report.table import closing_table, findings_text, table_json

    if as_json:
        print_json(
            table_json(result) | {"folder": str(folder), "report": str(folder / "report.html")}
        )
        return
    console = output()
    console.print()
    console.print(closing_table(result))
    console.print(findings_text(result.certificate))
    for doubt in dict.fromkeys((*result.doubts, *result.certificate.doubts)):
        console.print(f"doubt     {doubt}", style="yellow", markup=False)
    console.print(f"\nnetwork   {folder}/model.onnx, weights.safetensors, architecture.json")
    for engine in result.engines:
        console.print(
            f"engine    {folder}/{engine.file}, for {engine.gpu} and TensorRT {engine.tensorrt} "
            "alone",
            markup=False,
        )
    console.print(f"report    {folder / 'report.html'}")

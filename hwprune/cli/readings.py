"""`hwprune readings`: what the store of readings holds, for other programs and other stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprune.cli.options import Json

if TYPE_CHECKING:
    from hwprune.farm.store import ReadingStore
    from hwprune.farm.store_entries import SettingSummary

readings = typer.Typer(
    name="readings",
    no_args_is_help=True,
    help="Readings that were taken: list, export, prune, merge.",
)
Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="The store's file; by default $HWPRUNE_STORE, or the one in the user's cache.",
        show_default=False,
    ),
]
Setting = Annotated[
    int | None,
    typer.Option("--setting", help="Of this setting alone; list tells them.", show_default=False),
]


@readings.command("list")
def list_(store: Store = None, as_json: Json = False) -> None:
    """What there is, by setting: what ran networks, where, under which conditions.

    Example:  hwprune readings list
    """
    from dataclasses import asdict

    from hwprune.cli.screen import print_json
    from hwprune.farm.store_entries import count, summaries

    with _opened(store) as found:
        rows, total = summaries(found), count(found)
        damaged = found.unreadable
    if as_json:
        told = {"store": str(found.path), "readings": total, "settings": [asdict(r) for r in rows]}
        print_json(told)
    else:
        _show(rows, found.path, total, damaged)


@readings.command()
def export(
    out: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    form: Annotated[
        str,
        typer.Option("--format", help="csv, jsonl, parquet, pyperf or bencher; by the name else."),
    ] = "",
    setting: Setting = None,
    store: Store = None,
) -> None:
    """Write readings for other programs: a table, or what pyperf or Bencher read.

    Example:  hwprune readings export readings.csv
    """
    from hwprune.cli.screen import output
    from hwprune.errors import InputError
    from hwprune.farm.exports import FORMS
    from hwprune.farm.store_entries import entries

    wanted = form or out.suffix.removeprefix(".")
    if wanted not in FORMS:
        raise InputError(
            "readings cannot be written in this form",
            given=wanted or str(out),
            possible=", ".join(FORMS),
            next_step="name one with --format",
        )
    with _opened(store) as found:
        try:
            count = FORMS[wanted](entries(found, setting), out)
        except OSError as error:
            raise InputError(
                f"{out} cannot be written",
                given=error.strerror or str(error),
                next_step="name a file in a folder that is there",
            ) from None
        damaged = found.unreadable
    output().print(f"{count} readings in {out}{_passed_over(damaged)}")


@readings.command()
def prune(
    setting: Setting = None,
    doubted: Annotated[bool, typer.Option("--doubted", help="Only doubted ones.")] = False,
    before: Annotated[
        str, typer.Option("--before", help="Taken before this day, as 2026-01-31.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete; else they are counted.")] = False,
    store: Store = None,
) -> None:
    """Count the readings that all conditions hold for; with --yes, delete them.

    Example:  hwprune readings prune --doubted --before 2026-01-31 --yes
    """
    from hwprune.cli.screen import output
    from hwprune.errors import InputError
    from hwprune.farm.store_entries import delete, matching

    if setting is None and not doubted and not before:
        raise InputError(
            "say which readings", possible="--setting NUMBER, --doubted, --before 2026-01-31"
        )
    day = _day(before) if before else ""
    with _opened(store) as found:
        ids = matching(found, setting=setting, doubted=doubted, before=day)
        if yes:
            delete(found, ids)
    said = "were deleted" if yes else "would be deleted; add --yes"
    output().print(f"{len(ids)} readings {said}")


@readings.command()
def merge(
    other: Annotated[Path, typer.Argument(help="A store to take from.", show_default=False)],
    store: Store = None,
) -> None:
    """Bring over what another store has and this one lacks.

    Example:  hwprune readings merge colleague.sqlite
    """
    from hwprune.cli.screen import output
    from hwprune.farm.store_entries import merge as bring

    # The other one must be there; ours may be made by this.
    with _opened(other) as source, _opened(store, new=True) as target:
        added = bring(target, source)
        damaged = source.unreadable
    output().print(f"{added} readings added to {target.path}{_passed_over(damaged)}")


def _day(text: str) -> str:
    """A day as the store writes it.

    Raises:
        InputError: it is none.
    """
    from datetime import date

    from hwprune.errors import InputError

    # Moments are compared as texts: "yesterday" would be after every reading, and delete all.
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InputError("--before is no day", given=text, possible="2026-01-31") from None


@contextmanager
def _opened(path: Path | None, *, new: bool = False) -> Iterator[ReadingStore]:
    from hwprune.errors import InputError
    from hwprune.farm.store import ReadingStore
    from hwprune.user_cache import store_path

    place = path or store_path()
    if not new and not place.exists():
        raise InputError(
            f"there is no store of readings at {place}",
            next_step="a run makes one; or name another with --store",
        )
    store = ReadingStore(place)
    try:
        yield store
    finally:
        store.close()


def _passed_over(damaged: int) -> str:
    return f"; {damaged} damaged rows were passed over" if damaged else ""


def _show(rows: list[SettingSummary], path: Path, total: int, damaged: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from hwprune.cli.screen import output

    console = output()
    console.print(f"{total} readings in {path}{_passed_over(damaged)}")
    if not rows:
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("setting", "runs", "boards", "networks", "readings", "doubted", "from", "to"):
        grid.add_column(heading, overflow="fold")
    for row in rows:
        target = row.target
        runs = f"{target.get('runtime', '?')} {target.get('precision', '')}".strip()
        runs += f", {target['threads']} threads" if target.get("threads") else ""
        cells = (
            *(row.setting, runs, ", ".join(row.boards), row.networks, row.readings, row.doubted),
            *(row.first_at[:10], row.last_at[:10]),
        )
        grid.add_row(*(Text(str(cell)) for cell in cells))
    console.print(grid)

"""`hwprune farm`: what the boards of the farms on this machine do right now."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hwprune.errors import InputError
    from hwprune.farm.page import FarmPage
    from hwprune.farm.status import FarmStatus, FarmView

REFRESH_S = 1.0

farm = typer.Typer(
    name="farm",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Once = Annotated[bool, typer.Option("--once", help="Show it once and end, in a terminal too.")]
Json = Annotated[bool, typer.Option("--json", help="A list of farms as JSON on stdout, once.")]
Name = Annotated[
    str,
    typer.Option("--farm", metavar="NAME", help="Only this farm; else all.", show_default=False),
]
All = Annotated[
    bool, typer.Option("--all", help="Also farms that ended or are gone, for seven days.")
]
Web = Annotated[bool, typer.Option("--web", help="Serve it as a web page until Ctrl-C.")]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="With --web: 0 for any free one.")
]
Host = Annotated[str, typer.Option("--host", help="With --web: the address to serve at.")]


@farm.callback()
def boards() -> None:
    """Look at the boards that runs on this machine measure on."""


@farm.command()
def status(
    once: Once = False,
    as_json: Json = False,
    name: Name = "",
    everything: All = False,
    web: Web = False,
    port: Port = 8265,
    host: Host = "127.0.0.1",
) -> None:
    """Show what each board does, its queue, health and pace: live in a terminal, or as a web page.

    Example:  hwprune farm status
    """
    from hwprune.cli.screen import output, print_json
    from hwprune.errors import InputError
    from hwprune.farm.status import FarmView, forget_long_gone

    if web and (once or as_json):
        raise InputError(
            "--web goes on until Ctrl-C, so --once and --json do not go with it",
            next_step="leave --web out, or the other; the page's own JSON is at /status.json",
        )
    # Nothing else deletes farms' files: one that was killed could not.
    forget_long_gone()
    watch = FarmView(name, gone=everything)
    found = watch.look()
    if name and not found:
        raise _unknown(name)
    if web:
        _serve(watch, host, port)
    elif as_json:
        print_json([farm.to_json() for farm in found])
    elif not found:
        output().print(_nothing())
    elif once or not sys.stdout.isatty() or not _any_alive(found):
        from hwprune.cli.farm_table import farm_tables

        console = output()
        console.print(farm_tables(found, console.width))
    else:
        _live(watch)


def _live(watch: FarmView) -> None:
    """Redraw until Ctrl-C, which is the way out and no error, or until no farm runs."""
    from rich.live import Live

    from hwprune.cli.farm_table import farm_tables
    from hwprune.cli.screen import output

    console, found = output(), watch.look()
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(farm_tables(found, console.width), console=console, auto_refresh=False) as live,
    ):
        while _any_alive(found):
            time.sleep(REFRESH_S)
            found = watch.look()
            live.update(farm_tables(found, console.width), refresh=True)


def _serve(watch: FarmView, host: str, port: int) -> None:
    from hwprune.farm.page import FarmPage
    from hwprune.report.progress import messages

    with FarmPage(watch.look, host=host, port=port) as page:
        if not page.local:
            messages().print(_open_to_others(page), style="yellow")
        with contextlib.suppress(KeyboardInterrupt):
            # flush: whoever starts it by a script waits for this line.
            print(f"the farm's page: {page.url}   (Ctrl-C ends it)", flush=True)
            page.serve_forever()


def _open_to_others(page: FarmPage) -> str:
    import socket

    return (
        f"This page is served at {page.host}: it is not encrypted and asks for no "
        "password, so everybody who\nreaches this machine can read it. Better leave --host out, "
        f"and on the machine with the browser open a tunnel:\n  ssh -N -L {page.port}:127.0.0.1:"
        f"{page.port} {socket.gethostname()}\nand there http://127.0.0.1:{page.port}/"
    )


def _any_alive(farms: Sequence[FarmStatus]) -> bool:
    return any(farm.alive for farm in farms)


def _nothing() -> str:
    from hwprune.farm.status import read_statuses

    ended = len(read_statuses())
    hint = f"\n{ended} ended in the last seven days: hwprune farm status --all" if ended else ""
    return (
        f"no farm runs on this machine; a search starts one: hwprune prune DEPLOYMENT.toml{hint}"
    )


def _unknown(name: str) -> InputError:
    from hwprune.cli.farm_table import shown
    from hwprune.errors import InputError
    from hwprune.farm.status import read_statuses

    known = read_statuses()
    there = ", ".join(shown(farm.farm).plain for farm in known if farm.alive)
    if any(farm.farm == name for farm in known):
        return InputError(
            f"the farm '{name}' does not run any more",
            possible=there or "no farm runs on this machine",
            next_step=f"hwprune farm status --all --farm {name} shows how it ended",
        )
    return InputError(
        f"there is no farm '{name}' on this machine",
        possible=there or "no farm runs here; a search starts one: hwprune prune DEPLOYMENT.toml",
        next_step="hwprune farm status shows all",
    )

"""What every verb has in common: how its errors are shown, and what the shell is told."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from hwprune.cli.screen import end_unread
from hwprune.errors import HwpruneError

if TYPE_CHECKING:
    from rich.text import Text

INTERRUPTED = 130
"""What a shell reports for a command that Ctrl-C ended."""


class Verbs(TyperGroup):
    """Runs a verb; an error raised on purpose becomes a message and its own exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that the arguments name."""
        try:
            done = super().invoke(ctx)
            # Here, where a reader who has gone can still be answered for.
            sys.stdout.flush()
            return done
        except HwpruneError as error:
            _show(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _is_unread():
                end_unread()
            # typer's own exceptions are answers, not faults: usage errors, exits, aborts.
            if type(error).__module__.startswith(("typer", "click")):
                raise
            print(
                f"hwprune met an error it did not expect ({type(error).__name__}). This is a "
                "fault in hwprune:\nplease open an issue in its repository with the text below "
                "and the output of `hwprune doctor --json`.",
                file=sys.stderr,
            )
            raise


def _is_unread() -> bool:
    """Whether the reader of the output has gone."""
    try:
        sys.stdout.flush()
        # What failed may have left nothing to flush; a pipe without a reader says so itself.
        gone = select.poll()
        gone.register(sys.stdout, 0)
        return any(event & select.POLLERR for _, event in gone.poll(0))
    except BrokenPipeError:
        return True
    except (OSError, ValueError):  # stdout is no file
        return False


def _show(error: HwpruneError) -> None:
    from hwprune.report.progress import messages

    messages().print(_message(error))


def _message(error: HwpruneError) -> Text:
    """The four parts of an error, what happened in red."""
    from rich.text import Text

    text = Text("error: ", style="bold red")
    text.append(error.happened, style="red")
    parts = (("given", error.given), ("possible", error.possible), ("next", error.next_step))
    for name, part in parts:
        if part:
            text.append(f"\n  {name + ':':<10}", style="bold")
            text.append(part, style="")
    return text

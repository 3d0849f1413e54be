"""Draws the README's pictures from a real run of the quickstart on this machine.

    python profiles/pictures/draw.py        # minutes; needs chromium

Writes terminal.svg (what the command printed) and report.png (the head of the run's report.html).
"""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COMMAND = "hwprune prune profiles/deployments/quickstart.toml"
COLUMNS, ROWS = 96, 50
PAGE = "1180,1790"
"""Width and height of the report that is shown, in CSS pixels."""


def main() -> None:
    """Run the quickstart once and draw both pictures."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "profiles").symlink_to(HERE.parent)
        text = typed(COMMAND, Path(folder))
        (HERE / "terminal.svg").write_text(drawn(text), encoding="utf-8")
        photograph(Path(folder) / "runs/quickstart/report.html", HERE / "report.png")


def typed(command: str, folder: Path) -> str:
    """What a terminal gets to see of a command."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # no readings of other runs
        os.execv(sys.executable, [sys.executable, "-m", *command.split()])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    seen = b""
    try:
        while part := os.read(terminal, 65536):
            seen += part
    except OSError:  # Linux says so when the process has closed its end
        pass
    os.waitpid(process, 0)
    return seen.decode(errors="replace")


def drawn(text: str) -> str:
    """A terminal's text as SVG; of lines that were drawn over, such as bars, the last state."""
    lines = [line.rsplit("\x1b[2K", 1)[-1] for line in text.replace("\r", "").split("\n")]
    console = Console(
        record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(f"[bold]$[/] {COMMAND}", highlight=False)
    for line in lines:
        console.print(Text.from_ansi(line), highlight=False)
    # No font from elsewhere: whoever looks at a README need not be told to a font's server.
    svg = console.export_svg(title="hwprune")
    head, _, rest = svg.partition("@font-face")
    return head + rest[rest.rindex("@font-face") :].partition("}")[2] if rest else svg


def photograph(page: Path, picture: Path) -> None:
    """The head of a page as a browser shows it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"
    subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={PAGE}",
            f"--screenshot={picture}",
            page.resolve().as_uri(),
        ],
        check=True,
        capture_output=True,
    )
    with Image.open(picture) as seen:
        seen.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main()

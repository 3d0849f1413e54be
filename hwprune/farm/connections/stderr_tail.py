"""What a process wrote last, line by line, in little memory however much it writes."""

from __future__ import annotations

import re
from collections import deque

from hwprune.plain_text import plain_text

LINES = 20
LINE_LIMIT = 500
"""Characters of a line that are kept, and bytes of one that has not ended."""
# A progress bar ends its lines with a carriage return.
_LINE_END = re.compile(rb"[\r\n]")


class StderrTail:
    """The last lines of a stream of bytes; blank ones are left out."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES)
        self._begun = b""

    def feed(self, chunk: bytes) -> None:
        """Take some bytes, wherever they were cut."""
        *ended, rest = _LINE_END.split(chunk)
        for piece in ended:
            self._begin(piece)
            self.finish()
        self._begin(rest)

    def finish(self) -> None:
        """Take the line that has begun for a whole one."""
        line = plain_text(self._begun.decode(errors="replace")).rstrip()
        self._begun = b""
        if line:
            self.lines.append(line)

    def _begin(self, piece: bytes) -> None:
        self._begun += piece[: LINE_LIMIT - len(self._begun)]

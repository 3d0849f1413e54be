"""Text of strangers without what a terminal or a page would act on."""

from __future__ import annotations

import re

# C0 and C1 controls but tab and line feed, marks that turn the direction of writing, and halves of
# a surrogate pair, which no file can hold.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain_text(text: str) -> str:
    """The text with `\\ufffd` for every character that is no letter, sign, space or line end."""
    return _CONTROL.sub("\ufffd", text)

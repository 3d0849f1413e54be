"""Frames: how a head and a board talk over a pair of byte streams.

A frame is a 4-byte big-endian length, that many bytes of JSON (an object), an 8-byte length, and
that many bytes of body. There is no text on the stream besides frames, so anything else is an
error that can be named at once.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

HEADER_LIMIT = 64 * 2**20
"""Largest header in bytes; a cut plan of a deep network is about 1 MB."""
BODY_LIMIT = 2 * 2**30
"""Largest body in bytes; protobuf, and so a network in ONNX, ends there."""
CHUNK = 1 << 20
"""Bytes that are read at once."""
_HEADER_LENGTH = struct.Struct(">I")
_BODY_LENGTH = struct.Struct(">Q")


class FrameError(Exception):
    """The stream holds something that is no frame, or ends inside one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message: a JSON object and raw bytes."""

    header: Mapping[str, Any]
    body: bytes = field(default=b"", repr=False)

    @property
    def kind(self) -> str:
        """What the message is about."""
        return str(self.header.get("kind", ""))


def encode(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """The bytes of a frame.

    Raises:
        FrameError: a part over its limit, or a header that is no JSON (NaN is none).
    """
    return _front(header, len(body)) + body


def write_frame(fd: int, header: Mapping[str, Any], body: bytes = b"") -> None:
    """Write a whole frame to a file descriptor.

    Raises:
        FrameError: see `encode`.
        OSError: the other end is gone.
    """
    # Apart, because a body of hundreds of MB is not copied for nothing.
    for part in (_front(header, len(body)), body):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(fd, rest) :]


def read_frames(fd: int) -> Iterator[Frame]:
    """Frames from a file descriptor until its end.

    Raises:
        FrameError: bytes that are no frame, or an end inside a frame.
    """
    decoder = FrameDecoder()
    while chunk := os.read(fd, CHUNK):
        yield from decoder.feed(chunk)
    decoder.finish()


class FrameDecoder:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take some bytes and yield the frames that are complete now.

        Raises:
            FrameError: bytes that are no frame.
        """
        self._pending += data
        while (frame := self._next()) is not None:
            yield frame

    def finish(self) -> None:
        """Say that no more bytes come.

        Raises:
            FrameError: the stream ended inside a frame.
        """
        if self._pending:
            raise FrameError(
                f"the stream ended inside a frame, {len(self._pending)} bytes after its start"
            )

    def _next(self) -> Frame | None:
        pending = self._pending
        if len(pending) < _HEADER_LENGTH.size:
            return None
        (header_size,) = _HEADER_LENGTH.unpack_from(pending)
        # Before the bytes are waited for: text read as a length is a number of billions.
        _within(header_size, HEADER_LIMIT, "header", pending)
        body_at = _HEADER_LENGTH.size + header_size + _BODY_LENGTH.size
        if len(pending) < body_at:
            return None
        (body_size,) = _BODY_LENGTH.unpack_from(pending, body_at - _BODY_LENGTH.size)
        _within(body_size, BODY_LIMIT, "body")
        if len(pending) < body_at + body_size:
            return None
        # Released before the bytes are deleted: a bytearray with a view cannot be resized.
        with memoryview(pending) as view:
            header = _parse(bytes(view[_HEADER_LENGTH.size : body_at - _BODY_LENGTH.size]))
            body = bytes(view[body_at : body_at + body_size])
        del pending[: body_at + body_size]
        return Frame(header=header, body=body)


def _front(header: Mapping[str, Any], body_size: int) -> bytes:
    """All of a frame that comes before its body."""
    try:
        # NaN is no JSON, and other parsers than Python's refuse it.
        text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError(f"a frame's header cannot be written as JSON: {error}") from error
    _within(len(text), HEADER_LIMIT, "header")
    _within(body_size, BODY_LIMIT, "body")
    return _HEADER_LENGTH.pack(len(text)) + text + _BODY_LENGTH.pack(body_size)


def _parse(text: bytes) -> Mapping[str, Any]:
    try:
        header = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame's header is no JSON: {text[:80]!r}") from error
    if not isinstance(header, dict):
        raise FrameError(f"a frame's header is no JSON object: {text[:80]!r}")
    return header


def _refuse(word: str) -> Any:
    """Python's parser takes NaN and Infinity, which are no JSON."""
    raise ValueError(f"{word} is no JSON")


def _within(size: int, limit: int, part: str, seen: bytes | bytearray = b"") -> None:
    if size > limit:
        # A length like this is nearly always text that something printed into the stream.
        text = f"; the stream begins with {bytes(seen[:60])!r}" if seen else ""
        raise FrameError(f"a frame's {part} of {size} bytes is over the limit of {limit}{text}")

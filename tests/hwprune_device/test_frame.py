"""Frames survive any cut of the stream, and damage is named."""

from __future__ import annotations

import os
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune_device.frame import FrameDecoder, FrameError, encode, read_frames, write_frame

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "inf" not in repr(value))
frames = st.lists(
    st.tuples(st.dictionaries(st.text(), values), st.binary(max_size=300)), max_size=5
)


@settings(deadline=None, max_examples=50)
@given(frames, st.integers(1, 64))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(sent, piece):
    stream = b"".join(encode(header, body) for header, body in sent)
    decoder = FrameDecoder()
    got = [f for at in range(0, len(stream), piece) for f in decoder.feed(stream[at : at + piece])]
    decoder.finish()
    assert [(dict(f.header), f.body) for f in got] == sent


@settings(deadline=None)
@given(st.dictionaries(st.text(), values), st.binary(max_size=50), st.data())
def test_an_end_inside_a_frame_is_an_error(header, body, data):
    whole = encode(header, body)
    decoder = FrameDecoder()
    torn = whole[: data.draw(st.integers(1, len(whole) - 1))]
    assert list(decoder.feed(torn)) == []
    with pytest.raises(FrameError, match="ended inside a frame"):
        decoder.finish()


def test_text_on_the_stream_is_named_in_the_error():
    with pytest.raises(FrameError, match="WARNING: out of luck"):
        list(FrameDecoder().feed(b"WARNING: out of luck\n"))


NESTED = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize(
    "text", [b"[1]", b"{", b"\xff\xfe", b'{"a":NaN}', b'{"a":-Infinity}', NESTED]
)
def test_a_header_that_is_no_json_object_is_an_error(text):
    stream = struct.pack(">I", len(text)) + text + struct.pack(">Q", 0)
    with pytest.raises(FrameError, match="header is no JSON"):
        list(FrameDecoder().feed(stream))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_say_is_refused_before_it_is_sent(value):
    with pytest.raises(FrameError, match="cannot be written as JSON"):
        encode({"value": value})


def test_a_header_that_is_nested_too_deep_is_refused_before_it_is_sent():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(FrameError, match="cannot be written as JSON"):
        encode({"value": deep})


def test_a_body_over_the_limit_is_refused_at_its_length():
    announced = struct.pack(">I", 2) + b"{}" + struct.pack(">Q", 2**31 + 1)
    with pytest.raises(FrameError, match="body of 2147483649 bytes is over the limit"):
        list(FrameDecoder().feed(announced))


def test_a_body_larger_than_the_pipe_arrives_whole():
    reading, writing = os.pipe()
    body = os.urandom(1 << 20)

    def send() -> None:
        write_frame(writing, {"kind": "big"}, body)
        os.close(writing)

    thread = threading.Thread(target=send)
    thread.start()
    (frame,) = read_frames(reading)
    thread.join()
    os.close(reading)
    assert (frame.kind, frame.body) == ("big", body)

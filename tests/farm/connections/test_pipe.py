"""The head's end of the pipes, against small programs instead of a supervisor."""

from __future__ import annotations

import os
import sys
import threading
import time

import psutil
import pytest

import hwprune_device
from hwprune.board import Board
from hwprune.farm.connections import piped
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.connections.local import LocalConnection

DEVICES = os.path.dirname(os.path.dirname(hwprune_device.__file__))
ECHO = """
from hwprune_device.frame import read_frames, write_frame
for frame in read_frames(0):
    write_frame(1, dict(frame.header), frame.body)
"""
FLOOD = """
import os, select
while not select.select([0], [], [], 0)[0]:
    os.write(2, b"x" * 65536)
"""
DRIP = """
import os, time
from hwprune_device.frame import encode
whole = encode({"kind": "engine"}, bytes(10 * 1000))
for at in range(0, len(whole), 1000):
    os.write(1, whole[at : at + 1000])
    time.sleep(0.15)
os.read(0, 1)
"""


def program(text: str) -> LocalConnection:
    code = f"import sys; sys.path.insert(0, {DEVICES!r})\n{text}"
    connection = LocalConnection(Board(name="b"), [sys.executable, "-c", code])
    connection.open()
    return connection


def test_a_ping_goes_out_now_and_then(monkeypatch):
    monkeypatch.setattr(piped, "PING_S", 0.05)
    connection = program(ECHO)
    assert [connection.receive(10).kind for _ in range(3)] == ["ping"] * 3
    connection.close()


def test_pings_are_heard_on_the_board_and_seen_by_nobody(monkeypatch):
    monkeypatch.setattr(piped, "PING_S", 0.05)
    connection = LocalConnection(Board(name="b"))
    connection.open()
    assert connection.receive(60).kind == "hello"
    time.sleep(0.3)
    connection.send({"kind": "run"})
    assert "model_bytes" in connection.receive(10).header["message"]
    connection.close()


def test_frames_of_several_threads_stay_whole():
    connection = program(ECHO)
    bodies = [bytes([n]) * 300_000 for n in range(8)]

    def send(number: int) -> None:
        for _ in range(5):
            connection.send({"n": number}, bodies[number])

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    frames = [connection.receive(10) for _ in range(40)]
    for thread in threads:
        thread.join()
    assert all(frame.body == bodies[frame.header["n"]] for frame in frames)
    connection.close()


def test_a_frame_that_takes_long_to_come_is_not_taken_for_silence():
    connection = program(DRIP)
    start = time.monotonic()
    assert len(connection.receive(0.5).body) == 10 * 1000
    assert time.monotonic() - start > 1.0
    with pytest.raises(ConnectionLostError, match=r"silent for 0\.5 s"):
        connection.receive(0.5)
    connection.close()


def test_close_does_not_wait_for_a_send_that_nobody_reads():
    connection = program("import time; time.sleep(60)")
    errors = []

    def send() -> None:
        try:
            connection.send({"kind": "big"}, bytes(10**7))
        except ConnectionLostError as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.2)
    start = time.monotonic()
    connection.close()
    thread.join(5)
    assert time.monotonic() - start < 10
    assert len(errors) == 1


def test_text_in_the_place_of_frames_is_shown():
    connection = program("print('Segmentation fault, or so', flush=True); input()")
    with pytest.raises(ConnectionLostError, match="Segmentation fault"):
        connection.receive(10)
    connection.close()


def test_an_end_inside_a_frame_is_a_lost_connection():
    connection = program("import os; os.write(1, bytes([0, 0, 0, 9]) + b'{')")
    with pytest.raises(ConnectionLostError, match="ended inside a frame"):
        connection.receive(10)
    connection.close()


def test_the_last_words_stay_after_the_end():
    connection = program("import sys; sys.exit('no more')")
    with pytest.raises(ConnectionLostError, match="no more"):
        connection.receive(10)
    connection.close()
    assert connection.stderr_tail() == "no more"


def test_a_board_that_writes_without_a_line_end_does_not_fill_the_heads_memory():
    resident = psutil.Process().memory_info().rss
    connection = program(FLOOD)
    time.sleep(1.5)
    assert psutil.Process().memory_info().rss - resident < 50e6
    connection.close()
    assert connection.stderr_tail() == "x" * 500


def test_what_a_board_says_cannot_act_on_a_terminal():
    connection = program("import sys; sys.exit('\\x1b[2J gone')")
    with pytest.raises(ConnectionLostError, match="\ufffd\\[2J gone"):
        connection.receive(10)
    connection.close()


def test_cores_that_the_board_lacks_are_told_with_those_it_has():
    connection = LocalConnection(Board(name="b", cores=(99999,)))
    connection.open()
    with pytest.raises(ConnectionLostError, match="cores 99999; the board has cores 0"):
        connection.receive(30)
    connection.close()

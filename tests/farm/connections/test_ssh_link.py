"""What a session by ssh bears of a bad link, and how it ends when it cannot bear it."""

from __future__ import annotations

import time

import pytest

from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import ConnectionLostError
from tests.farm.connections.contract import hello, run_doubling

# Lost after 2 to 3 s, so that a test need not wait for what users have.
IMPATIENT = ("ServerAliveInterval=1", "ServerAliveCountMax=2", "ConnectTimeout=3")


@pytest.mark.heavy
def test_a_slow_link_that_loses_packets(spoilt_rig):
    spoilt_rig.delay(40, loss_pct=2)
    connection = connect(spoilt_rig.board())
    hello(connection)
    run_doubling(connection, 1)
    connection.close()


def test_a_short_break_is_not_noticed(spoilt_rig):
    connection = connect(spoilt_rig.board())
    hello(connection)
    spoilt_rig.cut()
    time.sleep(1.0)
    spoilt_rig.mend()
    run_doubling(connection, 1)
    connection.close()


@pytest.mark.heavy
def test_a_link_that_stays_cut_is_a_lost_connection_and_a_fresh_one_works_later(spoilt_rig):
    board = spoilt_rig.board("far", *IMPATIENT)
    connection = connect(board)
    first = hello(connection).header["pid"]
    spoilt_rig.cut()
    start = time.monotonic()
    with pytest.raises(ConnectionLostError, match=r"the link to .* broke"):
        connection.receive(20)
    assert time.monotonic() - start < 10
    connection.close()
    connection.open()
    with pytest.raises(ConnectionLostError, match="does not answer"):
        connection.receive(20)
    spoilt_rig.mend()
    assert hello(connection).header["pid"] != first
    connection.close()


@pytest.mark.heavy
def test_silence_noticed_before_ssh_does_leaves_no_hanging_connection(spoilt_rig):
    connection = connect(spoilt_rig.board("far", "ServerAliveInterval=60"))
    hello(connection)
    spoilt_rig.cut()
    with pytest.raises(ConnectionLostError, match="silent"):
        connection.receive(0.5)
    connection.close()
    connection.open()
    spoilt_rig.mend()
    assert connection.receive(30).kind == "hello"
    connection.close()


@pytest.mark.heavy
def test_half_a_minute_without_a_link_with_the_times_that_users_have(spoilt_rig):
    connection = connect(spoilt_rig.board())
    first = hello(connection).header["pid"]
    spoilt_rig.cut()
    start = time.monotonic()
    with pytest.raises(ConnectionLostError, match=r"the link to .* broke"):
        connection.receive(60)
    lost_s = time.monotonic() - start
    assert 10 < lost_s < 25
    time.sleep(max(0.0, 30 - lost_s))
    spoilt_rig.mend()
    assert hello(connection).header["pid"] != first
    connection.close()


def test_a_host_that_is_not_there_is_said_after_the_connect_timeout(spoilt_rig):
    spoilt_rig.cut()
    connection = connect(spoilt_rig.board("far", *IMPATIENT))
    connection.open()
    with pytest.raises(ConnectionLostError, match="is the board on, in this network"):
        connection.receive(20)
    connection.close()

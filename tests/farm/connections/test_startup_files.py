"""Start-up files of the account on a board, which its login shell reads before our command."""

from __future__ import annotations

import os
import pwd

import pytest

from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import ConnectionLostError
from tests.farm.connections.contract import hello
from tests.farm.connections.ssh_rig import SshRig, why_no_rig

pytestmark = [
    pytest.mark.skipif(bool(why_no_rig()), reason=f"no ssh server here: {why_no_rig()}"),
    pytest.mark.skipif(
        os.path.basename(pwd.getpwuid(os.getuid()).pw_shell) != "bash",
        reason="the login shell here is another one than bash",
    ),
]


@pytest.fixture(scope="module")
def homely(tmp_path_factory):
    """A rig whose account has a home of the tests' own, so that its start-up files may change."""
    folder, home = tmp_path_factory.mktemp("rig"), tmp_path_factory.mktemp("home")
    # As the variable too, for a bash that reads ~/.bashrc for terminals alone.
    rig = SshRig(folder, f"SetEnv HOME={home} BASH_ENV={home}/.bashrc")
    yield rig, home / ".bashrc"
    rig.close()


def lost_words(rig: SshRig, timeout_s: float) -> str:
    connection = connect(rig.board())
    connection.open()
    with pytest.raises(ConnectionLostError) as caught:
        connection.receive(timeout_s)
    connection.close()
    return str(caught.value)


def test_one_that_does_no_harm(homely):
    rig, file = homely
    file.write_text("echo welcome\n")
    connection = connect(rig.board())
    assert hello(connection).header["pid"]
    connection.close()
    assert "welcome" in connection.stderr_tail()


@pytest.mark.parametrize("code", [0, 7])
def test_one_that_ends_the_shell_is_named(homely, code):
    rig, file = homely
    file.write_text(f"echo welcome\nexit {code}\n")
    words = lost_words(rig, 30)
    assert "a start-up file of the account there (such as ~/.bashrc" in words
    assert f"ended the shell, with exit code {code}" in words and "welcome" in words


@pytest.mark.parametrize(
    "line",
    [
        "read answer",
        *(pytest.param(s, marks=pytest.mark.heavy) for s in ("cat > /dev/null", "sleep 60")),
    ],
)
def test_one_that_reads_what_is_not_meant_for_it_or_waits_is_named(homely, line):
    rig, file = homely
    file.write_text(f"{line}\n")
    words = lost_words(rig, 2)
    assert "the supervisor was silent for 2 s; a start-up file of the account there" in words
    assert "has read what was meant for the board's Python" in words

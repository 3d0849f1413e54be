from __future__ import annotations

import pytest

from hwprune.farm.connections.failure import explain, missing_module

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key verification failed."""


@pytest.mark.parametrize(
    ("stderr", "mend"),
    [
        (CHANGED, "ssh-keygen -R nano.lan"),
        ("Host key verification failed.", "run `ssh pi@nano.lan` once by hand"),
        ("No ED25519 host key is known for nano.lan and you have requested", "once by hand"),
        ("pi@nano.lan: Permission denied (publickey,password).", "ssh-copy-id pi@nano.lan"),
        ("WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermission denied (publickey).", "chmod 600"),
        ("Received disconnect: Too many authentication failures", "IdentitiesOnly=yes"),
        ("ssh: Could not resolve hostname nano.lan: Name or service not known", "typing error"),
        ("ssh: connect to host nano.lan port 22: Connection refused", "start sshd"),
        ("ssh: connect to host nano.lan port 22: Connection timed out", "is the board on"),
        ("Connection timed out during banner exchange", "is the board on"),
        ("ssh: connect to host nano.lan port 22: No route to host", "ProxyJump"),
        ("ssh: connect to host nano.lan port 22: Network is unreachable", "ProxyJump"),
        ("Shared connection to nano.lan closed.", "power and network"),
        ("Timeout, server nano.lan not responding.", "power and network"),
        ("client_loop: send disconnect: Broken pipe", "power and network"),
        ("Connection to nano.lan closed by remote host.", "power and network"),
        ("kex_exchange_identification: Connection closed by remote host", "work by hand"),
        ("command-line: line 0: Bad configuration option: nosuch", "ssh_options"),
        ("", "the supervisor was killed on pi@nano.lan, or the link to it broke"),
    ],
)
def test_what_ssh_says_becomes_what_to_do(stderr, mend):
    assert mend in explain(stderr, 255, host="pi@nano.lan")


def test_a_python_that_is_missing_or_cannot_run_is_named():
    words = explain("bash: line 1: py: not found", 127, host="h", python="/opt/py")
    assert "'/opt/py' was not found on h" in words
    assert "cannot be run" in explain("Permission denied", 126, host="h")


def test_what_a_program_on_the_board_says_is_not_taken_for_ssh_failing():
    assert explain("db: Connection refused", 1, host="h") == ""
    assert explain("", 0, host="h") == ""
    assert "no onnx: install" in explain(
        "ModuleNotFoundError: No module named 'onnx'", 1, host="h"
    )


def test_ssh_that_still_runs_did_not_fail():
    assert explain("a library says: Broken pipe", None, host="h") == ""


def test_a_missing_package_is_named_whole():
    assert "no tensorrt.plugin: install" in missing_module("No module named 'tensorrt.plugin'")
    assert missing_module("all is well") == ""

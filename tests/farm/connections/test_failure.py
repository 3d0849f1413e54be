from __future__ import annotations

import pytest

from hwprune.farm.connections.failure import ended_before_python, explain, missing_module

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key verification failed."""
CHANGED_AT_A_PORT = """@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Offending ED25519 key in /home/me/.ssh/known_hosts:3
Host key for [10.0.0.7]:2222 has changed and you have requested strict checking.
Host key verification failed."""
BY_JUMP = """kex_exchange_identification: Connection closed by remote host
Connection closed by UNKNOWN port 65535"""


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


@pytest.mark.parametrize(
    "options", [("Port=2222",), ("port 2222",), ("-p2222",), ("-oPort=2222",), ("-F/x", "-p 2222")]
)
def test_advice_carries_the_port_of_the_profile(options):
    unknown = explain("Host key verification failed.", 255, host="pi@nano", options=options)
    assert "run `ssh -p 2222 pi@nano` once by hand" in unknown
    changed = explain(CHANGED, 255, host="pi@nano", options=options)
    assert "`ssh-keygen -R '[nano]:2222'` and run `ssh -p 2222 pi@nano`" in changed
    denied = explain("pi@nano: Permission denied (publickey).", 255, host="nano", options=options)
    assert "run `ssh-copy-id -p 2222 nano`" in denied


def test_the_usual_port_is_not_spelled_out():
    words = explain(CHANGED, 255, host="pi@nano", options=("Port=22", "User=pi"))
    assert "`ssh-keygen -R nano` and run `ssh pi@nano`" in words


def test_a_changed_key_is_forgotten_under_the_name_that_ssh_looked_for():
    words = explain(CHANGED_AT_A_PORT, 255, host="nano-by-config")
    assert "`ssh-keygen -R '[10.0.0.7]:2222'` and run `ssh nano-by-config`" in words
    elsewhere = CHANGED_AT_A_PORT.replace("/home/me/.ssh/known_hosts", "/lab/known hosts")
    assert "-R '[10.0.0.7]:2222' -f '/lab/known hosts'" in explain(elsewhere, 255, host="n")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("me@gate: Permission denied (publickey).", "run `ssh-copy-id me@gate`"),
        ("ssh: connect to host gate port 22: Connection refused", "gate is there, but no ssh"),
        ("ssh: Could not resolve hostname gate: Name or service", "the name of gate is unknown"),
        ("Host key verification failed.", "the host key of JUMPHOST is not known yet"),
        (CHANGED_AT_A_PORT, "ssh-keygen -R '[10.0.0.7]:2222'"),
        ("what?", "it gave no reason that is known"),
    ],
)
def test_a_jump_hosts_refusal_is_not_the_boards(said, words):
    found = explain(f"{said}\n{BY_JUMP}", 255, host="pi@nano", options=("Port=2222",))
    assert "the jump host on the way to pi@nano failed, not the board" in found
    assert words in found and "-p 2222" not in found


def test_a_jump_host_that_does_not_lead_to_the_board_says_why():
    said = "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed"
    found = explain(f"{said}\n{BY_JUMP}", 255, host="pi@nano")
    assert "the jump host does not lead to pi@nano (connect failed: Connection refused)" in found


@pytest.mark.parametrize(
    "stderr",
    [
        "zipimport.ZipImportError: bad local file header: '/proc/self/fd/3'",
        "ModuleNotFoundError: No module named 'hwprune_device'",
    ],
)
def test_a_package_that_came_torn_was_read_by_a_start_up_file(stderr):
    words = explain(stderr, 1, host="h")
    assert "a start-up file of the account there" in words and "read a part" in words


@pytest.mark.parametrize("exit_code", [0, 1, 7])
def test_an_end_before_python_is_a_start_up_files(exit_code):
    words = ended_before_python("the supervisor ended", exit_code, "Welcome")
    assert words.startswith("the supervisor ended; a start-up file of the account there")
    assert f"exit code {exit_code}" in words


@pytest.mark.parametrize(
    ("exit_code", "stderr"),
    [
        (255, "Permission denied (publickey)."),
        (127, "not found"),
        (126, ""),
        (None, ""),
        (1, "Traceback (most recent call last):\nModuleNotFoundError: No module named 'numpy'"),
        (3, "a board needs Python 3.10 or newer; this is Python 3.6.9"),
    ],
)
def test_an_end_that_is_told_otherwise_is_not_laid_to_a_start_up_file(exit_code, stderr):
    assert ended_before_python("it ended", exit_code, stderr) == "it ended"


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

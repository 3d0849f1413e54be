"""Why a board does not answer, in words that say what to do, from what ssh and Python wrote."""

from __future__ import annotations

import re

SSH_FAILED = 255
"""ssh leaves with this when it fails itself, and when a signal ended the remote command."""
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127

# In this order: a changed key is also one that failed to be verified.
_SSH_WORDS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} is not the one that ssh remembers: if the board was set up anew, "
        "forget the old key with `ssh-keygen -R {address}` and run `ssh {host}` once by hand; "
        "if not, somebody may stand in between",
    ),
    (
        "host key verification failed|no .* host key is known",
        "the host key of {host} is not known yet: run `ssh {host}` once by hand and accept it",
    ),
    (
        "unprotected private key file|bad permissions",
        "ssh refuses a private key that others may read: `chmod 600` the key file",
    ),
    (
        "too many authentication failures",
        "{host} gave up after too many keys: name the right one with ssh_options = "
        '["IdentitiesOnly=yes", "IdentityFile=~/.ssh/KEY"] in the board\'s profile',
    ),
    (
        r"permission denied \(",
        "{host} does not accept our key: run `ssh-copy-id {host}`, or `ssh-add` when the key has "
        "a passphrase; no password is asked for here",
    ),
    (
        "could not resolve hostname",
        "the name of {host} is unknown: look for a typing error in host, or add the Host to "
        "~/.ssh/config",
    ),
    (
        "connection refused",
        "{host} is there, but no ssh server listens at that port: start sshd on the board, or "
        'say the port with ssh_options = ["Port=..."]',
    ),
    (
        "kex_exchange_identification|unable to negotiate",
        "{host} ends the connection before it is one: does `ssh {host}` work by hand?",
    ),
    (
        "timeout, server .* not responding|broken pipe|connection reset|connection to .* closed"
        "|closed by|mux_client_.*failed",
        "the link to {host} broke: look at the board's power and network",
    ),
    (
        "timed out",
        "{host} does not answer: is the board on, in this network, and not behind a firewall?",
    ),
    (
        "no route to host|network is unreachable",
        "no way leads to {host}: is this machine in the board's network, or is a ProxyJump "
        "missing in ~/.ssh/config?",
    ),
    (
        "bad configuration option|command-line: line|command-line line|unknown option",
        "ssh does not understand its options: look at ssh_options in the board's profile",
    ),
)


def explain(stderr: str, exit_code: int | None, *, host: str, python: str = "python3") -> str:
    """What the end of an ssh command means and what to do; empty when nothing is known.

    `exit_code` None: it still runs.
    """
    if exit_code in (_NOT_FOUND, _NOT_EXECUTABLE):
        what = "was not found" if exit_code == _NOT_FOUND else "cannot be run"
        return (
            f"the Python '{python}' {what} on {host}: install Python 3.10 or newer there, or set "
            "python in the board's profile to the whole path of one"
        )
    if exit_code == SSH_FAILED:
        for pattern, words in _SSH_WORDS:
            if re.search(pattern, stderr, re.IGNORECASE):
                return words.format(host=host, address=host.rpartition("@")[2])
        return f"the supervisor was killed on {host}, or the link to it broke"
    return missing_module(stderr)


def missing_module(stderr: str) -> str:
    """What to do when the board's Python lacks a package; empty when that is not the matter."""
    found = re.search(r"No module named '((?!hwprune_device)[\w.]+)'", stderr)
    if found is None:
        return ""
    return (
        f"the board's Python has no {found[1]}: install numpy, onnx and a runtime for it, or set "
        "python in the board's profile to one that has them"
    )
